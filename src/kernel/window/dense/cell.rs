//! What one group has in a pane of a rule whose windows are kept together.

use super::super::sum::Sum;

/// One group in one pane, or in several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    pub sum: Sum,
    pub count: u32,
}

impl Cell {
    pub fn add(&mut self, value: f64) {
        self.sum.add(value);
        self.count += 1;
    }

    pub fn merge(&mut self, other: &Cell) {
        if other.count > 0 {
            self.sum.merge(&other.sum);
            self.count += other.count;
        }
    }
}
