//! The window `(t - length, t]`, judged at every multiple `t` of `every`; tumbling when both are
//! equal.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::cells::Cells;
use super::distinct::Distinct;
use super::ewma::{self, Ewma};
use super::pane::{Fold, Folded, Lateness, OpenPanes, Pane, Placed};
use super::sketch::Sketch;
use super::spec::WindowSpec;
use super::stacks::{Merge, TwoStacks};
use super::trend::Trends;
use crate::kernel::model::{Duration, EventTime};

/// Invariant: `slices` and `folds` hold one item for each pane in the window, oldest first, and
/// `sketch` is the merge of the slices' sketches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sliding {
    length: Duration,
    every: Duration,
    open: OpenPanes,
    slices: VecDeque<Slice>,
    folds: TwoStacks<Fold>,
    sketch: Sketch,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Slice {
    end: EventTime,
    sketch: Option<Box<Sketch>>,
}

impl Sliding {
    pub fn new(length: Duration, every: Duration) -> Sliding {
        let (open, slices, folds) = (OpenPanes::default(), VecDeque::new(), TwoStacks::default());
        Sliding { length, every, open, slices, folds, sketch: Sketch::default() }
    }

    /// `closed` is the end that was judged last.
    pub fn fold(&mut self, spec: &WindowSpec, closed: EventTime, sample: &Folded) -> Placed {
        if closed < sample.at {
            self.open.fold(spec, self.every, sample);
            return Placed::Open;
        }
        // The start of the next window to be judged.
        if sample.at <= closed + self.every - self.length {
            return Placed::LateGone;
        }
        self.fold_late(spec, sample);
        Placed::LateInWindow
    }

    /// Moves the window to `(end - length, end]`. Returns whether a sample entered or left.
    pub fn close(&mut self, spec: &WindowSpec, end: EventTime, ewma: &mut Option<Ewma>) -> bool {
        assert!(end == end.floor(self.every), "a window ends where a pane does");
        let start = end - self.length;
        let mut changed = false;
        while let Some(slice) = self.slices.pop_front_if(|slice| slice.end <= start) {
            self.folds.pop();
            if let Some(sketch) = slice.sketch {
                self.sketch.subtract(&sketch);
            }
            changed = true;
        }
        while let Some(pane) = self.open.take_due(end) {
            if let (Some(half_life), Some(more)) = (spec.half_life, pane.ewma) {
                ewma::take_in(ewma, more, half_life);
            }
            // A close that skips ends may find panes that the window has passed already.
            if pane.end > start {
                self.enter(pane);
                changed = true;
            }
        }
        if self.sketch.is_needlessly_coarse() {
            self.refine_sketch();
        }
        if self.panes() == 0 {
            // Most groups are idle at most times; they should not hold on to buffers.
            *self = Sliding::new(self.length, self.every);
        }
        changed
    }

    pub fn length(&self) -> Duration {
        self.length
    }

    pub fn every(&self) -> Duration {
        self.every
    }

    pub fn first_open(&self) -> Option<EventTime> {
        self.open.first().map(|pane| pane.end)
    }

    pub fn cells(&self) -> Option<Cells> {
        match self.folds.halves() {
            (Some(older), Some(newer)) => {
                let mut cells = older.cells;
                cells.merge(&newer.cells);
                Some(cells)
            }
            (older, newer) => older.or(newer).map(|fold| fold.cells),
        }
    }

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

    pub fn panes(&self) -> usize {
        self.open.len() + self.slices.len()
    }

    /// Folds a sample into a pane that was judged and will be seen again.
    fn fold_late(&mut self, spec: &WindowSpec, sample: &Folded) {
        let end = sample.at.pane_end(self.every);
        let index = self.slices.partition_point(|slice| slice.end < end);
        if self.slices.get(index).is_some_and(|slice| slice.end == end) {
            self.folds.update(index, |fold| fold.fold(spec, sample, Lateness::Late));
        } else {
            let mut fold = Fold::default();
            fold.fold(spec, sample, Lateness::Late);
            self.folds.insert(index, fold);
            self.slices.insert(index, Slice { end, sketch: None });
        }
        if spec.parts.sketch {
            self.slices[index].sketch.get_or_insert_default().add(sample.value);
            self.sketch.add(sample.value);
        }
    }

    fn enter(&mut self, pane: Pane) {
        if let Some(sketch) = &pane.sketch {
            self.sketch.merge(sketch);
        }
        self.slices.push_back(Slice { end: pane.end, sketch: pane.sketch });
        self.folds.push(pane.fold);
    }

    fn refine_sketch(&mut self) {
        self.sketch = Sketch::default();
        for sketch in self.slices.iter().filter_map(|slice| slice.sketch.as_ref()) {
            self.sketch.merge(sketch);
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
