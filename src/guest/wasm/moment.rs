//! A clock for calls into guests, the shortest of which are over in a tenth of a microsecond: a
//! look at the system's own clock before and after would be a third of that.
//!
//! Where Linux itself goes by the processor's time stamp counter, which it does only when all cores
//! count alike and at a steady rate, that counter is read; anywhere else the system's clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// By which the kernel tells the time.
const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

static START: OnceLock<Start> = OnceLock::new();

/// Where counting began: a rate follows from this and the present.
struct Start {
    counts: bool,
    at: Instant,
    ticks: Ticks,
}

/// Of the processor's counter, or nanoseconds: only [`Moment::length`] makes them time.
pub type Ticks = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Ticks);

impl Moment {
    pub fn now() -> Moment {
        let start = start();
        if start.counts { Moment(counter()) } else { Moment(nanos(start.at.elapsed())) }
    }

    /// Since an earlier moment; nothing when the two are the other way round.
    pub fn since(self, earlier: Moment) -> Ticks {
        self.0.saturating_sub(earlier.0)
    }

    /// How long so many ticks are, by all that was counted since the start.
    pub fn length(ticks: Ticks) -> Duration {
        let start = start();
        if !start.counts {
            return Duration::from_nanos(ticks);
        }
        let counted = counter().saturating_sub(start.ticks).max(1);
        let nanos = u128::from(ticks) * start.at.elapsed().as_nanos() / u128::from(counted);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// What the system gave this thread of a processor so far; `None` where it does not tell.
#[cfg(unix)]
pub fn thread_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

#[cfg(not(unix))]
pub fn thread_time() -> Option<Duration> {
    None
}

fn start() -> &'static Start {
    START.get_or_init(|| {
        let source = std::fs::read_to_string(CLOCK_SOURCE);
        let counts = cfg!(target_arch = "x86_64") && source.is_ok_and(|name| name.trim() == "tsc");
        Start { counts, at: Instant::now(), ticks: if counts { counter() } else { 0 } }
    })
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the counter may be read by anybody; it only looks like a danger")]
fn counter() -> Ticks {
    // SAFETY: the instruction reads a register that every x86-64 has and changes nothing.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> Ticks {
    unreachable!("only asked for where there is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both clocks are asked in turn, so one length encloses the other, unless the thread is held
    /// up between two looks of which a rate is made.
    #[test]
    fn a_length_is_what_the_systems_clock_says() {
        let agree = || {
            let (outer, began) = (Instant::now(), Moment::now());
            let inner = Instant::now();
            while inner.elapsed() < Duration::from_millis(5) {
                std::hint::spin_loop();
            }
            let least = inner.elapsed();
            let ticks = Moment::now().since(began);
            let most = outer.elapsed();
            let rounding = Duration::from_micros(50);
            (least - rounding..=most + rounding).contains(&Moment::length(ticks))
        };
        assert!((0..100).any(|_| agree()));
    }

    #[test]
    fn a_threads_time_is_no_longer_than_the_clocks() {
        let (began, thread) = (Instant::now(), thread_time());
        let spent = thread_time().and_then(|now| Some(now - thread?));
        assert!(spent.is_none_or(|spent| spent <= began.elapsed()), "{spent:?}");
        assert_eq!(spent.is_some(), cfg!(unix));
    }

    #[test]
    fn a_moment_is_not_before_the_one_that_was_asked_before_it() {
        let (first, second) = (Moment::now(), Moment::now());
        assert!(first <= second);
        assert_eq!(first.since(second), 0);
    }
}
