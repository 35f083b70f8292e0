//! A sink of samples as the API and the metrics show it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::kernel::delivery::SampleCounts;
use crate::kernel::delivery::connection::Link;
use crate::kernel::model::{Now, Version};
use crate::kernel::rule::Origin;
use crate::shell::sink::status::SinkState;

/// Whether a sink may work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    Running,
    Blocked { why: String, cure: String },
}

/// How the task stands, for status pages.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub link: Option<Link>,
    pub waiting: usize,
    pub bytes: usize,
    pub counts: SampleCounts,
    pub last_error: Option<(Now, String)>,
    pub last_delivered: Option<Now>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SampleSinkStatus {
    pub name: Arc<str>,
    pub version: Version,
    pub origin: Origin,
    pub state: SinkState,
    /// Its selectors as text, `cpu.usage{env="prod"}`.
    pub wants: Vec<String>,
    /// Rows that are not settled, those in flight included.
    pub waiting: u64,
    pub waiting_bytes: u64,
    /// Rows left out because too much waited. Where its task did not come to read, rows that it
    /// does not want are among them.
    pub refused: u64,
    pub counts: SampleCounts,
    pub last_error: Option<String>,
    pub last_error_at: Option<Now>,
    pub last_delivered_at: Option<Now>,
    pub next_attempt_at: Option<Now>,
}

impl SampleSinkStatus {
    /// As the API shows it; what blocks a sink stands in place of its last error.
    pub fn shown(&self) -> Value {
        let time = |at: Option<Now>| at.map(Now::as_arrival);
        let error = match &self.state {
            SinkState::Blocked { why, cure } => Some(format!("{why}; {cure}")),
            SinkState::Disconnected
            | SinkState::Connecting
            | SinkState::Streaming
            | SinkState::Throttled
            | SinkState::Removed => self.last_error.clone(),
        };
        json!({
            "name": self.name,
            "kind": "samples",
            "version": self.version.to_string(),
            "state": self.state.name(),
            "wants": self.wants,
            "pending": self.waiting,
            "pending_bytes": self.waiting_bytes,
            "delivered": self.counts.delivered,
            "refused": self.refused,
            "dead": self.counts.dead,
            "attempts": self.counts.attempts,
            "failed_attempts": self.counts.retries + self.counts.faults,
            "last_error": error,
            "last_delivery": time(self.last_delivered_at),
            "next_attempt": time(self.next_attempt_at),
        })
    }

    /// What is wrong with it, in words; `None` while it delivers.
    pub fn trouble(&self) -> Option<String> {
        if !self.state.runs() {
            return Some(format!(
                "sample sink {} is blocked; see `watchfire sinks list`",
                self.name
            ));
        }
        let failing = self.last_error_at.is_some() && self.last_error_at > self.last_delivered_at;
        let error = self.last_error.as_deref().filter(|_| failing && self.waiting > 0)?;
        Some(format!("sample sink {} does not deliver: {error}", self.name))
    }
}

pub(super) fn state_of(duty: &Duty, link: Link) -> SinkState {
    match (duty, link) {
        (Duty::Blocked { why, cure }, _) => {
            SinkState::Blocked { why: why.clone(), cure: cure.clone() }
        }
        (Duty::Running, Link::Disconnected { .. } | Link::Parked) => SinkState::Disconnected,
        (Duty::Running, Link::Connecting) => SinkState::Connecting,
        (Duty::Running, Link::Streaming) => SinkState::Streaming,
        (Duty::Running, Link::Throttled { .. }) => SinkState::Throttled,
    }
}
