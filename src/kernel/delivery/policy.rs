//! How a sink wants its events: in what batches, how often again, how many at most.

use crate::kernel::model::Duration;

/// An attempt goes out when `max` events wait or the oldest waited `age`, whichever is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    pub max: usize,
    pub age: Duration,
}

/// Full-jitter exponential backoff from `base`; after `attempts` failed ones the events are dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    pub attempts: u32,
    pub base: Duration,
}

/// At most `count` events in any `per`, which is longer than zero; what is past it ends in one
/// summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

/// All that an outbox has to know of its sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub batching: Batching,
    pub retry: Retry,
    pub rate: Option<Rate>,
    /// A backlog of more events than this is drained in paced steps, so that a sink which has just
    /// come back is not drowned.
    pub max_pending: usize,
    /// Events waiting in memory; past it the oldest is refused into the dead letters. As many as
    /// one rule's groups at their limit, because those may all fire at the same moment.
    pub queue_max: usize,
}

impl Default for Batching {
    fn default() -> Batching {
        Batching { max: 100, age: Duration::from_millis(200) }
    }
}

impl Default for Retry {
    fn default() -> Retry {
        Retry { attempts: 10, base: Duration::from_secs(1) }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            batching: Batching::default(),
            retry: Retry::default(),
            rate: None,
            max_pending: 10_000,
            queue_max: 100_000,
        }
    }
}
