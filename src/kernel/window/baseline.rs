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
/// Values are folded into at most [`Baseline::PANES_MAX`] panes, each as many lengths wide as that
/// takes; when the span holds no more ends than that, each value has its own. A pane leaves as a
/// whole with its oldest value, so a baseline of wide panes reaches back over the span less at most
/// one pane, and never over more than the span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The value at the newest end, until a whole length has passed since.
    waiting: Option<(EventTime, f64)>,
    /// For each pane the end of the first window in it.
    starts: VecDeque<(EventTime, EventTime)>,
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
    pub const PANES_MAX: i64 = 128;

    /// Moves on to the judgement at `at`, where the window's reduction had this value: first lets
    /// in what has become old enough, then keeps the value for later. To be called at every
    /// judgement, in order; ends may be skipped while there is no data.
    pub fn close(&mut self, spec: &BaselineSpec, at: EventTime, value: Option<f64>) {
        let (newest, oldest) = (at - spec.length, at - spec.length - spec.span);
        if let Some((end, value)) = self.waiting.take_if(|(end, _)| *end <= newest) {
            self.enter(spec, end, value);
        }
        while self.starts.pop_front_if(|(_, first)| *first <= oldest).is_some() {
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
        if self.starts.back().is_some_and(|(newest, _)| *newest == pane) {
            self.panes.update(self.panes.len() - 1, |newest| newest.merge(&values));
        } else {
            self.starts.push_back((pane, end));
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

