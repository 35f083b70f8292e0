//! Delivery: for one sink, what to send, when to send it again, and when to give up.
//!
//! An [`outbox::Outbox`] is a state machine that one sink's worker turns: it is told what happened
//! and when, and answers with everything there is to do. It never sends, waits or writes by itself,
//! and it works in the shell's time (`Now`): right of the bus nothing depends on event time.
//!
//! Invariants:
//! - Every event that was offered ends exactly once: delivered, dead with a reason, or withheld by
//!   the rate limit and named in a summary. Until then it is counted as queued.
//! - At most one attempt is in flight, first in first out, so an alert's events stay in order.
//! - A batch that is tried again holds the same events under the same key.
//!
//! The queue lives in memory. An `Offer` is where a durable one will append, a `Settled` where it
//! will acknowledge: each passes through one place here and one in the worker.

pub mod attempt;
pub mod backoff;
pub mod connection;
pub mod limiter;
pub mod outbox;
pub mod own;
pub mod policy;
pub mod sample_outbox;

pub use attempt::{End, Outcome, Settled};
pub use outbox::{Action, Input, Outbox};
pub use policy::{Batching, Policy, Rate, Retry};
pub use sample_outbox::{
    SampleAction, SampleBatch, SampleCounts, SampleInput, SampleOutbox, SamplePolicy,
};
