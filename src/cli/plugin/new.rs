//! `watchfire plugin new`: writes a folder that builds, with a test that passes.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::Language;
use super::templates::{self, Names};
use crate::cli::exit::{Exit, Failure};
use crate::guest::wasm::manifest::Kind;

/// Write the folder of a new plugin
///
/// The folder builds as it is, outside any checkout too: what it needs of Watchfire lies in it, the
/// rest is the language's own packages. It holds the source, settings, a test and a README.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  watchfire plugin new too-hot                           # a rule in Rust, in ./too-hot
  watchfire plugin new page-me --kind sink --lang python
  watchfire plugin new pings --kind probe --lang js --dir src/pings")]
pub struct Args {
    /// Its name: small letters, digits and `-`
    pub name: String,
    /// What it is written in
    #[arg(long, value_enum, default_value = "rust")]
    pub lang: Language,
    /// What it does
    #[arg(long, value_parser = kind(), default_value = "rule")]
    pub kind: Kind,
    /// The folder to write [default: the plugin's name]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The worlds, by their names in the interface.
fn kind() -> impl TypedValueParser<Value = Kind> {
    let values = Kind::ALL.map(|kind| PossibleValue::new(kind.name()).help(kind.about()));
    PossibleValuesParser::new(values).map(|name| {
        let named = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        named.expect("the parser takes no other names")
    })
}

/// A name becomes that of a file, a crate and a package.
const NAME_BYTES_MAX: usize = 64;

/// Writes the folder, and says how to go on.
pub fn new(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let names = Names::of(checked(&args.name)?);
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let Some(files) = templates::files(args.lang, args.kind, &names) else {
        let (lang, kind) = (args.lang.name(), args.kind.name());
        let kinds = Kind::ALL.into_iter().filter(|kind| templates::has(args.lang, *kind));
        let kinds: Vec<&str> = kinds.map(Kind::name).collect();
        let what = format!("there is no template for a {kind} in {lang}");
        let help = format!("in {lang}: {}; in Rust: all kinds", kinds.join(", "));
        return Err(Failure::new(Exit::Usage, what, help));
    };
    if std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let what = format!("{} is there already, and not empty", folder.display());
        return Err(Failure::new(Exit::Usage, what, "choose another --dir, or remove it"));
    }
    for (path, text) in &files {
        write(&folder.join(path), text)?;
    }
    writeln!(out, "wrote {}, a {} in {}", folder.display(), args.kind.name(), args.lang.name())?;
    let (folder, name) = (folder.display(), &args.name);
    writeln!(out, "next:")?;
    writeln!(out, "  watchfire plugin build {folder}")?;
    writeln!(out, "  watchfire plugin test {folder}/{name}.wasm")?;
    writeln!(out, "  watchfire plugin build {folder} --into plugins   # and it is live")?;
    Ok(Exit::Ok)
}

fn checked(name: &str) -> Result<&str, Failure> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(plain)
        && !name.ends_with('-')
        && !name.contains("--")
        && name.len() <= NAME_BYTES_MAX;
    if is_name {
        return Ok(name);
    }
    let what = format!("`{name}` is no name for a plugin");
    let help = "write small letters, digits and `-`, as in too-hot; at most 64 of them";
    Err(Failure::new(Exit::Usage, what, help))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(file, text)).map_err(|error| {
        let what = format!("cannot write {}: {error}", file.display());
        Failure::new(Exit::NotStarted, what, "choose another --dir")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_fit_for_a_file_and_a_crate() {
        for name in ["a", "too-hot", "p99-watch"] {
            assert!(checked(name).is_ok(), "{name}");
        }
        for name in ["", "Too", "9a", "a_b", "a-", "-a", "a--b", "../a", "ä", &"a".repeat(65)] {
            assert!(checked(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let args = Args {
            name: "a".into(),
            lang: Language::Rust,
            kind: Kind::Rule,
            dir: Some(folder.path().to_owned()),
        };
        let mut out = Vec::new();
        assert_eq!(new(&args, &mut out).expect("it is empty"), Exit::Ok);
        let again = new(&args, &mut out).expect_err("it is no longer");
        assert!(again.what.contains("not empty"), "{again}");
    }
}
