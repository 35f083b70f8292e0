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
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

pub use ports::{SampleAction, SampleBatch, SampleCounts, SampleInput, SamplePolicy};

use super::attempt::Outcome;
use super::backoff::Backoff;
use super::outbox::{AFTER_MAX, Link};
use crate::kernel::event::EventId;
use crate::kernel::model::{Duration, EventTime, Now, Series};
use crate::kernel::rule::program::Fault;
use crate::kernel::rule::selector::Selector;
use crate::kernel::sequence::tap::Tapped;
use names::Names;

/// What a waiting row is charged.
pub const ROW_BYTES: usize = size_of::<Row>();

/// A batch that ended so many instances is dead: another one would only end the next.
const FAULTS_MAX: u32 = 2;

#[derive(Debug)]
pub struct SampleOutbox {
    policy: SamplePolicy,
    /// A series is taken when any of these takes it.
    wants: Vec<Selector>,
    names: Names,
    queue: VecDeque<Row>,
    /// When the rows of the queue came, oldest first.
    arrivals: VecDeque<Arrival>,
    /// Rows that were ever put into the queue.
    numbered: u64,
    /// Taken from the queue and not settled: in flight, or waiting to be tried again.
    batch: Option<Pending>,
    /// Batches so far; with the seed, what their keys are made of.
    batches: u64,
    seed: u64,
    work: Work,
    link: Link,
    instance: Instance,
    /// Failures in a row, of attempts and of openings.
    failures: u32,
    backoff: Backoff,
    /// A flush is on until every row up to this number is settled.
    flush: Option<u64>,
    counts: SampleCounts,
    last_error: Option<(Now, String)>,
    last_delivered: Option<Now>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    series: u32,
    at: EventTime,
    value: f64,
}

/// Rows with numbers below `end` came at `since`, down to the arrival before.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    end: u64,
    since: Now,
}

#[derive(Debug)]
struct Pending {
    batch: Arc<SampleBatch>,
    /// The number of its first row.
    oldest: u64,
    attempts: u32,
    faults: u32,
}

/// What the caller is doing for us. A stale opening is of a version that was swapped or parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Idle,
    Opening { stale: bool },
    Attempting,
}

/// A stale one is closed as soon as its attempt in flight ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instance {
    None,
    Open,
    Stale,
}

impl SampleOutbox {
    pub fn new(policy: SamplePolicy, wants: Vec<Selector>, seed: u64, now: Now) -> SampleOutbox {
        SampleOutbox {
            policy,
            wants,
            names: Names::default(),
            queue: VecDeque::new(),
            arrivals: VecDeque::new(),
            numbered: 0,
            batch: None,
            batches: 0,
            seed,
            work: Work::Idle,
            link: Link::Disconnected { until: now },
            instance: Instance::None,
            failures: 0,
            backoff: Backoff::seeded(seed),
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
        if self.work != Work::Idle {
            return None;
        }
        match self.link {
            Link::Parked => None,
            Link::Disconnected { until } | Link::Throttled { until, .. } => Some(until),
            Link::Connecting | Link::Streaming => {
                let oldest = self.arrivals.front()?;
                Some(oldest.since + self.policy.batching.age)
            }
        }
    }

    pub fn link(&self) -> Link {
        self.link
    }

    pub fn counts(&self) -> SampleCounts {
        self.counts
    }

    /// Rows that are not settled, those in flight included.
    pub fn waiting(&self) -> usize {
        self.queue.len() + self.batch.as_ref().map_or(0, |pending| pending.batch.rows())
    }

    /// What those rows are charged, with the names that only they keep.
    pub fn bytes(&self) -> usize {
        self.waiting() * ROW_BYTES + self.names.held_bytes()
    }

    pub fn last_error(&self) -> Option<&(Now, String)> {
        self.last_error.as_ref()
    }

    pub fn last_delivered(&self) -> Option<Now> {
        self.last_delivered
    }

    fn offer(&mut self, now: Now, tapped: &Tapped) {
        for (host, series) in &tapped.introduced {
            let wanted = is_wanted(&self.wants, series);
            self.names.introduce(*host, series, wanted);
        }
        let before = self.numbered;
        for ((host, at), value) in tapped.series.iter().zip(&tapped.at).zip(&tapped.value) {
            if let Some(series) = self.names.own(*host) {
                self.names.wait(series);
                self.queue.push_back(Row { series, at: *at, value: *value });
                self.numbered += 1;
            }
        }
        if before < self.numbered {
            self.arrivals.push_back(Arrival { end: self.numbered, since: now });
        }
        self.counts.taken += self.numbered - before;
        tapped.retired.iter().for_each(|host| self.names.retire(*host));
        self.refuse_oldest();
    }

    /// Keeps the queue within its bounds. The batch counts, and stays: it may be in flight.
    fn refuse_oldest(&mut self) {
        while self.waiting() > self.policy.rows_max || self.bytes() > self.policy.bytes_max {
            let Some(row) = self.queue.pop_front() else { break };
            self.names.settle(row.series);
            self.counts.refused += 1;
        }
        self.forget_arrivals();
    }

    fn forget_arrivals(&mut self) {
        let taken = self.numbered - self.queue.len() as u64;
        while self.arrivals.front().is_some_and(|arrival| arrival.end <= taken) {
            self.arrivals.pop_front();
        }
    }

    fn opened(&mut self, now: Now, result: Result<bool, Fault>, actions: &mut Vec<SampleAction>) {
        let Work::Opening { stale } = self.work else {
            panic!("an answer to an Open that was never asked for");
        };
        self.work = Work::Idle;
        match result {
            Ok(_) if stale => actions.push(SampleAction::Close),
            Ok(announced) => {
                if !announced {
                    self.names.forget_announcements();
                }
                self.instance = Instance::Open;
                // With a batch to try again, only its delivery proves that the sink is back.
                if self.batch.is_none() {
                    self.link = Link::Streaming;
                }
            }
            Err(fault) => {
                self.counts.faults += 1;
                self.last_error = Some((now, format!("could not be opened: {fault}")));
                if !stale {
                    self.disconnect(now, None);
                }
            }
        }
    }

    fn attempted(&mut self, now: Now, outcome: Outcome, actions: &mut Vec<SampleAction>) {
        assert!(self.work == Work::Attempting, "an answer to an Attempt that was never asked for");
        self.work = Work::Idle;
        let mut pending = self.batch.take().expect("a batch is kept while it is attempted");
        pending.attempts += 1;
        match outcome {
            Outcome::Delivered { .. } => {
                self.counts.delivered += pending.batch.rows() as u64;
                self.last_delivered = Some(now);
                self.settle(&pending.batch);
                self.answered();
            }
            Outcome::Rejected { why } => {
                self.bury(now, &pending, why);
                self.answered();
            }
            Outcome::Retry { after, why } => self.failed(now, pending, after, why),
            Outcome::Faulted(fault) => {
                self.counts.faults += 1;
                pending.faults += 1;
                self.failed(now, pending, None, fault.to_string());
                self.instance = Instance::None;
                actions.push(SampleAction::Close);
            }
        }
    }

    /// The other side spoke to us, so the connection is good.
    fn answered(&mut self) {
        self.failures = 0;
        match self.link {
            Link::Disconnected { .. } | Link::Connecting => self.link = Link::Streaming,
            Link::Streaming | Link::Throttled { .. } | Link::Parked => {}
        }
    }

    fn failed(&mut self, now: Now, pending: Pending, after: Option<Duration>, why: String) {
        self.disconnect(now, after);
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

    /// A failure of a version that is being replaced says nothing about the new one, which is tried
    /// at once; a parked sink tries nothing.
    fn disconnect(&mut self, now: Now, after: Option<Duration>) {
        if self.link == Link::Parked || self.instance == Instance::Stale {
            return;
        }
        let wait = self.backoff.wait(self.policy.retry.base, self.failures);
        let asked = after.unwrap_or(Duration::ZERO).min(AFTER_MAX);
        self.failures = self.failures.saturating_add(1);
        self.link = Link::Disconnected { until: now + wait.max(asked) };
    }

    fn begin_flush(&mut self, now: Now) {
        self.flush = Some(self.numbered);
        if let Link::Disconnected { .. } = self.link {
            self.link = Link::Disconnected { until: now };
        }
    }

    fn swap(&mut self, now: Now, policy: SamplePolicy, wants: Vec<Selector>) {
        (self.policy, self.wants) = (policy, wants);
        let wants = &self.wants;
        self.names.keep(|series| is_wanted(wants, series));
        self.refuse_oldest();
        self.failures = 0;
        self.retire();
        if self.work != Work::Attempting || self.link == Link::Parked {
            self.link = Link::Disconnected { until: now };
        }
    }

    /// A parked outbox is offered nothing, so what it knows of the sequencer's numbers goes stale.
    fn park(&mut self) {
        self.names.keep(|_| false);
        self.retire();
        self.link = Link::Parked;
    }

    /// Marks what is open, or being opened, as no longer wanted.
    fn retire(&mut self) {
        if self.instance == Instance::Open {
            self.instance = Instance::Stale;
        }
        if let Work::Opening { .. } = self.work {
            self.work = Work::Opening { stale: true };
        }
    }

    /// Whatever waits is dead, except an attempt in flight.
    fn discard(&mut self) {
        if self.work != Work::Attempting
            && let Some(pending) = self.batch.take()
        {
            self.counts.dead += pending.batch.rows() as u64;
            self.settle(&pending.batch);
        }
        self.counts.dead += self.queue.len() as u64;
        while let Some(row) = self.queue.pop_front() {
            self.names.settle(row.series);
        }
        self.forget_arrivals();
    }

    /// Moves as far as possible without an answer from outside.
    fn advance(&mut self, now: Now, actions: &mut Vec<SampleAction>) {
        self.end_flush(actions);
        if self.work == Work::Idle {
            self.connect(now, actions);
        }
        if self.work == Work::Idle && self.instance == Instance::Open {
            self.send(now, actions);
        }
        self.end_flush(actions);
    }

    /// Closes what is stale, and opens what is due.
    fn connect(&mut self, now: Now, actions: &mut Vec<SampleAction>) {
        if self.instance == Instance::Stale {
            self.instance = Instance::None;
            actions.push(SampleAction::Close);
        }
        match self.link {
            Link::Parked => return,
            Link::Disconnected { until } if now < until => return,
            Link::Disconnected { .. } => self.link = Link::Connecting,
            Link::Connecting | Link::Streaming | Link::Throttled { .. } => {}
        }
        if self.instance == Instance::None {
            self.link = Link::Connecting;
            self.work = Work::Opening { stale: false };
            // Those that are gone are not among the known ones.
            self.names.take_gone();
            actions.push(SampleAction::Open { known: self.names.announced() });
        }
    }

    fn send(&mut self, now: Now, actions: &mut Vec<SampleAction>) {
        match self.link {
            Link::Connecting | Link::Streaming | Link::Throttled { .. } => {}
            Link::Disconnected { .. } | Link::Parked => return,
        }
        if self.batch.is_none() && self.is_due(now) {
            self.form_batch();
        }
        let Some(pending) = &self.batch else { return };
        self.work = Work::Attempting;
        self.counts.attempts += 1;
        let removed = self.names.take_gone();
        let added = self.names.announce(&pending.batch.series);
        actions.push(SampleAction::Attempt { batch: pending.batch.clone(), added, removed });
    }

    fn form_batch(&mut self) {
        let oldest = self.numbered - self.queue.len() as u64;
        let size = self.queue.len().min(self.batch_max());
        let key = key_of(self.seed, self.batches);
        let mut batch = SampleBatch::with_room(key, size);
        for row in self.queue.drain(..size) {
            batch.series.push(row.series);
            batch.at.push(row.at);
            batch.value.push(row.value);
        }
        self.batches += 1;
        self.forget_arrivals();
        let batch = Arc::new(batch);
        self.batch = Some(Pending { batch, oldest, attempts: 0, faults: 0 });
    }

    /// Whether the next batch may wait no longer.
    fn is_due(&self, now: Now) -> bool {
        let Some(oldest) = self.arrivals.front() else { return false };
        let first = self.numbered - self.queue.len() as u64;
        self.flush.is_some_and(|until| first < until)
            || self.queue.len() >= self.batch_max()
            || oldest.since + self.policy.batching.age <= now
    }

    fn end_flush(&mut self, actions: &mut Vec<SampleAction>) {
        let Some(until) = self.flush else { return };
        let first = self.numbered - self.queue.len() as u64;
        let oldest = self.batch.as_ref().map_or(first, |pending| pending.oldest);
        if oldest >= until || self.link == Link::Parked {
            self.flush = None;
            actions.push(SampleAction::Flushed);
        }
    }

    fn bury(&mut self, now: Now, pending: &Pending, why: String) {
        self.counts.dead += pending.batch.rows() as u64;
        self.last_error = Some((now, why));
        self.settle(&pending.batch);
    }

    fn settle(&mut self, batch: &SampleBatch) {
        batch.series.iter().for_each(|series| self.names.settle(*series));
    }

    fn batch_max(&self) -> usize {
        self.policy.batching.max.max(1)
    }
}

fn is_wanted(wants: &[Selector], series: &Series) -> bool {
    // A sink's selectors hold no closure, so none of them can fault.
    wants.iter().any(|selector| selector.takes(series).unwrap_or(false))
}

/// 32 hexadecimal digits, different for every batch of every run.
fn key_of(seed: u64, number: u64) -> Arc<str> {
    let mut bytes = seed.to_le_bytes().to_vec();
    bytes.extend_from_slice(&number.to_le_bytes());
    EventId(xxhash_rust::xxh3::xxh3_128(&bytes)).to_string().into()
}
