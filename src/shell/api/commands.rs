//! What the API asks the app to do, and what comes back, as plain data.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::facts::ReloadReport;
use crate::kernel::model::{Defect, Labels, RefusalCounts};

/// What the app does when asked. Each call is made on a thread that may block, and returns when
/// the thing is done.
pub trait Commands: Send + Sync + 'static {
    /// Decodes a body and hands its samples on. Lines that cannot be used do not stop the others.
    /// Must not wait for room: a full pipeline is [`IngestError::Full`].
    fn ingest(&self, format: Format, body: Vec<u8>) -> Result<IngestReport, IngestError>;
    /// The same through the plugin of this name, which reads a format of its own. `kind` is the
    /// content type without parameters, empty when none was given.
    fn ingest_by(
        &self,
        source: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> Result<IngestReport, IngestError>;
    /// Sends a marked test event through a sink.
    fn test_sink(&self, name: &str) -> Result<SinkTest, CommandError>;
    /// Waits until all that was ingested so far is judged and its events are with the sinks.
    fn flush(&self) -> Result<(), CommandError>;
    /// Looks at the rule folders now.
    fn reload(&self) -> Result<ReloadReport, CommandError>;
    /// Takes a missing or empty rule folder at its word.
    fn accept_empty(&self) -> Result<ReloadReport, CommandError>;
    /// Forgets one group of a rule; a firing alert of it resolves.
    fn forget(&self, rule: &str, key: &Labels) -> Result<Forgotten, CommandError>;
}

/// What a body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    Influx,
    Prom,
    Statsd,
    Csv,
}

#[derive(Clone, Debug, Default)]
pub struct IngestReport {
    /// Samples handed on.
    pub accepted: u64,
    pub refused: RefusalCounts,
    /// The first defects in full.
    pub defects: Vec<Defect>,
    /// All of them.
    pub defect_count: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum IngestError {
    /// Nothing of the body was taken; the same body may be sent again after so long.
    Full { retry_after: Duration },
    /// The body has more samples than one batch may hold, in words.
    TooLarge { why: String },
    /// No plugin of this name reads a format.
    UnknownSource { known: Vec<Arc<str>> },
    /// The plugin of this name lacks a grant: why, and the lines to add.
    Blocked { why: String, cure: String },
    /// The plugin takes other content types.
    ContentType { takes: Vec<String> },
    /// The plugin died too often, and is left alone for so long.
    Held { retry_after: Duration },
    /// We are stopping.
    Closed,
}

/// What came back from a sink that took its test event.
#[derive(Clone, Debug, Serialize)]
pub struct SinkTest {
    pub delivered: bool,
    /// What the other side said, or why it did not work.
    pub said: String,
    pub took: crate::kernel::model::Duration,
}

#[derive(Clone, Debug, Serialize)]
pub struct Forgotten {
    /// Whether an alert was firing and resolves now.
    pub resolved: bool,
}

/// Why a command was not done, in words with the next thing to try.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandError {
    /// There is no such rule, group or sink.
    NotFound {
        what: String,
        hint: String,
    },
    /// Not in this state of things.
    Refused {
        why: String,
        hint: String,
    },
    Failed {
        why: String,
        hint: String,
    },
}

impl Format {
    pub const ALL: [Format; 5] =
        [Format::Json, Format::Influx, Format::Prom, Format::Statsd, Format::Csv];

    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Influx => "influx",
            Format::Prom => "prom",
            Format::Statsd => "statsd",
            Format::Csv => "csv",
        }
    }

    pub fn parse(text: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == text)
    }
}
