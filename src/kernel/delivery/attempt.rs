//! One try at handing events over, and how events end.

use std::sync::Arc;

use crate::kernel::event::{Event, EventId};
use crate::kernel::model::Duration;
use crate::kernel::rule::program::Fault;

/// One attempt's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All events arrived; the note is what the other side said, if anything.
    Delivered { note: Option<String> },
    /// Try the same events again, not before `after` when given.
    Retry { after: Option<Duration>, why: String },
    /// The other side will never take them: they go to the dead-letter log.
    Rejected { why: String },
    /// The instance is gone (trap, script error past its budget): open a new one and try again.
    Faulted(Fault),
}

/// Events that need no more work.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    pub events: Arc<[Arc<Event>]>,
    pub end: End,
    /// How often they were sent; 0 when they never were.
    pub attempts: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Delivered {
        note: Option<String>,
    },
    /// Not delivered, and not tried again unless a person asks for it.
    Dead {
        why: String,
    },
    /// Past the sink's rate; a summary speaks for them.
    Withheld,
}

/// The idempotency key of an attempt: an only event's own id, else a hash of all ids in order.
pub fn key_of(events: &[Arc<Event>]) -> Arc<str> {
    if let [only] = events {
        return only.id.to_string().into();
    }
    let mut ids = Vec::with_capacity(events.len() * size_of::<EventId>());
    for event in events {
        ids.extend_from_slice(&event.id.0.to_le_bytes());
    }
    EventId(xxhash_rust::xxh3::xxh3_128(&ids)).to_string().into()
}
