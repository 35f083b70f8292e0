//! One sink's pending work: a state machine from (now, input) to actions.
//!
//! ```text
//!                 due                      opened                      backlog > max_pending
//!  disconnected ───────▶ connecting ───────────────────▶ streaming ◀──────────────▶ throttled
//!        ▲                    │                              │        caught up         │
//!        └────────────────────┴───── failed: backoff ────────┴──────────────────────────┘
//! ```
//!
//! After a failed delivery the next attempt is the connecting: it goes out when the backoff is over
//! and, going well, leads back to streaming. `parked` is the fifth state: a sink that was removed
//! keeps its events and tries nothing until it is swapped in again.
//!
//! The caller does what the actions say, in their order, and steps again with `Tick` no later than
//! `next_wake` says. It answers each `Open` with one `Opened`, each `Attempt` with one `Attempted`.

mod ports;
mod rate;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

pub use ports::{Action, Counts, Input, Reason};

use super::attempt::{End, Outcome, Settled, key_of};
use super::connection::{Connection, Link};
use super::limiter::Limiter;
use super::own;
use super::policy::Policy;
use crate::kernel::event::Event;
use crate::kernel::model::{Duration, Now};
use crate::kernel::rule::program::Fault;

/// How many steps the drain of a full `max_pending` is spread over: a throttled sink gets this
/// fraction of `max_pending` in each base interval.
const THROTTLE_STEPS: usize = 10;

#[derive(Debug)]
pub struct Outbox {
    sink: Arc<str>,
    policy: Policy,
    queue: VecDeque<Waiting>,
    numbered: u64,
    /// Taken from the queue and not settled: in flight, or waiting to be tried again.
    batch: Option<Batch>,
    connection: Connection,
    limiter: Limiter,
    /// A flush is on until every event up to this number is settled.
    flush: Option<u64>,
    counts: Counts,
    last_error: Option<(Now, String)>,
    last_delivered: Option<Now>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    event: Arc<Event>,
    since: Now,
}

#[derive(Debug)]
struct Batch {
    key: Arc<str>,
    events: Arc<[Arc<Event>]>,
    oldest: u64,
    attempts: u32,
}

impl Outbox {
    pub fn new(sink: &str, policy: Policy, seed: u64, now: Now) -> Outbox {
        Outbox {
            sink: sink.into(),
            policy,
            queue: VecDeque::new(),
            numbered: 0,
            batch: None,
            connection: Connection::new(seed, now),
            limiter: Limiter::default(),
            flush: None,
            counts: Counts::default(),
            last_error: None,
            last_delivered: None,
        }
    }

    pub fn step(&mut self, now: Now, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Offer(event) => self.offer(now, event, &mut actions),
            Input::Tick => {}
            Input::Opened(result) => self.opened(now, result, &mut actions),
            Input::Attempted(outcome) => self.attempted(now, outcome, &mut actions),
            Input::Flush => self.begin_flush(now),
            Input::Swap(policy) => self.swap(now, policy),
            Input::Park => self.connection.park(),
            Input::Discard { why } => self.discard(now, &why, &mut actions),
        }
        self.advance(now, &mut actions);
        actions
    }

    /// When `Tick` is due at the latest, and why; `None` when only an answer or an offer can change
    /// anything. Always later than the newest step.
    pub fn next_wake(&self) -> Option<(Now, Reason)> {
        let summary = self.limiter.held_until().map(|until| (until, Reason::Summary));
        let sending = if self.connection.is_idle() { self.next_attempt() } else { None };
        [summary, sending].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    pub fn link(&self) -> Link {
        self.connection.link
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Events that are neither settled nor in flight.
    pub fn queued(&self) -> usize {
        self.queue.len() + if self.connection.is_attempting() { 0 } else { self.batched() }
    }

    pub fn in_flight(&self) -> usize {
        if self.connection.is_attempting() { self.batched() } else { 0 }
    }

    pub fn last_error(&self) -> Option<&(Now, String)> {
        self.last_error.as_ref()
    }

    pub fn last_delivered(&self) -> Option<Now> {
        self.last_delivered
    }

    fn offer(&mut self, now: Now, event: Arc<Event>, actions: &mut Vec<Action>) {
        self.counts.offered += 1;
        self.enqueue(now, event);
        while self.queue.len() > self.policy.queue_max {
            let Some(oldest) = self.queue.pop_front() else { break };
            self.counts.shed += 1;
            let why = format!("queue full: more than {} events wait", self.policy.queue_max);
            self.bury(Arc::from([oldest.event]), 0, why, actions);
        }
    }

    fn opened(&mut self, now: Now, result: Result<(), Fault>, actions: &mut Vec<Action>) {
        let fault = result.err();
        let (base, unproven) = (self.policy.retry.base, self.batch.is_some());
        if self.connection.opened(now, fault.is_none(), unproven, base) {
            actions.push(Action::Close);
        }
        if let Some(fault) = fault {
            self.counts.faults += 1;
            self.last_error = Some((now, format!("could not be opened: {fault}")));
        }
    }

    fn attempted(&mut self, now: Now, outcome: Outcome, actions: &mut Vec<Action>) {
        self.connection.attempted();
        let mut batch = self.batch.take().expect("a batch is kept while it is attempted");
        batch.attempts += 1;
        match outcome {
            Outcome::Delivered { note } => {
                self.counts.delivered += batch.events.len() as u64;
                self.last_delivered = Some(now);
                self.connection.answered();
                let Batch { events, attempts, .. } = batch;
                let end = End::Delivered { note };
                actions.push(Action::Settled(Settled { events, end, attempts }));
            }
            Outcome::Rejected { why } => {
                self.last_error = Some((now, why.clone()));
                self.connection.answered();
                self.bury(batch.events, batch.attempts, why, actions);
            }
            Outcome::Retry { after, why } => self.failed(now, batch, after, why, actions),
            Outcome::Faulted(fault) => {
                self.counts.faults += 1;
                self.failed(now, batch, None, fault.to_string(), actions);
                self.connection.lose();
                actions.push(Action::Close);
            }
        }
    }

    fn failed(
        &mut self,
        now: Now,
        batch: Batch,
        after: Option<Duration>,
        why: String,
        actions: &mut Vec<Action>,
    ) {
        self.last_error = Some((now, why.clone()));
        self.connection.disconnect(now, self.policy.retry.base, after);
        if batch.attempts >= self.policy.retry.attempts {
            let why = format!("gave up after {} attempts: {why}", batch.attempts);
            self.bury(batch.events, batch.attempts, why, actions);
        } else {
            self.counts.retries += 1;
            self.batch = Some(batch);
        }
    }

    fn begin_flush(&mut self, now: Now) {
        self.flush = Some(self.numbered);
        self.connection.hurry(now);
    }

    fn swap(&mut self, now: Now, policy: Policy) {
        self.policy = policy;
        self.connection.swap(now);
    }

    fn discard(&mut self, now: Now, why: &str, actions: &mut Vec<Action>) {
        if !self.connection.is_attempting()
            && let Some(batch) = self.batch.take()
        {
            self.bury(batch.events, batch.attempts, why.to_owned(), actions);
        }
        if let Some(summary) = self.limiter.release(&self.sink, now) {
            self.counts.summaries += 1;
            self.enqueue(now, Arc::new(summary));
        }
        let waiting: Arc<[Arc<Event>]> = self.queue.drain(..).map(|w| w.event).collect();
        if !waiting.is_empty() {
            self.bury(waiting, 0, why.to_owned(), actions);
        }
    }

    /// Moves as far as possible without an answer from outside.
    fn advance(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.end_hold(now);
        // Here too, so that what came after the flush is not hurried by it.
        self.end_flush(actions);
        let wanted = self.connection.advance(now);
        actions.extend(wanted.close.then_some(Action::Close));
        actions.extend(wanted.open.then_some(Action::Open));
        if self.connection.is_ready() {
            self.pace(now);
            self.send(now, actions);
        }
        self.end_flush(actions);
    }

    /// Throttles a backlog over `max_pending`; lifts it when one batch is left.
    fn pace(&mut self, now: Now) {
        let backlog = self.queue.len() + self.batched();
        let next = Link::Throttled {
            until: now + self.policy.retry.base,
            left: self.policy.max_pending.div_ceil(THROTTLE_STEPS).max(1),
        };
        match self.connection.link {
            Link::Streaming if backlog > self.policy.max_pending => self.connection.link = next,
            Link::Throttled { .. } if backlog <= self.batch_max() => {
                self.connection.link = Link::Streaming
            }
            Link::Throttled { until, .. } if until <= now => self.connection.link = next,
            Link::Disconnected { .. }
            | Link::Connecting
            | Link::Streaming
            | Link::Throttled { .. }
            | Link::Parked => {}
        }
    }

    fn send(&mut self, now: Now, actions: &mut Vec<Action>) {
        let open = match self.connection.link {
            Link::Connecting | Link::Streaming => true,
            Link::Throttled { left, .. } => left > 0 || self.is_flushing(),
            Link::Disconnected { .. } | Link::Parked => false,
        };
        if !open {
            return;
        }
        if self.batch.is_none() {
            self.batch = self.form_batch(now, actions);
        }
        let Some(batch) = &self.batch else { return };
        if let Link::Throttled { left, .. } = &mut self.connection.link {
            *left = left.saturating_sub(batch.events.len());
        }
        self.connection.attempt();
        self.counts.attempts += 1;
        actions.push(Action::Attempt { key: batch.key.clone(), events: batch.events.clone() });
    }

    fn form_batch(&mut self, now: Now, actions: &mut Vec<Action>) -> Option<Batch> {
        if self.limiter.is_holding() {
            self.withhold(now, actions);
        }
        if !self.is_due(now) {
            return None;
        }
        let mut size = self.batch_size(now);
        if size == 0 {
            self.withhold(now, actions);
            size = if self.is_due(now) { self.batch_size(now) } else { 0 };
        }
        let oldest = self.queue.front().map(|waiting| waiting.number);
        let taken: Vec<Arc<Event>> = self.queue.drain(..size).map(|w| w.event).collect();
        let counted = taken.iter().filter(|event| !own::is_exempt(event)).count();
        if self.policy.rate.is_some() {
            self.limiter.admit(now, counted);
        }
        let events: Arc<[Arc<Event>]> = taken.into();
        oldest.filter(|_| size > 0).map(|oldest| Batch {
            key: key_of(&events),
            events,
            oldest,
            attempts: 0,
        })
    }

    fn end_flush(&mut self, actions: &mut Vec<Action>) {
        let Some(until) = self.flush else { return };
        let oldest = match (&self.batch, self.queue.front()) {
            (Some(batch), _) => Some(batch.oldest),
            (None, waiting) => waiting.map(|waiting| waiting.number),
        };
        let settled = oldest.is_none_or(|oldest| oldest > until) && self.limiter.unspoken() == 0;
        if settled || self.connection.is_parked() {
            self.flush = None;
            actions.push(Action::Flushed);
        }
    }

    fn next_attempt(&self) -> Option<(Now, Reason)> {
        let (paced, reason) = match self.connection.link {
            Link::Parked => return None,
            Link::Disconnected { until } => return Some((until, Reason::Backoff)),
            Link::Throttled { until, left: 0 } => (Some(until), Reason::Throttle),
            Link::Throttled { .. } | Link::Connecting | Link::Streaming => (None, Reason::BatchAge),
        };
        let waiting = self.queue.front()?;
        let full = self.batch.is_some() || self.queue.len() >= self.batch_max();
        let due = waiting.since + self.policy.batching.age;
        match paced {
            Some(until) if full || due <= until => Some((until, reason)),
            Some(_) | None => Some((due, Reason::BatchAge)),
        }
    }

    /// Whether the next batch may wait no longer.
    fn is_due(&self, now: Now) -> bool {
        let Some(oldest) = self.queue.front() else { return false };
        self.flush.is_some_and(|until| oldest.number <= until)
            || self.queue.len() >= self.batch_max()
            || oldest.since + self.policy.batching.age <= now
    }

    fn is_flushing(&self) -> bool {
        self.flush.is_some()
    }

    fn batch_max(&self) -> usize {
        self.policy.batching.max.max(1)
    }

    fn batched(&self) -> usize {
        self.batch.as_ref().map_or(0, |batch| batch.events.len())
    }

    fn enqueue(&mut self, now: Now, event: Arc<Event>) {
        self.numbered += 1;
        self.queue.push_back(Waiting { number: self.numbered, event, since: now });
    }

    fn bury(
        &mut self,
        events: Arc<[Arc<Event>]>,
        attempts: u32,
        why: String,
        actions: &mut Vec<Action>,
    ) {
        self.counts.dead += events.len() as u64;
        actions.push(Action::Settled(Settled { events, end: End::Dead { why }, attempts }));
    }
}
