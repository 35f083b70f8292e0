//! A sliding window's panes in one stretch of memory, that always knows what they come to without
//! ever taking a value back out.
//!
//! Two stacks in one ring (compare [`super::stacks`]): panes enter at the back; when the front has
//! run empty the back is turned over in place, and each record becomes the merge of itself with
//! all newer ones of the front. So a pane costs one record, is merged twice in its life however
//! long the window is, and since nothing is subtracted no rounding error can creep. Behind the
//! judged panes lie the open ones.
//!
//! A record is a head and the words of its parts. The head holds the pane's number (its end over
//! the panes' length) in its upper 41 bits, enough for all of time in steps of 10 ms, and below it
//! how many samples the pane has. More samples than that go on in a further record with the same
//! number, for a window may have records of one pane side by side.

use serde::{Deserialize, Serialize};

use super::pane::{Folded, Lateness};
use super::record::{Halves, Kept};
use super::spec::WindowSpec;

/// 48 bytes with its window's own, and then for a mean 24 bytes a pane.
///
/// Invariants: records are in the order of their panes: `front` merged ones, then the rest of the
/// `judged`, then `open`. Slot 0 is apart: its head counts the samples of all judged panes, its
/// parts are the merge of the judged records behind the front, if there are any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ring {
    words: Box<[u64]>,
    /// Slots besides slot 0.
    slots: u32,
    /// Where the oldest record lies.
    first: u32,
    front: u32,
    judged: u32,
    open: u32,
    kept: Kept,
    /// Words of a slot.
    width: u8,
    /// A sample entered or left since the last judgement.
    pub changed: bool,
}

/// Where a sample went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The record's place, counted from the oldest.
    pub at: usize,
    /// The record is new; those behind it moved on by one.
    pub fresh: bool,
}

/// What is about to be done to many windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Fold,
    Close,
}

const COUNT_BITS: u32 = 23;
/// Samples that one record counts.
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

impl Ring {
    pub fn new(kept: Kept) -> Ring {
        let width = u8::try_from(1 + kept.words()).expect("there are few parts");
        let (words, slots, first) = (Box::default(), 0, 0);
        let (front, judged, open, changed) = (0, 0, 0, false);
        Ring { words, slots, first, front, judged, open, kept, width, changed }
    }

    /// Lets go of everything.
    pub fn clear(&mut self) {
        *self = Ring { changed: self.changed, ..Ring::new(self.kept) };
    }

    /// Records of panes that were judged.
    pub fn judged(&self) -> usize {
        self.judged as usize
    }

    pub fn len(&self) -> usize {
        (self.judged + self.open) as usize
    }

    /// The number of the oldest pane that was judged.
    pub fn oldest(&self) -> Option<i64> {
        (self.judged > 0).then(|| self.number(0))
    }

    /// The number of the first pane that is open.
    pub fn first_open(&self) -> Option<i64> {
        (self.open > 0).then(|| self.number(self.judged()))
    }

    /// The number of the newest pane.
    pub fn newest(&self) -> Option<i64> {
        self.len().checked_sub(1).map(|at| self.number(at))
    }

    /// What the judged panes come to; `None` when there are none.
    pub fn halves(&self) -> Option<Halves<'_>> {
        if self.judged == 0 {
            return None;
        }
        let older = (self.front > 0).then(|| self.parts(self.slot(0)));
        let newer = (self.front < self.judged).then(|| self.parts(0));
        Some(Halves { kept: self.kept, count: self.words[0], older, newer })
    }

    /// Takes a sample into an open pane.
    pub fn fold(&mut self, spec: &WindowSpec, number: i64, sample: &Folded) -> Spot {
        let len = self.len();
        // Nearly every sample falls in the newest pane or begins the next one.
        let newest = self.newest();
        if newest == Some(number) && self.open > 0 {
            let slot = self.slot(len - 1);
            if self.words[slot] & COUNT_MAX < COUNT_MAX {
                self.words[slot] += 1;
                self.add(slot, sample, Lateness::OnTime);
                return Spot { at: len - 1, fresh: false };
            }
        }
        let spot = if newest.is_none_or(|newest| newest < number) {
            Spot { at: len, fresh: true }
        } else {
            self.spot(number, self.judged()..len)
        };
        if spot.fresh {
            self.make_room(spec);
            self.insert(spot.at, number, sample, Lateness::OnTime);
            self.open += 1;
        } else {
            let slot = self.slot(spot.at);
            self.words[slot] += 1;
            self.add(slot, sample, Lateness::OnTime);
        }
        spot
    }

    /// Takes a late sample into a pane that was judged: O(records).
    pub fn fold_late(&mut self, spec: &WindowSpec, number: i64, sample: &Folded) -> Spot {
        let spot = self.spot(number, 0..self.judged());
        if spot.fresh {
            self.make_room(spec);
            self.insert_judged(spot.at, number, sample);
        } else {
            let slot = self.slot(spot.at);
            self.words[slot] += 1;
            if spot.at < self.front as usize {
                self.add_up_to(spot.at + 1, sample);
            } else {
                self.add(slot, sample, Lateness::Late);
                self.add(0, sample, Lateness::Late);
            }
        }
        self.words[0] += 1;
        spot
    }

    /// Adds a sample as a record of its own, judged at once, for windows that count samples.
    pub fn push(&mut self, spec: &WindowSpec, sample: &Folded) {
        self.make_room(spec);
        self.insert(self.len(), 0, sample, Lateness::OnTime);
        self.open += 1;
        self.enter();
    }

    /// The first open pane enters the window.
    pub fn enter(&mut self) {
        assert!(self.open > 0);
        let slot = self.slot(self.judged());
        self.words[0] += self.words[slot] & COUNT_MAX;
        if self.front == self.judged {
            let parts = slot + 1..slot + usize::from(self.width);
            self.words.copy_within(parts, 1);
        } else {
            self.merge(0, slot);
        }
        self.judged += 1;
        self.open -= 1;
    }

    /// The oldest pane leaves the window.
    pub fn pop(&mut self) {
        assert!(self.judged > 0);
        if self.front == 0 {
            self.turn();
        }
        self.words[0] -= self.words[self.slot(0)] & COUNT_MAX;
        self.front -= 1;
        self.judged -= 1;
        self.step();
    }

    /// Leaves out the first open pane, which the window has passed already.
    pub fn skip(&mut self) {
        assert!(self.judged == 0 && self.open > 0, "panes behind it are newer");
        self.open -= 1;
        self.step();
    }

    /// See [`super::GroupWindow::touch`].
    pub fn touch(&self, work: Work) -> u64 {
        if self.slots == 0 {
            return 0;
        }
        let last = self.slots as usize - 1;
        let slot = |at: usize| self.words[self.slot(at.min(last))];
        match work {
            Work::Fold => slot(self.len()),
            Work::Close => self.words[0] ^ slot(0) ^ slot(self.judged()),
        }
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    fn step(&mut self) {
        self.first += 1;
        if self.first == self.slots {
            self.first = 0;
        }
    }

    /// Makes the back the front. The oldest record is about to leave, so it stays as it is.
    fn turn(&mut self) {
        for at in (1..self.judged() - 1).rev() {
            self.merge(self.slot(at), self.slot(at + 1));
        }
        self.front = self.judged;
    }

    /// Where the sample of a pane belongs among the records of `range`.
    fn spot(&self, number: i64, range: std::ops::Range<usize>) -> Spot {
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low.midpoint(high);
            if self.number(middle) <= number { low = middle + 1 } else { high = middle }
        }
        let known = low > range.start && self.number(low - 1) == number;
        if known && self.words[self.slot(low - 1)] & COUNT_MAX < COUNT_MAX {
            return Spot { at: low - 1, fresh: false };
        }
        Spot { at: low, fresh: true }
    }

    /// Puts a record between the others and begins it.
    fn insert(&mut self, at: usize, number: i64, sample: &Folded, lateness: Lateness) {
        let width = usize::from(self.width);
        for behind in (at..self.len()).rev() {
            let (from, to) = (self.slot(behind), self.slot(behind + 1));
            self.words.copy_within(from..from + width, to);
        }
        let slot = self.slot(at);
        self.words[slot] = (number << COUNT_BITS).cast_unsigned() | 1;
        self.kept.begin(&mut self.words[slot + 1..slot + width], sample, lateness);
    }

    fn insert_judged(&mut self, at: usize, number: i64, sample: &Folded) {
        self.insert(at, number, sample, Lateness::Late);
        if at < self.front as usize {
            self.merge(self.slot(at), self.slot(at + 1));
            self.add_up_to(at, sample);
            self.front += 1;
        } else if self.front == self.judged {
            let slot = self.slot(at);
            self.words.copy_within(slot + 1..slot + usize::from(self.width), 1);
        } else {
            self.add(0, sample, Lateness::Late);
        }
        self.judged += 1;
    }

    /// Adds a late sample to the oldest records, all of which are merges that cover it.
    fn add_up_to(&mut self, records: usize, sample: &Folded) {
        for at in 0..records {
            self.add(self.slot(at), sample, Lateness::Late);
        }
    }

    /// Room for one more record. It doubles until it holds what the spec expects, and then grows by
    /// an eighth: samples may run ahead of the watermark by more panes than one.
    fn make_room(&mut self, spec: &WindowSpec) {
        let (width, len, expected) = (usize::from(self.width), self.len(), spec.panes as usize);
        if len < self.slots as usize {
            return;
        }
        let slots = if len < expected { expected.min(len * 2 + 1) } else { len + len / 8 + 1 };
        let mut words = vec![0; (slots + 1) * width].into_boxed_slice();
        if !self.words.is_empty() {
            words[..width].copy_from_slice(&self.words[..width]);
        }
        for at in 0..len {
            let (from, to) = (self.slot(at), (at + 1) * width);
            words[to..to + width].copy_from_slice(&self.words[from..from + width]);
        }
        self.words = words;
        (self.slots, self.first) = (slots as u32, 0);
    }

    /// Where the words of a record begin.
    fn slot(&self, at: usize) -> usize {
        let slot = self.first as usize + at;
        let slots = self.slots as usize;
        let slot = if slot >= slots { slot - slots } else { slot };
        (slot + 1) * usize::from(self.width)
    }

    fn number(&self, at: usize) -> i64 {
        number_of(self.words[self.slot(at)])
    }

    fn parts(&self, slot: usize) -> &[u64] {
        &self.words[slot + 1..slot + usize::from(self.width)]
    }

    fn add(&mut self, slot: usize, sample: &Folded, lateness: Lateness) {
        let parts = slot + 1..slot + usize::from(self.width);
        self.kept.add(&mut self.words[parts], sample, lateness);
    }

    /// Merges a record into an older one.
    fn merge(&mut self, older: usize, newer: usize) {
        let width = usize::from(self.width);
        let places = [older + 1..older + width, newer + 1..newer + width];
        let both = self.words.get_disjoint_mut(places);
        let [older, newer] = both.expect("two records do not overlap");
        self.kept.merge(older, newer);
    }
}

fn number_of(head: u64) -> i64 {
    head.cast_signed() >> COUNT_BITS
}

#[cfg(test)]
mod tests;
