//! One slice of event time, its samples folded to what the rule asks for.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::cells::Cells;
use super::distinct::Distinct;
use super::ewma::{self, Ewma};
use super::sketch::Sketch;
use super::spec::WindowSpec;
use super::stacks::Merge;
use super::trend::Trends;
use crate::kernel::model::{Duration, EventTime};

/// An accepted sample as a window sees it. Values are finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Folded {
    pub at: EventTime,
    /// The sample's place in the recorded sequence; among equal times it decides what is last.
    pub position: u64,
    /// Tells the group's series apart; the same after a restart and on any shard.
    pub member: u64,
    pub value: f64,
    /// Whether the rule's `.share(..)` holds for it.
    pub share_hit: bool,
    /// [`super::hash_of_label`] or [`super::hash_of_value`]; any number when
    /// the rule declares no `.distinct(..)`.
    pub distinct_hash: u64,
    /// The series' newest accepted sample so far. `None` for the first, and when this sample is
    /// the older one.
    pub previous: Option<(EventTime, f64)>,
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// Its pane is still to be judged.
    Open,
    /// Its pane was judged; a later judgement will see it, but not in rate, increase, delta or
    /// slope.
    LateInWindow,
    /// No judgement to come can see it; it was left out.
    LateGone,
}

/// Whether a sample came before its pane was judged. What compares a sample with the one before
/// it (rate, increase, delta, slope) leaves late ones out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lateness {
    OnTime,
    Late,
}

/// What a run of samples comes to; merges with that of another run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    pub cells: Cells,
    pub trends: Option<Box<Trends>>,
    pub distinct: Option<Box<Distinct>>,
}

impl Fold {
    pub fn fold(&mut self, spec: &WindowSpec, sample: &Folded, lateness: Lateness) {
        self.cells.fold(&spec.parts, sample, lateness);
        if spec.parts.trends && lateness == Lateness::OnTime {
            let trends = self.trends.get_or_insert_default();
            trends.add(sample.member, sample.at, sample.value);
        }
        if spec.parts.distinct {
            self.distinct.get_or_insert_default().add(sample.distinct_hash);
        }
    }
}

impl Merge for Fold {
    fn merge(&mut self, newer: &Fold) {
        self.cells.merge(&newer.cells);
        if let Some(newer) = &newer.trends {
            self.trends.get_or_insert_default().merge(newer);
        }
        if let Some(newer) = &newer.distinct {
            self.distinct.get_or_insert_default().merge(newer);
        }
    }
}

/// The samples in `(end - every, end]`. Open until the watermark is past its end.
///
/// Invariant: it holds a sample, and `first_at <= last_at <= end`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pane {
    pub end: EventTime,
    pub first_at: EventTime,
    pub last_at: EventTime,
    pub fold: Fold,
    /// Not in the fold: it is subtracted again when the pane leaves, which no other part can be.
    pub sketch: Option<Box<Sketch>>,
    /// Not in the fold: it outlives the window.
    pub ewma: Option<Ewma>,
}

/// The panes whose end was not yet judged, by time; only those that hold a sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenPanes(VecDeque<Pane>);

impl OpenPanes {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn first(&self) -> Option<&Pane> {
        self.0.front()
    }

    pub fn fold(&mut self, spec: &WindowSpec, every: Duration, sample: &Folded) {
        let pane = self.pane_of(sample.at, every);
        pane.first_at = pane.first_at.min(sample.at);
        pane.last_at = pane.last_at.max(sample.at);
        pane.fold.fold(spec, sample, Lateness::OnTime);
        if spec.parts.sketch {
            pane.sketch.get_or_insert_default().add(sample.value);
        }
        if let Some(half_life) = spec.half_life {
            ewma::take_in(&mut pane.ewma, Ewma::of(sample.at, sample.value), half_life);
        }
    }

    /// Takes out the first pane when it ends at or before `end`.
    pub fn take_due(&mut self, end: EventTime) -> Option<Pane> {
        self.0.pop_front_if(|pane| pane.end <= end)
    }

    fn pane_of(&mut self, at: EventTime, every: Duration) -> &mut Pane {
        // Nearly every sample falls in the newest pane; asking it first saves a division.
        let newest = self.0.back().is_some_and(|pane| pane.end - every < at && at <= pane.end);
        let index = if newest { self.0.len() - 1 } else { self.index_of(at, every) };
        &mut self.0[index]
    }

    fn index_of(&mut self, at: EventTime, every: Duration) -> usize {
        let end = at.pane_end(every);
        let index = self.0.partition_point(|pane| pane.end < end);
        if self.0.get(index).is_none_or(|pane| pane.end != end) {
            let (fold, sketch, ewma) = (Fold::default(), None, None);
            self.0.insert(index, Pane { end, first_at: at, last_at: at, fold, sketch, ewma });
        }
        index
    }
}
