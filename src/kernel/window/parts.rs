//! The fixed-size parts of a fold, one for each family of reductions.
//!
//! A part can be written as a few words of 64 bits and read back, so that a pane keeps the parts
//! that its rule reads side by side and nothing else (see [`super::record`]).

use serde::{Deserialize, Serialize};

use super::pane::{Folded, Lateness};
use super::sum::Sum;
use crate::kernel::model::EventTime;

/// What some samples come to, seen from one side. There is always at least one sample in it.
pub trait Part: Sized {
    /// Its place among the bits of [`super::record::Kept`].
    const BIT: u16;
    /// The words it takes in a record.
    const WORDS: usize;

    fn of(sample: &Folded, lateness: Lateness) -> Self;
    fn add(&mut self, sample: &Folded, lateness: Lateness);
    fn merge(&mut self, newer: &Self);
    fn load(words: &[u64]) -> Self;
    fn store(self, words: &mut [u64]);
}

/// The lowest and the highest value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    pub low: f64,
    pub high: f64,
}

/// Welford's mean and sum of squared deviations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

/// The first and the last sample by (event time, position).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ends {
    first: Mark,
    last: Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Mark {
    at: EventTime,
    position: u64,
    value: f64,
}

/// How values moved against the same series' sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moves {
    /// Samples that had one before them.
    count: u64,
    increase: Sum,
    delta: Sum,
}

/// Samples for which the rule's `.share(..)` held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hits(pub u64);

impl Part for Sum {
    const BIT: u16 = 1;
    const WORDS: usize = 2;

    fn of(sample: &Folded, _: Lateness) -> Sum {
        let mut sum = Sum::default();
        sum.add(sample.value);
        sum
    }

    fn add(&mut self, sample: &Folded, _: Lateness) {
        self.add(sample.value);
    }

    fn merge(&mut self, newer: &Sum) {
        self.merge(newer);
    }

    fn load(words: &[u64]) -> Sum {
        Sum::from_halves(f64::from_bits(words[0]), f64::from_bits(words[1]))
    }

    fn store(self, words: &mut [u64]) {
        let (total, lost) = self.halves();
        (words[0], words[1]) = (total.to_bits(), lost.to_bits());
    }
}

impl Part for Range {
    const BIT: u16 = 2;
    const WORDS: usize = 2;

    fn of(sample: &Folded, _: Lateness) -> Range {
        Range { low: sample.value, high: sample.value }
    }

    fn add(&mut self, sample: &Folded, lateness: Lateness) {
        self.merge(&Range::of(sample, lateness));
    }

    fn merge(&mut self, newer: &Range) {
        self.low = self.low.min(newer.low);
        self.high = self.high.max(newer.high);
    }

    fn load(words: &[u64]) -> Range {
        Range { low: f64::from_bits(words[0]), high: f64::from_bits(words[1]) }
    }

    fn store(self, words: &mut [u64]) {
        (words[0], words[1]) = (self.low.to_bits(), self.high.to_bits());
    }
}

impl Moments {
    /// The population's.
    pub fn stddev(&self) -> f64 {
        (self.squares / self.count as f64).sqrt()
    }
}

impl Part for Moments {
    const BIT: u16 = 4;
    const WORDS: usize = 3;

    fn of(sample: &Folded, _: Lateness) -> Moments {
        Moments { count: 1, mean: sample.value, squares: 0.0 }
    }

    fn add(&mut self, sample: &Folded, _: Lateness) {
        self.count += 1;
        let off = sample.value - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (sample.value - self.mean);
    }

    /// Chan, Golub and LeVeque's pairwise update.
    fn merge(&mut self, newer: &Moments) {
        let (mine, theirs) = (self.count as f64, newer.count as f64);
        let off = newer.mean - self.mean;
        let weight = theirs / (mine + theirs);
        self.mean += off * weight;
        self.squares += newer.squares + off * off * mine * weight;
        self.count += newer.count;
    }

    fn load(words: &[u64]) -> Moments {
        let [mean, squares] = [words[1], words[2]].map(f64::from_bits);
        Moments { count: words[0], mean, squares }
    }

    fn store(self, words: &mut [u64]) {
        words[..3].copy_from_slice(&[self.count, self.mean.to_bits(), self.squares.to_bits()]);
    }
}

impl Ends {
    pub fn first(&self) -> f64 {
        self.first.value
    }

    pub fn last(&self) -> f64 {
        self.last.value
    }
}

impl Part for Ends {
    const BIT: u16 = 8;
    const WORDS: usize = 6;

    fn of(sample: &Folded, _: Lateness) -> Ends {
        let mark = Mark { at: sample.at, position: sample.position, value: sample.value };
        Ends { first: mark, last: mark }
    }

    fn add(&mut self, sample: &Folded, lateness: Lateness) {
        self.merge(&Ends::of(sample, lateness));
    }

    fn merge(&mut self, newer: &Ends) {
        if newer.first.place() < self.first.place() {
            self.first = newer.first;
        }
        if newer.last.place() >= self.last.place() {
            self.last = newer.last;
        }
    }

    fn load(words: &[u64]) -> Ends {
        Ends { first: Mark::load(&words[..3]), last: Mark::load(&words[3..]) }
    }

    fn store(self, words: &mut [u64]) {
        words[..3].copy_from_slice(&self.first.words());
        words[3..6].copy_from_slice(&self.last.words());
    }
}

impl Mark {
    fn place(&self) -> (EventTime, u64) {
        (self.at, self.position)
    }

    fn load(words: &[u64]) -> Mark {
        let at = EventTime::from_nanos(words[0].cast_signed());
        Mark { at, position: words[1], value: f64::from_bits(words[2]) }
    }

    fn words(&self) -> [u64; 3] {
        [self.at.nanos().cast_unsigned(), self.position, self.value.to_bits()]
    }
}

impl Moves {
    /// `None` while no sample had one before it.
    pub fn increase(&self) -> Option<f64> {
        (self.count > 0).then(|| self.increase.value())
    }

    pub fn delta(&self) -> Option<f64> {
        (self.count > 0).then(|| self.delta.value())
    }
}

impl Part for Moves {
    const BIT: u16 = 16;
    const WORDS: usize = 5;

    fn of(sample: &Folded, lateness: Lateness) -> Moves {
        let mut moves = Moves::default();
        moves.add(sample, lateness);
        moves
    }

    fn add(&mut self, sample: &Folded, lateness: Lateness) {
        let (value, Some((_, previous))) = (sample.value, sample.previous) else { return };
        if lateness == Lateness::Late {
            return;
        }
        self.count += 1;
        // A counter that went down was reset, and has since counted up to its value.
        self.increase.add(if value < previous { value } else { value - previous });
        self.delta.add(value - previous);
    }

    fn merge(&mut self, newer: &Moves) {
        self.count += newer.count;
        self.increase.merge(&newer.increase);
        self.delta.merge(&newer.delta);
    }

    fn load(words: &[u64]) -> Moves {
        Moves { count: words[0], increase: Sum::load(&words[1..]), delta: Sum::load(&words[3..]) }
    }

    fn store(self, words: &mut [u64]) {
        words[0] = self.count;
        self.increase.store(&mut words[1..3]);
        self.delta.store(&mut words[3..5]);
    }
}

impl Part for Hits {
    const BIT: u16 = 32;
    const WORDS: usize = 1;

    fn of(sample: &Folded, _: Lateness) -> Hits {
        Hits(u64::from(sample.share_hit))
    }

    fn add(&mut self, sample: &Folded, _: Lateness) {
        self.0 += u64::from(sample.share_hit);
    }

    fn merge(&mut self, newer: &Hits) {
        self.0 += newer.0;
    }

    fn load(words: &[u64]) -> Hits {
        Hits(words[0])
    }

    fn store(self, words: &mut [u64]) {
        words[0] = self.0;
    }
}
