//! How often each of many keys is held, by hash: most are held once.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::lookup::Lookup;

/// Five bytes for a key that is held once. Keys whose hashes have the same lower half count as one:
/// of a million keys, about a hundred.
#[derive(Debug, Default)]
pub struct Census {
    hashes: HashTable<u32>,
    /// How often those are held besides that are held more than once.
    further: Lookup<u32, u32>,
}

impl Census {
    /// Holds a key once more, unless it would be one key more than `max`: then it gives false.
    pub fn enter(&mut self, hash: u64, max: usize) -> bool {
        let (room, half) = (self.hashes.len() < max, hash as u32);
        match self.hashes.entry(spread(half), |known| *known == half, |known| spread(*known)) {
            Entry::Vacant(place) => {
                if room {
                    place.insert(half);
                }
                room
            }
            Entry::Occupied(_) => {
                match self.further.get_mut(&half) {
                    Some(times) => *times += 1,
                    None => {
                        self.further.insert(half, 1);
                    }
                }
                true
            }
        }
    }

    /// Holds a key once less; one that is not held stays so.
    pub fn leave(&mut self, hash: u64) {
        let half = hash as u32;
        match self.further.get_mut(&half) {
            Some(1) => {
                self.further.remove(&half);
            }
            Some(times) => *times -= 1,
            None => {
                if let Ok(known) = self.hashes.find_entry(spread(half), |known| *known == half) {
                    known.remove();
                }
            }
        }
    }
}

/// What the table wants to place half a hash by, all over 64 bits: Fibonacci hashing, as in Knuth's
/// "Sorting and Searching", 6.4.
fn spread(half: u32) -> u64 {
    u64::from(half).wrapping_mul(0x9E37_79B9_7F4A_7C15)
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
