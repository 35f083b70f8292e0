//! The rests of keys, each kept once as far as it is found again.
//!
//! A host tells what it has to say at a stretch, so a small table of the rests that came lately
//! finds most that can be shared, and takes no room for each of those that cannot.

use xxhash_rust::xxh3::xxh3_64;

use super::arena::{Arena, Place};

/// A power of two: 16 KiB.
const LATELY: usize = 1 << 12;

/// The number of a rest without bytes.
pub const NOTHING: u32 = u32::MAX;

#[derive(Default)]
pub struct Rests {
    arena: Arena,
    held: Vec<Held>,
    free: Vec<u32>,
    /// By hash, the last rest that fell there. It may be another by now.
    lately: Vec<u32>,
}

struct Held {
    page: u32,
    /// Keys that have this rest; none when the number is free.
    keys: u32,
    start: u16,
}

impl Rests {
    /// Holds a rest for one more key; gives its number.
    pub fn enter(&mut self, rest: &[u8]) -> u32 {
        if rest.is_empty() {
            return NOTHING;
        }
        if self.lately.is_empty() {
            self.lately.resize(LATELY, NOTHING);
        }
        let place = xxh3_64(rest) as usize % LATELY;
        let known = self.lately[place];
        let is_held = self.held.get(known as usize).is_some_and(|held| held.keys > 0);
        if is_held && self.get(known) == rest {
            self.held[known as usize].keys += 1;
            return known;
        }
        let number = self.add(rest);
        self.lately[place] = number;
        number
    }

    fn add(&mut self, rest: &[u8]) -> u32 {
        let new = Held { page: 0, keys: 1, start: 0 };
        let number = match self.free.pop() {
            Some(number) => {
                self.held[number as usize] = new;
                number
            }
            None => {
                self.held.push(new);
                u32::try_from(self.held.len() - 1).expect("no more rests than keys")
            }
        };
        let Rests { arena, held, .. } = self;
        let place = arena.put(number, rest, |moved, to| held[moved as usize].lies_at(to));
        held[number as usize].lies_at(place);
        number
    }

    #[inline(always)]
    pub fn get(&self, number: u32) -> &[u8] {
        if number == NOTHING {
            return &[];
        }
        let held = &self.held[number as usize];
        self.arena.get(Place { page: held.page, start: held.start })
    }

    /// Holds it for one key less.
    pub fn leave(&mut self, number: u32) {
        if number == NOTHING {
            return;
        }
        let held = &mut self.held[number as usize];
        held.keys -= 1;
        if held.keys == 0 {
            self.arena.remove(Place { page: held.page, start: held.start });
            self.free.push(number);
        }
    }

    pub fn clear(&mut self) {
        *self = Rests::default();
    }
}

impl Held {
    fn lies_at(&mut self, place: Place) {
        (self.page, self.start) = (place.page, place.start);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Long rests, so that pages are compacted and rests move.
        #[test]
        fn a_rest_stays_what_it_is_until_all_its_keys_left(
            steps in prop::collection::vec((any::<bool>(), 0..12u8), 0..400),
        ) {
            let (mut rests, mut held) = (Rests::default(), Vec::new());
            let bytes = |rest: u8| vec![rest; usize::from(rest) * 1_500];
            for (enters, rest) in steps {
                match held.iter().position(|(_, known)| *known == rest) {
                    Some(at) if !enters => rests.leave(held.swap_remove(at).0),
                    Some(_) | None => held.push((rests.enter(&bytes(rest)), rest)),
                }
                for (number, rest) in &held {
                    prop_assert_eq!(rests.get(*number), &bytes(*rest)[..]);
                }
                // Few enough that none pushes another out of the table.
                let mut different: Vec<u8> =
                    held.iter().map(|(_, rest)| *rest).filter(|rest| *rest > 0).collect();
                different.sort_unstable();
                different.dedup();
                prop_assert_eq!(rests.held.len() - rests.free.len(), different.len());
            }
        }
    }

    #[test]
    fn rests_that_push_one_another_out_are_kept_all_the_same() {
        let mut rests = Rests::default();
        let bytes = |rest: u32| rest.to_le_bytes();
        let count = 3 * LATELY as u32;
        let numbers: Vec<u32> = (0..count).map(|rest| rests.enter(&bytes(rest))).collect();
        let again: Vec<u32> = (0..count).map(|rest| rests.enter(&bytes(rest))).collect();
        for (rest, (first, second)) in (0..).zip(numbers.iter().zip(&again)) {
            assert_eq!(
                (rests.get(*first), rests.get(*second)),
                (&bytes(rest)[..], &bytes(rest)[..])
            );
        }
        numbers.into_iter().chain(again).for_each(|number| rests.leave(number));
        assert_eq!(rests.free.len(), rests.held.len());
        let nothing = rests.enter(&[]);
        assert_eq!(rests.get(nothing), b"");
    }
}
