//! Sliding windows of all groups of a rule, pane by pane: for rules that read nothing but counts,
//! sums and means over few panes.
//!
//! Where every group has samples in nearly every pane, it is the walk from group to group that
//! costs. Here a pane is one column over all groups, so a batch of samples falls into one column
//! and the end of a pane is three columns read in a row.
//!
//! Panes stand in blocks of as many as a window has, by time alone. A window is the rest of one
//! block and the beginning of the next: when a block is full its panes are summed up in place, from
//! the newest to the oldest, and the beginning grows by a pane at a time (van Herk's and Gil and
//! Werman's way). So no sum is ever subtracted from, and what a group's window comes to depends on
//! its own samples alone: not on other groups, the number of shards, or when the store was made.

mod cell;
mod column;
mod saved;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::pane::Placed;
use super::spec::{Parts, WindowSpec};
use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::Shape;
use crate::kernel::rule::view::Reduction;

use cell::Cell;
use column::Column;
pub use saved::PanePart;

/// Windows of more panes are kept group by group, where empty panes take no room.
const PANES_MAX: i64 = 64;

/// The samples of `((number - 1) * every, number * every]`, by group; of a full block also those of
/// all its later panes.
#[derive(Clone, Debug)]
struct Pane {
    number: i64,
    start: EventTime,
    end: EventTime,
    cells: Column,
}

#[derive(Clone, Debug)]
pub struct Dense {
    length: Duration,
    every: Duration,
    /// Panes of a window, which are also those of a block.
    panes_each: i64,
    groups: usize,
    /// Panes that hold a sample and may still be seen, oldest first; none is further ahead of the
    /// last judged end than a window is long.
    panes: VecDeque<Pane>,
    /// Panes further ahead, by number, with the groups that have a sample there: a column each for
    /// the times that some clock runs ahead by would cost every group its room.
    ahead: BTreeMap<i64, BTreeMap<u32, Cell>>,
    /// Where the last sample fell: the next one mostly falls there too.
    hint: usize,
    /// The last end that was judged.
    closed: EventTime,
    /// The block that the beginning of the window lies in, and that beginning. Earlier blocks are
    /// full.
    block: i64,
    beginning: Column,
    /// By group: a sample entered or left since the last judgement.
    changed: Vec<bool>,
}

impl Dense {
    /// `None` when windows of this spec are kept group by group.
    pub fn new(spec: &WindowSpec) -> Option<Dense> {
        let Shape::Sliding { length, every } = spec.shape() else { return None };
        let plain = Parts { sum: spec.parts.sum, ..Parts::default() };
        let panes_each = length.nanos() / every.nanos();
        let fits = (1..=PANES_MAX).contains(&panes_each) && length.nanos() % every.nanos() == 0;
        if spec.parts != plain || spec.half_life.is_some() || !fits {
            return None;
        }
        Some(Dense {
            length,
            every,
            panes_each,
            groups: 0,
            panes: VecDeque::new(),
            ahead: BTreeMap::new(),
            hint: 0,
            closed: EventTime::MIN,
            block: i64::MIN,
            beginning: Column::default(),
            changed: Vec::new(),
        })
    }

    /// Makes room for groups up to this number.
    pub fn make_room(&mut self, group: u32) {
        let groups = group as usize + 1;
        if groups > self.groups {
            self.groups = groups;
            for pane in &mut self.panes {
                pane.cells.resize(groups);
            }
            self.beginning.resize(groups);
            self.changed.resize(groups, false);
        }
    }

    /// Nothing is held: closing changes nothing until the next sample.
    pub fn is_idle(&self) -> bool {
        self.panes.is_empty() && self.ahead.is_empty()
    }

    /// Takes in a sample. Ends up to `closed` were judged.
    pub fn fold(&mut self, group: u32, closed: EventTime, at: EventTime, value: f64) -> Placed {
        if at <= closed {
            return self.fold_late(group, closed, at, value);
        }
        let pane = self.panes.get(self.hint).is_some_and(|pane| pane.start < at && at <= pane.end);
        if !pane {
            if closed + self.length < at {
                let number = self.number_of(at);
                self.ahead.entry(number).or_default().entry(group).or_default().add(value);
                return Placed::Open;
            }
            self.hint = self.pane_of(at);
        }
        self.panes[self.hint].cells.add(group as usize, value);
        Placed::Open
    }

    fn fold_late(&mut self, group: u32, closed: EventTime, at: EventTime, value: f64) -> Placed {
        if at <= closed + self.every - self.length {
            return Placed::LateGone;
        }
        self.catch_up(closed);
        let index = self.pane_of(at);
        let group = group as usize;
        let block = self.block_of(self.panes[index].number);
        if block < self.block {
            // Each earlier pane of its block holds what the later ones do.
            for at in (0..=index).rev() {
                if self.block_of(self.panes[at].number) < block {
                    break;
                }
                self.panes[at].cells.add(group, value);
            }
        } else {
            self.panes[index].cells.add(group, value);
            self.begin_anew(group);
        }
        self.changed[group] = true;
        Placed::LateInWindow
    }

    /// Moves all windows on to `end`, the next multiple of `every` but for ends that were left out
    /// while nothing was held.
    pub fn close(&mut self, end: EventTime) {
        while let Some((number, _)) = self.ahead.first_key_value()
            && self.end_of(*number) <= end
        {
            self.pane_of(self.end_of(*number));
        }
        let from = self.panes.partition_point(|pane| pane.end <= self.closed);
        let to = self.panes.partition_point(|pane| pane.end <= end);
        for index in from..to {
            let number = self.panes[index].number;
            self.begin_block(self.block_of(number));
            let pane = &self.panes[index];
            for (group, changed) in self.changed.iter_mut().enumerate() {
                let cell = pane.cells.get(group);
                self.beginning.merge(group, &cell);
                *changed |= cell.count > 0;
            }
        }
        self.begin_block(self.block_of(self.number_of(end)));
        self.closed = end;
        while self.panes.front().is_some_and(|pane| pane.end <= end - self.length) {
            let gone = self.panes.pop_front().expect("it was just seen");
            self.note_gone(&gone);
            self.hint = self.hint.saturating_sub(1);
        }
    }

    /// A pane of a full block left the windows.
    fn note_gone(&mut self, gone: &Pane) {
        let next = self.panes.front().filter(|next| self.same_block(next.number, gone.number));
        for (group, changed) in self.changed.iter_mut().enumerate() {
            let later = next.map_or(0, |next| next.cells.count(group));
            *changed |= gone.cells.count(group) > later;
        }
    }

    /// Makes all groups' windows count as changed.
    pub fn change_all(&mut self) {
        self.changed.fill(true);
    }

    /// Whether a sample entered or left the group's window since this was last asked.
    pub fn take_changed(&mut self, group: u32) -> bool {
        std::mem::take(&mut self.changed[group as usize])
    }

    /// The number of samples in the window that was just closed.
    pub fn count(&self, group: u32) -> u32 {
        let group = group as usize;
        let rest = self.oldest_rest().map_or(0, |rest| rest.count(group));
        rest + self.beginning.count(group)
    }

    /// A reduction of the window that was just closed; `None` when it is empty or went past the
    /// range of `f64`.
    pub fn view(&self, group: u32, reduction: Reduction) -> Option<f64> {
        let value = self.figure(self.oldest_rest(), group as usize, reduction);
        value.is_finite().then_some(value)
    }

    /// As [`Dense::view`] of many groups at once; NaN stands for `None`.
    pub fn view_all(&self, groups: Range<usize>, reduction: Reduction) -> Vec<f64> {
        let rest = self.oldest_rest();
        let figures = groups.map(|group| self.figure(rest, group, reduction));
        figures.map(|figure| if figure.is_finite() { figure } else { f64::NAN }).collect()
    }

    /// Not finite when there is none.
    #[inline(always)]
    fn figure(&self, rest: Option<&Column>, group: usize, reduction: Reduction) -> f64 {
        let mut whole = rest.map_or(Cell::default(), |rest| rest.get(group));
        whole.merge(&self.beginning.get(group));
        let count = f64::from(whole.count);
        match reduction {
            _ if whole.count == 0 => f64::NAN,
            Reduction::Count => count,
            Reduction::Sum => whole.sum().value(),
            Reduction::Mean => whole.sum().value() / count,
            Reduction::Min
            | Reduction::Max
            | Reduction::First
            | Reduction::Last
            | Reduction::Delta
            | Reduction::Rate
            | Reduction::Increase
            | Reduction::Stddev
            | Reduction::Slope
            | Reduction::Quantile(_)
            | Reduction::Share
            | Reduction::Ewma
            | Reduction::Distinct => f64::NAN,
        }
    }

    /// Whether the group has a sample that was judged or is still to be.
    pub fn holds(&self, group: u32) -> bool {
        self.panes.iter().any(|pane| pane.cells.count(group as usize) > 0)
            || self.ahead.values().any(|cells| cells.contains_key(&group))
    }

    /// Forgets a group's samples.
    pub fn clear(&mut self, group: u32) {
        self.ahead.retain(|_, cells| {
            cells.remove(&group);
            !cells.is_empty()
        });
        let group = group as usize;
        if group >= self.groups {
            return;
        }
        for pane in &mut self.panes {
            pane.cells.set(group, Cell::default());
        }
        self.beginning.set(group, Cell::default());
        self.changed[group] = false;
    }

    /// Ends that were left out while nothing was held count as judged.
    fn catch_up(&mut self, closed: EventTime) {
        if self.closed < closed {
            self.closed = closed;
            self.begin_block(self.block_of(self.number_of(closed)));
        }
    }

    fn number_of(&self, at: EventTime) -> i64 {
        at.pane_end(self.every).nanos().div_euclid(self.every.nanos())
    }

    fn end_of(&self, number: i64) -> EventTime {
        EventTime::from_nanos(number.saturating_mul(self.every.nanos()))
    }

    fn oldest_rest(&self) -> Option<&Column> {
        let oldest = self.panes.front().filter(|pane| self.block_of(pane.number) < self.block)?;
        Some(&oldest.cells)
    }

    fn block_of(&self, number: i64) -> i64 {
        (number - 1).div_euclid(self.panes_each)
    }

    /// How many panes, the oldest, are of full blocks.
    fn full(&self) -> usize {
        self.panes.partition_point(|pane| self.block_of(pane.number) < self.block)
    }

    /// Sums up the block before, when a later one begins.
    fn begin_block(&mut self, block: i64) {
        if block <= self.block {
            return;
        }
        let before = self.full();
        self.block = block;
        self.beginning.clear();
        // From the newest of the block before to its oldest; panes of later blocks are still open.
        for index in (before..self.full()).rev() {
            let number = self.panes[index].number;
            let Some(later) = self.panes.get(index + 1) else { continue };
            if !self.same_block(later.number, number) {
                continue;
            }
            let later = std::mem::take(&mut self.panes[index + 1].cells);
            let cells = &mut self.panes[index].cells;
            for group in 0..self.groups {
                let mut rest = later.get(group);
                rest.merge(&cells.get(group));
                cells.set(group, rest);
            }
            self.panes[index + 1].cells = later;
        }
    }

    fn same_block(&self, a: i64, b: i64) -> bool {
        self.block_of(a) == self.block_of(b)
    }

    /// Works out anew what one group's judged panes of the open block come to, in the order in
    /// which it always is.
    fn begin_anew(&mut self, group: usize) {
        let judged = self.panes.partition_point(|pane| pane.end <= self.closed);
        let mut beginning = Cell::default();
        for index in self.full()..judged {
            beginning.merge(&self.panes[index].cells.get(group));
        }
        self.beginning.set(group, beginning);
    }

    /// The index of the pane that a time falls in; there is one from now on.
    fn pane_of(&mut self, at: EventTime) -> usize {
        let end = at.pane_end(self.every);
        let index = self.panes.partition_point(|pane| pane.end < end);
        if self.panes.get(index).is_some_and(|pane| pane.end == end) {
            return index;
        }
        let number = self.number_of(end);
        let mut cells = Column::default();
        cells.resize(self.groups);
        for (group, cell) in self.ahead.remove(&number).into_iter().flatten() {
            cells.set(group as usize, cell);
        }
        if self.block_of(number) < self.block
            && let Some(later) = self.panes.get(index)
            && self.same_block(later.number, number)
        {
            // It is late, and its block is summed up.
            cells = later.cells.clone();
        }
        self.panes.insert(index, Pane { number, start: end - self.every, end, cells });
        index
    }
}

#[cfg(test)]
mod tests;
