//! Graphite's plaintext format, with or without tags: the smallest source.
//!
//! A line is `disk.used;host=a;mount=/ 71.5 1700000000`: path, value, and the time in seconds,
//! where -1 or nothing stands for now. Settings: none.

use serde::Deserialize;
use watchfire_plugin::source::Intake;
use watchfire_plugin::{Decoded, Failure, Label, Reading, Source, Timestamp, export_source};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {}

struct Graphite;

impl Source for Graphite {
    fn configure(settings: &str) -> Result<Graphite, Failure> {
        let Settings {} = serde_json::from_str(settings).map_err(Failure::settings)?;
        Ok(Graphite)
    }

    fn describe(&self) -> Intake {
        let content_types = vec!["text/plain".to_owned(), "application/x-graphite".to_owned()];
        Intake { content_types, lateness: None }
    }

    fn decode(
        &mut self,
        _content_type: &str,
        payload: &[u8],
        out: &mut Decoded,
    ) -> Result<(), Failure> {
        let mut offset = 0;
        for line in payload.split(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            if !text.trim().is_empty() {
                match reading(text.trim()) {
                    Ok(reading) => out.push(reading),
                    Err(what) => out.defect(offset, what),
                }
            }
            offset += line.len() + 1;
        }
        Ok(())
    }
}

fn reading(line: &str) -> Result<Reading, &'static str> {
    let mut words = line.split_ascii_whitespace();
    let path = words.next().ok_or("the line has no path")?;
    let value = words.next().ok_or("the line has no value")?;
    let value = value.parse().map_err(|_| "the value is no number")?;
    let at = words.next().map_or(Ok(None), time)?;
    if words.next().is_some() {
        return Err("there is something after the time");
    }
    let mut parts = path.split(';');
    let metric = parts.next().filter(|name| !name.is_empty()).ok_or("the line has no path")?;
    let labels: Result<Vec<Label>, &'static str> = parts.map(label).collect();
    Ok(Reading { metric: metric.to_owned(), labels: labels?, at, value })
}

fn label(tag: &str) -> Result<Label, &'static str> {
    let (name, value) = tag.split_once('=').ok_or("a tag is not NAME=VALUE")?;
    Ok(Label { name: name.to_owned(), value: value.to_owned() })
}

fn time(seconds: &str) -> Result<Option<Timestamp>, &'static str> {
    let seconds: i64 = seconds.parse().map_err(|_| "the time is no whole number of seconds")?;
    if seconds == -1 {
        return Ok(None);
    }
    seconds.checked_mul(1_000_000_000).map(Some).ok_or("the time lies too far off")
}

export_source!(Graphite);
