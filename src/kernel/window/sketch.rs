//! Quantiles with a relative error of at most 1 %, from counts in buckets.
//!
//! A DDSketch (Masson, Rim and Lee, 2019) with the linearly interpolated mapping: every octave is
//! cut into 64 buckets of equal width, so a bucket is named by a value's exponent and the top six
//! bits of its mantissa. That is exact integer work on every machine, and the mapping is the same
//! for all sketches; so sketches merge and subtract without any error, as counts do.

use serde::{Deserialize, Serialize};

use super::buckets::{Apart, Near};

/// Counts of values by bucket. Most values of a metric lie close together: their buckets are a
/// plain array, so counting one is one step; the buckets apart from them (and all of them while
/// they are few) are a sorted list of those that hold something.
///
/// Limit: past [`Sketch::BUCKETS_MAX`] buckets, neighbours are joined two by two (one *level*
/// coarser, as in UDDSketch) until they fit. At level 0 those buckets span 32 octaves when not one
/// of them is empty, so measurements stay there; noise over the whole range of `f64` ends at level
/// 7 at the latest, with buckets of two octaves. Joining keeps the mapping fixed within a level, so
/// subtraction stays exact; joining only the lowest buckets would not.
///
/// Invariant: `count` is the sum of all counts. A bucket may be in both, as what is beyond the
/// range of `u32` goes from the array to the list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sketch {
    level: u8,
    count: u64,
    near: Near,
    apart: Apart,
}

/// Bits of the mantissa that tell buckets of one octave apart.
const STEP_BITS: u32 = 6;
const KEPT_SHIFT: u32 = 52 - STEP_BITS;
/// The bucket of the smallest normal number gets the key 1.
const KEY_OFFSET: i32 = (1 << STEP_BITS) - 1;

impl Sketch {
    const BUCKETS_MAX: usize = 2_048;

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let key = key_of(value) >> self.level;
        if self.near.add(key, 1) > 0 {
            self.add_apart(key, 1);
        }
    }

    /// Takes back a value that was added before.
    pub fn remove(&mut self, value: f64) {
        self.take(key_of(value) >> self.level, 1);
        self.sweep();
    }

    pub fn merge(&mut self, other: &Sketch) {
        while self.level < other.level {
            self.coarsen();
        }
        for (key, count) in other.buckets() {
            // It may become coarser on the way.
            let key = key >> (self.level - other.level);
            self.count += count;
            let more = self.near.add(key, count);
            if more > 0 {
                self.add_apart(key, more);
            }
        }
    }

    /// Takes back a sketch that was merged before.
    pub fn subtract(&mut self, other: &Sketch) {
        // All of its buckets are here too, so they were never joined before these were.
        assert!(other.level <= self.level, "a part is no coarser than the whole");
        let shift = self.level - other.level;
        for (key, count) in other.buckets() {
            self.take(key >> shift, count);
        }
        self.sweep();
    }

    /// The value at rank `floor(q * (count - 1))` of the sorted values, counted from 0, where
    /// `q = tenths / 1000`: the lower of the two neighbours of a quantile between ranks, as
    /// DDSketch has it. `None` when empty.
    ///
    /// The bucket's harmonic middle is given. At level 0 it is off by at most 1/129, half the width
    /// of the relatively widest bucket, `[64, 65)`, over its middle; magnitudes below the smallest
    /// normal number count as zero.
    pub fn quantile(&self, tenths: u16) -> Option<f64> {
        let rank = u128::from(tenths) * u128::from(self.count.checked_sub(1)?) / 1000;
        let mut below = 0u128;
        for (key, count) in self.buckets() {
            below += u128::from(count);
            if rank < below {
                return Some(middle(key, self.level));
            }
        }
        None
    }

    /// Whether a rebuild from the parts would be finer. When it says so the buckets are so few
    /// that the rebuilt sketch can't be at this level again, so rebuilds stay rare.
    pub fn is_needlessly_coarse(&self) -> bool {
        self.level > 0 && self.used() <= Sketch::BUCKETS_MAX / 4
    }

    /// Buckets that hold something, rising.
    fn buckets(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        let (mut near, mut apart) = (self.near.buckets().peekable(), self.apart.buckets());
        let mut waiting = apart.next();
        std::iter::from_fn(move || {
            if waiting.is_some_and(|(key, _)| near.peek().is_none_or(|(other, _)| key < *other)) {
                return std::mem::replace(&mut waiting, apart.next());
            }
            near.next()
        })
    }

    fn used(&self) -> usize {
        self.near.used as usize + self.apart.keys.len()
    }

    fn add_apart(&mut self, key: i32, count: u64) {
        if !self.apart.add(key, count) {
            return;
        }
        while self.used() > Sketch::BUCKETS_MAX {
            self.coarsen();
        }
        let apart = self.apart.keys.len();
        if apart >= Near::USED_MIN && apart.is_power_of_two() {
            let buckets = self.buckets().collect();
            self.arrange(buckets);
        }
    }

    /// Takes from a bucket. The list may be left with a count of zero, for [`Sketch::sweep`].
    fn take(&mut self, key: i32, count: u64) {
        let more = count - self.near.take(key, count);
        if more > 0 {
            self.apart.take(key, more);
        }
        self.count -= count;
    }

    fn sweep(&mut self) {
        if self.is_empty() {
            *self = Sketch::default();
        } else {
            self.apart.sweep();
        }
    }

    fn coarsen(&mut self) {
        let mut joined: Vec<(i32, u64)> = Vec::with_capacity(self.used());
        for (key, count) in self.buckets() {
            match joined.last_mut() {
                Some((last, known)) if *last == key >> 1 => *known += count,
                Some(_) | None => joined.push((key >> 1, count)),
            }
        }
        self.level += 1;
        self.arrange(joined);
    }

    /// Makes an array of where the buckets lie closest and a list of the others.
    fn arrange(&mut self, buckets: Vec<(i32, u64)>) {
        self.near = Near::around(&buckets);
        self.apart = Apart::default();
        for (key, count) in buckets {
            let more = self.near.add(key, count);
            if more > 0 {
                self.apart.add(key, more);
            }
        }
    }
}

/// Equal when they hold the same, however it lies.
impl PartialEq for Sketch {
    fn eq(&self, other: &Sketch) -> bool {
        (self.level, self.count) == (other.level, other.count) && self.buckets().eq(other.buckets())
    }
}

/// The bucket of a value at level 0. Keys are in the order of the values: negative, 0, positive.
fn key_of(value: f64) -> i32 {
    if value.abs() < f64::MIN_POSITIVE {
        return 0;
    }
    let key = (value.abs().to_bits() >> KEPT_SHIFT) as i32 - KEY_OFFSET;
    if value < 0.0 { -key } else { key }
}

/// The smallest magnitude in the bucket of key 1 or higher at level 0.
fn floor_of(key: i32) -> f64 {
    f64::from_bits(((key + KEY_OFFSET) as u64) << KEPT_SHIFT).min(f64::MAX)
}

/// The value that is off by the same ratio from both ends of a bucket: `2ab / (a + b)`.
fn middle(key: i32, level: u8) -> f64 {
    let (first, last) = (key << level, (key << level) + (1 << level) - 1);
    if first <= 0 && last >= 0 {
        return 0.0;
    }
    let (nearest, farthest) = if first > 0 { (first, last) } else { (-last, -first) };
    let (low, high) = (floor_of(nearest), floor_of(farthest + 1));
    let magnitude = high * (2.0 / (1.0 + high / low));
    if first > 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RELATIVE_ERROR: f64 = 1.0 / 129.0;

    fn sketch_of(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    /// The definition: the value at the lower rank of the sorted values.
    fn exact(values: &[f64], tenths: u16) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[usize::from(tenths) * (sorted.len() - 1) / 1000]
    }

    #[track_caller]
    fn check(values: &[f64]) {
        let sketch = sketch_of(values);
        for tenths in [0, 1, 10, 250, 500, 750, 900, 990, 999, 1000] {
            let (guess, truth) = (sketch.quantile(tenths).expect("values"), exact(values, tenths));
            let allowed = truth.abs() * RELATIVE_ERROR * (1.0 + 1e-9) + f64::MIN_POSITIVE;
            assert!((guess - truth).abs() <= allowed, "p{tenths}: {guess} for {truth}");
        }
    }

    #[test]
    fn the_error_is_within_the_promise() {
        const { assert!(RELATIVE_ERROR < 0.01) };
        check(&[0.0]);
        check(&[-0.0, 5e-324, -5e-324]);
        check(&[f64::MAX, f64::MIN, f64::MIN_POSITIVE, -f64::MIN_POSITIVE]);
        check(&(1..=10_000).map(f64::from).collect::<Vec<_>>());
        check(&(-500..=500).map(|n| f64::from(n) / 7.0).collect::<Vec<_>>());
        // Both ends of a bucket and of an octave, where the error is largest.
        check(&[64.0, 64.999_999_999_999, 65.0, 127.999_999_999_999, 128.0]);
    }

    #[test]
    fn the_rank_is_the_lower_neighbour() {
        let sketch = sketch_of(&[1.0, 2.0, 4.0, 8.0]);
        for (tenths, near) in
            [(0, 1.0), (333, 1.0), (334, 2.0), (500, 2.0), (999, 4.0), (1000, 8.0)]
        {
            let guess = sketch.quantile(tenths).expect("values");
            assert!((guess / near - 1.0).abs() < 0.01, "p{tenths}: {guess}, not {near}");
        }
        assert_eq!(Sketch::default().quantile(500), None);
    }

    #[test]
    fn noise_over_the_whole_range_stays_within_the_limit() {
        let every_bucket: Vec<f64> = (1..=130_944).step_by(3).map(floor_of).collect();
        let mut sketch = sketch_of(&every_bucket);
        every_bucket.iter().for_each(|value| sketch.add(-value));
        assert!(sketch.used() <= Sketch::BUCKETS_MAX);
        assert_eq!((sketch.level, sketch.count), (7, 2 * every_bucket.len() as u64));
        let median = sketch.quantile(750).expect("values");
        let truth = exact(&every_bucket, 500);
        assert!(truth / 4.0 <= median && median <= truth * 4.0, "{median} for {truth}");
        let below = sketch.quantile(250).expect("values");
        assert!((below / median + 1.0).abs() < 0.01, "{below} mirrors {median}");
        // Taking the values back ends in an empty sketch, which is fine again.
        every_bucket.iter().for_each(|value| sketch.remove(-value));
        every_bucket[1..].iter().for_each(|value| sketch.remove(*value));
        assert!(sketch.is_needlessly_coarse());
        sketch.remove(every_bucket[0]);
        assert_eq!(sketch, Sketch::default());
    }

    #[test]
    fn sketches_of_different_levels_merge_and_subtract() {
        let wide: Vec<f64> = (1..=130_944).step_by(40).map(floor_of).collect();
        let narrow: Vec<f64> = (-300..300).map(|n| f64::from(n) * 1.5).collect();
        let (coarse, fine) = (sketch_of(&wide), sketch_of(&narrow));
        assert!(coarse.level > 0 && fine.level == 0);
        let whole = sketch_of(&[&narrow[..], &wide].concat());
        for (mut first, second) in [(coarse.clone(), &fine), (fine.clone(), &coarse)] {
            first.merge(second);
            assert_eq!(first, whole);
            first.subtract(&coarse);
            narrow.iter().for_each(|value| first.remove(*value));
            assert_eq!(first, Sketch::default());
        }
    }

    #[test]
    fn more_than_u32_of_one_value_are_counted_and_taken_back() {
        let values: Vec<f64> = (0..100).map(|n| 50.0 + f64::from(n) / 3.0).collect();
        let mut sketch = sketch_of(&values);
        assert!(sketch.near.used > 0, "the values lie close enough for an array");
        let parts: Vec<Sketch> = (0..34)
            .map(|_| {
                let part = sketch.clone();
                sketch.merge(&part);
                part
            })
            .collect();
        assert_eq!(sketch.count, 100 << 34);
        assert!((sketch.quantile(990).expect("values") / 82.67 - 1.0).abs() < 0.01);
        parts.iter().rev().for_each(|part| sketch.subtract(part));
        assert_eq!(sketch.count, 100);
        values.iter().for_each(|value| sketch.remove(*value));
        assert_eq!(sketch, Sketch::default());
    }

    #[test]
    fn an_array_is_made_where_values_lie_close_and_follows_them() {
        let zeros_and =
            |from: f64| (0..200).map(move |n| if n % 4 == 0 { 0.0 } else { from + f64::from(n) });
        let mut sketch = sketch_of(&zeros_and(300.0).collect::<Vec<_>>());
        let bucket = |value: f64| key_of(value);
        assert!(sketch.near.buckets().all(|(key, _)| key >= bucket(300.0)));
        assert!(sketch.near.used > sketch.apart.keys.len() as u32);
        zeros_and(300.0).for_each(|value| sketch.remove(value));
        assert_eq!(sketch, Sketch::default());
        zeros_and(1e9).for_each(|value| sketch.add(value));
        zeros_and(-7e3).for_each(|value| sketch.add(value));
        assert!(sketch.near.buckets().all(|(key, _)| key < 0));
    }

    fn values() -> impl Strategy<Value = Vec<f64>> {
        let value = prop_oneof![
            8 => -1e6..1e6f64,
            4 => 0.001..10.0f64,
            1 => Just(0.0),
            2 => any::<f64>().prop_filter("finite", |value| value.is_finite()),
        ];
        proptest::collection::vec(value, 1..200)
    }

    proptest! {
        #[test]
        fn any_values_are_within_the_promise(values in values()) {
            check(&values);
        }

        #[test]
        fn merge_and_subtract_are_exact(mine in values(), theirs in values()) {
            let (whole, mut merged) = (sketch_of(&[&mine[..], &theirs].concat()), sketch_of(&mine));
            merged.merge(&sketch_of(&theirs));
            prop_assert_eq!(&merged, &whole);
            merged.subtract(&sketch_of(&mine));
            prop_assert_eq!(&merged, &sketch_of(&theirs));
            theirs.iter().for_each(|value| merged.remove(*value));
            prop_assert_eq!(&merged, &Sketch::default());
        }
    }
}
