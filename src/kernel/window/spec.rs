//! What one input's windows must keep: worked out once per rule, shared by all of its groups.

use serde::{Deserialize, Serialize};

use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::view::Reduction;
use crate::kernel::rule::{Rule, Shape};

/// The shape of the windows of one input of a rule, and the parts that its conditions read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowSpec {
    pub(super) shape: Shape,
    pub(super) parts: Parts,
    /// There when the rule declares and reads an ewma.
    pub(super) half_life: Option<Duration>,
    /// How many panes, or samples of a `last(n)`, a window holds when all goes well.
    pub(super) panes: u32,
}

/// How a sliding window cuts time into panes. A pane's number is its end over `every`, so panes
/// are numbered from the epoch.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    pub length: Duration,
    pub every: Duration,
}

/// What panes keep besides a count: nobody pays for what no condition reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    pub sum: bool,
    /// Min and max.
    pub range: bool,
    pub moments: bool,
    /// First and last.
    pub ends: bool,
    /// Increase and delta.
    pub moves: bool,
    pub trends: bool,
    pub sketch: bool,
    pub share: bool,
    pub distinct: bool,
}

impl WindowSpec {
    /// One for each input of a rule with a window.
    pub fn all(rule: &Rule) -> Vec<WindowSpec> {
        let inputs = 0..rule.inputs.len() as u8;
        inputs.filter_map(|input| WindowSpec::new(rule, input)).collect()
    }

    /// `None` when the rule has no window.
    pub fn new(rule: &Rule, input: u8) -> Option<WindowSpec> {
        WindowSpec::of(rule.shape, &rule.reductions(input), rule.declared.ewma)
    }

    /// As [`WindowSpec::new`], from the parts of a rule that matter here.
    pub fn of(
        shape: Shape,
        reads: &[Reduction],
        half_life: Option<Duration>,
    ) -> Option<WindowSpec> {
        match shape {
            Shape::Each | Shape::Latest { .. } => None,
            Shape::Sliding { .. } | Shape::Session { .. } | Shape::Count { .. } => {
                let half_life = half_life.filter(|_| reads.contains(&Reduction::Ewma));
                let parts = Parts::for_reading(reads);
                Some(WindowSpec { shape, parts, half_life, panes: panes_of(shape) })
            }
        }
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What the overflow group keeps, into which all groups past the limit fold: count, sum, mean,
    /// min and max, whose cost does not depend on how many series there are.
    pub fn for_overflow(&self) -> WindowSpec {
        let Parts { sum, range, .. } = self.parts;
        let parts = Parts { sum, range, ..Parts::default() };
        WindowSpec { parts, half_life: None, ..self.clone() }
    }

    /// Whether a window that was kept for `old` can go on under this spec: the shape is the same
    /// and nothing is read that was not kept.
    pub fn continues(&self, old: &WindowSpec) -> bool {
        let kept = self.parts.list().iter().zip(old.parts.list()).all(|(new, old)| old || !new);
        let faded = self.half_life.is_none() || self.half_life == old.half_life;
        self.shape == old.shape && kept && faded
    }

    /// The panes of a sliding window.
    pub(super) fn grid(&self) -> Grid {
        match self.shape {
            Shape::Sliding { length, every } => Grid { length, every },
            Shape::Each | Shape::Latest { .. } | Shape::Session { .. } | Shape::Count { .. } => {
                panic!("only a sliding window has a grid")
            }
        }
    }

    /// Whether it matters what a sample's series said before it.
    pub fn reads_previous(&self) -> bool {
        self.parts.moves
    }

    /// Whether it matters which series a sample is of.
    pub fn tells_members_apart(&self) -> bool {
        self.parts.trends
    }

    pub(super) fn keeps(&self, reduction: Reduction) -> bool {
        match reduction {
            Reduction::Count => true,
            Reduction::Sum | Reduction::Mean => self.parts.sum,
            Reduction::Min | Reduction::Max => self.parts.range,
            Reduction::First | Reduction::Last => self.parts.ends,
            Reduction::Delta | Reduction::Rate | Reduction::Increase => self.parts.moves,
            Reduction::Stddev => self.parts.moments,
            Reduction::Slope => self.parts.trends,
            Reduction::Quantile(_) => self.parts.sketch,
            Reduction::Share => self.parts.share,
            Reduction::Ewma => self.half_life.is_some(),
            Reduction::Distinct => self.parts.distinct,
        }
    }
}

impl Grid {
    /// The number of the pane that a time falls in.
    pub fn number(&self, at: EventTime) -> i64 {
        let (at, every) = (at.nanos(), self.every.nanos());
        at.div_euclid(every) + i64::from(at.rem_euclid(every) > 0)
    }

    /// The end of a pane; saturates at the end of time.
    pub fn end(&self, number: i64) -> EventTime {
        EventTime::from_nanos(number.saturating_mul(self.every.nanos()))
    }
}

impl Parts {
    /// What is kept beside the panes' records.
    pub fn are_rich(&self) -> bool {
        self.trends || self.sketch || self.distinct
    }

    fn for_reading(reads: &[Reduction]) -> Parts {
        let mut parts = Parts::default();
        for reduction in reads {
            match reduction {
                Reduction::Count | Reduction::Ewma => {}
                Reduction::Sum | Reduction::Mean => parts.sum = true,
                Reduction::Min | Reduction::Max => parts.range = true,
                Reduction::First | Reduction::Last => parts.ends = true,
                Reduction::Delta | Reduction::Rate | Reduction::Increase => parts.moves = true,
                Reduction::Stddev => parts.moments = true,
                Reduction::Slope => parts.trends = true,
                // With the range p0 and p100 are exact, and no quantile lies outside it.
                Reduction::Quantile(_) => (parts.sketch, parts.range) = (true, true),
                Reduction::Share => parts.share = true,
                Reduction::Distinct => parts.distinct = true,
            }
        }
        parts
    }

    fn list(&self) -> [bool; 9] {
        let Parts { sum, range, moments, ends, moves, trends, sketch, share, distinct } = *self;
        [sum, range, moments, ends, moves, trends, sketch, share, distinct]
    }
}

fn panes_of(shape: Shape) -> u32 {
    match shape {
        // One more is open.
        Shape::Sliding { length, every } => length.whole(every).saturating_add(1),
        Shape::Count { count } => u32::try_from(count).unwrap_or(u32::MAX),
        Shape::Each | Shape::Latest { .. } | Shape::Session { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn spec(length: Duration, reads: &[Reduction], half_life: Option<Duration>) -> WindowSpec {
        let shape = Shape::Sliding { length, every: MINUTE };
        WindowSpec::of(shape, reads, half_life).expect("a sliding window is a window")
    }

    #[test]
    fn only_what_is_read_is_kept() {
        let reads = [Reduction::Mean, Reduction::Quantile(990), Reduction::Ewma];
        let spec = spec(MINUTE, &reads, Some(MINUTE));
        for (reduction, kept) in [
            (Reduction::Count, true),
            (Reduction::Mean, true),
            (Reduction::Sum, true),
            (Reduction::Quantile(500), true),
            (Reduction::Max, true),
            (Reduction::Last, false),
            (Reduction::Rate, false),
            (Reduction::Stddev, false),
            (Reduction::Slope, false),
            (Reduction::Share, false),
            (Reduction::Ewma, true),
            (Reduction::Distinct, false),
        ] {
            assert_eq!(spec.keeps(reduction), kept, "{reduction:?}");
            let overflow = matches!(
                reduction,
                Reduction::Count | Reduction::Sum | Reduction::Mean | Reduction::Max
            );
            assert_eq!(spec.for_overflow().keeps(reduction), overflow, "{reduction:?}");
        }
        assert_eq!(WindowSpec::of(Shape::Each, &[], None), None);
        assert_eq!(WindowSpec::of(Shape::Latest { every: MINUTE }, &[], None), None);
    }

    #[test]
    fn a_window_goes_on_when_nothing_more_is_read() {
        use Reduction::{Ewma, Max, Mean};
        let old = spec(MINUTE, &[Mean, Max, Ewma], Some(MINUTE));
        for (new, goes_on) in [
            (spec(MINUTE, &[Mean, Max, Ewma], Some(MINUTE)), true),
            (spec(MINUTE, &[Mean], Some(MINUTE)), true),
            (spec(MINUTE, &[Reduction::Count], None), true),
            (spec(MINUTE, &[Mean, Reduction::Slope], None), false),
            (spec(MINUTE, &[Mean, Ewma], Some(MINUTE * 2)), false),
            (spec(MINUTE * 2, &[Mean], None), false),
        ] {
            assert_eq!(new.continues(&old), goes_on, "{new:?}");
        }
        assert!(!old.continues(&spec(MINUTE, &[Mean, Max], None)));
    }
}
