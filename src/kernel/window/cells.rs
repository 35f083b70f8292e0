//! The fixed-size parts of a fold, and the reductions that are read from them.

use serde::{Deserialize, Serialize};

use super::pane::{Folded, Lateness};
use super::spec::Parts;
use super::stacks::Merge;
use super::sum::Sum;
use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::view::Reduction;

/// What some samples come to: 152 bytes however many there were. A part that [`Parts`] does not
/// ask for is never touched and must not be read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cells {
    count: u64,
    /// Samples for which the rule's `.share(..)` held.
    hits: u64,
    sum: Sum,
    low: f64,
    high: f64,
    moments: Moments,
    first: Mark,
    last: Mark,
    moves: Moves,
}

/// Welford's mean and sum of squared deviations; the count is that of the cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Moments {
    mean: f64,
    squares: f64,
}

/// A sample by its place in the order of (event time, position).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Mark {
    at: EventTime,
    position: u64,
    value: f64,
}

/// How values moved against the same series' sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Moves {
    /// Samples that had one before them.
    count: u64,
    increase: Sum,
    delta: Sum,
}

impl Default for Cells {
    fn default() -> Cells {
        Cells {
            count: 0,
            hits: 0,
            sum: Sum::default(),
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            moments: Moments::default(),
            first: Mark::default(),
            last: Mark::default(),
            moves: Moves::default(),
        }
    }
}

impl Cells {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn fold(&mut self, parts: &Parts, sample: &Folded, lateness: Lateness) {
        self.count += 1;
        self.hits += u64::from(sample.share_hit);
        if parts.sum {
            self.sum.add(sample.value);
        }
        if parts.range {
            self.low = self.low.min(sample.value);
            self.high = self.high.max(sample.value);
        }
        if parts.moments {
            self.moments.add(sample.value, self.count);
        }
        if parts.ends {
            self.mark(Mark { at: sample.at, position: sample.position, value: sample.value });
        }
        if parts.moves
            && lateness == Lateness::OnTime
            && let Some((_, previous)) = sample.previous
        {
            self.moves.add(previous, sample.value);
        }
    }

    /// Reads a reduction; `length` is the window's, for `rate`. `None` when it is undefined, when
    /// it went past the range of `f64`, and for the reductions that cells do not hold (quantiles,
    /// slope, ewma, distinct).
    pub fn read(&self, reduction: Reduction, length: Option<Duration>) -> Option<f64> {
        if self.is_empty() {
            return None;
        }
        let count = self.count as f64;
        let moved = |sum: Sum| (self.moves.count > 0).then(|| sum.value());
        let value = match reduction {
            Reduction::Count => count,
            Reduction::Sum => self.sum.value(),
            Reduction::Mean => self.sum.value() / count,
            Reduction::Min => self.low,
            Reduction::Max => self.high,
            Reduction::First => self.first.value,
            Reduction::Last => self.last.value,
            Reduction::Delta => moved(self.moves.delta)?,
            Reduction::Rate => moved(self.moves.increase)? / length?.as_secs_f64(),
            Reduction::Increase => moved(self.moves.increase)?,
            Reduction::Stddev => (self.moments.squares / count).sqrt(),
            Reduction::Share => self.hits as f64 / count,
            Reduction::Quantile(_) | Reduction::Slope | Reduction::Ewma | Reduction::Distinct => {
                return None;
            }
        };
        value.is_finite().then_some(value)
    }

    /// The lowest and the highest value.
    pub fn range(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    fn mark(&mut self, mark: Mark) {
        // Folds count first, so a count of one says that the marks hold nothing yet.
        let only = self.count == 1;
        if only || mark.place() < self.first.place() {
            self.first = mark;
        }
        if only || mark.place() >= self.last.place() {
            self.last = mark;
        }
    }
}

impl Merge for Cells {
    fn merge(&mut self, newer: &Cells) {
        if newer.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = *newer;
            return;
        }
        self.moments.merge(self.count, &newer.moments, newer.count);
        self.count += newer.count;
        self.hits += newer.hits;
        self.sum.merge(&newer.sum);
        self.low = self.low.min(newer.low);
        self.high = self.high.max(newer.high);
        if newer.first.place() < self.first.place() {
            self.first = newer.first;
        }
        if newer.last.place() >= self.last.place() {
            self.last = newer.last;
        }
        self.moves.merge(&newer.moves);
    }
}

impl Moments {
    /// `count` includes the value.
    fn add(&mut self, value: f64, count: u64) {
        let off = value - self.mean;
        self.mean += off / count as f64;
        self.squares += off * (value - self.mean);
    }

    /// Chan, Golub and LeVeque's pairwise update.
    fn merge(&mut self, mine: u64, other: &Moments, theirs: u64) {
        let (mine, theirs) = (mine as f64, theirs as f64);
        let off = other.mean - self.mean;
        let weight = theirs / (mine + theirs);
        self.mean += off * weight;
        self.squares += other.squares + off * off * mine * weight;
    }
}

impl Mark {
    fn place(&self) -> (EventTime, u64) {
        (self.at, self.position)
    }
}

impl Moves {
    fn add(&mut self, previous: f64, value: f64) {
        self.count += 1;
        // A counter that went down was reset, and has since counted up to its value.
        self.increase.add(if value < previous { value } else { value - previous });
        self.delta.add(value - previous);
    }

    fn merge(&mut self, other: &Moves) {
        self.count += other.count;
        self.increase.merge(&other.increase);
        self.delta.merge(&other.delta);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_place_keep_the_order_they_came_in() {
        let parts = Parts { ends: true, ..Parts::default() };
        let cells = |values: &[f64]| {
            let mut cells = Cells::default();
            for value in values {
                let (at, previous) = (EventTime::from_nanos(7), None);
                let (share_hit, distinct_hash) = (false, 0);
                let (position, member, value) = (3, 0, *value);
                let sample =
                    Folded { at, position, member, value, share_hit, distinct_hash, previous };
                cells.fold(&parts, &sample, Lateness::OnTime);
            }
            cells
        };
        let ends =
            |cells: Cells| [Reduction::First, Reduction::Last].map(|end| cells.read(end, None));
        let mut halves = cells(&[5.0, 1.0]);
        halves.merge(&cells(&[4.0, 2.0]));
        assert_eq!(ends(halves), [Some(5.0), Some(2.0)]);
        assert_eq!(ends(cells(&[5.0, 1.0, 2.0])), [Some(5.0), Some(2.0)]);
        assert_eq!(ends(Cells::default()), [None, None]);
    }
}
