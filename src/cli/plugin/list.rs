//! `watchfire plugin list`: the plugins of a running instance.

use std::io::Write;

use serde_json::Value;

use crate::cli::client::Remote;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Table, grouped};

/// As much of a digest as tells two files apart on a screen.
const DIGEST_CHARS: usize = 12;

pub fn list(remote: &Remote, out: &mut dyn Write) -> Result<Exit, Failure> {
    let answer = remote.get(&["plugins"])?;
    write!(out, "{}", table(&answer))?;
    Ok(Exit::Ok)
}

fn table(answer: &Value) -> Table {
    let head = ["PLUGIN", "WORLD", "STATE", "DIGEST", "MEMORY", "CALLS", "DEATHS", "LAST DEATH"];
    let mut table = Table::new(&head);
    for plugin in answer["plugins"].as_array().into_iter().flatten() {
        let text = |key: &str| plugin[key].as_str().unwrap_or("-").to_owned();
        let count = |key: &str| plugin[key].as_u64().map_or_else(|| "-".to_owned(), grouped);
        let held = plugin["quarantined"].as_array().is_some_and(|rules| !rules.is_empty());
        table.push([
            text("name"),
            text("world"),
            if held { "quarantined" } else { "running" }.to_owned(),
            text("digest").chars().take(DIGEST_CHARS).collect(),
            count("memory_bytes"),
            count("calls"),
            count("deaths"),
            plugin["last_death"].as_str().unwrap_or("").to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_listed_with_their_numbers_to_the_right() {
        let answer = serde_json::json!({ "plugins": [
            { "name": "too-hot", "world": "rule", "quarantined": [], "digest": "0123456789abcdef",
              "memory_bytes": 1_114_112, "calls": 12345, "deaths": 0, "last_death": null },
            { "name": "too-odd", "world": "rule", "quarantined": ["odd"], "digest": "f00d",
              "memory_bytes": 0, "calls": 3, "deaths": 3, "last_death": "it trapped" },
        ] });
        let expected = "\
PLUGIN   WORLD  STATE        DIGEST           MEMORY   CALLS  DEATHS  LAST DEATH
too-hot  rule   running      0123456789ab  1,114,112  12,345       0
too-odd  rule   quarantined  f00d                  0       3       3  it trapped
";
        assert_eq!(table(&answer).to_string(), expected);
    }
}
