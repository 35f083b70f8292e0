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
    let head = ["PLUGIN", "WORLD", "STATE", "DIGEST", "MEMORY", "CALLS", "STRIKES", "LAST ERROR"];
    let mut table = Table::new(&head);
    for plugin in answer["plugins"].as_array().into_iter().flatten() {
        let text = |key: &str| plugin[key].as_str().unwrap_or("-").to_owned();
        let count = |key: &str| plugin[key].as_u64().map_or_else(|| "-".to_owned(), grouped);
        table.push([
            text("name"),
            text("world"),
            text("state"),
            text("digest").chars().take(DIGEST_CHARS).collect(),
            count("memory_bytes"),
            count("calls"),
            count("strikes"),
            plugin["last_error"].as_str().unwrap_or("").to_owned(),
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
            { "name": "too-hot", "world": "rule", "state": "running", "digest": "0123456789abcdef",
              "memory_bytes": 1_114_112, "calls": 12345, "strikes": 0, "last_error": null },
            { "name": "page-me", "world": "sink", "state": "quarantined", "digest": "f00d",
              "memory_bytes": null, "calls": 3, "strikes": 3, "last_error": "it trapped" },
        ] });
        let expected = "\
PLUGIN   WORLD  STATE        DIGEST           MEMORY   CALLS  STRIKES  LAST ERROR
too-hot  rule   running      0123456789ab  1,114,112  12,345        0
page-me  sink   quarantined  f00d                  -       3        3  it trapped
";
        assert_eq!(table(&answer).to_string(), expected);
    }
}
