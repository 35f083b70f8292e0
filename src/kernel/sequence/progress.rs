//! How far each source has come, and what that makes the watermark.

use serde::{Deserialize, Serialize};

use crate::kernel::model::{Duration, EventTime, Limits, Now};

/// Batch intervals that the median is taken over.
const INTERVALS: usize = 15;

/// Lateness of a source that gives its samples times, when the config names none.
const TIMESTAMPED: Duration = Duration::from_secs(5);

/// One source's progress through event time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// As configured; else by whether samples of this source ever came with a time.
    configured: Option<Duration>,
    timestamped: bool,
    /// The largest min(event time, arrival) seen.
    newest: EventTime,
    last_arrival: Option<Now>,
    /// Newest last.
    intervals: Vec<Duration>,
    standing: Standing,
}

/// Whether a source holds the watermark back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Has sent nothing yet, or was closed.
    Silent,
    Holding,
    /// Sent nothing for longer than it usually takes.
    Idle,
    /// Sends samples older than `hold_max`.
    CatchingUp,
}

impl Progress {
    pub fn new(lateness: Option<Duration>) -> Progress {
        Progress {
            configured: lateness,
            timestamped: false,
            newest: EventTime::MIN,
            last_arrival: None,
            intervals: Vec::new(),
            standing: Standing::Silent,
        }
    }

    /// Goes on with a source that was known before a restart.
    pub fn reopened(self, lateness: Option<Duration>) -> Progress {
        Progress { configured: lateness, ..self }
    }

    #[inline]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    #[inline]
    pub fn lateness(&self) -> Duration {
        match self.configured {
            Some(lateness) => lateness,
            // Until it speaks nobody knows; to expect too little would make its first samples late.
            None if self.timestamped || self.newest == EventTime::MIN => TIMESTAMPED,
            None => Duration::ZERO,
        }
    }

    /// Where this source alone would put the watermark.
    #[inline]
    pub fn mark(&self) -> EventTime {
        self.newest - self.lateness()
    }

    /// The batch's arrival, before its samples are looked at.
    pub fn batch(&mut self, arrival: Option<Now>) {
        let Some(arrival) = arrival else { return };
        // Pieces of one read arrive at one time: they are no interval.
        if let Some(last) = self.last_arrival.filter(|last| *last < arrival) {
            if self.intervals.len() == INTERVALS {
                self.intervals.remove(0);
            }
            self.intervals.push(arrival.since(last));
        }
        self.last_arrival = Some(self.last_arrival.map_or(arrival, |last| last.max(arrival)));
    }

    /// One sample, already stamped. `stamped` tells that it came without a time.
    #[inline]
    pub fn sample(&mut self, at: EventTime, arrival: Option<Now>, stamped: bool) {
        self.timestamped |= !stamped;
        self.newest = self.newest.max(arrival.map_or(at, |arrival| at.min(arrival.as_arrival())));
    }

    /// Looks at the clock: is the source idle, or too far behind to wait for? In a replay (no
    /// clock) a source that sent anything holds.
    pub fn judge(&mut self, now: Option<Now>, limits: &Limits) {
        // A source that was closed, or has said nothing yet, stays out of it until a sample comes.
        if self.standing == Standing::Silent {
            return;
        }
        let Some((now, last)) = now.zip(self.last_arrival) else { return };
        self.standing = if now.since(last) > self.patience(limits) {
            Standing::Idle
        } else if now.as_arrival().since(self.newest) > limits.hold_max {
            Standing::CatchingUp
        } else {
            Standing::Holding
        };
    }

    /// A sample came: whatever it was before, the source takes part again.
    #[inline]
    pub fn wake(&mut self, arrival: Option<Now>, limits: &Limits) {
        let behind =
            arrival.is_some_and(|now| now.as_arrival().since(self.newest) > limits.hold_max);
        self.standing = if behind { Standing::CatchingUp } else { Standing::Holding };
    }

    pub fn close(&mut self) {
        self.standing = Standing::Silent;
    }

    /// max(`idle_min`, 3 x the median interval between batches).
    fn patience(&self, limits: &Limits) -> Duration {
        let mut sorted = self.intervals.clone();
        sorted.sort();
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(Duration::ZERO);
        limits.idle_min.max(median * 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(secs: i64) -> Duration {
        Duration::from_secs(secs)
    }

    fn now(nanos: i64) -> Now {
        Now::from_nanos(1_000_000_000_000_000 + nanos)
    }

    #[track_caller]
    fn check(progress: &mut Progress, at: Now, expected: Standing) {
        progress.judge(Some(at), &Limits::default());
        assert_eq!(progress.standing(), expected);
    }

    fn heard(times: &[i64]) -> Progress {
        let mut progress = Progress::new(None);
        for nanos in times {
            progress.batch(Some(now(*nanos)));
            progress.sample(now(*nanos).as_arrival(), Some(now(*nanos)), true);
            progress.wake(Some(now(*nanos)), &Limits::default());
        }
        progress
    }

    #[test]
    fn a_source_is_idle_one_nanosecond_after_its_patience_ends() {
        let mut progress = heard(&[0, 1_000_000_000]);
        let last = 1_000_000_000;
        check(&mut progress, now(last + 9_999_999_999), Standing::Holding);
        check(&mut progress, now(last + 10_000_000_000), Standing::Holding);
        check(&mut progress, now(last + 10_000_000_001), Standing::Idle);
    }

    #[test]
    fn a_slow_source_is_given_three_of_its_own_intervals() {
        let minute = 60_000_000_000;
        let mut progress = heard(&[0, minute, 2 * minute]);
        check(&mut progress, now(2 * minute + 30_000_000_000), Standing::Holding);
        // It holds time back by no more than `hold_max`.
        check(&mut progress, now(2 * minute + 30_000_000_001), Standing::CatchingUp);
        check(&mut progress, now(5 * minute + 1), Standing::Idle);
    }

    #[test]
    fn a_clock_ahead_does_not_push_time_ahead() {
        let mut progress = Progress::new(Some(seconds(5)));
        let ahead = now(0).as_arrival() + seconds(240);
        progress.sample(ahead, Some(now(0)), false);
        assert_eq!(progress.mark(), now(0).as_arrival() - seconds(5));
    }

    #[test]
    fn lateness_is_by_whether_samples_bring_their_time() {
        let mut progress = Progress::new(None);
        progress.sample(now(0).as_arrival(), Some(now(0)), true);
        assert_eq!(progress.lateness(), Duration::ZERO);
        progress.sample(now(0).as_arrival(), Some(now(0)), false);
        assert_eq!(progress.lateness(), seconds(5));
    }
}
