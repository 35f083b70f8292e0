//! A mean in which old samples fade: the exponentially weighted moving average by half life.
//!
//! At time `t` over samples `(t_i, v_i)` with half life `h` it is
//! `sum(v_i * 2^(-(t - t_i) / h)) / sum(2^(-(t - t_i) / h))`. It covers all the history of the
//! group, beyond its window; that history fades but is never cut. The ratio does not depend on
//! `t`, so only a sample can change it.

use serde::{Deserialize, Serialize};

use crate::kernel::model::{Duration, EventTime};

/// The weighted mean of some samples, and their weight as of the newest one's time `at`. The
/// weight is at least 1 (the newest sample's own), so the mean stays defined however long the
/// silence or wide the pane. Any order of folding gives the same mean, up to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ewma {
    at: EventTime,
    mean: f64,
    weight: f64,
}

impl Ewma {
    pub fn of(at: EventTime, value: f64) -> Ewma {
        Ewma { at, mean: value, weight: 1.0 }
    }

    pub fn merge(&mut self, other: &Ewma, half_life: Duration) {
        let at = self.at.max(other.at);
        let mine = self.weight * fading(at.since(self.at), half_life);
        let theirs = other.weight * fading(at.since(other.at), half_life);
        self.mean += (other.mean - self.mean) * (theirs / (mine + theirs));
        self.weight = mine + theirs;
        self.at = at;
    }

    /// `None` when values were so far apart that their difference is past the range of `f64`.
    pub fn value(&self) -> Option<f64> {
        self.mean.is_finite().then_some(self.mean)
    }
}

/// Takes `more` into an average that may not exist yet.
pub fn take_in(ewma: &mut Option<Ewma>, more: Ewma, half_life: Duration) {
    match ewma {
        // An average that left the range of `f64` begins anew; it has no other way to end.
        Some(ewma) if ewma.mean.is_finite() => ewma.merge(&more, half_life),
        Some(_) | None => *ewma = Some(more),
    }
}

/// What is left of a weight of 1 after `age`.
fn fading(age: Duration, half_life: Duration) -> f64 {
    if age.is_zero() {
        return 1.0;
    }
    half_to_the(age.nanos() as f64 / half_life.nanos() as f64)
}

/// `2^-x` for `x >= 0`. The standard library's `exp2` may differ between machines in the last bit,
/// and then events would; this uses only operations that IEEE 754 rounds alike everywhere.
fn half_to_the(x: f64) -> f64 {
    // Below the smallest normal number nothing is left that a mean could show.
    if x >= 1022.0 {
        return 0.0;
    }
    let whole = (x + 0.5).floor();
    // |rest| <= ln 2 / 2, where the terms of exp's series past the 13th are under 1e-17.
    let rest = (whole - x) * std::f64::consts::LN_2;
    let (mut term, mut power) = (1.0, 1.0);
    for divisor in 1..=13 {
        term *= rest / f64::from(divisor);
        power += term;
    }
    power * f64::from_bits((1023 - whole as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_one_half_are_right_to_the_last_digits() {
        for step in 0..100_000 {
            let x = f64::from(step) * 0.010_219;
            let (ours, theirs) = (half_to_the(x), (-x).exp2());
            assert!((ours - theirs).abs() <= theirs * 1e-15, "{x}: {ours} {theirs}");
        }
        for (x, power) in [(0.0, 1.0), (1.0, 0.5), (3.0, 0.125), (1022.0, 0.0), (1e300, 0.0)] {
            assert_eq!(half_to_the(x), power, "{x}");
        }
        assert_eq!(half_to_the(f64::INFINITY), 0.0);
    }

    #[test]
    fn after_one_half_life_a_sample_weighs_half() {
        let half_life = Duration::from_secs(60);
        let at = |secs: i64| EventTime::from_nanos(secs * 1_000_000_000);
        let ewma = |samples: &[(i64, f64)]| {
            let mut ewma = None;
            for (secs, value) in samples {
                take_in(&mut ewma, Ewma::of(at(*secs), *value), half_life);
            }
            ewma.and_then(|ewma| ewma.value())
        };
        assert_eq!(ewma(&[]), None);
        assert_eq!(ewma(&[(0, 7.0)]), Some(7.0));
        assert_eq!(ewma(&[(0, 0.0), (60, 3.0)]), Some(2.0));
        assert_eq!(ewma(&[(60, 3.0), (0, 0.0)]), Some(2.0));
        // Weights 1/4, 1/2 and 1.
        assert_eq!(ewma(&[(0, 0.0), (60, 0.0), (120, 7.0)]), Some(4.0));
        // A difference past the range of `f64` leaves no mean, until the next sample.
        assert_eq!(ewma(&[(0, f64::MAX), (60, -f64::MAX)]), None);
        assert_eq!(ewma(&[(0, f64::MAX), (60, -f64::MAX), (61, 5.0)]), Some(5.0));
        // After a silence of a year nothing of the old value is left, and the mean is still there.
        assert_eq!(ewma(&[(0, 1e9), (31_536_000, 3.0)]), Some(3.0));
    }
}
