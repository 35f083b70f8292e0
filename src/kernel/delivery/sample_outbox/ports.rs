//! What goes into an outbox of samples and what comes out of it.

use std::sync::Arc;

use crate::kernel::delivery::attempt::Outcome;
use crate::kernel::delivery::policy::{Batching, Retry};
use crate::kernel::model::{Duration, EventTime, Series};
use crate::kernel::rule::program::Fault;
use crate::kernel::rule::selector::Selector;
use crate::kernel::sequence::tap::Tapped;

/// All that an outbox has to know of its sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplePolicy {
    /// `max` counts rows.
    pub batching: Batching,
    pub retry: Retry,
    /// Rows that wait; past it the oldest are refused.
    pub rows_max: usize,
    /// Bytes of rows that wait, with the names that only they keep; past it the oldest are refused.
    pub bytes_max: usize,
}

/// What happened.
#[derive(Debug)]
pub enum SampleInput<'a> {
    /// Samples were accepted; the sink's selectors choose among them.
    Offer(&'a Tapped),
    Tick,
    /// How an `Open` ended; whether the series that it named were announced to the instance.
    Opened(Result<bool, Fault>),
    /// How an `Attempt` ended.
    Attempted(Outcome),
    /// What waits now is due now: batch age and one backoff are passed over.
    Flush,
    /// From now on a new version of the sink is meant, with this policy and these selectors.
    Swap(SamplePolicy, Vec<Selector>),
    /// The sink was removed, or may not run.
    Park,
    /// Whatever waits is dead, except an attempt in flight.
    Discard,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub enum SampleAction {
    /// Make an instance of the sink's newest version. `known` are the series that the last one
    /// knew, for state that refers to them.
    Open { known: Vec<(u32, Series)> },
    /// Let go of the instance.
    Close,
    /// First `removed` is to be forgotten, then `added` is new, then the rows are delivered.
    Attempt { batch: Arc<SampleBatch>, added: Vec<(u32, Series)>, removed: Vec<u32> },
    /// Everything that waited at the last `Flush` is settled.
    Flushed,
}

/// Rows of one attempt: columns of equal length, in the order in which they were accepted. It stays
/// the same however often it is tried.
#[derive(Debug, PartialEq)]
pub struct SampleBatch {
    /// The idempotency key.
    pub key: Arc<str>,
    /// In the outbox's own numbers.
    pub series: Vec<u32>,
    pub at: Vec<EventTime>,
    pub value: Vec<f64>,
}

/// What happened so far. Rows, unless another unit is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleCounts {
    /// Put into the queue.
    pub taken: u64,
    pub delivered: u64,
    /// Left out because too much waited.
    pub refused: u64,
    /// Rejected by the other side, given up, or left over at the end.
    pub dead: u64,
    /// Attempts.
    pub attempts: u64,
    /// Attempts that failed and were not the batch's last.
    pub retries: u64,
    /// Faults, of attempts and of openings.
    pub faults: u64,
}

impl SamplePolicy {
    /// A batch when the sink names none.
    pub const BATCHING: Batching = Batching { max: 4_096, age: Duration::from_secs(1) };
}

impl SampleBatch {
    pub fn with_room(key: Arc<str>, rows: usize) -> SampleBatch {
        SampleBatch {
            key,
            series: Vec::with_capacity(rows),
            at: Vec::with_capacity(rows),
            value: Vec::with_capacity(rows),
        }
    }

    pub fn rows(&self) -> usize {
        self.series.len()
    }
}
