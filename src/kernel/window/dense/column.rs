//! The cells of one pane, of all groups, in as little room as they need.
//!
//! Where series report once in a pane, which is the usual case where there are many series, a cell
//! takes nine bytes: a pane's sum of one value lost nothing, and its count is one.

use super::cell::Cell;

#[derive(Clone, Debug, Default)]
pub struct Column {
    totals: Vec<f64>,
    /// What the sums lost; empty while none lost anything.
    lost: Vec<f32>,
    counts: Counts,
}

/// How many samples each group has.
#[derive(Clone, Debug)]
enum Counts {
    Few(Vec<u8>),
    Many(Vec<u32>),
}

impl Default for Counts {
    fn default() -> Counts {
        Counts::Few(Vec::new())
    }
}

impl Column {
    /// Makes room for so many groups; those that come anew have no samples.
    pub fn resize(&mut self, groups: usize) {
        self.totals.resize(groups, 0.0);
        if !self.lost.is_empty() {
            self.lost.resize(groups, 0.0);
        }
        match &mut self.counts {
            Counts::Few(counts) => counts.resize(groups, 0),
            Counts::Many(counts) => counts.resize(groups, 0),
        }
    }

    /// No group has a sample any more; keeps the room, as far as it takes to begin anew.
    pub fn clear(&mut self) {
        self.totals.fill(0.0);
        self.lost = Vec::new();
        match &mut self.counts {
            Counts::Few(counts) => counts.fill(0),
            Counts::Many(counts) => self.counts = Counts::Few(vec![0; counts.len()]),
        }
    }

    #[inline(always)]
    pub fn get(&self, group: usize) -> Cell {
        let lost = if self.lost.is_empty() { 0.0 } else { self.lost[group] };
        Cell { total: self.totals[group], lost, count: self.count(group) }
    }

    #[inline(always)]
    pub fn count(&self, group: usize) -> u32 {
        match &self.counts {
            Counts::Few(counts) => u32::from(counts[group]),
            Counts::Many(counts) => counts[group],
        }
    }

    #[inline(always)]
    pub fn set(&mut self, group: usize, cell: Cell) {
        self.totals[group] = cell.total;
        if !self.lost.is_empty() || cell.lost != 0.0 {
            self.set_lost(group, cell.lost);
        }
        match &mut self.counts {
            Counts::Few(counts) if cell.count <= 0xFF => counts[group] = cell.count as u8,
            Counts::Many(counts) => counts[group] = cell.count,
            Counts::Few(_) => self.set_large(group, cell.count),
        }
    }

    #[inline(always)]
    fn set_lost(&mut self, group: usize, lost: f32) {
        if self.lost.is_empty() {
            self.lost.resize(self.totals.len(), 0.0);
        }
        // A negative zero would tell whether there is room for losses.
        self.lost[group] = lost + 0.0;
    }

    #[cold]
    fn set_large(&mut self, group: usize, count: u32) {
        if let Counts::Few(counts) = &self.counts {
            self.counts = Counts::Many(counts.iter().map(|count| u32::from(*count)).collect());
        }
        if let Counts::Many(counts) = &mut self.counts {
            counts[group] = count;
        }
    }

    #[inline(always)]
    pub fn add(&mut self, group: usize, value: f64) {
        let mut cell = self.get(group);
        cell.add(value);
        self.set(group, cell);
    }

    /// Adds what another cell holds.
    #[inline(always)]
    pub fn merge(&mut self, group: usize, other: &Cell) {
        if other.count > 0 {
            let mut cell = self.get(group);
            cell.merge(other);
            self.set(group, cell);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A column says what as many cells say, when counts grow large and sums lose bits.
        #[test]
        fn a_column_is_as_many_cells(
            steps in prop::collection::vec(
                (0..4usize, -1e3..1e3f64, 0..400u32, any::<bool>()),
                1..60,
            ),
        ) {
            let mut column = Column::default();
            column.resize(2);
            let mut cells = vec![Cell::default(); 2];
            for (group, value, times, merges) in steps {
                if group >= cells.len() {
                    cells.resize(group + 1, Cell::default());
                    column.resize(group + 1);
                }
                if merges {
                    let other = cells[0];
                    cells[group].merge(&other);
                    column.merge(group, &other);
                } else if times == 0 {
                    cells.fill(Cell::default());
                    column.clear();
                } else {
                    (0..times).for_each(|_| cells[group].add(value));
                    (0..times).for_each(|_| column.add(group, value));
                }
                for (group, cell) in cells.iter().enumerate() {
                    prop_assert_eq!(column.get(group), *cell);
                }
            }
        }
    }

    #[test]
    fn one_sample_of_each_group_takes_nine_bytes() {
        let mut column = Column::default();
        column.resize(1_000);
        (0..1_000).for_each(|group| column.add(group, 0.1));
        assert!(column.lost.is_empty() && matches!(column.counts, Counts::Few(_)));
        column.add(7, 0.2);
        (0..300).for_each(|_| column.add(8, 0.1));
        assert!(column.lost.len() == 1_000 && matches!(column.counts, Counts::Many(_)));
        column.clear();
        assert!(column.lost.is_empty() && matches!(column.counts, Counts::Few(_)));
    }
}
