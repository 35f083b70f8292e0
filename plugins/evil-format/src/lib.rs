//! A format of lines `NAME VALUE` whose reader dies on demand, for the host's own tests. It ships
//! with nothing.
//!
//! A line `panic` or `spin` makes it do so; a payload that begins with a zero byte is taken as one
//! sample, `frame.bytes`, of as many bytes as it has.

use serde::Deserialize;
use watchfire_plugin::source::Intake;
use watchfire_plugin::{Decoded, Failure, Reading, Source, export_source};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {}

struct Evil;

impl Source for Evil {
    fn configure(settings: &str) -> Result<Evil, Failure> {
        let Settings {} = serde_json::from_str(settings).map_err(Failure::settings)?;
        Ok(Evil)
    }

    fn describe(&self) -> Intake {
        Intake { content_types: Vec::new(), lateness: None }
    }

    fn decode(&mut self, _kind: &str, payload: &[u8], out: &mut Decoded) -> Result<(), Failure> {
        if payload.first() == Some(&0) {
            out.push(reading("frame.bytes", payload.len() as f64));
            return Ok(());
        }
        let mut offset = 0;
        for line in String::from_utf8_lossy(payload).split('\n') {
            assert!(line != "panic", "asked to");
            if line == "spin" {
                loop {
                    std::hint::black_box(line);
                }
            }
            match line.split_once(' ').map(|(name, value)| (name, value.parse())) {
                Some((name, Ok(value))) => out.push(reading(name, value)),
                Some((_, Err(_))) | None if !line.is_empty() => out.defect(offset, "no NAME VALUE"),
                Some((_, Err(_))) | None => {}
            }
            offset += line.len() + 1;
        }
        Ok(())
    }
}

fn reading(metric: &str, value: f64) -> Reading {
    Reading { metric: metric.to_owned(), labels: Vec::new(), at: None, value }
}

export_source!(Evil);
