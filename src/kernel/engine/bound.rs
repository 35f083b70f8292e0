//! Which members a series has: one in each rule that takes it, in the order of its class.

use std::collections::BTreeMap;

/// The member numbers of all series of a shard, one after another: few bytes for each series, and
/// series that came together lie together.
#[derive(Debug, Default)]
pub struct BoundTable {
    numbers: Vec<u32>,
    /// Stretches to be used again, by length.
    free: BTreeMap<usize, Vec<u32>>,
}

impl BoundTable {
    /// Keeps a series' members; gives their home, by which they are found. A single one is a home
    /// by itself.
    pub fn enter(&mut self, members: &[u32]) -> u32 {
        match members {
            [] => 0,
            [only] => *only,
            several => {
                let home = self.free.get_mut(&several.len()).and_then(Vec::pop);
                let home = home.unwrap_or_else(|| {
                    let end = self.numbers.len();
                    self.numbers.resize(end + several.len(), 0);
                    u32::try_from(end).expect("series and rules are bounded")
                });
                self.numbers[home as usize..][..several.len()].copy_from_slice(several);
                home
            }
        }
    }

    /// The member in the place `place` of a class of `places`.
    #[inline]
    pub fn member(&self, home: u32, places: usize, place: usize) -> u32 {
        if places == 1 { home } else { self.numbers[home as usize + place] }
    }

    pub fn members(&self, home: u32, places: usize) -> Vec<u32> {
        (0..places).map(|place| self.member(home, places, place)).collect()
    }

    /// Gives back the room of a series that had so many.
    pub fn leave(&mut self, home: u32, places: usize) {
        if places > 1 {
            self.free.entry(places).or_default().push(home);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_their_home_and_room_is_used_again() {
        let mut table = BoundTable::default();
        let homes = [&[][..], &[7], &[1, 2], &[3, 4, 5], &[8, 9]].map(|members| {
            let home = table.enter(members);
            assert_eq!(table.members(home, members.len()), members);
            home
        });
        assert_eq!(table.member(homes[3], 3, 1), 4);
        table.leave(homes[2], 2);
        table.leave(homes[1], 1);
        assert_eq!((table.enter(&[6, 6, 6]), table.enter(&[5, 5])), (7, homes[2]));
        assert_eq!((table.members(homes[4], 2), table.numbers.len()), (vec![8, 9], 10));
    }
}
