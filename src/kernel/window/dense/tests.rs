//! Windows kept together against windows kept one by one.

use proptest::prelude::*;

use super::*;
use crate::kernel::window::{Folded, GroupWindow};

const EVERY: Duration = Duration::from_secs(1);

fn spec(panes: i64) -> WindowSpec {
    let shape = Shape::Sliding { length: EVERY * panes, every: EVERY };
    WindowSpec::of(shape, &[Reduction::Mean], None).expect("a sliding window is a window")
}

/// What happens to the windows: a sample of a group, or some seconds pass.
#[derive(Clone, Debug)]
enum Step {
    Sample {
        group: u32,
        back: i64,
        value: f64,
    },
    Pass(i64),
    /// The store is made anew from what it gave out.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sample = (0..3u32, 0..16_500i64, -1e3..1e3f64)
        .prop_map(|(group, back, value)| Step::Sample { group, back, value });
    let step = prop_oneof![
        8 => sample,
        3 => (1..4i64).prop_map(Step::Pass),
        1 => Just(Step::Pass(30)),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..120)
}

fn restarted(old: &Dense, spec: &WindowSpec, closed: EventTime) -> Dense {
    let mut new = Dense::new(spec).expect("the spec fits");
    for group in 0..3 {
        new.put_back(group, closed, &old.take_out(group));
        if !old.changed[group as usize] {
            new.take_changed(group);
        }
    }
    new
}

proptest! {
    /// Windows kept together say what windows kept one by one say, to the last digits; and the
    /// same bits, whatever else is kept beside them and however often they are made anew.
    #[test]
    fn windows_kept_together_say_what_each_says_alone(
        steps in steps(), panes in 1..9i64
    ) {
        let spec = spec(panes);
        let mut together = Dense::new(&spec).expect("the spec fits");
        let mut second = together.clone();
        (0..3).for_each(|group| together.make_room(group));
        second.make_room(1);
        let mut closed = EventTime::from_nanos(EVERY.nanos() * 1_000);
        let mut alone: Vec<GroupWindow> =
            (0..3).map(|_| GroupWindow::new(&spec, closed.next())).collect();
        for step in steps {
            match step {
                Step::Restart => together = restarted(&together, &spec, closed),
                Step::Sample { group, back, value } => {
                    let at = closed + Duration::from_millis(9_500) - Duration::from_millis(back);
                    let sample = Folded {
                        at, position: 0, member: 0, value, share_hit: false,
                        distinct_hash: 0, previous: None,
                    };
                    let window = &mut alone[group as usize];
                    window.catch_up(&spec, closed.next());
                    let placed = window.fold(&spec, &sample);
                    prop_assert_eq!(together.fold(group, closed, at, value), placed);
                    if group == 1 {
                        second.fold(1, closed, at, value);
                    }
                }
                Step::Pass(seconds) => for _ in 0..seconds {
                    closed = closed + EVERY;
                    together.close(closed);
                    second.close(closed);
                    for (group, window) in (0..).zip(&mut alone) {
                        window.catch_up(&spec, closed);
                        let judged = window.close(&spec, closed);
                        prop_assert_eq!(together.take_changed(group), judged.changed);
                        prop_assert_eq!(together.count(group) == 0, judged.empty);
                        let mean = together.view(group, Reduction::Mean);
                        let expected = window.view(&spec, Reduction::Mean);
                        prop_assert_eq!(mean.is_some(), expected.is_some());
                        if let Some((mean, expected)) = mean.zip(expected) {
                            prop_assert!((mean - expected).abs() <= 1e-12 * 1e3);
                        }
                    }
                    let bits = |dense: &Dense| {
                        dense.view(1, Reduction::Mean).map(f64::to_bits)
                    };
                    prop_assert_eq!(bits(&together), bits(&second));
                },
            }
        }
    }
}

#[test]
fn windows_that_read_more_or_have_many_panes_are_kept_one_by_one() {
    let fits = |panes: i64, reads: &[Reduction]| {
        let shape = Shape::Sliding { length: EVERY * panes, every: EVERY };
        WindowSpec::of(shape, reads, None).and_then(|spec| Dense::new(&spec)).is_some()
    };
    assert!(fits(64, &[Reduction::Mean, Reduction::Count, Reduction::Sum]));
    assert!(!fits(65, &[Reduction::Mean]));
    assert!(!fits(6, &[Reduction::Mean, Reduction::Max]));
}

#[test]
fn a_sample_far_ahead_takes_room_for_its_own_group_alone() {
    let mut dense = Dense::new(&spec(6)).expect("the spec fits");
    dense.make_room(99_999);
    let closed = EventTime::from_nanos(EVERY.nanos() * 1_000);
    dense.close(closed);
    let length = EVERY * 6;
    for (ahead, columns) in [(length, 1), (length + Duration::from_nanos(1), 1), (length * 9, 1)] {
        dense.fold(7, closed, closed + ahead, 2.0);
        assert_eq!(dense.panes.len(), columns, "{ahead}");
    }
    assert_eq!(dense.ahead.values().map(BTreeMap::len).sum::<usize>(), 2);
    for second in 1..=54 {
        dense.close(closed + EVERY * second);
    }
    assert_eq!((dense.count(7), dense.view(7, Reduction::Mean)), (1, Some(2.0)));
    assert!(dense.ahead.is_empty());
    dense.clear(7);
    assert!(!dense.holds(7));
}
