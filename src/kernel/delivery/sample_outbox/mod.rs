//! One sample sink's pending rows: a state machine from (now, input) to actions.
//!
//! As an [`Outbox`] is for events, with the differences that samples make: they are many, so they
//! lie in columns and past a bound the oldest are refused; they are worth less than alerts, so what
//! cannot be delivered is counted and not kept; they name series, which a sink is told of once.
//! The states are those of an outbox without throttling, since batches are large.
//!
//! The caller does what the actions say, in their order, and steps again with `Tick` no later than
//! `next_wake` says. It answers each `Open` with one `Opened`, each `Attempt` with one `Attempted`.
//!
//! [`Outbox`]: super::outbox::Outbox

mod names;
mod ports;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use ports::{SampleAction, SampleBatch, SampleCounts, SampleInput, SamplePolicy};

use super::attempt::Outcome;
use super::connection::{Connection, Link};
use crate::kernel::event::EventId;
use crate::kernel::model::{Duration, Now};
use crate::kernel::rule::program::Fault;
use crate::kernel::rule::selector::Selector;
use crate::kernel::sequence::tap::Tapped;
use queue::Queue;

/// A batch that ended so many instances is dead: another one would only end the next.
const FAULTS_MAX: u32 = 2;

#[derive(Debug)]
pub struct SampleOutbox {
    policy: SamplePolicy,
    queue: Queue,
    /// Taken from the queue and not settled: in flight, or waiting to be tried again.
    batch: Option<Pending>,
    /// Batches so far; with the seed, what their keys are made of.
    batches: u64,
    seed: u64,
    connection: Connection,
    /// A flush is on until every row up to this number is settled.
    flush: Option<u64>,
    counts: SampleCounts,
    last_error: Option<(Now, String)>,
    last_delivered: Option<Now>,
}

#[derive(Debug)]
struct Pending {
    batch: Arc<SampleBatch>,
    /// The number of its first row.
    oldest: u64,
    attempts: u32,
    faults: u32,
}

impl SampleOutbox {
    pub fn new(policy: SamplePolicy, wants: Vec<Selector>, seed: u64, now: Now) -> SampleOutbox {
        SampleOutbox {
            policy,
            queue: Queue::new(wants),
            batch: None,
            batches: 0,
            seed,
            connection: Connection::new(seed, now),
            flush: None,
            counts: SampleCounts::default(),
            last_error: None,
            last_delivered: None,
        }
    }

    pub fn step(&mut self, now: Now, input: SampleInput<'_>) -> Vec<SampleAction> {
        let mut actions = Vec::new();
        match input {
            SampleInput::Offer(tapped) => self.offer(now, tapped),
            SampleInput::Tick => {}
            SampleInput::Opened(result) => self.opened(now, result, &mut actions),
            SampleInput::Attempted(outcome) => self.attempted(now, outcome, &mut actions),
            SampleInput::Flush => self.begin_flush(now),
            SampleInput::Swap(policy, wants) => self.swap(now, policy, wants),
            SampleInput::Park => self.park(),
            SampleInput::Discard => self.discard(),
        }
        self.advance(now, &mut actions);
        actions
    }

    /// When `Tick` is due at the latest; `None` when only an answer or an offer can change
    /// anything. Always later than the newest step.
    pub fn next_wake(&self) -> Option<Now> {
        if !self.connection.is_idle() {
            return None;
        }
        match self.connection.link {
            Link::Parked => None,
            Link::Disconnected { until } | Link::Throttled { until, .. } => Some(until),
            Link::Connecting | Link::Streaming => {
                Some(self.queue.since()? + self.policy.batching.age)
            }
        }
    }

    pub fn link(&self) -> Link {
        self.connection.link
    }

    pub fn counts(&self) -> SampleCounts {
        self.counts
    }

    /// Rows that are not settled, those in flight included.
    pub fn waiting(&self) -> usize {
        self.queue.len() + self.batched()
    }

    /// What those rows are charged, with the names that only they keep.
    pub fn bytes(&self) -> usize {
        self.queue.bytes(self.batched())
    }

    pub fn last_error(&self) -> Option<&(Now, String)> {
        self.last_error.as_ref()
    }

    pub fn last_delivered(&self) -> Option<Now> {
        self.last_delivered
    }

    fn offer(&mut self, now: Now, tapped: &Tapped) {
        self.counts.taken += self.queue.offer(now, tapped);
        self.refuse_oldest();
    }

    fn refuse_oldest(&mut self) {
        self.counts.refused += self.queue.refuse_oldest(&self.policy, self.batched());
    }

    fn opened(&mut self, now: Now, result: Result<bool, Fault>, actions: &mut Vec<SampleAction>) {
        let (base, unproven) = (self.policy.retry.base, self.batch.is_some());
        if self.connection.opened(now, result.is_ok(), unproven, base) {
            actions.push(SampleAction::Close);
            return;
        }
        match result {
            Ok(true) => {}
            Ok(false) => self.queue.names.forget_announcements(),
            Err(fault) => {
                self.counts.faults += 1;
                self.last_error = Some((now, format!("could not be opened: {fault}")));
            }
        }
    }

    fn attempted(&mut self, now: Now, outcome: Outcome, actions: &mut Vec<SampleAction>) {
        self.connection.attempted();
        let mut pending = self.batch.take().expect("a batch is kept while it is attempted");
        pending.attempts += 1;
        match outcome {
            Outcome::Delivered { .. } => {
                self.counts.delivered += pending.batch.rows() as u64;
                self.last_delivered = Some(now);
                self.queue.settle(&pending.batch);
                self.connection.answered();
            }
            Outcome::Rejected { why } => {
                self.bury(now, &pending, why);
                self.connection.answered();
            }
            Outcome::Retry { after, why } => self.failed(now, pending, after, why),
            Outcome::Faulted(fault) => {
                self.counts.faults += 1;
                pending.faults += 1;
                self.failed(now, pending, None, fault.to_string());
                self.connection.lose();
                actions.push(SampleAction::Close);
            }
        }
    }

    fn failed(&mut self, now: Now, pending: Pending, after: Option<Duration>, why: String) {
        self.connection.disconnect(now, self.policy.retry.base, after);
        if pending.faults >= FAULTS_MAX {
            self.bury(now, &pending, format!("it ended {} instances: {why}", pending.faults));
        } else if pending.attempts >= self.policy.retry.attempts {
            let why = format!("gave up after {} attempts: {why}", pending.attempts);
            self.bury(now, &pending, why);
        } else {
            self.last_error = Some((now, why));
            self.counts.retries += 1;
            self.batch = Some(pending);
        }
    }

    fn begin_flush(&mut self, now: Now) {
        self.flush = Some(self.queue.numbered());
        self.connection.hurry(now);
    }

    fn swap(&mut self, now: Now, policy: SamplePolicy, wants: Vec<Selector>) {
        self.policy = policy;
        self.queue.choose(wants);
        self.refuse_oldest();
        self.connection.swap(now);
    }

    /// A parked outbox is offered nothing, so what it knows of the sequencer's numbers goes stale.
    fn park(&mut self) {
        self.queue.choose(Vec::new());
        self.connection.park();
    }

    /// Whatever waits is dead, except an attempt in flight.
    fn discard(&mut self) {
        if !self.connection.is_attempting()
            && let Some(pending) = self.batch.take()
        {
            self.counts.dead += pending.batch.rows() as u64;
            self.queue.settle(&pending.batch);
        }
        self.counts.dead += self.queue.clear();
    }

    /// Moves as far as possible without an answer from outside.
    fn advance(&mut self, now: Now, actions: &mut Vec<SampleAction>) {
        self.end_flush(actions);
        let wanted = self.connection.advance(now);
        actions.extend(wanted.close.then_some(SampleAction::Close));
        if wanted.open {
            // Those that are gone are not among the known ones.
            self.queue.names.take_gone();
            actions.push(SampleAction::Open { known: self.queue.names.announced() });
        }
        if self.connection.is_ready() {
            self.send(now, actions);
        }
        self.end_flush(actions);
    }

    fn send(&mut self, now: Now, actions: &mut Vec<SampleAction>) {
        match self.connection.link {
            Link::Connecting | Link::Streaming | Link::Throttled { .. } => {}
            Link::Disconnected { .. } | Link::Parked => return,
        }
        if self.batch.is_none() && self.is_due(now) {
            self.form_batch();
        }
        let Some(pending) = &self.batch else { return };
        self.connection.attempt();
        self.counts.attempts += 1;
        let removed = self.queue.names.take_gone();
        let added = self.queue.names.announce(&pending.batch.series);
        actions.push(SampleAction::Attempt { batch: pending.batch.clone(), added, removed });
    }

    fn form_batch(&mut self) {
        let oldest = self.queue.first();
        let batch = self.queue.take(key_of(self.seed, self.batches), self.batch_max());
        self.batches += 1;
        let batch = Arc::new(batch);
        self.batch = Some(Pending { batch, oldest, attempts: 0, faults: 0 });
    }

    /// Whether the next batch may wait no longer.
    fn is_due(&self, now: Now) -> bool {
        let Some(since) = self.queue.since() else { return false };
        self.flush.is_some_and(|until| self.queue.first() < until)
            || self.queue.len() >= self.batch_max()
            || since + self.policy.batching.age <= now
    }

    fn end_flush(&mut self, actions: &mut Vec<SampleAction>) {
        let Some(until) = self.flush else { return };
        let oldest = self.batch.as_ref().map_or(self.queue.first(), |pending| pending.oldest);
        if oldest >= until || self.connection.is_parked() {
            self.flush = None;
            actions.push(SampleAction::Flushed);
        }
    }

    fn bury(&mut self, now: Now, pending: &Pending, why: String) {
        self.counts.dead += pending.batch.rows() as u64;
        self.last_error = Some((now, why));
        self.queue.settle(&pending.batch);
    }

    fn batched(&self) -> usize {
        self.batch.as_ref().map_or(0, |pending| pending.batch.rows())
    }

    fn batch_max(&self) -> usize {
        self.policy.batching.max.max(1)
    }
}

/// 32 hexadecimal digits, different for every batch of every run.
fn key_of(seed: u64, number: u64) -> Arc<str> {
    let mut bytes = seed.to_le_bytes().to_vec();
    bytes.extend_from_slice(&number.to_le_bytes());
    EventId(xxhash_rust::xxh3::xxh3_128(&bytes)).to_string().into()
}
