//! How long a source's plugin is left alone after it died too often.

use std::collections::VecDeque;

use crate::kernel::model::{Duration, Now};

/// So many deaths ..
const DEATHS_MAX: usize = 3;
/// .. in so much time are too many.
const SPAN: Duration = Duration::from_secs(60);
const HOLD_MIN: Duration = Duration::from_secs(1);
const HOLD_MAX: Duration = Duration::from_secs(300);

/// Each hold within reach of the one before is twice as long.
#[derive(Debug, Default)]
pub struct Hold {
    /// Newest last; at most [`DEATHS_MAX`].
    deaths: VecDeque<Now>,
    until: Option<Now>,
    length: Duration,
}

impl Hold {
    /// Until when it is left alone.
    pub fn until(&self, now: Now) -> Option<Now> {
        self.until.filter(|until| now < *until)
    }

    /// It died. True when it is left alone from now on.
    pub fn died(&mut self, now: Now) -> bool {
        if self.until.is_some_and(|until| now.since(until) >= SPAN) {
            self.length = Duration::ZERO;
        }
        self.deaths.push_back(now);
        if self.deaths.len() > DEATHS_MAX {
            self.deaths.pop_front();
        }
        let too_many = self.deaths.len() == DEATHS_MAX
            && self.deaths.front().is_some_and(|first| now.since(*first) < SPAN);
        if too_many {
            self.length = (self.length * 2).max(HOLD_MIN).min(HOLD_MAX);
            self.until = Some(now + self.length);
        }
        too_many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deaths at these times in milliseconds, and how long each of them holds it.
    fn check(deaths: &[(i64, i64)]) {
        let mut hold = Hold::default();
        for (at, held) in deaths {
            let now = Now::from_nanos(at * 1_000_000);
            assert_eq!(hold.died(now), *held > 0, "at {at} ms");
            let left = hold.until(now).map_or(0, |until| until.since(now).nanos() / 1_000_000);
            assert_eq!(left, *held, "at {at} ms");
            if let Some(until) = hold.until(now) {
                assert_eq!(hold.until(until), None, "it is over at its end");
            }
        }
    }

    #[test]
    fn the_third_death_in_a_minute_holds_and_each_further_one_longer() {
        check(&[(0, 0), (10, 0), (20, 1_000), (1_020, 2_000), (3_020, 4_000)]);
        check(&[(0, 0), (1, 0), (59_999, 1_000)]);
        check(&[(0, 0), (1, 0), (60_000, 0), (60_000, 1_000)]);
        // After a minute without one it begins anew, and no hold is longer than five minutes.
        check(&[(0, 0), (1, 0), (2, 1_000), (61_002, 0), (61_003, 0), (61_004, 1_000)]);
        let mut hold = Hold::default();
        let longest = (0..20).map(|second| {
            let now = Now::from_nanos(second * 1_000_000_000);
            hold.died(now);
            hold.until(now).map_or(Duration::ZERO, |until| until.since(now))
        });
        assert_eq!(longest.max(), Some(HOLD_MAX));
    }
}
