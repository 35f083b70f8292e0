//! How often each of many keys is held, by hash: most are held once.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::lookup::Lookup;

/// Nine bytes for a key that is held once, where a table of numbers would take seventeen. Two keys
/// of one hash count as one.
#[derive(Debug, Default)]
pub struct Census {
    hashes: HashTable<u64>,
    /// How often those are held besides that are held more than once.
    further: Lookup<u64, u32>,
}

impl Census {
    /// Holds a key once more, unless it would be one key more than `max`: then it gives false.
    pub fn enter(&mut self, hash: u64, max: usize) -> bool {
        let room = self.hashes.len() < max;
        match self.hashes.entry(hash, |known| *known == hash, |known| *known) {
            Entry::Vacant(place) => {
                if room {
                    place.insert(hash);
                }
                room
            }
            Entry::Occupied(_) => {
                match self.further.get_mut(&hash) {
                    Some(times) => *times += 1,
                    None => {
                        self.further.insert(hash, 1);
                    }
                }
                true
            }
        }
    }

    /// Holds a key once less; one that is not held stays so.
    pub fn leave(&mut self, hash: u64) {
        match self.further.get_mut(&hash) {
            Some(1) => {
                self.further.remove(&hash);
            }
            Some(times) => *times -= 1,
            None => {
                if let Ok(known) = self.hashes.find_entry(hash, |known| *known == hash) {
                    known.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_until_it_was_left_as_often_as_entered() {
        let mut census = Census::default();
        let entered = [7, 8, 7, 7, 9].map(|hash| census.enter(hash, 2));
        assert_eq!((entered, census.hashes.len()), ([true, true, true, true, false], 2));
        let left = [7, 7, 8, 8, 7].map(|hash| {
            census.leave(hash);
            census.hashes.len()
        });
        assert_eq!(left, [2, 2, 1, 1, 0]);
        assert!(census.enter(9, 2) && census.further.is_empty());
    }
}
