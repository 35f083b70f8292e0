//! One sample as a line of text.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Map, Value};
use watchfire_plugin::{Series, Timestamp};

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    #[default]
    Json,
    Influx,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/x-ndjson",
            Format::Influx => "text/plain; charset=utf-8",
        }
    }

    /// All of a line that is the same for each sample of a series.
    pub fn head(self, series: &Series) -> String {
        match self {
            Format::Json => {
                let labels = series.labels.iter();
                let labels = labels.map(|label| (label.name.clone(), label.value.clone().into()));
                let labels = Value::Object(labels.collect::<Map<String, Value>>());
                let name = Value::from(series.metric.as_str());
                format!("{{\"name\":{name},\"labels\":{labels}")
            }
            Format::Influx => {
                let mut head = escaped(&series.metric, &[',', ' ']);
                for label in &series.labels {
                    let name = escaped(&label.name, &[',', ' ', '=']);
                    let value = escaped(&label.value, &[',', ' ', '=']);
                    let _ = write!(head, ",{name}={value}");
                }
                head
            }
        }
    }

    pub fn line(self, head: &str, at: Timestamp, value: f64, out: &mut String) {
        // A String takes all text.
        let _ = match self {
            // Milliseconds, with the rest as a fraction that loses nothing.
            Format::Json => match (at.div_euclid(1_000_000), at.rem_euclid(1_000_000)) {
                (millis, 0) => writeln!(out, "{head},\"ts\":{millis},\"value\":{value}}}"),
                (millis, rest) => {
                    let rest = format!("{rest:06}");
                    let rest = rest.trim_end_matches('0');
                    writeln!(out, "{head},\"ts\":{millis}.{rest},\"value\":{value}}}")
                }
            },
            Format::Influx => writeln!(out, "{head} value={value} {at}"),
        };
    }
}

fn escaped(text: &str, marks: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if marks.contains(&char) {
            out.push('\\');
        }
        // A line has no way to hold its own end.
        out.push(if char == '\n' { ' ' } else { char });
    }
    out
}
