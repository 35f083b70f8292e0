//! `watchfire rules`: the rules of a running instance.

use std::io::Write;

use serde_json::Value;

use super::client::Remote;
use super::exit::{Exit, Failure};
use super::output::Table;

/// The rules of a running instance
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Every rule with its state and health
    #[command(after_help = "Example:\n  watchfire rules list --url http://10.0.0.7:9820")]
    List(Remote),
    /// Take a rule folder that has become empty at its word
    ///
    /// A rule folder that is suddenly missing or empty is most often a mount that failed, so the
    /// last rules stay in force until this says that the folder is meant to be empty.
    AcceptEmpty(Remote),
}

pub fn list(remote: &Remote, out: &mut dyn Write) -> Result<Exit, Failure> {
    let answer = remote.get(&["rules"])?;
    write!(out, "{}", table(&answer))?;
    Ok(Exit::Ok)
}

/// The API's answer has Prometheus' own shape.
fn table(answer: &Value) -> Table {
    let mut table = Table::new(&["RULE", "STATE", "HEALTH", "ALERTS", "FILE", "LAST ERROR"]);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for group in list(&answer["data"]["groups"]) {
        for rule in list(&group["rules"]) {
            let text = |key: &str| rule[key].as_str().unwrap_or("-").to_owned();
            table.push([
                text("name"),
                text("state"),
                text("health"),
                list(&rule["alerts"]).len().to_string(),
                group["file"].as_str().unwrap_or("-").to_owned(),
                rule["lastError"].as_str().unwrap_or("").to_owned(),
            ]);
        }
    }
    table
}

pub fn accept_empty(remote: &Remote, out: &mut dyn Write) -> Result<Exit, Failure> {
    let report = remote.post(&["rules", "accept-empty"], None)?;
    let removed = report["rules"].as_array().map_or(0, Vec::len);
    let s = if removed == 1 { "" } else { "s" };
    writeln!(
        out,
        "accepted: {removed} rule{s} changed, and what fired by one that is gone resolves"
    )?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_listed_from_prometheus_shape() {
        let answer = serde_json::json!({ "status": "success", "data": { "groups": [
            { "name": "disk", "file": "rules/disk.rhai", "rules": [
                { "name": "disk-full", "state": "firing", "health": "ok", "alerts": [{}, {}] },
                { "name": "b", "state": "inactive", "health": "err", "alerts": [],
                  "lastError": "disk.rhai:9: no such\u{1b}field" },
            ] },
        ] } });
        let expected = "\
RULE       STATE     HEALTH  ALERTS  FILE             LAST ERROR
disk-full  firing    ok           2  rules/disk.rhai
b          inactive  err          0  rules/disk.rhai  disk.rhai:9: no such\u{fffd}field
";
        assert_eq!(table(&answer).to_string(), expected);
        let nothing = table(&Value::Null).to_string();
        assert_eq!(nothing, "RULE  STATE  HEALTH  ALERTS  FILE  LAST ERROR\n");
    }
}
