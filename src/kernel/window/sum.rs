//! A compensated sum: the error stays at a few units in the last place however many values enter.

use serde::{Deserialize, Serialize};

/// Neumaier's form of Kahan's sum: what each addition rounds off is collected on the side.
///
/// A total past the range of `f64` is no longer finite and stays so; readers treat that as "no
/// value".
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    /// The running total and what it lost, as [`Sum::halves`] gave them.
    pub fn from_halves(total: f64, lost: f64) -> Sum {
        Sum { total, lost }
    }

    pub fn halves(self) -> (f64, f64) {
        (self.total, self.lost)
    }

    pub fn add(&mut self, value: f64) {
        let next = self.total + value;
        self.lost += if self.total.abs() >= value.abs() {
            (self.total - next) + value
        } else {
            (value - next) + self.total
        };
        self.total = next;
    }

    pub fn merge(&mut self, other: &Sum) {
        self.add(other.total);
        self.lost += other.lost;
    }

    pub fn value(&self) -> f64 {
        self.total + self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of(values: &[f64]) -> Sum {
        let mut sum = Sum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum
    }

    #[test]
    fn what_a_plain_sum_loses_is_kept() {
        for (values, expected) in [
            (&[1.0, 1e100, 1.0, -1e100][..], 2.0),
            (&[1e16, 1.0, -1e16], 1.0),
            (&[], 0.0),
            (&[0.1; 10], 1.0),
        ] {
            assert_eq!(sum_of(values).value(), expected, "{values:?}");
        }
        let mut halves = sum_of(&[1.0, 1e100]);
        halves.merge(&sum_of(&[1.0, -1e100]));
        assert_eq!(halves.value(), 2.0);
    }

    #[test]
    fn a_sum_past_the_range_is_not_finite() {
        assert!(!sum_of(&[f64::MAX, f64::MAX]).value().is_finite());
    }
}
