//! A hash table of numbers whose keys lie elsewhere, with what the numbers stand for.
//!
//! It takes some six bytes for an entry where a table that holds its keys takes thirty. Like
//! [`Lookup`](super::lookup::Lookup) it offers no iteration.

use hashbrown::HashTable;

#[derive(Clone, Debug, Default)]
pub struct Index(HashTable<u32>);

impl Index {
    /// The number whose key is `key`, where `key_of` gives the key of a number in the index.
    pub fn find<'a>(&self, key: &[u8], key_of: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        self.0.find(hash(key), |number| key_of(*number) == key).copied()
    }

    /// Enters a number, whose key must not be in the index already.
    pub fn insert<'a>(&mut self, key: &[u8], number: u32, key_of: impl Fn(u32) -> &'a [u8]) {
        if self.0.len() == self.0.capacity() {
            self.grow(&key_of);
        }
        self.0.insert_unique(hash(key), number, |known| hash(key_of(*known)));
    }

    /// Doubles the room. Keys are read in the order of their numbers, which is mostly that in which
    /// they lie in memory: in the order of the table each would have to be waited for.
    #[cold]
    fn grow<'a>(&mut self, key_of: impl Fn(u32) -> &'a [u8]) {
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
                larger.insert_unique(hash(key_of(number)), number, |_| unreachable!());
                bits &= bits - 1;
            }
        }
        self.0 = larger;
    }

    /// Takes out the number; `key` is its key.
    pub fn remove(&mut self, key: &[u8], number: u32) {
        if let Ok(entry) = self.0.find_entry(hash(key), |known| *known == number) {
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

fn hash(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_keys_that_lie_elsewhere() {
        let keys: Vec<Vec<u8>> = (0..1_000u32).map(|number| number.to_le_bytes().into()).collect();
        let key_of = |number: u32| keys[number as usize].as_slice();
        let mut index = Index::default();
        for number in 0..1_000 {
            index.insert(key_of(number), number, key_of);
        }
        for number in (0..1_000).step_by(3) {
            index.remove(key_of(number), number);
        }
        for number in 0..1_000 {
            let expected = (number % 3 != 0).then_some(number);
            assert_eq!(index.find(key_of(number), key_of), expected);
        }
        assert_eq!((index.len(), index.find(b"none", key_of)), (666, None));
    }
}
