//! Least-squares slopes, per series and summed over a group.

use serde::{Deserialize, Serialize};

use super::stacks::Merge;
use crate::kernel::model::EventTime;

/// One series' samples as means and deviations from them, so that neither large times nor large
/// values cost digits. Times are seconds after `origin`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    origin: EventTime,
    count: u64,
    mean_time: f64,
    mean_value: f64,
    /// Sum of squared deviations of the times.
    time_squares: f64,
    /// Sum of products of both deviations.
    products: f64,
}

impl Trend {
    pub fn of(at: EventTime, value: f64) -> Trend {
        Trend {
            origin: at,
            count: 1,
            mean_time: 0.0,
            mean_value: value,
            time_squares: 0.0,
            products: 0.0,
        }
    }

    /// Per second; `None` while all samples have the same time.
    pub fn slope(&self) -> Option<f64> {
        (self.time_squares > 0.0).then(|| self.products / self.time_squares)
    }
}

impl Merge for Trend {
    fn merge(&mut self, newer: &Trend) {
        let shift = newer.origin.nanos().saturating_sub(self.origin.nanos()) as f64 / 1e9;
        let (mine, theirs) = (self.count as f64, newer.count as f64);
        let time_off = shift + newer.mean_time - self.mean_time;
        let value_off = newer.mean_value - self.mean_value;
        let weight = theirs / (mine + theirs);
        self.mean_time += time_off * weight;
        self.mean_value += value_off * weight;
        self.time_squares += newer.time_squares + time_off * time_off * mine * weight;
        self.products += newer.products + time_off * value_off * mine * weight;
        self.count += newer.count;
    }
}

/// The trends of a group's series, by what tells the series apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trends(Vec<(u64, Trend)>);

impl Trends {
    pub fn add(&mut self, member: u64, at: EventTime, value: f64) {
        self.take_in(member, &Trend::of(at, value));
    }

    /// The sum of the slopes of all series that have one; `None` when no series has.
    pub fn slope(&self) -> Option<f64> {
        total_slope(self.0.iter().map(|(_, trend)| trend.slope()))
    }

    fn take_in(&mut self, member: u64, trend: &Trend) {
        match self.0.binary_search_by_key(&member, |(member, _)| *member) {
            Ok(at) => self.0[at].1.merge(trend),
            Err(at) => self.0.insert(at, (member, *trend)),
        }
    }
}

impl Merge for Trends {
    fn merge(&mut self, newer: &Trends) {
        for (member, trend) in &newer.0 {
            self.take_in(*member, trend);
        }
    }
}

/// Adds up the slopes that are defined, in the order given.
pub fn total_slope(slopes: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    slopes.flatten().reduce(|total, slope| total + slope).filter(|total| total.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_000_000_000_000;

    fn trends(samples: &[(u64, i64, f64)]) -> Trends {
        let mut trends = Trends::default();
        for (member, millis, value) in samples {
            trends.add(*member, EventTime::from_nanos(START + millis * 1_000_000), *value);
        }
        trends
    }

    #[track_caller]
    fn check(samples: &[(u64, i64, f64)], expected: Option<f64>) {
        let slope = trends(samples).slope();
        match (slope, expected) {
            (Some(slope), Some(expected)) => {
                assert!((slope - expected).abs() < 1e-9, "{slope} {expected}");
            }
            (slope, expected) => assert_eq!(slope, expected, "{samples:?}"),
        }
        for cut in 0..=samples.len() {
            let mut halves = trends(&samples[..cut]);
            halves.merge(&trends(&samples[cut..]));
            let merged = halves.slope();
            assert_eq!(merged.is_some(), slope.is_some());
            let off = merged.unwrap_or(0.0) - slope.unwrap_or(0.0);
            assert!(off.abs() < 1e-9, "cut at {cut}: off by {off}");
        }
    }

    #[test]
    fn a_slope_is_per_second_and_summed_over_series() {
        check(&[], None);
        check(&[(1, 0, 5.0)], None);
        check(&[(1, 0, 5.0), (2, 1000, 7.0)], None);
        check(&[(1, 0, 5.0), (1, 0, 9.0)], None);
        check(&[(1, 0, 5.0), (1, 500, 6.0)], Some(2.0));
        check(&[(1, 0, 5.0), (2, 0, 9.0), (1, 500, 6.0), (2, 2000, 3.0)], Some(2.0 - 3.0));
        check(&[(1, 0, 1.0), (1, 1000, 2.0), (1, 2000, 6.0), (9, 0, 1e6)], Some(2.5));
        check(&[(1, 0, 1e9), (1, 1, 1e9 + 1.0)], Some(1000.0));
    }
}
