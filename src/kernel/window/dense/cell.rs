//! What one group has in a pane of a rule whose windows are kept together.

use super::super::sum::Sum;

/// One group in one pane, or in several.
///
/// Shape: 16 bytes, for there are as many cells as groups and panes. What the sum lost is kept in
/// 24 bits: that bounds its error to some 2^-77 of all that entered, where a plain sum has 2^-53.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    pub total: f64,
    pub lost: f32,
    pub count: u32,
}

impl Cell {
    pub fn new(sum: Sum, count: u32) -> Cell {
        let (total, lost) = sum.halves();
        let narrow = lost as f32;
        // What a sum beyond 10^54 loses may lie past the range.
        let lost = if narrow.is_finite() { narrow } else { 0.0 };
        Cell { total, lost, count }
    }

    pub fn sum(&self) -> Sum {
        Sum::from_halves(self.total, f64::from(self.lost))
    }

    pub fn add(&mut self, value: f64) {
        let mut sum = self.sum();
        sum.add(value);
        *self = Cell::new(sum, self.count + 1);
    }

    pub fn merge(&mut self, other: &Cell) {
        if other.count > 0 {
            let mut sum = self.sum();
            sum.merge(&other.sum());
            *self = Cell::new(sum, self.count + other.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_of(values: &[f64]) -> f64 {
        let mut cell = Cell::default();
        values.iter().for_each(|value| cell.add(*value));
        cell.sum().value() / f64::from(cell.count)
    }

    #[test]
    fn what_a_sum_loses_is_kept_also_in_few_bits() {
        assert_eq!(size_of::<Cell>(), 16);
        assert_eq!(mean_of(&[0.1; 10]), 0.1);
        assert_eq!(mean_of(&[1e100, 1.0, -1e100, 2.0]), 0.75);
        // A hundred thousand values whose plain sum is off by some 10^-8 of it.
        let many: Vec<f64> = (0..100_000).map(|count| 1e9 + f64::from(count % 7) * 0.1).collect();
        let exact = 1e9 + (0..100_000).map(|count| count % 7).sum::<i32>() as f64 * 1e-6;
        assert!((mean_of(&many) - exact).abs() <= 2e-7, "{}", mean_of(&many) - exact);
        // The loss of such sums lies past the range of 32 bits and is let go.
        assert_eq!(mean_of(&[1e300, 1e283]), (1e300 + 1e283) / 2.0);
    }
}
