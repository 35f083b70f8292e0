//! One slice of event time, its samples folded to what the rule asks for.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::distinct::Distinct;
use super::ewma::{self, Ewma};
use super::record::{Halves, Kept};
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

/// What grows with a group's series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heavy {
    pub trends: Option<Box<Trends>>,
    pub distinct: Option<Box<Distinct>>,
}

impl Heavy {
    pub fn fold(&mut self, spec: &WindowSpec, sample: &Folded, lateness: Lateness) {
        if spec.parts.trends && lateness == Lateness::OnTime {
            let trends = self.trends.get_or_insert_default();
            trends.add(sample.member, sample.at, sample.value);
        }
        if spec.parts.distinct {
            self.distinct.get_or_insert_default().add(sample.distinct_hash);
        }
    }
}

impl Merge for Heavy {
    fn merge(&mut self, newer: &Heavy) {
        if let Some(newer) = &newer.trends {
            self.trends.get_or_insert_default().merge(newer);
        }
        if let Some(newer) = &newer.distinct {
            self.distinct.get_or_insert_default().merge(newer);
        }
    }
}

/// What a run of samples comes to; merges with that of another run. It begins with a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    count: u64,
    kept: Kept,
    record: Box<[u64]>,
    pub heavy: Heavy,
}

impl Fold {
    pub fn of(spec: &WindowSpec, sample: &Folded) -> Fold {
        let kept = Kept::new(&spec.parts);
        let mut record = vec![0; kept.words()].into_boxed_slice();
        kept.begin(&mut record, sample, Lateness::OnTime);
        let mut heavy = Heavy::default();
        heavy.fold(spec, sample, Lateness::OnTime);
        Fold { count: 1, kept, record, heavy }
    }

    pub fn fold(&mut self, spec: &WindowSpec, sample: &Folded, lateness: Lateness) {
        self.count += 1;
        self.kept.add(&mut self.record, sample, lateness);
        self.heavy.fold(spec, sample, lateness);
    }

    pub fn merge(&mut self, newer: &Fold) {
        self.count += newer.count;
        self.kept.merge(&mut self.record, &newer.record);
        self.heavy.merge(&newer.heavy);
    }

    pub fn halves(&self) -> Halves<'_> {
        Halves { kept: self.kept, count: self.count, older: Some(&self.record), newer: None }
    }
}

/// The samples in `(end - every, end]`. Open until the watermark is past its end.
///
/// Invariant: `first_at <= last_at <= end`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pane {
    pub end: EventTime,
    pub first_at: EventTime,
    pub last_at: EventTime,
    pub fold: Fold,
    pub sketch: Option<Box<Sketch>>,
    /// Not in the fold: it outlives the window.
    pub ewma: Option<Ewma>,
}

impl Pane {
    fn of(end: EventTime, spec: &WindowSpec, sample: &Folded) -> Pane {
        let (first_at, last_at) = (sample.at, sample.at);
        Pane { end, first_at, last_at, fold: Fold::of(spec, sample), sketch: None, ewma: None }
    }
}

/// A session's panes whose end was not yet judged, by time; only those that hold a sample.
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
        let end = sample.at.pane_end(every);
        let index = self.0.partition_point(|pane| pane.end < end);
        if self.0.get(index).is_some_and(|pane| pane.end == end) {
            let pane = &mut self.0[index];
            pane.first_at = pane.first_at.min(sample.at);
            pane.last_at = pane.last_at.max(sample.at);
            pane.fold.fold(spec, sample, Lateness::OnTime);
        } else {
            self.0.insert(index, Pane::of(end, spec, sample));
        }
        let pane = &mut self.0[index];
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
}
