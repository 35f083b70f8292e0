//! A cache from raw keys to slots, bounded by number and by bytes.
//!
//! A key is two [`Pieces`], which it shares with other keys; the [`Table`] finds its slot by hash.
//! Senders
//! repeat their series in one order, or in orders that have long stretches in common, so each slot
//! also remembers which slot came after it last time: that one is *expected* next, and a caller
//! that finds its bytes at hand needs no hash and no search.
//!
//! When the cache is full, the clock hand takes out a key that was not seen since the hand last
//! passed. What is found, taken out and numbered depends only on the keys that came: not on
//! hashes, and not on what was expected.

mod arena;
mod pieces;
mod raw;
mod table;
#[cfg(test)]
mod tests;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::kernel::model::{Refusal, Slot};

use pieces::Pieces;
pub use raw::RawKey;
use table::Table;

/// What a raw key stands for: a slot, or why every sample of this key is refused.
pub type Key = Result<Slot, Refusal>;

pub struct Keys {
    keys_max: usize,
    bytes_max: usize,
    bytes: usize,
    seed: u64,
    table: Table,
    pieces: Pieces,
    held: Vec<Held>,
    free: Vec<u32>,
    hand: usize,
    evictions: u64,
    forecast: Forecast,
}

/// A slot: of which pieces its key is and what is known of it.
struct Held {
    front: u32,
    rest: u32,
    /// The slot that came after this one last time, or [`NONE`].
    next: u32,
    refusal: Option<Refusal>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Unseen,
    /// Seen since the hand last passed.
    Seen,
}

/// Which slot is expected, and whether expecting is worth it.
struct Forecast {
    last: u32,
    /// [`NONE`] when nothing is expected.
    expected: u32,
    misses: u32,
    /// Keys for which nothing more will be expected.
    pause: u32,
}

/// No slot: [`Keys::new`] keeps slots below it.
const NONE: u32 = u32::MAX;

impl Keys {
    /// A raw key of four labels takes some 80 bytes; three times that leaves room for long ones,
    /// while keys of 64 KiB each cannot fill the memory.
    pub const BYTES_PER_KEY: usize = 256;

    /// At least one key is kept.
    pub fn new(keys_max: usize) -> Keys {
        let keys_max = keys_max.clamp(1, NONE as usize);
        Keys {
            keys_max,
            bytes_max: keys_max.saturating_mul(Keys::BYTES_PER_KEY),
            bytes: 0,
            seed: 0,
            table: Table::default(),
            pieces: Pieces::default(),
            held: Vec::new(),
            free: Vec::new(),
            hand: 0,
            evictions: 0,
            forecast: Forecast::NOTHING,
        }
    }

    /// Hashes from here on with this seed. Who cannot know it cannot make up keys that all fall
    /// on one place. There must be no keys yet.
    pub fn set_seed(&mut self, seed: u64) {
        assert!(self.is_empty(), "the hashes of known keys would change");
        self.seed = seed;
    }

    pub fn get(&mut self, raw: &[u8]) -> Option<Key> {
        let slot = match self.expected() {
            Some((slot, key)) if key.is(raw) => slot,
            Some(_) | None => self.find(raw)?,
        };
        self.meet(slot);
        Some(self.key(slot))
    }

    /// The slot that is likely to come next, and its raw key.
    #[inline(always)]
    pub fn expected(&self) -> Option<(u32, RawKey<'_>)> {
        let slot = self.forecast.expected;
        let held = self.held.get(slot as usize).filter(|held| held.state != State::Free)?;
        Some((slot, self.raw(held)))
    }

    /// The raw key of a slot that was expected or found.
    pub fn raw_key(&self, slot: u32) -> RawKey<'_> {
        self.raw(&self.held[slot as usize])
    }

    #[inline(always)]
    fn raw(&self, held: &Held) -> RawKey<'_> {
        RawKey { front: self.pieces.get(held.front), rest: self.pieces.get(held.rest) }
    }

    /// The slot of a raw key, which does not count as seen yet.
    pub fn find(&self, raw: &[u8]) -> Option<u32> {
        let is_it = |slot: u32| self.raw(&self.held[slot as usize]).is(raw);
        self.table.find(self.hash(raw), is_it)
    }

    /// The key of this slot came.
    #[inline(always)]
    pub fn meet(&mut self, slot: u32) {
        let held = &mut self.held[slot as usize];
        held.state = State::Seen;
        if slot == self.forecast.expected {
            self.forecast = Forecast { last: slot, expected: held.next, misses: 0, pause: 0 };
        } else {
            self.forecast.came(slot, &mut self.held);
        }
    }

    #[inline(always)]
    pub fn key(&self, slot: u32) -> Key {
        match self.held[slot as usize].refusal {
            None => Ok(Slot(slot)),
            Some(refusal) => Err(refusal),
        }
    }

    /// The key must not be known.
    pub fn insert(&mut self, raw: &[u8], refusal: Option<Refusal>) -> Slot {
        while !self.is_empty()
            && (self.len() >= self.keys_max || self.bytes + raw.len() > self.bytes_max)
        {
            self.evict();
        }
        debug_assert!(self.find(raw).is_none(), "a known key was announced again");
        self.bytes += raw.len();
        // A new key has to be seen a second time before it counts as in use, so a flood of keys
        // that come once takes out its own kind and not the series that keep coming.
        let key = RawKey::cut(raw);
        let (front, rest) = (self.pieces.enter(key.front), self.pieces.enter(key.rest));
        let new = Held { front, rest, next: NONE, refusal, state: State::Unseen };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.held[slot as usize] = new;
                slot
            }
            None => {
                self.held.push(new);
                (self.held.len() - 1) as u32
            }
        };
        self.table.insert(self.hash(raw), slot);
        self.forecast.came(slot, &mut self.held);
        Slot(slot)
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of all keys together.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keys taken out so far.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    pub fn clear(&mut self) {
        self.evictions += self.len() as u64;
        self.table.clear();
        self.pieces.clear();
        self.held.clear();
        self.free.clear();
        self.bytes = 0;
        self.hand = 0;
        self.forecast = Forecast::NOTHING;
    }

    /// Takes out every key that was not seen since this was last called.
    pub fn forget_unseen(&mut self) {
        for slot in 0..self.held.len() {
            match self.held[slot].state {
                State::Free => {}
                State::Seen => self.held[slot].state = State::Unseen,
                State::Unseen => self.take_out(slot),
            }
        }
    }

    fn hash(&self, raw: &[u8]) -> u32 {
        (xxh3_64_with_seed(raw, self.seed) >> 32) as u32
    }

    /// Takes out the next key under the hand that was not seen since the last pass. There is one:
    /// the first pass leaves none marked as seen.
    fn evict(&mut self) {
        assert!(!self.is_empty());
        loop {
            let slot = self.hand;
            self.hand = if slot + 1 == self.held.len() { 0 } else { slot + 1 };
            let held = &mut self.held[slot];
            match held.state {
                State::Free => {}
                State::Seen => held.state = State::Unseen,
                State::Unseen => return self.take_out(slot),
            }
        }
    }

    fn take_out(&mut self, slot: usize) {
        self.held[slot].state = State::Free;
        let held = &self.held[slot];
        let (front, rest, raw) = (held.front, held.rest, self.raw(held).to_vec());
        self.bytes -= raw.len();
        self.table.remove(self.hash(&raw), slot as u32);
        self.pieces.leave(front);
        self.pieces.leave(rest);
        self.free.push(slot as u32);
        self.evictions += 1;
    }
}

impl Forecast {
    /// So many misses in a row say that the keys come in no order.
    const MISSES_MAX: u32 = 8;
    /// Then only one key in so many is expected, until one of them comes.
    const PAUSE: u32 = 64;

    const NOTHING: Forecast = Forecast { last: NONE, expected: NONE, misses: 0, pause: 0 };

    /// A slot came that was not the expected one.
    #[inline(never)]
    fn came(&mut self, slot: u32, held: &mut [Held]) {
        if let Some(last) = held.get_mut(self.last as usize) {
            last.next = slot;
        }
        self.last = slot;
        if self.expected != NONE {
            self.misses += 1;
        }
        if self.pause > 0 {
            self.pause -= 1;
        } else if self.misses > Forecast::MISSES_MAX {
            self.misses = Forecast::MISSES_MAX;
            self.pause = Forecast::PAUSE;
        }
        self.expected = if self.pause > 0 { NONE } else { held[slot as usize].next };
    }
}
