//! The series table: one number for each live series, and what is known of each without any rule.

use std::collections::BTreeMap;

use crate::kernel::model::index::Index;
use crate::kernel::model::{EventTime, Series, SeriesId, SourceId};
use crate::kernel::rule::ruleset::RuleIndex;
use crate::kernel::shard::OVERFLOW;

use super::masks::{Masks, NUMBERS};

/// Metric names that may have an overflow series of their own.
const OVERFLOW_NAMES_MAX: usize = 1_000;

#[derive(Debug)]
pub struct SeriesTable {
    entries: Vec<Entry>,
    masks: Masks,
    /// Of each number; `None` once retired, when the number is free for another series. Apart from
    /// the entries, since samples need those alone.
    series: Vec<Option<Series>>,
    /// Rules whose overflow group a series belongs to. Few series have any.
    overflowing: BTreeMap<SeriesId, Vec<RuleIndex>>,
    ids: Index,
    free: Vec<SeriesId>,
    overflow_names: usize,
}

/// There are as many of these as series, so it is 32 bytes and not more.
#[derive(Clone, Debug)]
pub struct Entry {
    pub newest: EventTime,
    /// The watermark, or the newest event time if that is later, at its last sample.
    pub heard: EventTime,
    /// The last value, which increments add to.
    pub last: f64,
    /// Told apart from the series that had this number before.
    pub generation: u32,
    pub source: SourceId,
    /// The number of the set of shards that hold a group of it, and two marks.
    marks: u16,
}

const OVERFLOWS: u16 = NUMBERS;
const COUNTS: u16 = NUMBERS << 1;

impl Entry {
    /// The number of the set of shards that hold a group of it.
    #[inline(always)]
    pub fn mask(&self) -> u16 {
        self.marks % NUMBERS
    }

    /// It stands for keys past the limit, so many samples may have one time.
    #[inline(always)]
    pub fn is_overflow(&self) -> bool {
        self.marks & OVERFLOWS != 0
    }

    /// Some sample was added to the last value, which must not be forgotten lightly.
    pub fn counts(&self) -> bool {
        self.marks & COUNTS != 0
    }

    pub fn set_counts(&mut self, counts: bool) {
        self.marks = if counts { self.marks | COUNTS } else { self.marks & !COUNTS };
    }
}

/// What became of a series that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interned {
    Known(SeriesId),
    New(SeriesId),
    /// Past the limit: the overflow series of its metric, which may be new itself.
    Overflow {
        id: SeriesId,
        new: bool,
    },
    /// Past every limit.
    Refused,
}

impl SeriesTable {
    /// Of a run with so many shards.
    pub fn new(shards: u32) -> SeriesTable {
        SeriesTable {
            entries: Vec::new(),
            masks: Masks::new(shards),
            series: Vec::new(),
            overflowing: BTreeMap::new(),
            ids: Index::default(),
            free: Vec::new(),
            overflow_names: 0,
        }
    }

    /// One bit for each shard that holds a group of the series.
    pub fn shards(&self, id: SeriesId) -> u64 {
        self.mask(self.entry(id).mask())
    }

    /// The set of shards that an entry's [mask](Entry::mask) is the number of.
    #[inline(always)]
    pub fn mask(&self, number: u16) -> u64 {
        self.masks.mask(number)
    }

    pub fn set_shards(&mut self, id: SeriesId, shards: u64) {
        let number = self.masks.number(shards);
        let entry = &mut self.entries[id.index()];
        entry.marks = (entry.marks & (OVERFLOWS | COUNTS)) | number;
    }

    pub fn live(&self) -> usize {
        self.ids.len()
    }

    /// The generation of a number; one that was never given has none.
    #[inline]
    pub fn generation(&self, id: SeriesId) -> u32 {
        self.entries.get(id.index()).map_or(0, |entry| entry.generation)
    }

    /// Some bits of an entry, which may lie in two lines of the cache.
    #[inline(always)]
    pub fn touch(&self, id: SeriesId) -> u64 {
        let entry = self.entries.get(id.index());
        entry.map_or(0, |it| it.newest.nanos().cast_unsigned() ^ u64::from(it.generation))
    }

    #[inline]
    pub fn entry(&self, id: SeriesId) -> &Entry {
        &self.entries[id.index()]
    }

    #[inline]
    pub fn entry_mut(&mut self, id: SeriesId) -> &mut Entry {
        &mut self.entries[id.index()]
    }

    /// Live series in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (SeriesId, &Series, &Entry)> {
        self.series.iter().enumerate().filter_map(|(index, series)| {
            let id = SeriesId(index as u32);
            series.as_ref().map(|series| (id, series, &self.entries[index]))
        })
    }

    pub fn series(&self, id: SeriesId) -> &Series {
        self.series[id.index()].as_ref().expect("only live series are asked for")
    }

    /// The numbers that were ever given, whether a series has them now or not.
    pub fn numbers(&self) -> impl Iterator<Item = SeriesId> + use<> {
        (0..self.series.len() as u32).map(SeriesId)
    }

    /// `None` of a number that no series has now.
    pub fn get(&self, id: SeriesId) -> Option<&Series> {
        self.series[id.index()].as_ref()
    }

    pub fn overflowing(&self, id: SeriesId) -> &[RuleIndex] {
        self.overflowing.get(&id).map_or(&[], Vec::as_slice)
    }

    pub fn set_overflowing(&mut self, id: SeriesId, rules: &[RuleIndex]) {
        if rules.is_empty() {
            self.overflowing.remove(&id);
        } else {
            self.overflowing.insert(id, rules.to_vec());
        }
    }

    /// Makes overflow groups go by the rules' new numbers; those of other rules are forgotten.
    pub fn renumber(&mut self, heir: impl Fn(RuleIndex) -> Option<RuleIndex>) {
        for rules in self.overflowing.values_mut() {
            *rules = rules.iter().filter_map(|rule| heir(*rule)).collect();
        }
        self.overflowing.retain(|_, rules| !rules.is_empty());
    }

    pub fn find(&self, series: &Series) -> Option<SeriesId> {
        let is_it = |number: u32| self.series[number as usize].as_ref() == Some(series);
        self.ids.find(series.digest(), is_it).map(SeriesId)
    }

    /// The series' number; a new one while fewer than `series_max` are live.
    pub fn intern(&mut self, series: &Series, source: SourceId, series_max: usize) -> Interned {
        if let Some(id) = self.find(series) {
            return Interned::Known(id);
        }
        if self.live() < series_max {
            // After a restart the overflow series come back like any other.
            let overflow = series.label(OVERFLOW).is_some();
            self.overflow_names += usize::from(overflow);
            return Interned::New(self.add(series.clone(), source, overflow));
        }
        let overflow = Series::new(series.name(), [(OVERFLOW, "true")]);
        if let Some(id) = self.find(&overflow) {
            return Interned::Overflow { id, new: false };
        }
        if self.overflow_names >= OVERFLOW_NAMES_MAX {
            return Interned::Refused;
        }
        self.overflow_names += 1;
        Interned::Overflow { id: self.add(overflow, source, true), new: true }
    }

    /// Frees a series' number.
    pub fn retire(&mut self, id: SeriesId) {
        let entry = &mut self.entries[id.index()];
        let series = self.series[id.index()].take().expect("only a live series is retired");
        self.overflowing.remove(&id);
        entry.generation = entry.generation.wrapping_add(1);
        self.overflow_names -= usize::from(entry.is_overflow());
        self.ids.remove(series.digest(), id.0);
        self.free.push(id);
    }

    fn add(&mut self, series: Series, source: SourceId, overflow: bool) -> SeriesId {
        let (newest, heard) = (EventTime::MIN, EventTime::MIN);
        let marks = if overflow { OVERFLOWS } else { 0 };
        let mut entry = Entry { newest, heard, last: 0.0, generation: 0, source, marks };
        let id = match self.free.pop() {
            Some(id) => {
                entry.generation = self.entries[id.index()].generation;
                self.entries[id.index()] = entry;
                self.series[id.index()] = Some(series);
                id
            }
            None => {
                self.entries.push(entry);
                self.series.push(Some(series));
                SeriesId(self.entries.len() as u32 - 1)
            }
        };
        let known = &self.series;
        self.ids.insert(id.0, |number| {
            let series = known[number as usize].as_ref();
            series.expect("only live series are in the index").digest()
        });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [(&str, &str); 0] = [];

    #[test]
    fn keys_past_the_limit_share_the_overflow_series_of_their_metric() {
        let mut table = SeriesTable::new(1);
        let host = |host| Series::new("load", [("host", host)]);
        let mut intern = |series: &Series| table.intern(series, SourceId(0), 2);
        assert_eq!(intern(&host("a")), Interned::New(SeriesId(0)));
        assert_eq!(intern(&Series::new("up", NONE)), Interned::New(SeriesId(1)));
        assert_eq!(intern(&host("b")), Interned::Overflow { id: SeriesId(2), new: true });
        assert_eq!(intern(&host("c")), Interned::Overflow { id: SeriesId(2), new: false });
        assert_eq!(intern(&host("a")), Interned::Known(SeriesId(0)));
    }

    #[test]
    fn an_entry_is_as_small_as_it_says_and_its_marks_are_apart() {
        assert_eq!(size_of::<Entry>(), 32);
        let mut table = SeriesTable::new(3);
        table.intern(&Series::new("up", NONE), SourceId(0), 0);
        let id = SeriesId(0);
        for shards in [0b101, 0, 0b111, 0b10] {
            table.set_shards(id, shards);
            let entry = table.entry(id);
            let seen = (table.shards(id), entry.is_overflow(), entry.counts());
            assert_eq!(seen, (shards, true, shards == 0b10));
            if shards == 0b111 {
                table.entry_mut(id).set_counts(true);
            }
        }
    }

    #[test]
    fn a_retired_number_is_used_again_and_can_be_told_apart() {
        let mut table = SeriesTable::new(1);
        let (first, second) = (Series::new("a", NONE), Series::new("b", NONE));
        table.intern(&first, SourceId(0), 10);
        let before = table.entry(SeriesId(0)).generation;
        table.retire(SeriesId(0));
        assert_eq!((table.live(), table.find(&first)), (0, None));
        assert_eq!(table.intern(&second, SourceId(0), 10), Interned::New(SeriesId(0)));
        assert_ne!(table.entry(SeriesId(0)).generation, before);
    }
}
