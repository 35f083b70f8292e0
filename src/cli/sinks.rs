//! `watchfire sinks`: the sinks of a running instance.

use std::io::Write;

use serde_json::Value;

use super::client::Remote;
use super::exit::{Exit, Failure};
use super::output::{Table, grouped, printable};

/// The sinks of a running instance
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Every sink with its state and what waits for it
    List(Remote),
    /// Send a marked test event through a sink and report what came back
    Test(TestArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  watchfire sinks test ops-chat")]
pub struct TestArgs {
    /// The sink, as rules name it in `.notify(..)`
    pub name: String,
    #[command(flatten)]
    pub remote: Remote,
}

pub fn list(remote: &Remote, out: &mut dyn Write) -> Result<Exit, Failure> {
    let answer = remote.get(&["sinks"])?;
    write!(out, "{}", table(&answer))?;
    Ok(Exit::Ok)
}

fn table(answer: &Value) -> Table {
    let head = ["SINK", "KIND", "STATE", "PENDING", "DELIVERED", "FAILED", "DEAD", "LAST ERROR"];
    let mut table = Table::new(&head);
    let lists = [&answer["sinks"], &answer["sample_sinks"]];
    for sink in lists.into_iter().filter_map(Value::as_array).flatten() {
        let text = |key: &str| sink[key].as_str().unwrap_or("-").to_owned();
        let count = |key: &str| sink[key].as_u64().map_or_else(|| "-".to_owned(), grouped);
        table.push([
            text("name"),
            text("kind"),
            text("state"),
            count("pending"),
            count("delivered"),
            count("failed_attempts"),
            count("dead"),
            sink["last_error"].as_str().unwrap_or("").to_owned(),
        ]);
    }
    table
}

pub fn test(args: &TestArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let answer = args.remote.post(&["sinks", &args.name, "test"], None)?;
    let text = |key: &str| printable(answer[key].as_str().unwrap_or("-"));
    if answer["delivered"].as_bool() == Some(true) {
        writeln!(out, "delivered in {}: {}", text("took"), text("said"))?;
        return Ok(Exit::Ok);
    }
    writeln!(out, "not delivered: {}", text("said"))?;
    Ok(Exit::Findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_are_listed_with_their_numbers_to_the_right() {
        let answer = serde_json::json!({ "sinks": [
            { "name": "ops-chat", "kind": "rhai", "state": "streaming", "pending": 2,
              "delivered": 1234567, "failed_attempts": 3, "dead": 0, "last_error": null },
            { "name": "log", "kind": "file", "state": "disconnected", "pending": 0,
              "delivered": 10, "failed_attempts": 0, "dead": 0, "last_error": "disk full" },
        ] });
        let expected = "\
SINK      KIND  STATE         PENDING  DELIVERED  FAILED  DEAD  LAST ERROR
ops-chat  rhai  streaming           2  1,234,567       3     0
log       file  disconnected        0         10       0     0  disk full
";
        assert_eq!(table(&answer).to_string(), expected);
    }
}
