//! The time that outboxes see: the wall clock at the start, and from then on what really passed.

use crate::kernel::model::Now;

/// Backoffs and batch ages are lengths. Counted on a wall clock, one that is set back by an hour
/// would make a sink wait an hour longer.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    started: Now,
    origin: tokio::time::Instant,
}

impl Steady {
    pub fn from(started: Now) -> Steady {
        Steady { started, origin: tokio::time::Instant::now() }
    }

    pub fn now(&self) -> Now {
        let passed = self.origin.elapsed().as_nanos();
        let nanos = i64::try_from(passed).unwrap_or(i64::MAX);
        Now::from_nanos(self.started.nanos().saturating_add(nanos))
    }

    pub fn instant(&self, at: Now) -> tokio::time::Instant {
        self.origin + at.since(self.started).to_std()
    }
}
