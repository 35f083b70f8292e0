//! The bus: carries every event to whoever listens, in order, and remembers the last of them.
//!
//! Publishing gives an event its cursor, puts it into the history and offers it to each
//! subscriber's own bounded queue. A subscriber that sheds never makes anyone wait; one that waits
//! makes the publisher wait for it, but only for so long. What is shed is always the oldest, is
//! counted, and is told to the subscriber where it is missing.
//!
//! Never decides who should be told what: routes, silences and sinks stand behind it.
//!
//! Invariants: cursors rise by one; every subscriber sees rising cursors; an event that a
//! subscriber's filter takes is either received or counted in a [`Received::Lagged`].

mod filter;
mod handler;
mod mailbox;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;

pub use filter::{Filter, Kinds, Shadow};
pub use handler::HandlerGuard;
pub use mailbox::{Policy, Received};

use crate::kernel::event::Event;
use crate::shell::metrics::Exposition;
use mailbox::{Mailbox, Taken};

/// An event and its place on this bus.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// What clients send back as `Last-Event-ID`.
    pub cursor: u64,
    #[serde(flatten)]
    pub event: Arc<Event>,
}

#[derive(Clone, Debug)]
pub struct BusOptions {
    /// Events kept for those who come later. Each costs about a kilobyte.
    pub history_max: usize,
    /// The first event's cursor, above all cursors of earlier runs so that a client which comes
    /// back after a restart is not fooled: the start time in microseconds does, unless more than a
    /// million events came per second.
    pub first_cursor: u64,
}

impl Default for BusOptions {
    fn default() -> BusOptions {
        BusOptions { history_max: 10_000, first_cursor: 1 }
    }
}

/// A handle to the bus; clones are the same bus.
#[derive(Clone, Debug)]
pub struct Bus {
    shared: Arc<Shared>,
}

/// A part of the past.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct History {
    /// Rising by cursor.
    #[serde(rename = "events")]
    pub entries: Vec<Entry>,
    /// Pass it as `after` to go on from here.
    pub next: u64,
    /// False when events after the given cursor are gone, or the cursor is not of this run.
    pub complete: bool,
}

/// One listener's end of the bus. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
}

#[derive(Debug)]
struct Shared {
    /// Held over a whole `publish`, so that every mailbox gets events in one order.
    publishing: Mutex<()>,
    state: Mutex<State>,
    counts: Counts,
}

#[derive(Debug)]
struct State {
    first: u64,
    next: u64,
    history_max: usize,
    ring: VecDeque<Entry>,
    /// Those that wait stand last, so that nobody else gets an event late for them. Replaced when
    /// it changes, so that `publish` can walk it without holding the lock.
    mailboxes: Arc<Vec<Arc<Mailbox>>>,
    closed: bool,
}

/// What the ring held after a cursor, taken out so that nobody filters under the lock.
struct Past {
    entries: Vec<Entry>,
    /// The entries' cursors are above it.
    before: u64,
    newest: u64,
    complete: bool,
}

#[derive(Debug, Default)]
struct Counts {
    shed: AtomicU64,
    stalled: AtomicU64,
    handler_panics: AtomicU64,
}

impl Bus {
    pub fn new(options: BusOptions) -> Bus {
        // Zero stays free for "before the first event".
        let first = options.first_cursor.max(1);
        let state = State {
            first,
            next: first,
            history_max: options.history_max,
            ring: VecDeque::new(),
            mailboxes: Arc::default(),
            closed: false,
        };
        let (publishing, counts) = (Mutex::new(()), Counts::default());
        Bus { shared: Arc::new(Shared { publishing, state: Mutex::new(state), counts }) }
    }

    /// Gives the event its cursor and carries it to all subscribers. May block for as long as the
    /// waiting ones' patience allows, so call it from a thread and not from async code.
    pub fn publish(&self, event: Arc<Event>) -> u64 {
        let _in_order = self.shared.publishing.lock().expect("publishing cannot panic");
        let (entry, mailboxes) = self.shared.state().record(event);
        for mailbox in mailboxes.iter() {
            let offered = mailbox.offer(&entry);
            self.shared.counts.shed.fetch_add(u64::from(offered.shed), Ordering::Relaxed);
            self.shared.counts.stalled.fetch_add(u64::from(offered.stalled), Ordering::Relaxed);
        }
        entry.cursor
    }

    /// All matching events from now on.
    pub fn subscribe(&self, filter: Filter, policy: Policy) -> Subscription {
        let mailbox = Arc::new(Mailbox::new(filter, policy));
        self.shared.state().admit(&mailbox);
        Subscription { shared: self.shared.clone(), mailbox }
    }

    /// As [`Bus::subscribe`], with the past from `after` on: no event is missed or repeated
    /// between the two.
    pub fn resume(&self, filter: Filter, policy: Policy, after: u64) -> (History, Subscription) {
        let mailbox = Arc::new(Mailbox::new(filter.clone(), policy));
        let past = {
            let mut state = self.shared.state();
            state.admit(&mailbox);
            state.past(Some(after))
        };
        let subscription = Subscription { shared: self.shared.clone(), mailbox };
        (past.oldest(&filter, usize::MAX), subscription)
    }

    /// Calls the handler with each matching event, on a thread of its own. A slow handler loses
    /// the oldest events and is told; one that panics loses the event it panicked on.
    pub fn subscribe_with(
        &self,
        filter: Filter,
        handler: impl FnMut(Received) + Send + 'static,
    ) -> std::io::Result<HandlerGuard> {
        HandlerGuard::start(self.subscribe(filter, handler::POLICY), handler)
    }

    /// The oldest `limit` matching events after the cursor; without one, the newest `limit`.
    pub fn history(&self, filter: &Filter, after: Option<u64>, limit: usize) -> History {
        let past = self.shared.state().past(after);
        if after.is_some() { past.oldest(filter, limit) } else { past.newest(filter, limit) }
    }

    /// Ends all subscriptions once they have received what is queued; later ones end at once.
    pub fn close(&self) {
        let mut state = self.shared.state();
        state.closed = true;
        for mailbox in state.mailboxes.iter() {
            mailbox.end();
        }
    }

    pub fn metrics(&self, out: &mut Exposition) {
        let (published, subscribers, kept) = {
            let state = self.shared.state();
            (state.next - state.first, state.mailboxes.len(), state.ring.len())
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.shared.counts;
        out.counter("watchfire_bus_events_total", "Events published.").count(&[], published);
        out.counter("watchfire_bus_shed_total", "Events shed from subscribers' full queues.")
            .count(&[], count(&counts.shed));
        out.counter(
            "watchfire_bus_stalled_total",
            "Times a waiting subscriber ran out of patience.",
        )
        .count(&[], count(&counts.stalled));
        out.counter("watchfire_bus_handler_panics_total", "Panics in subscribed handlers.")
            .count(&[], count(&counts.handler_panics));
        out.gauge("watchfire_bus_subscribers", "Subscribers now.").count(&[], subscribers as u64);
        out.gauge("watchfire_bus_history_events", "Events kept for late comers.")
            .count(&[], kept as u64);
    }
}

impl Subscription {
    /// The next event, or the news that some were shed; `None` once the bus is closed and all was
    /// received. Nothing is lost when the future is dropped.
    pub async fn recv(&mut self) -> Option<Received> {
        loop {
            match self.mailbox.take() {
                Taken::Received(received) => return Some(received),
                Taken::Ended => return None,
                Taken::Empty => self.mailbox.arrived().await,
            }
        }
    }

    /// What is there now; never waits.
    pub fn try_recv(&mut self) -> Option<Received> {
        match self.mailbox.take() {
            Taken::Received(received) => Some(received),
            Taken::Empty | Taken::Ended => None,
        }
    }

    /// As [`Subscription::recv`] for plain threads; also `None` when nothing came for so long.
    pub fn recv_timeout(&mut self, patience: Duration) -> Option<Received> {
        match self.mailbox.take_blocking(Some(patience)) {
            Taken::Received(received) => Some(received),
            Taken::Empty | Taken::Ended => None,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.mailbox.abandon();
        self.shared.state().dismiss(&self.mailbox);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the bus' state")
    }
}

impl State {
    fn record(&mut self, event: Arc<Event>) -> (Entry, Arc<Vec<Arc<Mailbox>>>) {
        let entry = Entry { cursor: self.next, event };
        self.next += 1;
        if self.ring.len() >= self.history_max {
            self.ring.pop_front();
        }
        if self.history_max > 0 {
            self.ring.push_back(entry.clone());
        }
        (entry, self.mailboxes.clone())
    }

    fn admit(&mut self, mailbox: &Arc<Mailbox>) {
        if self.closed {
            mailbox.end();
        }
        let mut mailboxes = self.mailboxes.as_ref().clone();
        mailboxes.push(mailbox.clone());
        mailboxes.sort_by_key(|mailbox| mailbox.waits());
        self.mailboxes = Arc::new(mailboxes);
    }

    fn dismiss(&mut self, mailbox: &Arc<Mailbox>) {
        let others = |other: &&Arc<Mailbox>| !Arc::ptr_eq(other, mailbox);
        self.mailboxes = Arc::new(self.mailboxes.iter().filter(others).cloned().collect());
    }

    fn past(&self, after: Option<u64>) -> Past {
        let newest = self.next - 1;
        let oldest = self.ring.front().map_or(self.next, |entry| entry.cursor);
        // A cursor from the future is one of another run whose numbers went further than ours.
        let known = after.is_none_or(|after| after <= newest);
        let complete = after.is_none_or(|after| known && after + 1 >= oldest);
        let start = if known { after.map_or(0, |after| after + 1) } else { 0 };
        let from = self.ring.partition_point(|entry| entry.cursor < start);
        let entries = self.ring.range(from..).cloned().collect();
        Past { entries, before: start.saturating_sub(1), newest, complete }
    }
}

impl Past {
    fn oldest(self, filter: &Filter, limit: usize) -> History {
        let mut matching = self.entries.into_iter().filter(|entry| filter.takes(&entry.event));
        let entries: Vec<Entry> = matching.by_ref().take(limit).collect();
        // Cut short, the next page goes on after the last event given; else all was looked at.
        let next = match matching.next() {
            Some(_) => entries.last().map_or(self.before, |entry| entry.cursor),
            None => self.newest,
        };
        History { entries, next, complete: self.complete }
    }

    fn newest(self, filter: &Filter, limit: usize) -> History {
        let matching = self.entries.into_iter().rev().filter(|entry| filter.takes(&entry.event));
        let mut entries: Vec<Entry> = matching.take(limit).collect();
        entries.reverse();
        History { entries, next: self.newest, complete: self.complete }
    }
}

#[cfg(test)]
pub(crate) mod tests;
