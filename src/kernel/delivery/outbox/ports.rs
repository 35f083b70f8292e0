//! What goes into an outbox and what comes out of it.

use std::sync::Arc;

use crate::kernel::delivery::attempt::{Outcome, Settled};
use crate::kernel::delivery::policy::Policy;
use crate::kernel::event::Event;
use crate::kernel::rule::program::Fault;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// An event is bound for this sink.
    Offer(Arc<Event>),
    Tick,
    /// How an `Open` ended.
    Opened(Result<(), Fault>),
    /// How an `Attempt` ended.
    Attempted(Outcome),
    /// What waits now is due now: batch age, throttle and one backoff are passed over.
    Flush,
    /// From now on a new version of the sink is meant, with this policy.
    Swap(Policy),
    /// The sink was removed.
    Park,
    /// Whatever waits is dead, except an attempt in flight.
    Discard {
        why: String,
    },
}

/// What to do.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Make an instance of the sink's newest version.
    Open,
    /// Let go of the instance.
    Close,
    Attempt {
        key: Arc<str>,
        events: Arc<[Arc<Event>]>,
    },
    Settled(Settled),
    /// Everything that waited at the last `Flush` is settled.
    Flushed,
}

/// Why `next_wake` names a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The oldest waiting event reaches the batch's age.
    BatchAge,
    /// The backoff after a failure ends.
    Backoff,
    /// A throttled sink's next interval begins.
    Throttle,
    /// The rate limit's hold ends in a summary.
    Summary,
}

/// What happened so far. Events, unless another unit is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub offered: u64,
    /// Summaries the rate limit added to what was offered.
    pub summaries: u64,
    pub delivered: u64,
    pub dead: u64,
    /// Of the dead, those refused because the queue was full.
    pub shed: u64,
    pub withheld: u64,
    /// Attempts.
    pub attempts: u64,
    /// Attempts that failed and were not the batch's last.
    pub retries: u64,
    /// Faults, of attempts and of openings.
    pub faults: u64,
}
