//! Sets of shards, by number: series have few different ones, and there are many series.

use crate::kernel::model::lookup::Lookup;

/// One more than the highest number.
pub const NUMBERS: u16 = 1 << 14;

/// The number that stands for all shards.
const ALL: u16 = 0;

#[derive(Debug)]
pub struct Masks {
    /// One bit for each shard.
    masks: Vec<u64>,
    numbers: Lookup<u64, u16>,
}

impl Masks {
    pub fn new(shards: u32) -> Masks {
        let mut masks = Masks { masks: Vec::new(), numbers: Lookup::default() };
        masks.enter(u64::MAX >> (64 - shards));
        masks
    }

    /// The number of a set. When there is none left it is that of all shards: a shard passes over
    /// what it does not know.
    pub fn number(&mut self, mask: u64) -> u16 {
        match self.numbers.get(&mask) {
            Some(number) => *number,
            None if self.masks.len() < usize::from(NUMBERS) => self.enter(mask),
            None => ALL,
        }
    }

    fn enter(&mut self, mask: u64) -> u16 {
        let number = self.masks.len() as u16;
        self.masks.push(mask);
        self.numbers.insert(mask, number);
        number
    }

    #[inline(always)]
    pub fn mask(&self, number: u16) -> u64 {
        self.masks[usize::from(number)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_number_and_those_too_many_are_all_shards() {
        let mut masks = Masks::new(16);
        for mask in (0..1u64 << 16).chain(0..1 << 10) {
            let number = masks.number(mask);
            let expected = if mask < 16_383 { mask } else { 0xFFFF };
            assert_eq!(masks.mask(number), expected, "{mask:#x}");
        }
        assert_eq!(Masks::new(64).mask(ALL), u64::MAX);
    }
}
