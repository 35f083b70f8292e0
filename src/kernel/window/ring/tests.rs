//! A ring against a plain list of panes; what one record cannot hold; all of time.

use proptest::prelude::*;

use super::super::tests::sample;
use super::*;
use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::Shape;
use crate::kernel::rule::view::Reduction;

const EVERY: Duration = Duration::from_secs(1);

fn spec() -> WindowSpec {
    let shape = Shape::Sliding { length: EVERY * 5, every: EVERY };
    WindowSpec::of(shape, &[Reduction::Sum], None).expect("the shape has a window")
}

fn one() -> Folded {
    sample(EventTime::from_nanos(7), 0, 0, 1.0)
}

/// The samples, and what they add up to.
#[track_caller]
fn check(ring: &Ring, count: u64, sum: f64) {
    let halves = ring.halves();
    let read = halves.map(|halves| (halves.count, halves.read(Reduction::Sum, None)));
    assert_eq!(read, (count > 0).then_some((count, Some(sum))));
}

/// A ring whose first pane counts as many samples as a record can; only two of them are real.
fn full() -> Ring {
    let mut ring = Ring::new(Kept::new(&spec().parts));
    ring.fold(&spec(), 4, &one());
    let slot = ring.slot(0);
    ring.words[slot] += COUNT_MAX - 2;
    assert_eq!(ring.fold(&spec(), 4, &one()), Spot { at: 0, fresh: false });
    ring
}

#[test]
fn what_one_record_cannot_count_goes_on_in_the_next() {
    let mut ring = full();
    assert_eq!(ring.fold(&spec(), 4, &one()), Spot { at: 1, fresh: true });
    assert_eq!(ring.fold(&spec(), 4, &one()), Spot { at: 1, fresh: false });
    assert_eq!(ring.fold(&spec(), 5, &one()), Spot { at: 2, fresh: true });
    assert_eq!((ring.newest(), ring.first_open()), (Some(5), Some(4)));
    ring.enter();
    check(&ring, COUNT_MAX, 2.0);
    ring.enter();
    assert_eq!((ring.oldest(), ring.first_open()), (Some(4), Some(5)));
    check(&ring, COUNT_MAX + 2, 4.0);
    // A late sample finds the record that has room left.
    assert_eq!(ring.fold_late(&spec(), 4, &one()), Spot { at: 1, fresh: false });
    check(&ring, COUNT_MAX + 3, 5.0);
    ring.enter();
    check(&ring, COUNT_MAX + 4, 6.0);
    ring.pop();
    check(&ring, 4, 4.0);
    ring.pop();
    check(&ring, 1, 1.0);
    ring.pop();
    check(&ring, 0, 0.0);
    assert_eq!(ring.len(), 0);
}

#[test]
fn a_late_sample_for_a_full_record_gets_its_own() {
    let mut ring = full();
    ring.enter();
    assert_eq!(ring.fold_late(&spec(), 4, &one()), Spot { at: 1, fresh: true });
    check(&ring, COUNT_MAX + 1, 3.0);
    ring.pop();
    check(&ring, 1, 1.0);
}

#[test]
fn all_of_time_has_numbers() {
    for nanos in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX] {
        let every = super::super::every::EVERY_MIN;
        let shape = Shape::Sliding { length: every, every };
        let spec = WindowSpec::of(shape, &[], None).expect("the shape has a window");
        let mut ring = Ring::new(Kept::new(&spec.parts));
        let number = spec.grid().number(EventTime::from_nanos(nanos));
        ring.fold(&spec, number, &one());
        assert_eq!(ring.newest(), Some(number), "{nanos}");
        assert!(EventTime::from_nanos(nanos) <= spec.grid().end(number));
    }
}

#[derive(Clone, Debug)]
enum Act {
    /// A sample for the newest pane, or so many panes later.
    Fold(i64),
    /// A late sample for the pane so many before the newest that was judged.
    Late(i64),
    Enter,
    Pop,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..4i64).prop_map(Act::Fold),
        2 => (0..12i64).prop_map(Act::Late),
        4 => Just(Act::Enter),
        3 => Just(Act::Pop),
    ];
    proptest::collection::vec(act, 0..120)
}

/// A plain list of panes, each with its number and its values; the judged ones first.
#[derive(Default)]
struct Plain {
    panes: Vec<(i64, Vec<f64>)>,
    judged: usize,
}

impl Plain {
    fn fold(&mut self, number: i64, value: f64) {
        match self.panes.binary_search_by_key(&number, |pane| pane.0) {
            Ok(at) => self.panes[at].1.push(value),
            Err(at) => self.panes.insert(at, (number, vec![value])),
        }
    }

    fn values(&self) -> Vec<f64> {
        self.panes[..self.judged].iter().flat_map(|pane| pane.1.clone()).collect()
    }
}

proptest! {
    #[test]
    fn a_ring_says_what_a_plain_list_of_panes_says(acts in acts()) {
        let shape = Shape::Sliding { length: EVERY * 5, every: EVERY };
        let spec = WindowSpec::of(shape, &[Reduction::Sum, Reduction::Max], None);
        let spec = spec.expect("the shape has a window");
        let (mut ring, mut plain) = (Ring::new(Kept::new(&spec.parts)), Plain::default());
        for (turn, act) in acts.into_iter().enumerate() {
            // Powers of two tell in their sum which of them are there.
            let value = f64::powi(2.0, turn as i32 % 50);
            let sample = Folded { value, ..one() };
            match act {
                Act::Fold(later) => {
                    let newest = plain.panes.last().map_or(0, |pane| pane.0);
                    let first_open = i64::from(plain.judged == plain.panes.len());
                    let number = newest + later.max(first_open);
                    ring.fold(&spec, number, &sample);
                    plain.fold(number, value);
                }
                Act::Late(before) if plain.judged > 0 => {
                    let number = plain.panes[plain.judged - 1].0 - before;
                    plain.judged += usize::from(plain.panes.iter().all(|pane| pane.0 != number));
                    ring.fold_late(&spec, number, &sample);
                    plain.fold(number, value);
                }
                Act::Enter if plain.judged < plain.panes.len() => {
                    ring.enter();
                    plain.judged += 1;
                }
                Act::Pop if plain.judged > 0 => {
                    ring.pop();
                    plain.panes.remove(0);
                    plain.judged -= 1;
                }
                Act::Late(_) | Act::Enter | Act::Pop => {}
            }
            let values = plain.values();
            prop_assert_eq!((ring.len(), ring.judged()), (plain.panes.len(), plain.judged));
            let read = |reduction| ring.halves().and_then(|halves| halves.read(reduction, None));
            let some = |value: f64| (!values.is_empty()).then_some(value);
            prop_assert_eq!(read(Reduction::Count), some(values.len() as f64));
            prop_assert_eq!(read(Reduction::Sum), some(values.iter().sum()));
            let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert_eq!(read(Reduction::Max), some(highest));
        }
    }
}
