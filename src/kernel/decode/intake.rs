//! One source worker's builder of batches, with its cache from raw key bytes to slots.
//!
//! A raw key is the part of a line that names its series, as it came over the wire. Two spellings
//! of one series are two keys and get two slots, which is right and merely costs a slot. The cache
//! is bounded by number and by bytes; when it is full the clock hand takes out a key that was not
//! seen since the hand last passed, and its slot is announced again for another series.

use std::borrow::Cow;

use super::keys::Keys;
pub use super::keys::{Key, RawKey};
use crate::kernel::model::{
    Announcement, Batch, Defect, EventTime, Limits, Memo, Op, Refusal, Series,
};

pub struct Intake {
    limits: Limits,
    batch: Batch,
    keys: Keys,
    memo: Memo,
    speculates: bool,
}

impl Intake {
    /// Up to `keys_max` (at least 1) raw keys are kept, of 256 bytes on average; longer ones make
    /// it fewer.
    pub fn new(limits: &Limits, keys_max: usize) -> Intake {
        let (keys, memo) = (Keys::new(keys_max), Memo::new());
        Intake { limits: limits.clone(), batch: Batch::default(), keys, memo, speculates: true }
    }

    /// Hashes raw keys with this seed, before any is known.
    pub fn set_seed(&mut self, seed: u64) {
        self.keys.set_seed(seed);
    }

    /// The series of this name and these labels, which shares its text with those before it.
    pub fn series<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Series, Refusal> {
        Series::within(&self.limits, &mut self.memo, name, labels)
    }

    /// `None` when the key has to be parsed and [announced](Intake::announce).
    pub fn known(&mut self, raw: &[u8]) -> Option<Key> {
        self.keys.get(raw)
    }

    /// The slot that is likely to come next, and its raw key.
    #[inline(always)]
    pub fn expected(&self) -> Option<(u32, RawKey<'_>)> {
        self.keys.expected()
    }

    /// The slot of a raw key, which does not count as seen yet.
    pub fn find(&self, raw: &[u8]) -> Option<u32> {
        self.keys.find(raw)
    }

    /// The raw key of a slot that was expected or found.
    pub fn raw_key(&self, slot: u32) -> RawKey<'_> {
        self.keys.raw_key(slot)
    }

    /// One sample of a slot that was expected or found.
    #[inline(always)]
    pub fn push_met(&mut self, slot: u32, at: EventTime, value: f64, op: Op) {
        self.keys.meet(slot);
        self.push(self.keys.key(slot), at, value, op);
    }

    #[cfg(test)]
    pub fn speculate(&mut self, speculates: bool) {
        self.speculates = speculates;
    }

    /// Whether a reader may take a line for what it looks like, where that cannot be wrong. Only
    /// tests say no, to compare.
    #[inline(always)]
    pub fn speculates(&self) -> bool {
        self.speculates
    }

    /// Remembers what an unknown key stands for, a refusal too, so that a bad series is not parsed
    /// on each line. A key that was known must not be announced again.
    pub fn announce(&mut self, raw: &[u8], series: Result<Series, Refusal>) -> Key {
        let slot = self.keys.insert(raw, series.as_ref().err().copied());
        let series = series?;
        let row = u32::try_from(self.batch.rows()).expect("a batch is bounded in bytes");
        self.batch.announced.push(Announcement { row, slot, series });
        Ok(slot)
    }

    /// One sample of a key, or one more refusal.
    #[inline(always)]
    pub fn push(&mut self, key: Key, at: EventTime, value: f64, op: Op) {
        match key {
            Ok(slot) if value.is_finite() && op == Op::Set && self.batch.ops.is_empty() => {
                // The usual case of `Batch::push`, in place.
                self.batch.slots.push(slot);
                self.batch.at.push(at);
                self.batch.value.push(value);
            }
            Ok(slot) if value.is_finite() => self.batch.push(slot, at, value, op),
            Ok(_) => self.refuse(Refusal::NotFinite),
            Err(refusal) => self.refuse(refusal),
        }
    }

    pub fn refuse(&mut self, refusal: Refusal) {
        self.batch.refused.add(refusal, 1);
    }

    pub fn defect(&mut self, line: u64, what: impl Into<Cow<'static, str>>, bytes: &[u8]) {
        if self.batch.defects.len() < Batch::DEFECTS_MAX {
            self.batch.defect(Defect::new(line, what.into(), bytes));
        } else {
            // A flood of defects is only counted and costs no text.
            self.batch.defect_count += 1;
        }
    }

    /// Counts bytes on the wire into the batch.
    pub fn received(&mut self, bytes: usize) {
        self.batch.bytes += bytes;
    }

    /// Forgets all keys, because the same bytes mean another series from here on.
    pub fn forget(&mut self) {
        self.keys.clear();
    }

    /// Forgets the keys that were not seen since this was last called.
    pub fn forget_unseen(&mut self) {
        self.keys.forget_unseen();
    }

    /// Keys taken out of the cache so far.
    pub fn evictions(&self) -> u64 {
        self.keys.evictions()
    }

    /// The batch so far. An announcement's row is the batch's length when it came after all rows.
    pub fn take(&mut self) -> Batch {
        let rows = self.batch.rows();
        let next = Batch {
            slots: Vec::with_capacity(rows),
            at: Vec::with_capacity(rows),
            value: Vec::with_capacity(rows),
            ..Batch::default()
        };
        std::mem::replace(&mut self.batch, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::model::Slot;

    fn series(name: &str) -> Result<Series, Refusal> {
        Ok(Series::new::<&str, &str>(name, []))
    }

    /// Sends a sample of each key in turn through an intake of three keys, and gives the batch as
    /// text: `+a=0` where key a is announced in slot 0, and `0` where slot 0 has a sample.
    fn check(keys: &str, expected: &str) -> Intake {
        let mut intake = Intake::new(&Limits::default(), 3);
        for name in keys.split(' ') {
            let raw = name.as_bytes();
            let key = intake.known(raw).unwrap_or_else(|| intake.announce(raw, series(name)));
            intake.push(key, EventTime::MIN, 1.0, Op::Set);
        }
        let batch = intake.take();
        let mut text = Vec::new();
        for row in 0..batch.rows() {
            for told in batch.announced.iter().filter(|told| told.row as usize == row) {
                text.push(format!("+{}={}", told.series, told.slot.0));
            }
            text.push(batch.slots[row].0.to_string());
        }
        assert_eq!(text.join(" "), expected, "{keys}");
        intake
    }

    #[test]
    fn a_key_is_announced_once() {
        let intake = check("a b a b c a", "+a=0 0 +b=1 1 0 1 +c=2 2 0");
        assert_eq!(intake.evictions(), 0);
    }

    #[test]
    fn a_full_cache_takes_out_keys_that_do_not_come_again() {
        // a and c came twice and keep their slots; b makes room for d, and d for e.
        let intake = check("a b c a c d a e a c", "+a=0 0 +b=1 1 +c=2 2 0 2 +d=1 1 0 +e=1 1 0 2");
        assert_eq!(intake.evictions(), 2);
    }

    #[test]
    fn a_key_that_was_taken_out_is_announced_again() {
        let intake = check("a b c d a", "+a=0 0 +b=1 1 +c=2 2 +d=0 0 +a=1 1");
        assert_eq!(intake.evictions(), 2);
    }

    #[test]
    fn long_keys_are_bounded_in_bytes() {
        let mut intake = Intake::new(&Limits::default(), 100);
        for count in 0..1_000u32 {
            let mut raw = vec![b'x'; 10_000];
            raw.extend_from_slice(&count.to_le_bytes());
            let _slot = intake.announce(&raw, series("x"));
            assert!(intake.keys.bytes() <= 100 * Keys::BYTES_PER_KEY);
        }
        assert_eq!((intake.keys.len(), intake.evictions()), (2, 998));
        // A single key past the bound still gets its slot.
        let _slot = intake.announce(&[b'y'; 30_000], series("y"));
        assert_eq!(intake.keys.len(), 1);
    }

    #[test]
    fn a_refused_key_is_remembered_and_each_of_its_samples_counted() {
        let mut intake = Intake::new(&Limits::default(), 3);
        let refused = intake.announce(b"bad", Err(Refusal::TooManyLabels));
        assert_eq!(refused, Err(Refusal::TooManyLabels));
        for _ in 0..3 {
            let key = intake.known(b"bad").expect("refused keys are remembered");
            intake.push(key, EventTime::MIN, 1.0, Op::Set);
        }
        let good = intake.announce(b"good", series("good"));
        intake.push(good, EventTime::MIN, f64::NAN, Op::Set);
        intake.push(good, EventTime::MIN, f64::INFINITY, Op::Set);
        let batch = intake.take();
        assert_eq!(batch.refused.get(Refusal::TooManyLabels), 3);
        assert_eq!(batch.refused.get(Refusal::NotFinite), 2);
        assert_eq!((batch.rows(), batch.announced.len()), (0, 1));
    }

    #[test]
    fn series_of_one_host_share_its_labels() {
        let mut intake = Intake::new(&Limits::default(), 3);
        let mut labels = |name: &str, host: &str| {
            let series = intake.series(name, [("host", host)]).expect("it is within the limits");
            series.labels().bytes().as_ptr()
        };
        assert_eq!(labels("cpu", "a"), labels("mem", "a"));
        assert_ne!(labels("cpu", "a"), labels("cpu", "b"));
    }

    #[test]
    fn forgetting_makes_every_key_unknown() {
        let mut intake = check("a b", "+a=0 0 +b=1 1");
        intake.forget();
        assert_eq!((intake.known(b"a"), intake.evictions()), (None, 2));
        assert_eq!(intake.announce(b"b", series("b")), Ok(Slot(0)));
    }
}
