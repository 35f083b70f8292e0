//! The pieces that keys are made of, each kept once as far as it is found again.
//!
//! A host tells what it has to say at a stretch, so a small table of the pieces that came lately
//! finds most that can be shared, and takes no room for each of those that cannot.

use xxhash_rust::xxh3::xxh3_64;

use super::arena::{Arena, Place};

/// A power of two: 16 KiB.
const LATELY: usize = 1 << 12;

/// The number of a piece without bytes.
pub const NOTHING: u32 = u32::MAX;

/// The length of pieces that are as long or longer.
const LONG: u16 = u16::MAX;

#[derive(Default)]
pub struct Pieces {
    arena: Arena,
    held: Vec<Held>,
    free: Vec<u32>,
    /// By hash, the last piece that fell there. It may be another by now.
    lately: Vec<u32>,
}

struct Held {
    page: u32,
    /// Keys that have this piece; none when the number is free.
    keys: u32,
    start: u16,
    /// The piece's length as far as it fits, so that most lengths lie where the place does.
    len: u16,
}

impl Pieces {
    /// Holds a piece for one more key; gives its number.
    pub fn enter(&mut self, piece: &[u8]) -> u32 {
        if piece.is_empty() {
            return NOTHING;
        }
        if self.lately.is_empty() {
            self.lately.resize(LATELY, NOTHING);
        }
        let place = xxh3_64(piece) as usize % LATELY;
        let known = self.lately[place];
        let is_held = self.held.get(known as usize).is_some_and(|held| held.keys > 0);
        if is_held && self.get(known) == piece {
            self.held[known as usize].keys += 1;
            return known;
        }
        let number = self.add(piece);
        self.lately[place] = number;
        number
    }

    fn add(&mut self, piece: &[u8]) -> u32 {
        let new =
            Held { page: 0, keys: 1, start: 0, len: u16::try_from(piece.len()).unwrap_or(LONG) };
        let number = match self.free.pop() {
            Some(number) => {
                self.held[number as usize] = new;
                number
            }
            None => {
                self.held.push(new);
                u32::try_from(self.held.len() - 1).expect("no more pieces than keys")
            }
        };
        let Pieces { arena, held, .. } = self;
        let place = arena.put(number, piece, |moved, to| held[moved as usize].lies_at(to));
        held[number as usize].lies_at(place);
        number
    }

    #[inline(always)]
    pub fn get(&self, number: u32) -> &[u8] {
        if number == NOTHING {
            return &[];
        }
        let held = &self.held[number as usize];
        let place = Place { page: held.page, start: held.start };
        match held.len {
            LONG => self.arena.get(place),
            len => self.arena.get_short(place, len),
        }
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
        *self = Pieces::default();
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
        /// Long pieces, so that pages are compacted and pieces move.
        #[test]
        fn a_piece_stays_what_it_is_until_all_its_keys_left(
            steps in prop::collection::vec((any::<bool>(), 0..12u8), 0..400),
        ) {
            let (mut pieces, mut held) = (Pieces::default(), Vec::new());
            let bytes = |piece: u8| vec![piece; usize::from(piece) * 1_500];
            for (enters, piece) in steps {
                match held.iter().position(|(_, known)| *known == piece) {
                    Some(at) if !enters => pieces.leave(held.swap_remove(at).0),
                    Some(_) | None => held.push((pieces.enter(&bytes(piece)), piece)),
                }
                for (number, piece) in &held {
                    prop_assert_eq!(pieces.get(*number), &bytes(*piece)[..]);
                }
                // Few enough that none pushes another out of the table.
                let mut different: Vec<u8> =
                    held.iter().map(|(_, piece)| *piece).filter(|piece| *piece > 0).collect();
                different.sort_unstable();
                different.dedup();
                prop_assert_eq!(pieces.held.len() - pieces.free.len(), different.len());
            }
        }
    }

    #[test]
    fn pieces_that_push_one_another_out_are_kept_all_the_same() {
        let mut pieces = Pieces::default();
        let bytes = |piece: u32| piece.to_le_bytes();
        let count = 3 * LATELY as u32;
        let numbers: Vec<u32> = (0..count).map(|piece| pieces.enter(&bytes(piece))).collect();
        let again: Vec<u32> = (0..count).map(|piece| pieces.enter(&bytes(piece))).collect();
        for (piece, (first, second)) in (0..).zip(numbers.iter().zip(&again)) {
            assert_eq!(
                (pieces.get(*first), pieces.get(*second)),
                (&bytes(piece)[..], &bytes(piece)[..])
            );
        }
        numbers.into_iter().chain(again).for_each(|number| pieces.leave(number));
        assert_eq!(pieces.free.len(), pieces.held.len());
        let nothing = pieces.enter(&[]);
        assert_eq!(pieces.get(nothing), b"");
    }
}
