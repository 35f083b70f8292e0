//! Growing waits between attempts, with full jitter: uniform in [0, min(max, base * 2^attempt)).
//!
//! Full jitter spreads the sinks of a fleet that all lost the same receiver at the same moment; its
//! waits are half as long on average as equal ones, and collide least. The source of chance is a
//! seed, so a simulation can be run again.

use crate::kernel::model::Duration;

/// No wait is longer, however often an attempt failed.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// Past 2^16 times the base every reasonable base has met [`WAIT_MAX`].
const EXPONENT_MAX: u32 = 16;

#[derive(Clone, Debug)]
pub struct Backoff {
    state: u64,
}

impl Backoff {
    pub fn seeded(seed: u64) -> Backoff {
        Backoff { state: seed }
    }

    /// The wait after a failure; `attempt` counts the failures in a row before it, from 0.
    pub fn wait(&mut self, base: Duration, attempt: u32) -> Duration {
        let below = ceiling(base, attempt).nanos() as u128;
        // The high half of the product is uniform below `below`, up to 2^-29 for 30 s.
        let nanos = (u128::from(self.next()) * below) >> 64;
        Duration::from_nanos(nanos as i64)
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014): one addition and a finaliser.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// What a wait stays below: min(max, base * 2^attempt).
pub fn ceiling(base: Duration, attempt: u32) -> Duration {
    (base * (1i64 << attempt.min(EXPONENT_MAX))).min(WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_thirty_seconds() {
        let base = Duration::from_secs(1);
        for (attempt, ceiling_text) in
            [(0, "1s"), (1, "2s"), (4, "16s"), (5, "30s"), (16, "30s"), (u32::MAX, "30s")]
        {
            assert_eq!(ceiling(base, attempt).to_string(), ceiling_text, "attempt {attempt}");
        }
        let tiny = Duration::from_nanos(1);
        assert_eq!(ceiling(tiny, 16), ceiling(tiny, 17));
        assert_eq!(ceiling(tiny, 16).nanos(), 65_536);
        assert_eq!(ceiling(Duration::MAX, 3), WAIT_MAX);
    }

    #[test]
    fn waits_fill_the_whole_range_and_never_reach_its_end() {
        let base = Duration::from_secs(1);
        let mut backoff = Backoff::seeded(7);
        for attempt in 0..20 {
            let below = ceiling(base, attempt).nanos();
            let mut eighths = [0; 8];
            for _ in 0..4_000 {
                let wait = backoff.wait(base, attempt).nanos();
                assert!((0..below).contains(&wait), "{wait} of {below}");
                eighths[(wait * 8 / below) as usize] += 1;
            }
            // 500 each are expected; six standard deviations are some 125.
            assert!(eighths.iter().all(|count| (375..=625).contains(count)), "{eighths:?}");
        }
    }

    #[test]
    fn the_same_seed_waits_the_same() {
        let waits = |seed| {
            let mut backoff = Backoff::seeded(seed);
            (0..50).map(|at| backoff.wait(Duration::from_secs(1), at)).collect::<Vec<_>>()
        };
        assert_eq!(waits(3), waits(3));
        assert_ne!(waits(3), waits(4));
        assert_eq!(Backoff::seeded(1).wait(Duration::ZERO, 9), Duration::ZERO);
    }
}
