//! File, environment and flags, laid over each other and read into [`Settings`].

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::{LogFormat, Settings, check, text};
use crate::config::error::{ConfigError, did_you_mean};

/// What flags say; they win over everything else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    pub rules: Option<PathBuf>,
    pub plugins: Option<PathBuf>,
    pub data: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub token_file: Option<PathBuf>,
    pub shards: Option<usize>,
    pub log: Option<LogFormat>,
}

/// A settings file that was read: its name for messages, its text, and the folder that its
/// relative paths start from.
#[derive(Clone, Copy, Debug, Default)]
pub struct File<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub folder: Option<&'a Path>,
}

/// The file that is read when none is named, if it is there.
const FILE_DEFAULT: &str = "watchfire.toml";

/// `WATCHFIRE__LISTEN__HTTP` stands for the key `http` of section `[listen]`.
const VARIABLE_PREFIX: &str = "WATCHFIRE__";

impl Settings {
    /// Reads the named file, or `watchfire.toml` in the working directory when there is one, and
    /// the environment.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Settings, ConfigError> {
        let path = file.unwrap_or(Path::new(FILE_DEFAULT));
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                String::new()
            }
            Err(error) => {
                let help = "name a readable file with --config, or leave the flag out to run \
                            with the defaults";
                let what = format!("cannot read the settings: {error}");
                return Err(ConfigError::of(name, what, Some(help.into())));
            }
        };
        let mut variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
            .collect();
        variables.sort();
        let file = File { name: &name, text: &text, folder: path.parent() };
        Settings::parse(file, &variables, overrides)
    }

    /// As [`Settings::load`], from texts. Variables without the prefix are left alone.
    pub fn parse(
        file: File<'_>,
        variables: &[(String, String)],
        overrides: &Overrides,
    ) -> Result<Settings, ConfigError> {
        let written: Settings = toml::from_str(file.text).map_err(|error| in_file(file, &error))?;
        let mut table: Table = toml::from_str(file.text).map_err(|error| in_file(file, &error))?;
        let mut settings = written.clone();
        let mut set = BTreeSet::new();
        for (name, value) in variables {
            let Some(key) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
            let path = key_path(name, key)?;
            settings = with_variable(&mut table, name, &path, value)?;
            set.insert(path.join("."));
        }
        if let Some(folder) = file.folder {
            settings.resolve_paths(folder, &set);
        }
        settings.apply(overrides);
        check::check(file, &written, &settings)?;
        Ok(settings)
    }

    /// Lets relative paths of the file start from its folder; those that variables set stay.
    fn resolve_paths(&mut self, folder: &Path, set: &BTreeSet<String>) {
        let resolve = |key: &str, path: &mut PathBuf| {
            if !set.contains(key) {
                *path = folder.join(&*path);
            }
        };
        resolve("paths.rules", &mut self.paths.rules);
        resolve("paths.plugins", &mut self.paths.plugins);
        resolve("paths.data", &mut self.paths.data);
        resolve("paths.grants", &mut self.paths.grants);
        if let Some(token_file) = &mut self.listen.token_file {
            resolve("listen.token_file", token_file);
        }
        for source in &mut self.sources.file {
            resolve("sources.file", &mut source.path);
        }
        for sink in &mut self.sinks.file {
            resolve("sinks.file", &mut sink.path);
        }
    }

    fn apply(&mut self, overrides: &Overrides) {
        fn lay<T: Clone>(over: &mut T, flag: &Option<T>) {
            if let Some(value) = flag {
                over.clone_from(value);
            }
        }
        lay(&mut self.paths.rules, &overrides.rules);
        lay(&mut self.paths.plugins, &overrides.plugins);
        lay(&mut self.paths.data, &overrides.data);
        lay(&mut self.listen.http, &overrides.listen);
        lay(&mut self.engine.shards, &overrides.shards);
        lay(&mut self.log.format, &overrides.log);
        if overrides.token_file.is_some() {
            self.listen.token_file.clone_from(&overrides.token_file);
        }
    }
}

/// `LISTEN__HTTP` to `listen`, `http`. The name of a secret stays as it is.
fn key_path(variable: &str, key: &str) -> Result<Vec<String>, ConfigError> {
    let path: Vec<String> = match key.strip_prefix("SECRETS__") {
        Some(secret) => vec!["secrets".to_owned(), secret.to_owned()],
        None => key.split("__").map(str::to_ascii_lowercase).collect(),
    };
    if path.iter().any(String::is_empty) {
        let help = "write WATCHFIRE__SECTION__KEY, for example WATCHFIRE__LISTEN__HTTP";
        return Err(ConfigError::of(variable, "it names no setting", Some(help.into())));
    }
    Ok(path)
}

/// Sets one key and reads the whole again, so that what is wrong is this variable's doing.
fn with_variable(
    table: &mut Table,
    variable: &str,
    path: &[String],
    value: &str,
) -> Result<Settings, ConfigError> {
    let mut first = None;
    for candidate in readings(path, value) {
        let mut changed = table.clone();
        insert(&mut changed, path, candidate)
            .map_err(|what| ConfigError::of(variable, what, None))?;
        match Settings::deserialize(changed.clone()) {
            Ok(settings) => {
                *table = changed;
                return Ok(settings);
            }
            Err(error) => first = first.or(Some(error)),
        }
    }
    let error = first.expect("every value has at least one reading");
    let (what, help) = words(error.message());
    Err(ConfigError::of(variable, what, help))
}

/// What a variable's text may stand for: a TOML value, else plain text, else a list of names.
fn readings(path: &[String], value: &str) -> Vec<Value> {
    let text = Value::String(value.to_owned());
    if path.first().is_some_and(|section| section == "secrets") {
        return vec![text];
    }
    let typed = toml::from_str::<Table>(&format!("value = {value}"))
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"));
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names = names.map(|name| Value::String(name.to_owned())).collect();
    typed.into_iter().chain([text, Value::Array(names)]).collect()
}

fn insert(table: &mut Table, path: &[String], value: Value) -> Result<(), String> {
    let Some((key, sections)) = path.split_last() else { return Ok(()) };
    let mut inner = table;
    for (depth, section) in sections.iter().enumerate() {
        let entry = inner.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(next) = entry else {
            let written = path[..=depth].join(".");
            return Err(format!("`{written}` has no keys of its own; set it in the file"));
        };
        inner = next;
    }
    inner.insert(key.clone(), value);
    Ok(())
}

fn in_file(file: File<'_>, error: &toml::de::Error) -> ConfigError {
    let (what, help) = words(error.message());
    let Some(span) = error.span() else {
        return ConfigError::of(file.name, what, help);
    };
    let hidden = holds_secrets(file.text, span.start);
    let error = ConfigError::at(file.name, file.text, span, what, help);
    if hidden { error.without_excerpt() } else { error }
}

/// Whether the place lies in `[secrets]`, whose lines must not be printed.
fn holds_secrets(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or(text);
    let line_end = text.get(at..).and_then(|rest| rest.find('\n')).unwrap_or(0);
    let through = text.get(..at + line_end).unwrap_or(before);
    let header = through.lines().rev().find(|line| line.trim_start().starts_with('['));
    header.is_some_and(|line| line.contains("secrets"))
        || through.lines().last().is_some_and(|line| line.trim_start().starts_with("secrets"))
}

/// What is wrong, and the cure, from a message of the TOML reader or of [`text`].
fn words(message: &str) -> (String, Option<String>) {
    let (what, said) = message.split_once('\n').unwrap_or((message, ""));
    let said = said.trim().replace('\n', ", ");
    let help = if !said.is_empty() {
        Some(said)
    } else if what.contains("expected a string") {
        Some("text, durations and addresses stand in quotes, for example \"5s\"".to_owned())
    } else {
        did_you_mean(what)
    };
    (what.to_owned(), help)
}

/// For `--shards`: the same bounds and words as in the file.
pub fn parse_shards(text: &str) -> Result<usize, String> {
    let count = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    text::within(count, super::Engine::SHARDS_MAX, "shards").map_err(|what| one_line(&what))
}

/// For `--listen`: the same addresses as in the file.
pub fn parse_address(address: &str) -> Result<SocketAddr, String> {
    text::parse_address(address).map_err(|what| one_line(&what))
}

fn one_line(what: &str) -> String {
    what.replace('\n', "; ")
}
