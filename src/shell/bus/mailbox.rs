//! One subscriber's bounded queue, with the policy for when it is full.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::Entry;
use super::filter::Filter;

/// What happens when a subscriber's queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The oldest queued event makes room.
    ShedOldest { capacity: usize },
    /// The publisher waits for room. A subscriber that takes nothing for as long as `patience` is
    /// stalled: until it takes something again it sheds as the others do, since one stuck listener
    /// must not end alerting for all.
    Wait { capacity: usize, patience: Duration },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    Event(Entry),
    /// So many matching events were shed before the next one.
    Lagged(u64),
}

#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    Received(Received),
    Empty,
    Ended,
}

#[derive(Debug, Default)]
pub(super) struct Offered {
    pub shed: bool,
    /// The subscriber's patience ended with this event.
    pub stalled: bool,
}

#[derive(Debug)]
pub(super) struct Mailbox {
    filter: Filter,
    policy: Policy,
    queue: Mutex<Queue>,
    /// Wakes the subscriber's task, its thread, and the waiting publisher.
    arrived: Notify,
    arrived_blocking: Condvar,
    room: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    shed: u64,
    stalled: bool,
    ended: bool,
}

impl Policy {
    /// At least one, so that the newest event always finds a place.
    fn capacity(self) -> usize {
        match self {
            Policy::ShedOldest { capacity } | Policy::Wait { capacity, .. } => capacity.max(1),
        }
    }
}

impl Mailbox {
    pub fn new(filter: Filter, policy: Policy) -> Mailbox {
        Mailbox {
            filter,
            policy,
            queue: Mutex::default(),
            arrived: Notify::new(),
            arrived_blocking: Condvar::new(),
            room: Condvar::new(),
        }
    }

    pub fn waits(&self) -> bool {
        match self.policy {
            Policy::ShedOldest { .. } => false,
            Policy::Wait { .. } => true,
        }
    }

    pub fn offer(&self, entry: &Entry) -> Offered {
        if !self.filter.takes(&entry.event) {
            return Offered::default();
        }
        let (mut queue, mut offered) = (self.queue(), Offered::default());
        if let Policy::Wait { patience, .. } = self.policy
            && !queue.stalled
        {
            queue = self.wait_for_room(queue, patience);
            queue.stalled = self.is_full(&queue) && !queue.ended;
            offered.stalled = queue.stalled;
        }
        if queue.ended {
            return Offered::default();
        }
        if self.is_full(&queue) {
            queue.entries.pop_front();
            queue.shed += 1;
            offered.shed = true;
        }
        queue.entries.push_back(entry.clone());
        drop(queue);
        self.wake_subscriber();
        offered
    }

    pub fn take(&self) -> Taken {
        self.take_from(&mut self.queue())
    }

    /// Waits for something to take: for ever, or for so long.
    pub fn take_blocking(&self, patience: Option<Duration>) -> Taken {
        let idle = |queue: &mut Queue| queue.entries.is_empty() && queue.shed == 0 && !queue.ended;
        let held = "nothing panics while it holds a queue";
        let mut queue = match patience {
            None => self.arrived_blocking.wait_while(self.queue(), idle).expect(held),
            Some(patience) => {
                let waited = self.arrived_blocking.wait_timeout_while(self.queue(), patience, idle);
                waited.expect(held).0
            }
        };
        self.take_from(&mut queue)
    }

    /// Returns at once when something arrived since the last call.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Nothing more will come; what is queued can still be taken.
    pub fn end(&self) {
        self.queue().ended = true;
        self.room.notify_all();
        self.wake_subscriber();
    }

    /// Nobody will take any more.
    pub fn abandon(&self) {
        self.queue().entries.clear();
        self.end();
    }

    fn take_from(&self, queue: &mut Queue) -> Taken {
        if queue.shed > 0 {
            return Taken::Received(Received::Lagged(mem::take(&mut queue.shed)));
        }
        let Some(entry) = queue.entries.pop_front() else {
            return if queue.ended { Taken::Ended } else { Taken::Empty };
        };
        queue.stalled = false;
        self.room.notify_all();
        Taken::Received(Received::Event(entry))
    }

    fn wait_for_room<'a>(
        &self,
        queue: MutexGuard<'a, Queue>,
        patience: Duration,
    ) -> MutexGuard<'a, Queue> {
        let full = |queue: &mut Queue| self.is_full(queue) && !queue.ended;
        let waited = self.room.wait_timeout_while(queue, patience, full);
        waited.expect("nothing panics while it holds a queue").0
    }

    fn wake_subscriber(&self) {
        self.arrived.notify_one();
        self.arrived_blocking.notify_one();
    }

    fn is_full(&self, queue: &Queue) -> bool {
        queue.entries.len() >= self.policy.capacity()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nothing panics while it holds a queue")
    }
}
