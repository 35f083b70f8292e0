//! Options of the form `--name value`.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Options {
    named: BTreeMap<String, String>,
    rest: Option<String>,
}

impl Options {
    pub fn read(words: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.strip_prefix("--") {
                Some(name) => {
                    let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
                    options.named.insert(name.to_owned(), value.clone());
                }
                None => options.rest = Some(word.clone()),
            }
        }
        Ok(options)
    }

    pub fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.named.get(name).map_or(default, |value| value)
    }

    pub fn given(&self, name: &str) -> Result<&str, String> {
        self.named.get(name).map(String::as_str).ok_or_else(|| format!("--{name} is missing"))
    }

    pub fn number(&self, name: &str, default: i64) -> Result<i64, String> {
        let Some(value) = self.named.get(name) else { return Ok(default) };
        value.parse().map_err(|_| format!("--{name} wants a whole number, not `{value}`"))
    }

    /// The word without a name.
    pub fn rest(&self) -> Result<&str, String> {
        self.rest.as_deref().ok_or_else(|| "a file is missing".to_owned())
    }
}
