//! A sink's connection as its outbox sees it: what is open, what the caller is doing, how long to
//! wait after a failure. What waits to be sent is the outbox's own affair.

use super::backoff::Backoff;
use crate::kernel::model::{Duration, Now};

/// A receiver may ask for a longer wait than any backoff, but not silence its sink for good.
const AFTER_MAX: Duration = Duration::from_secs(3600);

/// The connection, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Nothing is tried before `until`.
    Disconnected {
        until: Now,
    },
    Connecting,
    Streaming,
    /// `left` more events may leave before `until`.
    Throttled {
        until: Now,
        left: usize,
    },
    Parked,
}

impl Link {
    pub fn name(self) -> &'static str {
        match self {
            Link::Disconnected { .. } => "disconnected",
            Link::Connecting => "connecting",
            Link::Streaming => "streaming",
            Link::Throttled { .. } => "throttled",
            Link::Parked => "parked",
        }
    }
}

#[derive(Debug)]
pub struct Connection {
    /// An outbox itself sets what concerns its backlog: streaming or throttled.
    pub link: Link,
    work: Work,
    instance: Instance,
    /// Failures in a row, of attempts and of openings.
    pub(super) failures: u32,
    backoff: Backoff,
}

/// What the caller is doing for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Idle,
    /// A stale opening is of a version that was swapped or parked meanwhile.
    Opening {
        stale: bool,
    },
    Attempting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instance {
    None,
    Open,
    /// To be closed as soon as its attempt in flight ended.
    Stale,
}

/// What [`Connection::advance`] asks the caller for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub close: bool,
    pub open: bool,
}

impl Connection {
    /// To be opened at once.
    pub fn new(seed: u64, now: Now) -> Connection {
        Connection {
            link: Link::Disconnected { until: now },
            work: Work::Idle,
            instance: Instance::None,
            failures: 0,
            backoff: Backoff::seeded(seed),
        }
    }

    /// The caller does nothing for us.
    pub fn is_idle(&self) -> bool {
        self.work == Work::Idle
    }

    pub fn is_attempting(&self) -> bool {
        self.work == Work::Attempting
    }

    pub fn is_parked(&self) -> bool {
        self.link == Link::Parked
    }

    /// An attempt could be made now.
    pub fn is_ready(&self) -> bool {
        self.work == Work::Idle && self.instance == Instance::Open
    }

    /// The opening ended, well or not. True when what was opened is to be closed again. With
    /// something to be tried again (`unproven`) only its delivery proves that the sink is back.
    pub fn opened(&mut self, now: Now, well: bool, unproven: bool, base: Duration) -> bool {
        let Work::Opening { stale } = self.work else {
            panic!("an answer to an Open that was never asked for");
        };
        self.work = Work::Idle;
        match (well, stale) {
            (true, true) => return true,
            (true, false) => {
                self.instance = Instance::Open;
                if !unproven {
                    self.link = Link::Streaming;
                }
            }
            (false, true) => {}
            (false, false) => self.disconnect(now, base, None),
        }
        false
    }

    pub fn attempt(&mut self) {
        assert!(self.is_ready(), "one attempt at a time, on what is open");
        self.work = Work::Attempting;
    }

    /// The attempt ended; how, is told by what is called next.
    pub fn attempted(&mut self) {
        assert!(self.work == Work::Attempting, "an answer to an Attempt that was never asked for");
        self.work = Work::Idle;
    }

    /// The other side spoke to us, so the connection is good.
    pub fn answered(&mut self) {
        self.failures = 0;
        match self.link {
            Link::Disconnected { .. } | Link::Connecting => self.link = Link::Streaming,
            Link::Streaming | Link::Throttled { .. } | Link::Parked => {}
        }
    }

    /// A failure: the next attempt waits for the backoff, or for `after` where that is longer. A
    /// failure of a version that is being replaced says nothing about the new one, which is tried
    /// at once; a parked sink tries nothing.
    pub fn disconnect(&mut self, now: Now, base: Duration, after: Option<Duration>) {
        if self.link == Link::Parked || self.instance == Instance::Stale {
            return;
        }
        let wait = self.backoff.wait(base, self.failures);
        let asked = after.unwrap_or(Duration::ZERO).min(AFTER_MAX);
        self.failures = self.failures.saturating_add(1);
        self.link = Link::Disconnected { until: now + wait.max(asked) };
    }

    /// The instance is of no use any more; the caller is told to close it.
    pub fn lose(&mut self) {
        self.instance = Instance::None;
    }

    /// Ends a backoff.
    pub fn hurry(&mut self, now: Now) {
        if let Link::Disconnected { .. } = self.link {
            self.link = Link::Disconnected { until: now };
        }
    }

    /// Another version takes over after the attempt in flight.
    pub fn swap(&mut self, now: Now) {
        self.failures = 0;
        self.retire();
        if self.work != Work::Attempting || self.link == Link::Parked {
            self.link = Link::Disconnected { until: now };
        }
    }

    pub fn park(&mut self) {
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

    /// Closes what is stale and opens what is due, while the caller does nothing else for us.
    pub fn advance(&mut self, now: Now) -> Wanted {
        let mut wanted = Wanted::default();
        if self.work != Work::Idle {
            return wanted;
        }
        if self.instance == Instance::Stale {
            self.instance = Instance::None;
            wanted.close = true;
        }
        match self.link {
            Link::Parked => return wanted,
            Link::Disconnected { until } if now < until => return wanted,
            Link::Disconnected { .. } => self.link = Link::Connecting,
            Link::Connecting | Link::Streaming | Link::Throttled { .. } => {}
        }
        if self.instance == Instance::None {
            self.link = Link::Connecting;
            self.work = Work::Opening { stale: false };
            wanted.open = true;
        }
        wanted
    }
}
