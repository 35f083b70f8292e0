//! A hash table of numbers whose keys lie elsewhere, with what the numbers stand for.
//!
//! It takes some six bytes for an entry where a table that holds its keys takes thirty. Like
//! [`Lookup`](super::lookup::Lookup) it offers no iteration.

use hashbrown::HashTable;

#[derive(Clone, Debug, Default)]
pub struct Index(HashTable<u32>);

impl Index {
    /// The number whose key has this hash and is the one.
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.0.find(hash, |number| is_it(*number)).copied()
    }

    /// Enters a number, whose key must not be in the index already; `hash_of` gives the hash of
    /// any number's key.
    pub fn insert(&mut self, number: u32, hash_of: impl Fn(u32) -> u64) {
        if self.0.len() == self.0.capacity() {
            self.grow(&hash_of);
        }
        self.0.insert_unique(hash_of(number), number, |known| hash_of(*known));
    }

    /// Doubles the room. Keys are read in the order of their numbers, which is mostly that in which
    /// they lie in memory: in the order of the table each would have to be waited for.
    #[cold]
    fn grow(&mut self, hash_of: impl Fn(u32) -> u64) {
        let mut held: Vec<u64> = Vec::new();
        for number in &self.0 {
            let word = *number as usize / 64;
            held.resize(held.len().max(word + 1), 0);
            held[word] |= 1 << (number % 64);
        }
        let mut larger = HashTable::with_capacity(self.0.len() * 2);
        for (word, mut bits) in held.into_iter().enumerate() {
            while bits != 0 {
                let number = word as u32 * 64 + bits.trailing_zeros();
                larger.insert_unique(hash_of(number), number, |_| unreachable!());
                bits &= bits - 1;
            }
        }
        self.0 = larger;
    }

    /// Takes out the number, whose key has this hash.
    pub fn remove(&mut self, hash: u64, number: u32) {
        if let Ok(entry) = self.0.find_entry(hash, |known| *known == number) {
            entry.remove();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_keys_that_lie_elsewhere() {
        // Every two keys have one hash.
        let hash_of = |number: u32| u64::from(number / 2).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut index = Index::default();
        for number in 0..1_000 {
            index.insert(number, hash_of);
        }
        for number in (0..1_000).step_by(3) {
            index.remove(hash_of(number), number);
        }
        for number in 0..1_000 {
            let expected = (number % 3 != 0).then_some(number);
            assert_eq!(index.find(hash_of(number), |known| known == number), expected);
        }
        assert_eq!((index.len(), index.find(hash_of(7), |_| false)), (666, None));
    }
}
