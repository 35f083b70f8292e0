//! Some samples' parts side by side: as many words as the rule's reductions need, and no more.
//!
//! A mean takes two words, a mean and a maximum four. A record has no empty state: it begins with
//! a sample, takes in more, and merges with the record of newer ones. What is read from a window
//! is read from its two halves, so nothing has to be put together first.

use serde::{Deserialize, Serialize};

use super::pane::{Folded, Lateness};
use super::parts::{Ends, Hits, Moments, Moves, Part, Range};
use super::spec::Parts;
use super::sum::Sum;
use crate::kernel::model::Duration;
use crate::kernel::rule::view::Reduction;

/// Which parts a record holds. A window keeps those that it began with, also when an edit of its
/// rule reads fewer of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept(u16);

/// What is done to each part that is kept; `at` is where its words begin.
trait Visit {
    fn part<P: Part>(&mut self, at: usize);
}

struct Begin<'a>(&'a mut [u64], &'a Folded, Lateness);
struct Add<'a>(&'a mut [u64], &'a Folded, Lateness);
struct TakeIn<'a>(&'a mut [u64], &'a [u64]);
struct Measure(usize);

impl Kept {
    pub fn new(parts: &Parts) -> Kept {
        let bit = |kept: bool, bit: u16| if kept { bit } else { 0 };
        Kept(
            bit(parts.sum, Sum::BIT)
                | bit(parts.range, Range::BIT)
                | bit(parts.moments, Moments::BIT)
                | bit(parts.ends, Ends::BIT)
                | bit(parts.moves, Moves::BIT)
                | bit(parts.share, Hits::BIT),
        )
    }

    /// How many words a record has.
    pub fn words(self) -> usize {
        let mut measure = Measure(0);
        self.visit(&mut measure);
        measure.0
    }

    pub fn begin(self, words: &mut [u64], sample: &Folded, lateness: Lateness) {
        self.visit(&mut Begin(words, sample, lateness));
    }

    pub fn add(self, words: &mut [u64], sample: &Folded, lateness: Lateness) {
        self.visit(&mut Add(words, sample, lateness));
    }

    pub fn merge(self, words: &mut [u64], newer: &[u64]) {
        self.visit(&mut TakeIn(words, newer));
    }

    fn has<P: Part>(self) -> bool {
        self.0 & P::BIT != 0
    }

    /// Parts in the order of their bits, which is that of their words.
    #[inline(always)]
    fn visit(self, visit: &mut impl Visit) {
        let mut at = 0;
        at = self.visit_one::<Sum>(at, visit);
        if self.0 <= Sum::BIT {
            return;
        }
        at = self.visit_one::<Range>(at, visit);
        at = self.visit_one::<Moments>(at, visit);
        at = self.visit_one::<Ends>(at, visit);
        at = self.visit_one::<Moves>(at, visit);
        self.visit_one::<Hits>(at, visit);
    }

    #[inline(always)]
    fn visit_one<P: Part>(self, at: usize, visit: &mut impl Visit) -> usize {
        if !self.has::<P>() {
            return at;
        }
        visit.part::<P>(at);
        at + P::WORDS
    }

    /// Where the words of a part begin.
    fn place<P: Part>(self) -> usize {
        Kept(self.0 & (P::BIT - 1)).words()
    }
}

impl Visit for Measure {
    #[inline(always)]
    fn part<P: Part>(&mut self, at: usize) {
        self.0 = at + P::WORDS;
    }
}

impl Visit for Begin<'_> {
    #[inline(always)]
    fn part<P: Part>(&mut self, at: usize) {
        P::of(self.1, self.2).store(&mut self.0[at..at + P::WORDS]);
    }
}

impl Visit for Add<'_> {
    #[inline(always)]
    fn part<P: Part>(&mut self, at: usize) {
        let words = &mut self.0[at..at + P::WORDS];
        let mut part = P::load(words);
        part.add(self.1, self.2);
        part.store(words);
    }
}

impl Visit for TakeIn<'_> {
    #[inline(always)]
    fn part<P: Part>(&mut self, at: usize) {
        let words = &mut self.0[at..at + P::WORDS];
        let mut part = P::load(words);
        part.merge(&P::load(&self.1[at..at + P::WORDS]));
        part.store(words);
    }
}

/// A window as it is read: the records of its older and of its newer part, at least one of them.
#[derive(Clone, Copy, Debug)]
pub struct Halves<'a> {
    pub kept: Kept,
    /// Samples in both.
    pub count: u64,
    pub older: Option<&'a [u64]>,
    pub newer: Option<&'a [u64]>,
}

impl Halves<'_> {
    /// Reads a reduction; `length` is the window's, for `rate`. `None` when it is undefined, not
    /// kept, or past the range of `f64`, and for the reductions that records do not hold
    /// (quantiles, slope, ewma, distinct).
    pub fn read(&self, reduction: Reduction, length: Option<Duration>) -> Option<f64> {
        let count = self.count as f64;
        let value = match reduction {
            Reduction::Count => count,
            Reduction::Sum => self.part::<Sum>()?.value(),
            Reduction::Mean => self.part::<Sum>()?.value() / count,
            Reduction::Min => self.part::<Range>()?.low,
            Reduction::Max => self.part::<Range>()?.high,
            Reduction::First => self.part::<Ends>()?.first(),
            Reduction::Last => self.part::<Ends>()?.last(),
            Reduction::Delta => self.part::<Moves>()?.delta()?,
            Reduction::Rate => self.part::<Moves>()?.increase()? / length?.as_secs_f64(),
            Reduction::Increase => self.part::<Moves>()?.increase()?,
            Reduction::Stddev => self.part::<Moments>()?.stddev(),
            Reduction::Share => self.part::<Hits>()?.0 as f64 / count,
            Reduction::Quantile(_) | Reduction::Slope | Reduction::Ewma | Reduction::Distinct => {
                return None;
            }
        };
        value.is_finite().then_some(value)
    }

    /// The lowest and the highest value.
    pub fn range(&self) -> Option<(f64, f64)> {
        self.part::<Range>().map(|range| (range.low, range.high))
    }

    fn part<P: Part>(&self) -> Option<P> {
        if !self.kept.has::<P>() {
            return None;
        }
        let at = self.kept.place::<P>();
        let load = |words: &[u64]| P::load(&words[at..at + P::WORDS]);
        let Some(older) = self.older else { return self.newer.map(load) };
        let mut part = load(older);
        if let Some(newer) = self.newer {
            part.merge(&load(newer));
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::model::EventTime;

    fn sample(value: f64) -> Folded {
        let (at, position, member) = (EventTime::from_nanos(7), 3, 0);
        let (share_hit, distinct_hash, previous) = (value > 2.0, 0, None);
        Folded { at, position, member, value, share_hit, distinct_hash, previous }
    }

    fn record(kept: Kept, values: &[f64]) -> Vec<u64> {
        let mut words = vec![0; kept.words()];
        kept.begin(&mut words, &sample(values[0]), Lateness::OnTime);
        for value in &values[1..] {
            kept.add(&mut words, &sample(*value), Lateness::OnTime);
        }
        words
    }

    fn read(kept: Kept, words: &[u64], count: u64, reduction: Reduction) -> Option<f64> {
        Halves { kept, count, older: Some(words), newer: None }.read(reduction, None)
    }

    #[test]
    fn samples_of_one_place_keep_the_order_they_came_in() {
        let kept = Kept::new(&Parts { ends: true, ..Parts::default() });
        let ends = |words: &[u64]| {
            [Reduction::First, Reduction::Last].map(|end| read(kept, words, 3, end))
        };
        let mut halves = record(kept, &[5.0, 1.0]);
        kept.merge(&mut halves, &record(kept, &[4.0, 2.0]));
        assert_eq!(ends(&halves), [Some(5.0), Some(2.0)]);
        assert_eq!(ends(&record(kept, &[5.0, 1.0, 2.0])), [Some(5.0), Some(2.0)]);
    }

    #[test]
    fn a_record_is_as_wide_as_what_is_kept_and_parts_do_not_overlap() {
        let mut widths = Vec::new();
        for bits in 0..64u16 {
            let bit = |at: u16| bits & (1 << at) != 0;
            let [sum, range, moments] = [bit(0), bit(1), bit(2)];
            let [ends, moves, share] = [bit(3), bit(4), bit(5)];
            let parts = Parts { sum, range, moments, ends, moves, share, ..Parts::default() };
            let kept = Kept::new(&parts);
            widths.push(kept.words());
            let mut words = record(kept, &[2.0]);
            kept.merge(&mut words, &record(kept, &[3.0, 4.0]));
            for (reduction, is_kept, value) in [
                (Reduction::Count, true, 3.0),
                (Reduction::Sum, sum, 9.0),
                (Reduction::Mean, sum, 3.0),
                (Reduction::Min, range, 2.0),
                (Reduction::Max, range, 4.0),
                (Reduction::Stddev, moments, (2.0f64 / 3.0).sqrt()),
                (Reduction::First, ends, 2.0),
                (Reduction::Last, ends, 4.0),
                (Reduction::Share, share, 2.0 / 3.0),
                // No sample has one before it.
                (Reduction::Increase, false, 0.0),
            ] {
                let got = read(kept, &words, 3, reduction);
                assert_eq!(got, is_kept.then_some(value), "{reduction:?} of {parts:?}");
            }
        }
        assert_eq!((widths[0], widths[1], widths[2], widths[3]), (0, 2, 2, 4));
        assert_eq!(widths[63], 2 + 2 + 3 + 6 + 5 + 1);
    }
}
