//! Folds over a group's series, after each was reduced to one value.

use super::sum::Sum;
use crate::kernel::rule::Across;

/// Folds the live series' values, which are put in order, so that a sum is the same in whatever
/// order they were given. `None` when there are none, or when the result
/// went past the range of `f64`.
pub fn fold(across: Across, values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let result = match across {
        Across::Sum => sum(values),
        Across::Mean => sum(values) / values.len() as f64,
        Across::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        Across::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Across::Count => values.len() as f64,
        Across::Quantile(q) => quantile(q, values),
    };
    result.is_finite().then_some(result)
}

fn sum(values: &[f64]) -> f64 {
    let mut sum = Sum::default();
    values.iter().for_each(|value| sum.add(*value));
    sum.value()
}

/// Between the two nearest ranks by distance, as Prometheus's `quantile` does.
fn quantile(q: f64, values: &[f64]) -> f64 {
    let rank = q.clamp(0.0, 1.0) * (values.len() - 1) as f64;
    let (lower, weight) = (rank.floor() as usize, rank - rank.floor());
    let upper = (lower + 1).min(values.len() - 1);
    values[lower] * (1.0 - weight) + values[upper] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(across: Across, values: &[f64], expected: Option<f64>) {
        assert_eq!(fold(across, &mut values.to_vec()), expected, "{across:?} of {values:?}");
    }

    #[test]
    fn a_sum_does_not_depend_on_the_order_of_its_values() {
        let values = [0.1, 1e16, -3.7, 1e-9, 7e15, -1e16, 0.3];
        let sum = |turn: usize| {
            let mut values = values;
            values.rotate_left(turn);
            values[turn % 3..].reverse();
            fold(Across::Sum, &mut values)
        };
        assert!((0..7).all(|turn| sum(turn) == sum(0)));
    }

    #[test]
    fn each_fold_by_its_definition() {
        let values = [4.0, -1.0, 3.0, 2.0];
        check(Across::Sum, &values, Some(8.0));
        check(Across::Mean, &values, Some(2.0));
        check(Across::Min, &values, Some(-1.0));
        check(Across::Max, &values, Some(4.0));
        check(Across::Count, &values, Some(4.0));
        check(Across::Quantile(0.0), &values, Some(-1.0));
        check(Across::Quantile(0.5), &values, Some(2.5));
        check(Across::Quantile(0.75), &values, Some(3.25));
        check(Across::Quantile(1.0), &values, Some(4.0));
        check(Across::Quantile(0.5), &[7.0], Some(7.0));
    }

    #[test]
    fn without_series_or_past_the_range_there_is_no_value() {
        for across in [Across::Sum, Across::Mean, Across::Count, Across::Quantile(0.5)] {
            check(across, &[], None);
        }
        check(Across::Sum, &[f64::MAX, f64::MAX], None);
        check(Across::Max, &[f64::MAX, f64::MAX], Some(f64::MAX));
        check(Across::Quantile(0.5), &[f64::MAX, f64::MAX], Some(f64::MAX));
        check(Across::Sum, &[1.0, 1e100, 1.0, -1e100], Some(2.0));
    }
}
