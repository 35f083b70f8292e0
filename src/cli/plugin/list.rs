//! `watchfire plugin list`: the plugins of a running instance, and what is wrong with them.

use std::io::Write;

use serde_json::Value;

use crate::cli::client::Remote;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Table, grouped, printable};
use crate::guest::changes::short;

/// The plugins of a running instance
///
/// What needs somebody's attention stands below the table, with what to do about it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  watchfire plugin list
  watchfire plugin list ops-chat     # all that is known of one")]
pub struct Args {
    /// Show all that is known of this one
    pub name: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}

/// Prints the table with what is wrong below it, or one plugin in full.
pub fn list(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let answer = args.remote.get(&["plugins"])?;
    let plugins = answer["plugins"].as_array().map_or(&[][..], Vec::as_slice);
    let Some(name) = &args.name else {
        write!(out, "{}", table(plugins))?;
        for line in plugins.iter().flat_map(troubles) {
            writeln!(out, "{}", printable(&line))?;
        }
        return Ok(Exit::Ok);
    };
    let named: Vec<&Value> = plugins.iter().filter(|plugin| plugin["name"] == **name).collect();
    if named.is_empty() {
        let names: Vec<&str> =
            plugins.iter().filter_map(|plugin| plugin["name"].as_str()).collect();
        let what = format!("there is no plugin `{name}`");
        let help = format!("plugins are: {}", names.join(", "));
        return Err(Failure::new(Exit::Findings, what, help));
    }
    for plugin in named {
        for (field, value) in fields("", plugin) {
            writeln!(out, "{field:<22}  {}", printable(&value))?;
        }
    }
    Ok(Exit::Ok)
}

fn table(plugins: &[Value]) -> Table {
    let head = [
        "PLUGIN", "WORLD", "STATE", "DIGEST", "CALLS", "ROWS", "CPU s", "MEMORY", "PEAK", "DEATHS",
        "SAVED", "AGO",
    ];
    let mut table = Table::new(&head);
    for plugin in plugins {
        let text = |key: &str| plugin[key].as_str().unwrap_or("-").to_owned();
        let count = |key: &str| plugin[key].as_u64().map_or_else(|| "-".to_owned(), grouped);
        let seconds = plugin["cpu_seconds"].as_f64();
        table.push([
            text("name"),
            text("world"),
            text("state"),
            short(&text("digest")).to_owned(),
            count("calls"),
            count("rows"),
            seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2}")),
            count("memory_bytes"),
            count("memory_peak_bytes"),
            count("deaths"),
            count("state_bytes"),
            // To the millisecond is more than anybody wants to read.
            text("checkpoint_age").split_inclusive('s').next().unwrap_or("-").to_owned(),
        ]);
    }
    table
}

/// What is wrong with a plugin, and what to do about it.
fn troubles(plugin: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&plugin["name"]);
    let mut lines = Vec::new();
    if let Some(blocked) = plugin["blocked"].as_object() {
        lines.push(format!("{name} is blocked: {}", text(&blocked["why"])));
        // A pin or a secret's value is for the operator alone to write.
        let can_grant = plugin["missing"].as_array().is_some_and(|missing| !missing.is_empty());
        lines.push(match can_grant {
            true => format!("  run `watchfire plugin grant {name}`, or add to grants.toml:"),
            false => "  grants.toml needs:".to_owned(),
        });
        lines.extend(text(&blocked["cure"]).lines().map(|line| format!("    {line}")));
    }
    if let Some(held) = plugin["quarantine"].as_object() {
        let (until, backoff) = (text(&held["until"]), text(&held["backoff"]));
        let rules: Vec<String> = held["rules"].as_array().into_iter().flatten().map(text).collect();
        let rules =
            if rules.is_empty() { rules.concat() } else { format!(" ({})", rules.join(", ")) };
        lines.push(format!("{name}{rules} is quarantined until {until}, for {backoff}"));
        lines.push(
            "  it is tried again by itself; another version of its file is tried at once".into(),
        );
    }
    if let Some(death) = plugin["last_death"].as_str() {
        lines.push(format!("{name} last died so: {death}"));
    }
    if plugin["states_lost"].as_u64().is_some_and(|lost| lost > 0) {
        let lost = times(&plugin["states_lost"]);
        lines.push(format!("{name} lost its state {lost}; /api/v1/plugins/changes says why"));
    }
    for (host, count) in plugin["denied_hosts"].as_object().into_iter().flatten() {
        lines.push(format!(
            "{name} was denied {host} {}; grant it, or correct its settings",
            times(count)
        ));
    }
    lines
}

/// How often, in words.
fn times(count: &Value) -> String {
    match count.as_u64() {
        Some(1) => "once".to_owned(),
        Some(count) => format!("{} times", grouped(count)),
        None => "at times".to_owned(),
    }
}

/// All that a plugin's object says, one line for each value.
fn fields(path: &str, value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Null => Vec::new(),
        Value::Object(inner) => {
            let join = |name: &str| {
                if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
            };
            inner.iter().flat_map(|(name, value)| fields(&join(name), value)).collect()
        }
        Value::Array(inner) => inner.iter().flat_map(|value| fields(path, value)).collect(),
        Value::Number(number) => {
            let text = number.as_u64().map_or_else(|| number.to_string(), grouped);
            vec![(path.to_owned(), text)]
        }
        Value::Bool(_) => vec![(path.to_owned(), value.to_string())],
        Value::String(text) => {
            text.lines().map(|line| (path.to_owned(), line.to_owned())).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_stands_below_the_table() {
        let plugins = [
            json!({ "name": "too-hot", "world": "rule", "state": "running",
              "digest": "0123456789abcdef", "calls": 12345, "rows": 1_000_000, "cpu_seconds": 1.239,
              "memory_bytes": 1_114_112, "memory_peak_bytes": 2_228_224, "deaths": 0,
              "state_bytes": 812, "checkpoint_age": "12s345ms", "last_death": null,
              "blocked": null, "quarantine": null, "states_lost": 0, "denied_hosts": {} }),
            json!({ "name": "too-odd", "world": "rule", "state": "quarantined", "digest": "f00d",
              "calls": 3, "rows": 3, "cpu_seconds": 0.0, "memory_bytes": 0,
              "memory_peak_bytes": 65_536, "deaths": 2, "state_bytes": 0, "checkpoint_age": null,
              "last_death": "it trapped", "blocked": null, "states_lost": 1,
              "quarantine": { "until": "2026-11-21T16:12:13Z", "backoff": "2s", "rules": ["odd"] },
              "denied_hosts": { "http://a": 3 } }),
            json!({ "name": "depth", "world": "probe", "state": "blocked", "missing": ["http:a"],
              "blocked": { "why": "it asks for http:a, which is not granted",
                           "cure": "[grants.depth]\nhttp = [\"a\"]\n" } }),
        ];
        let expected = "\
PLUGIN   WORLD  STATE        DIGEST        CALLS       ROWS  CPU s     MEMORY       PEAK  DEATHS  SAVED  AGO
too-hot  rule   running      0123456789ab  12,345  1,000,000   1.24  1,114,112  2,228,224       0    812  12s
too-odd  rule   quarantined  f00d               3          3   0.00          0     65,536       2      0  -
depth    probe  blocked      -                  -          -      -          -          -       -      -  -
";
        assert_eq!(table(&plugins).to_string(), expected);
        let lines: Vec<String> = plugins.iter().flat_map(troubles).collect();
        let expected = "\
too-odd (odd) is quarantined until 2026-11-21T16:12:13Z, for 2s
  it is tried again by itself; another version of its file is tried at once
too-odd last died so: it trapped
too-odd lost its state once; /api/v1/plugins/changes says why
too-odd was denied http://a 3 times; grant it, or correct its settings
depth is blocked: it asks for http:a, which is not granted
  run `watchfire plugin grant depth`, or add to grants.toml:
    [grants.depth]
    http = [\"a\"]";
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn one_plugin_is_shown_in_full() {
        let plugin = json!({ "name": "a", "granted": ["http:x", "secret:Y"], "missing": [],
            "blocked": null, "traps": { "interrupt": 2000 }, "cpu_seconds": 0.5 });
        let lines: Vec<String> =
            fields("", &plugin).iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = [
            "cpu_seconds=0.5",
            "granted=http:x",
            "granted=secret:Y",
            "name=a",
            "traps.interrupt=2,000",
        ];
        assert_eq!(lines, expected);
    }
}
