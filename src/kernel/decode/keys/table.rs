//! An open-addressing table from hashes to slots, without the keys: 8 bytes an entry.
//!
//! Entries lie near the place that their hash says, in linear probing, and taking one out moves
//! the ones after it back, so that there are no tombstones. The whole hash is kept: the table
//! grows without reading a key, and only one key in four billion is compared in vain.

#[derive(Default)]
pub struct Table {
    /// Fewer than 4/5 are full, so that every search ends soon.
    entries: Vec<Entry>,
    len: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    /// [`NONE`] where nothing is.
    slot: u32,
}

const NONE: u32 = u32::MAX;
const EMPTY: Entry = Entry { hash: 0, slot: NONE };
const ENTRIES_MIN: usize = 16;

impl Table {
    pub fn len(&self) -> usize {
        self.len
    }

    /// The slot with this hash for which `is_it` holds.
    pub fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let entry = self.entries.get(at)?;
            if entry.slot == NONE {
                return None;
            }
            if entry.hash == hash && is_it(entry.slot) {
                return Some(entry.slot);
            }
            at = self.after(at);
        }
    }

    /// The slot must not be in the table.
    pub fn insert(&mut self, hash: u32, slot: u32) {
        assert!(slot != NONE, "the number stands for an empty entry");
        if (self.len + 1) * 5 > self.entries.len() * 4 {
            self.grow();
        }
        self.put(Entry { hash, slot });
        self.len += 1;
    }

    /// The slot must be in the table, under this hash.
    pub fn remove(&mut self, hash: u32, slot: u32) {
        let mut hole = self.home(hash);
        while self.entries[hole].slot != slot {
            assert!(self.entries[hole].slot != NONE, "the slot is in the table");
            hole = self.after(hole);
        }
        let mut at = hole;
        loop {
            at = self.after(at);
            let entry = self.entries[at];
            if entry.slot == NONE {
                break;
            }
            // An entry may move back as far as its home, and no further.
            if self.distance(self.home(entry.hash), at) >= self.distance(hole, at) {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = EMPTY;
        self.len -= 1;
    }

    pub fn clear(&mut self) {
        *self = Table::default();
    }

    /// By half, not to twice: a large table is mostly full.
    fn grow(&mut self) {
        let count = (self.entries.len() + self.entries.len() / 2).max(ENTRIES_MIN);
        let before = std::mem::replace(&mut self.entries, vec![EMPTY; count]);
        for entry in before.into_iter().filter(|entry| entry.slot != NONE) {
            self.put(entry);
        }
    }

    fn put(&mut self, entry: Entry) {
        let mut at = self.home(entry.hash);
        while self.entries[at].slot != NONE {
            at = self.after(at);
        }
        self.entries[at] = entry;
    }

    /// Spreads the hashes over any number of entries, in order: a multiplication, no division
    /// (Lemire 2019, "Fast random integer generation in an interval").
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.entries.len() as u64) >> 32) as usize
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() { 0 } else { at + 1 }
    }

    /// How many steps forward lead from one place to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.entries.len() - from }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few hashes, near both ends, so that clusters form and wrap around.
        #[test]
        fn it_holds_what_was_put_in(
            steps in prop::collection::vec((any::<bool>(), 0..40u32), 0..300),
            spread in prop::sample::select(vec![0u32, 1, 0x0800_0000, 0xFFFF_FFFF]),
        ) {
            let hash = |slot: u32| (slot % 7).wrapping_mul(spread).wrapping_sub(3);
            let (mut table, mut model) = (Table::default(), BTreeMap::new());
            for (puts, slot) in steps {
                match model.remove(&slot) {
                    Some(()) => table.remove(hash(slot), slot),
                    None if puts => {
                        table.insert(hash(slot), slot);
                        model.insert(slot, ());
                    }
                    None => {}
                }
                prop_assert_eq!(table.len(), model.len());
                for slot in 0..40 {
                    let found = table.find(hash(slot), |each| each == slot);
                    prop_assert_eq!(found, model.contains_key(&slot).then_some(slot));
                }
            }
        }
    }

    #[test]
    fn it_is_never_fuller_than_four_fifths() {
        let mut table = Table::default();
        for slot in 0..100_000u32 {
            table.insert(slot.wrapping_mul(0x9E37_79B9), slot);
            assert!(table.len * 5 <= table.entries.len() * 4);
        }
        assert!(table.entries.len() < 200_000);
    }
}
