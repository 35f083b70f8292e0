//! The window `(t - length, t]`, judged at every multiple `t` of `every`; tumbling when both are
//! equal.
//!
//! A pane's number is its end over `every`. What all rules read of a pane lies in the [`Ring`];
//! what only some read (quantiles, slopes, distinct counts, averages that fade) in the [`Rich`]
//! beside it, which other windows do without.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::distinct::Distinct;
use super::ewma::{self, Ewma};
use super::pane::{Folded, Heavy, Lateness, Placed};
use super::ring::Ring;
use super::sketch::Sketch;
use super::spec::{Grid, WindowSpec};
use super::stacks::{Merge, TwoStacks};
use super::trend::Trends;
use crate::kernel::model::EventTime;

/// Invariants: `panes` holds one item for each record of the ring, `folds` one for each record of
/// a judged pane, and `sketch` is the merge of the judged panes' sketches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rich {
    panes: VecDeque<RichPane>,
    folds: TwoStacks<Heavy>,
    sketch: Sketch,
    ewma: Option<Ewma>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct RichPane {
    /// Until the pane is judged; then it is in the folds.
    heavy: Heavy,
    /// Not in the folds: it is subtracted again when the pane leaves, which no other part can be.
    sketch: Option<Box<Sketch>>,
    /// Not in the folds: it outlives the window.
    ewma: Option<Ewma>,
}

/// Takes in a sample. `closed` is the end that was judged last.
pub fn fold(
    (ring, rich): (&mut Ring, Option<&mut Rich>),
    spec: &WindowSpec,
    closed: EventTime,
    sample: &Folded,
) -> Placed {
    let grid = spec.grid();
    if closed < sample.at {
        let spot = ring.fold(spec, number_of(ring, &grid, sample.at), sample);
        if let Some(rich) = rich {
            if spot.fresh {
                rich.panes.insert(spot.at, RichPane::default());
            }
            rich.panes[spot.at].fold(spec, sample);
        }
        return Placed::Open;
    }
    // The start of the next window to be judged.
    if sample.at <= closed + grid.every - grid.length {
        return Placed::LateGone;
    }
    let spot = ring.fold_late(spec, grid.number(sample.at), sample);
    if let Some(rich) = rich {
        rich.fold_late(spec, (spot.at, spot.fresh), sample);
    }
    ring.changed = true;
    Placed::LateInWindow
}

/// Moves the window to `(end - length, end]`. Returns whether a sample entered or left since the
/// last time.
pub fn close(
    (ring, mut rich): (&mut Ring, Option<&mut Rich>),
    spec: &WindowSpec,
    end: EventTime,
) -> bool {
    let grid = spec.grid();
    let start = end - grid.length;
    let mut changed = std::mem::take(&mut ring.changed);
    while ring.oldest().is_some_and(|oldest| grid.end(oldest) <= start) {
        ring.pop();
        if let Some(rich) = &mut rich {
            rich.pop();
        }
        changed = true;
    }
    while let Some(number) = ring.first_open().filter(|number| grid.end(*number) <= end) {
        // A close that skips ends may find panes that the window has passed already.
        let passed = grid.end(number) <= start;
        if let Some(rich) = &mut rich {
            rich.enter(spec, ring.judged(), passed);
        }
        if passed {
            ring.skip();
        } else {
            ring.enter();
            changed = true;
        }
    }
    if let Some(rich) = rich {
        rich.tidy(ring.judged());
    }
    if ring.len() == 0 {
        // Most groups are idle at most times; they should not hold on to buffers.
        ring.clear();
    }
    changed
}

/// As [`Grid::number`]; asking the newest pane first saves a division for nearly every sample.
fn number_of(ring: &Ring, grid: &Grid, at: EventTime) -> i64 {
    if let Some(newest) = ring.newest() {
        let end = grid.end(newest);
        if end - grid.every < at && at <= end {
            return newest;
        }
        if end < at && at <= end + grid.every {
            return newest + 1;
        }
    }
    grid.number(at)
}

impl Rich {
    pub fn trends(&self) -> Option<Trends> {
        let (older, newer) = self.folds.halves();
        merged([older, newer].map(|fold| fold?.trends.as_deref()))
    }

    pub fn distinct(&self) -> Option<Distinct> {
        let (older, newer) = self.folds.halves();
        merged([older, newer].map(|fold| fold?.distinct.as_deref()))
    }

    pub fn sketch(&self) -> &Sketch {
        &self.sketch
    }

    pub fn ewma(&self) -> Option<f64> {
        self.ewma?.value()
    }

    fn fold_late(&mut self, spec: &WindowSpec, (at, fresh): (usize, bool), sample: &Folded) {
        if fresh {
            let mut heavy = Heavy::default();
            heavy.fold(spec, sample, Lateness::Late);
            self.folds.insert(at, heavy);
            self.panes.insert(at, RichPane::default());
        } else {
            self.folds.update(at, |heavy| heavy.fold(spec, sample, Lateness::Late));
        }
        if spec.parts.sketch {
            self.panes[at].sketch.get_or_insert_default().add(sample.value);
            self.sketch.add(sample.value);
        }
        if let Some(half_life) = spec.half_life {
            ewma::take_in(&mut self.ewma, Ewma::of(sample.at, sample.value), half_life);
        }
    }

    fn pop(&mut self) {
        self.folds.pop();
        let pane = self.panes.pop_front().expect("there is one for each record");
        if let Some(sketch) = pane.sketch {
            self.sketch.subtract(&sketch);
        }
    }

    /// The pane at `at` is judged, or left out when the window has passed it.
    fn enter(&mut self, spec: &WindowSpec, at: usize, passed: bool) {
        let pane = &mut self.panes[at];
        if let (Some(half_life), Some(more)) = (spec.half_life, pane.ewma.take()) {
            ewma::take_in(&mut self.ewma, more, half_life);
        }
        if passed {
            self.panes.remove(at);
            return;
        }
        if let Some(sketch) = &pane.sketch {
            self.sketch.merge(sketch);
        }
        self.folds.push(std::mem::take(&mut pane.heavy));
    }

    /// Puts in order what a close left behind.
    fn tidy(&mut self, judged: usize) {
        if self.panes.is_empty() {
            *self = Rich { ewma: self.ewma, ..Rich::default() };
        } else if self.sketch.is_needlessly_coarse() {
            self.sketch = Sketch::default();
            let sketches = self.panes.iter().take(judged).filter_map(|pane| pane.sketch.as_ref());
            sketches.for_each(|sketch| self.sketch.merge(sketch));
        }
    }
}

impl RichPane {
    fn fold(&mut self, spec: &WindowSpec, sample: &Folded) {
        self.heavy.fold(spec, sample, Lateness::OnTime);
        if spec.parts.sketch {
            self.sketch.get_or_insert_default().add(sample.value);
        }
        if let Some(half_life) = spec.half_life {
            ewma::take_in(&mut self.ewma, Ewma::of(sample.at, sample.value), half_life);
        }
    }
}

fn merged<T: Merge>([older, newer]: [Option<&T>; 2]) -> Option<T> {
    let mut total = older.or(newer)?.clone();
    if let (Some(_), Some(newer)) = (older, newer) {
        total.merge(newer);
    }
    Some(total)
}
