//! What one group holds of a rule's panes, taken out and put back: for a restart, and for a rule
//! that goes on under another selector.

use serde::{Deserialize, Serialize};

use super::super::sum::Sum;
use super::cell::Cell;
use super::{Dense, Pane};
use crate::kernel::model::EventTime;

/// One group's part of one pane, for a restart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PanePart {
    end: EventTime,
    sum: Sum,
    count: u32,
}

impl PanePart {
    fn new(end: EventTime, cell: Cell) -> PanePart {
        PanePart { end, sum: cell.sum(), count: cell.count }
    }
}

impl Dense {
    /// What a group holds, for [`Dense::put_back`].
    pub fn take_out(&self, group: u32) -> Vec<PanePart> {
        let part = |(index, pane): (usize, &Pane)| {
            let cell = pane.cells.get(group as usize);
            let later = self.panes.get(index + 1).filter(|later| {
                let block = self.block_of(pane.number);
                block < self.block && block == self.block_of(later.number)
            });
            let later = later.map_or(0, |later| later.cells.count(group as usize));
            (cell.count > later).then(|| PanePart::new(pane.end, cell))
        };
        let ahead = self.ahead.iter().filter_map(|(number, cells)| {
            Some(PanePart::new(self.end_of(*number), *cells.get(&group)?))
        });
        self.panes.iter().enumerate().filter_map(part).chain(ahead).collect()
    }

    /// Gives a group without samples those of another store. Ends up to `closed` were judged.
    pub fn put_back(&mut self, group: u32, closed: EventTime, parts: &[PanePart]) {
        self.make_room(group);
        if closed != EventTime::MIN {
            self.catch_up(closed);
        }
        for part in parts {
            let cell = Cell::new(part.sum, part.count);
            if closed + self.length < part.end {
                let number = self.number_of(part.end);
                self.ahead.entry(number).or_default().insert(group, cell);
                continue;
            }
            let index = self.pane_of(part.end);
            self.panes[index].cells.set(group as usize, cell);
        }
        let group = group as usize;
        self.changed[group] = true;
        self.begin_anew(group);
        // In full blocks it also needs the panes that only other groups have samples in.
        let mut later = Cell::default();
        for index in (0..self.full()).rev() {
            let number = self.panes[index].number;
            if index + 1 < self.panes.len()
                && !self.same_block(number, self.panes[index + 1].number)
            {
                later = Cell::default();
            }
            let cells = &mut self.panes[index].cells;
            if cells.count(group) < later.count {
                cells.set(group, later);
            }
            later = cells.get(group);
        }
    }
}
