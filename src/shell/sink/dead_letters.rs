//! The dead-letter log: a line for every event that a sink did not get, with the reason.
//!
//! JSON lines, `{"at", "sink", "why", "attempts", "event"}`, in `dead-letters/SINK.jsonl` under the
//! data directory. It is apart from the sink's own folder, because a guest may write there.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::rotating::Rotating;
use crate::kernel::delivery::{End, Settled};
use crate::kernel::event::Event;
use crate::kernel::model::{EventTime, Now};

/// Some 15,000 events of 1 KB each, and as much again in each file set aside.
const ROTATE_BYTES: u64 = 16 * 1024 * 1024;
const KEEP: u32 = 4;

#[derive(Debug)]
pub struct DeadLetters {
    sink: String,
    path: std::path::PathBuf,
    /// Opened at the first letter: most sinks never have one.
    log: Option<Rotating>,
}

#[derive(Serialize)]
struct Letter<'a> {
    at: EventTime,
    sink: &'a str,
    why: &'a str,
    attempts: u32,
    event: &'a Event,
}

impl DeadLetters {
    pub fn new(folder: &Path, sink: &str) -> DeadLetters {
        let path = folder.join(format!("{}.jsonl", file_name(sink)));
        DeadLetters { sink: sink.to_owned(), path, log: None }
    }

    /// Writes the letters of what was not delivered, and syncs.
    pub fn write(&mut self, now: Now, settled: &[Settled]) -> io::Result<()> {
        let mut lines = Vec::new();
        for settled in settled {
            let why = match &settled.end {
                End::Delivered { .. } => continue,
                End::Dead { why } => why,
                End::Withheld => "withheld by the rate limit",
            };
            for event in settled.events.iter() {
                let (at, attempts) = (now.as_arrival(), settled.attempts);
                let letter = Letter { at, sink: &self.sink, why, attempts, event };
                serde_json::to_writer(&mut lines, &letter)?;
                lines.push(b'\n');
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        let log = match &mut self.log {
            Some(log) => log,
            None => self.log.insert(Rotating::open(&self.path, ROTATE_BYTES, KEEP)?),
        };
        log.append(&lines)?;
        log.sync()
    }
}

/// A sink's name as one file's name: bytes other than letters, digits, `-`, `_` and inner dots
/// become `%XX`, so no name leaves the folder and no two names meet.
pub fn file_name(sink: &str) -> String {
    let mut name = String::with_capacity(sink.len());
    for (at, byte) in sink.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if plain || (byte == b'.' && at > 0) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kernel::delivery::own;

    #[test]
    fn a_letter_holds_the_event_and_the_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut letters = DeadLetters::new(folder.path(), "ops/../chat");
        let now = Now::from_nanos(1_700_000_000_000_000_000);
        let events: Arc<[Arc<Event>]> = Arc::from([Arc::new(own::test("ops", now))]);
        let settled = |end| Settled { events: events.clone(), end, attempts: 3 };
        let ends = [
            settled(End::Dead { why: "gave up".into() }),
            settled(End::Delivered { note: None }),
            settled(End::Withheld),
        ];
        letters.write(now, &ends).expect("the folder can be written");
        let text = std::fs::read_to_string(folder.path().join("ops%2F..%2Fchat.jsonl"));
        let lines: Vec<serde_json::Value> = text
            .expect("the log is there")
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect();
        let reasons: Vec<&str> = lines.iter().filter_map(|line| line["why"].as_str()).collect();
        assert_eq!(reasons, ["gave up", "withheld by the rate limit"]);
        assert_eq!(lines[0]["at"], "2023-11-14T22:13:20Z");
        assert_eq!((&lines[0]["attempts"], &lines[0]["sink"]), (&3.into(), &"ops/../chat".into()));
        assert_eq!(lines[0]["event"]["rule"], "watchfire_test");
    }

    #[test]
    fn a_sink_s_name_is_one_file_s_name() {
        for (sink, name) in
            [("ops-chat", "ops-chat"), ("v1.2", "v1.2"), ("..", "%2E."), ("a/b", "a%2Fb")]
        {
            assert_eq!(file_name(sink), name);
        }
        assert_eq!(file_name("ü%"), "%C3%BC%25");
    }
}
