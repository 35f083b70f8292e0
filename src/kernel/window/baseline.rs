//! What is normal for a group: its window's own values over a trailing span.
//!
//! At time `t` a baseline summarises the values that one reduction had at the non-overlapping
//! window ends (multiples of the window's length) in `(t - length - span, t - length]`, so the
//! window that is being judged is never part of its own baseline.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::stacks::{Merge, TwoStacks};
use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::Shape;
use crate::kernel::rule::view::BaseStat;

/// The lengths that a rule's baselines have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineSpec {
    length: Duration,
    span: Duration,
    pane: Duration,
}

/// The baseline of one group and reduction.
///
/// Values are folded into at most 128 panes, each as many lengths wide as that takes; when the span
/// holds no more ends than that, each value has its own. A pane leaves as a whole with its oldest
/// value, so a baseline of wide panes reaches back over the span less at most one pane, and never
/// over more than the span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The value at the newest end, until a whole length has passed since.
    waiting: Option<(EventTime, f64)>,
    /// For each pane where it ends, and the end of the first window in it.
    ends: VecDeque<(EventTime, EventTime)>,
    panes: TwoStacks<Values>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Values {
    count: u64,
    mean: f64,
    /// Sum of squared deviations.
    squares: f64,
    low: f64,
    high: f64,
}

impl BaselineSpec {
    /// The error is for the rule's author.
    pub fn new(shape: Shape, span: Duration) -> Result<BaselineSpec, String> {
        let Shape::Sliding { length, .. } = shape else {
            return Err("a baseline needs .window(..) or .tumbling(..)".into());
        };
        if span < length {
            return Err(format!(
                "a baseline of {span} holds no window of {length}; write a longer span"
            ));
        }
        // One fewer than the limit, as an aligned grid may cut the span into one more.
        let ends = span.nanos() / length.nanos();
        let per_pane = if ends <= Baseline::PANES_MAX { 1 } else { (ends + 126) / 127 };
        Ok(BaselineSpec { length, span, pane: length * per_pane })
    }
}

impl Baseline {
    const PANES_MAX: i64 = 128;

    /// Moves on to the judgement at `at`, where the window's reduction had this value: first lets
    /// in what has become old enough, then keeps the value for later. To be called at every
    /// judgement, in order; ends may be skipped while there is no data.
    pub fn close(&mut self, spec: &BaselineSpec, at: EventTime, value: Option<f64>) {
        let (newest, oldest) = (at - spec.length, at - spec.length - spec.span);
        if let Some((end, value)) = self.waiting.take_if(|(end, _)| *end <= newest) {
            self.enter(spec, end, value);
        }
        while self.ends.pop_front_if(|(_, first)| *first <= oldest).is_some() {
            self.panes.pop();
        }
        if let Some(value) = value
            && at == at.floor(spec.length)
        {
            self.waiting = Some((at, value));
        }
    }

    /// A figure as of the last [`Baseline::close`]. Without values the count is 0 and the others
    /// are undefined; the deviation is the population's.
    pub fn stat(&self, stat: BaseStat) -> Option<f64> {
        let values = self.panes.total();
        if stat == BaseStat::Count {
            return Some(values.map_or(0.0, |values| values.count as f64));
        }
        let values = values?;
        let value = match stat {
            BaseStat::Count => values.count as f64,
            BaseStat::Mean => values.mean,
            BaseStat::Stddev => (values.squares / values.count as f64).sqrt(),
            BaseStat::Min => values.low,
            BaseStat::Max => values.high,
        };
        value.is_finite().then_some(value)
    }

    /// Panes kept, for the limit on them.
    pub fn panes(&self) -> usize {
        self.panes.len()
    }

    fn enter(&mut self, spec: &BaselineSpec, end: EventTime, value: f64) {
        let pane = end.pane_end(spec.pane);
        let values = Values { count: 1, mean: value, squares: 0.0, low: value, high: value };
        if self.ends.back().is_some_and(|(newest, _)| *newest == pane) {
            self.panes.update(self.panes.len() - 1, |newest| newest.merge(&values));
        } else {
            self.ends.push_back((pane, end));
            self.panes.push(values);
        }
    }
}

impl Merge for Values {
    fn merge(&mut self, newer: &Values) {
        let (mine, theirs) = (self.count as f64, newer.count as f64);
        let off = newer.mean - self.mean;
        let weight = theirs / (mine + theirs);
        self.mean += off * weight;
        self.squares += newer.squares + off * off * mine * weight;
        self.low = self.low.min(newer.low);
        self.high = self.high.max(newer.high);
        self.count += newer.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn minute(minutes: i64) -> EventTime {
        EventTime::from_nanos(minutes * MINUTE.nanos())
    }

    fn spec(span_minutes: i64) -> BaselineSpec {
        let shape = Shape::Sliding { length: MINUTE, every: Duration::from_secs(15) };
        BaselineSpec::new(shape, MINUTE * span_minutes).expect("the span is longer than the window")
    }

    const STATS: [BaseStat; 5] =
        [BaseStat::Count, BaseStat::Mean, BaseStat::Stddev, BaseStat::Min, BaseStat::Max];

    /// Judges every 15 s from `first` to `last`, with the minute's number as the value at each
    /// whole minute and nonsense in between.
    fn run(baseline: &mut Baseline, spec: &BaselineSpec, first: i64, last: i64) {
        for quarter in first * 4..=last * 4 {
            let at = EventTime::from_nanos(quarter * MINUTE.nanos() / 4);
            let value = if quarter % 4 == 0 { quarter as f64 / 4.0 } else { 1e9 };
            baseline.close(spec, at, Some(value));
        }
    }

    #[track_caller]
    fn check(baseline: &Baseline, expected: [Option<f64>; 5]) {
        for (stat, expected) in STATS.into_iter().zip(expected) {
            match (baseline.stat(stat), expected) {
                (Some(got), Some(expected)) => {
                    assert!((got - expected).abs() < 1e-9, "{stat:?}: {got}, not {expected}");
                }
                (got, expected) => assert_eq!(got, expected, "{stat:?}"),
            }
        }
    }

    #[test]
    fn the_window_being_judged_is_not_part_of_its_baseline() {
        let (spec, mut baseline) = (spec(3), Baseline::default());
        check(&baseline, [Some(0.0), None, None, None, None]);
        run(&mut baseline, &spec, 10, 10);
        check(&baseline, [Some(0.0), None, None, None, None]);
        // One nanosecond before the window that ended at minute 10 has passed, and when it has.
        baseline.close(&spec, EventTime::from_nanos(minute(11).nanos() - 1), None);
        assert_eq!(baseline.stat(BaseStat::Count), Some(0.0));
        run(&mut baseline, &spec, 11, 11);
        check(&baseline, [Some(1.0), Some(10.0), Some(0.0), Some(10.0), Some(10.0)]);
        run(&mut baseline, &spec, 12, 13);
        let deviation = (2.0f64 / 3.0).sqrt();
        check(&baseline, [Some(3.0), Some(11.0), Some(deviation), Some(10.0), Some(12.0)]);
    }

    #[test]
    fn a_value_leaves_when_the_span_has_passed() {
        let (spec, mut baseline) = (spec(3), Baseline::default());
        run(&mut baseline, &spec, 10, 13);
        // (t - 4 m, t - 1 m] still holds minute 10 just before t = 14 m, and no longer then.
        baseline.close(&spec, EventTime::from_nanos(minute(14).nanos() - 1), None);
        assert_eq!(baseline.stat(BaseStat::Min), Some(10.0));
        baseline.close(&spec, minute(14), None);
        check(
            &baseline,
            [Some(3.0), Some(12.0), Some((2.0f64 / 3.0).sqrt()), Some(11.0), Some(13.0)],
        );
        // Minutes without data leave no value; long after, nothing is left.
        baseline.close(&spec, minute(17), None);
        assert_eq!(baseline.stat(BaseStat::Count), Some(0.0));
    }

    #[test]
    fn a_long_span_counts_all_values_in_few_panes() {
        let (spec, mut baseline) = (spec(1440), Baseline::default());
        for last in 0..4_000 {
            run(&mut baseline, &spec, last, last);
            assert!(baseline.panes() <= Baseline::PANES_MAX as usize);
            let (count, oldest) = (baseline.stat(BaseStat::Count), baseline.stat(BaseStat::Min));
            let (Some(count), Some(oldest)) = (count, oldest) else { continue };
            // Twelve minutes to a pane: never older than the span, never a whole pane short.
            let expected = last.min(1_440) as f64;
            assert!(expected - 12.0 < count && count <= expected, "{count} at {last}");
            assert_eq!(oldest, last as f64 - count);
            assert_eq!(baseline.stat(BaseStat::Max), Some(last as f64 - 1.0));
            let mean = (oldest + last as f64 - 1.0) / 2.0;
            assert!((baseline.stat(BaseStat::Mean).unwrap_or(0.0) - mean).abs() < 1e-6);
        }
    }

    #[test]
    fn a_baseline_survives_a_snapshot() {
        let (spec, mut baseline) = (spec(1440), Baseline::default());
        run(&mut baseline, &spec, 0, 2_000);
        let bytes = postcard::to_allocvec(&baseline).expect("plain numbers");
        let mut restored: Baseline = postcard::from_bytes(&bytes).expect("it was just written");
        run(&mut baseline, &spec, 2_001, 4_000);
        run(&mut restored, &spec, 2_001, 4_000);
        assert_eq!(baseline, restored);
    }

    #[test]
    fn a_baseline_needs_windows_that_fit_into_it() {
        let sliding = Shape::Sliding { length: MINUTE, every: MINUTE };
        assert!(BaselineSpec::new(sliding, MINUTE).is_ok());
        for (shape, span, words) in [
            (sliding, Duration::from_secs(59), "holds no window of 1m"),
            (Shape::Each, MINUTE, "needs .window(..)"),
            (Shape::Count { count: 5 }, MINUTE, "needs .window(..)"),
        ] {
            let why = BaselineSpec::new(shape, span).expect_err(words);
            assert!(why.contains(words), "{why}");
        }
    }
}
