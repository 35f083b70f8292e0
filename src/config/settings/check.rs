//! What one value alone cannot tell: settings that contradict each other.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::Settings;
use super::read::File;
use crate::config::error::ConfigError;

/// A contradiction, and the key to point at.
struct Complaint {
    /// Keys, and places in lists from 0.
    path: Vec<String>,
    what: String,
    help: String,
}

/// The first contradiction, shown in the file where the file says it, else by its key.
pub fn check(file: File<'_>, written: &Settings, settings: &Settings) -> Result<(), ConfigError> {
    let complaint = exposed(settings)
        .or_else(|| grants_in_reach(settings))
        .or_else(|| names_clash(settings))
        .or_else(|| sources_clash(settings))
        .or_else(|| zero(settings));
    let Some(Complaint { path, what, help }) = complaint else { return Ok(()) };
    // A value that a flag or a variable replaced must not be blamed on the file.
    let is_written = match path[0].as_str() {
        "listen" => written.listen.http == settings.listen.http,
        "sinks" => written.sinks.webhook == settings.sinks.webhook,
        "paths" => settings.paths.grants.ends_with(&written.paths.grants),
        "limits" => written.limits == settings.limits,
        _ => true,
    };
    let span = if is_written { locate(file.text, &path) } else { None };
    Err(match span {
        Some(span) => ConfigError::at(file.name, file.text, span, what, Some(help)),
        None => ConfigError::of(format!("setting `{}`", path.join(".")), what, Some(help)),
    })
}

/// Anyone who reaches an open port without a token could silence alerts.
fn exposed(settings: &Settings) -> Option<Complaint> {
    let listen = &settings.listen;
    if !listen.is_open() || listen.token_file.is_some() {
        return None;
    }
    Some(Complaint {
        path: vec!["listen".into(), "http".into()],
        what: format!("{} can be reached from other machines, and no token guards it", listen.http),
        help: "name a file with a token (`token_file` or --token-file), or listen on 127.0.0.1"
            .into(),
    })
}

/// Whoever may drop a rule must not be able to grant it anything.
fn grants_in_reach(settings: &Settings) -> Option<Complaint> {
    let paths = &settings.paths;
    let watched = [&paths.rules, &paths.plugins];
    let folder = watched.into_iter().find(|folder| paths.grants.starts_with(folder))?;
    Some(Complaint {
        path: vec!["paths".into(), "grants".into()],
        what: format!(
            "the grants {} lie in the watched folder {}",
            paths.grants.display(),
            folder.display()
        ),
        help: "move the file out of it: dropping a file into a watched folder must grant nothing"
            .into(),
    })
}

fn names_clash(settings: &Settings) -> Option<Complaint> {
    let files = settings.sinks.file.iter().map(|sink| ("file", &sink.name)).enumerate();
    let webhooks = settings.sinks.webhook.iter().map(|sink| ("webhook", &sink.name)).enumerate();
    let mut seen = BTreeSet::from(["terminal"]);
    for (at, (kind, name)) in files.chain(webhooks) {
        let (what, help) = if name.is_empty() {
            ("a sink needs a name".to_owned(), "rules name it in `.notify(..)`")
        } else if !seen.insert(name) {
            (format!("two sinks are named `{name}`"), "a name stands for one sink; rename one")
        } else {
            continue;
        };
        let path = vec!["sinks".into(), kind.into(), at.to_string(), "name".into()];
        return Some(Complaint { path, what, help: help.into() });
    }
    None
}

/// A source's name stands for one source in metrics, and a plugin's socket needs an address.
fn sources_clash(settings: &Settings) -> Option<Complaint> {
    let place = |kind: &str, at: usize, key: &str| {
        vec!["sources".to_owned(), kind.to_owned(), at.to_string(), key.to_owned()]
    };
    let mut seen: BTreeSet<String> =
        ["host", "statsd-udp", "statsd-tcp", "stdin"].map(str::to_owned).into();
    let of_tcp = settings.sources.tcp.iter().enumerate();
    let mut names: Vec<(Vec<String>, String)> = of_tcp
        .filter_map(|(at, source)| Some((place("tcp", at, "name"), source.name.clone()?)))
        .collect();
    for (at, source) in settings.sources.plugin.iter().enumerate() {
        if source.udp.is_none() && source.tcp.is_none() {
            return Some(Complaint {
                path: place("plugin", at, "plugin"),
                what: format!("nothing comes in for `{}`", source.plugin),
                help: "give `udp` or `tcp` an address; what is posted needs no entry here".into(),
            });
        }
        let key = if source.name.is_some() { "name" } else { "plugin" };
        let listens = [("udp", source.udp), ("tcp", source.tcp)].into_iter();
        let listens = listens.filter(|(_, address)| address.is_some());
        names.extend(listens.map(|(transport, _)| {
            (place("plugin", at, key), format!("{}-{transport}", source.name()))
        }));
    }
    let (path, name) = names.into_iter().find(|(_, name)| !seen.insert(name.clone()))?;
    Some(Complaint {
        path,
        what: format!("two sources are named `{name}`"),
        help: "a name stands for one source; give one of them another `name`".into(),
    })
}

/// A limit of nothing would refuse everything, which nobody means.
fn zero(settings: &Settings) -> Option<Complaint> {
    let limits = &settings.limits;
    let counts = [
        ("series_max", limits.series_max),
        ("labels_max", limits.labels_max),
        ("name_bytes_max", limits.name_bytes_max),
        ("value_bytes_max", limits.value_bytes_max),
        ("groups_per_rule_max", limits.groups_per_rule_max),
        ("batch_bytes_max", limits.batch_bytes_max),
        ("in_flight_bytes_max", limits.in_flight_bytes_max),
        ("line_bytes_max", limits.line_bytes_max),
    ];
    let (key, _) = counts.into_iter().find(|(_, count)| *count == 0)?;
    Some(Complaint {
        path: vec!["limits".into(), key.into()],
        what: format!("`{key}` is 0, which would refuse everything"),
        help: "leave the line out for the default".into(),
    })
}

/// Where the value of a key stands in the text.
fn locate(text: &str, path: &[String]) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let mut value = table.get_ref().get(first.as_str())?;
    for part in rest {
        value = match value.get_ref() {
            DeValue::Table(table) => table.get(part.as_str())?,
            DeValue::Array(list) => list.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value.span())
}
