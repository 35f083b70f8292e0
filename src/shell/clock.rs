//! The only clock of the program. Whatever needs to know what time it is holds a [`Clock`]; the
//! kernel gets a [`Now`] as an input.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::kernel::model::{Duration, Now};

pub trait Clock: Send + Sync {
    fn now(&self) -> Now;
}

/// The machine's wall clock. It may be set back by its owner; the sequencer, not the clock, keeps
/// positions and watermarks from going backward.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let nanos = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => {
                i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos)
            }
        };
        Now::from_nanos(nanos)
    }
}

/// A clock that stands still until told otherwise.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn new(now: Now) -> ManualClock {
        ManualClock(AtomicI64::new(now.nanos()))
    }

    /// May also go back, as a wall clock may.
    pub fn set(&self, now: Now) {
        self.0.store(now.nanos(), Ordering::SeqCst);
    }

    pub fn advance(&self, length: Duration) {
        self.0.fetch_add(length.nanos(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        Now::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(Now::from_nanos(5));
        assert_eq!((clock.now(), clock.now()), (Now::from_nanos(5), Now::from_nanos(5)));
        clock.advance(Duration::from_nanos(2));
        assert_eq!(clock.now(), Now::from_nanos(7));
        clock.set(Now::from_nanos(1));
        assert_eq!(clock.now(), Now::from_nanos(1));
    }

    #[test]
    fn the_system_clock_counts_from_1970() {
        // Between the years 2020 and 2200: a wrong unit or epoch is off by far more.
        let now = SystemClock.now().nanos();
        assert!((1_577_836_800_000_000_000..7_258_118_400_000_000_000).contains(&now), "{now}");
    }
}
