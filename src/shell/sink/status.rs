//! A sink as the API, the metrics and `sinks list` show it.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::kernel::model::{Now, Version};
use crate::kernel::rule::Origin;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SinkStatus {
    pub name: Arc<str>,
    pub kind: &'static str,
    #[serde(serialize_with = "text")]
    pub version: Version,
    #[serde(serialize_with = "text")]
    pub origin: Origin,
    /// Whether events go here that name no sink.
    pub default: bool,
    pub state: SinkState,
    /// Events that wait, those in flight not counted.
    pub queued: u64,
    pub in_flight: u64,
    pub delivered: u64,
    pub dead: u64,
    /// Of the dead, those that a full queue refused.
    pub shed: u64,
    pub withheld: u64,
    pub attempts: u64,
    pub retries: u64,
    pub faults: u64,
    /// Dead letters that could not be written.
    pub letters_lost: u64,
    pub last_error: Option<String>,
    #[serde(serialize_with = "rfc3339")]
    pub last_error_at: Option<Now>,
    #[serde(serialize_with = "rfc3339")]
    pub last_delivered_at: Option<Now>,
    #[serde(serialize_with = "rfc3339")]
    pub next_attempt_at: Option<Now>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum SinkState {
    Disconnected,
    Connecting,
    Streaming,
    Throttled,
    /// It asks for something that was not granted. `cure` is the next thing to do.
    Blocked {
        why: String,
        cure: String,
    },
    /// No file declares it any more; its events wait for its return or for a purge.
    Removed,
}

impl SinkState {
    /// Whether it takes events.
    pub fn runs(&self) -> bool {
        match self {
            SinkState::Disconnected
            | SinkState::Connecting
            | SinkState::Streaming
            | SinkState::Throttled => true,
            SinkState::Blocked { .. } | SinkState::Removed => false,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            SinkState::Disconnected => "disconnected",
            SinkState::Connecting => "connecting",
            SinkState::Streaming => "streaming",
            SinkState::Throttled => "throttled",
            SinkState::Blocked { .. } => "blocked",
            SinkState::Removed => "removed",
        }
    }
}

fn text<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn rfc3339<S: Serializer>(at: &Option<Now>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(Now::as_arrival).serialize(serializer)
}
