//! What one record cannot hold, and all of time.

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
