//! What a window says, told sample by sample.
//!
//! A line is a sample (`3s a=5`, a time, a series and a value; what became of it follows when it
//! was late) or a judgement (`at 10s` and the reductions to read with their values). `check` runs
//! the left parts and compares what it prints with the story.

use super::super::pane::Placed;
use super::super::store::GroupWindow;
use super::{Newest, sample, spec};
use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::Shape;
use crate::kernel::rule::view::Reduction;

#[track_caller]
fn check(shape: Shape, story: &str) {
    let mut window = GroupWindow::new(&spec(shape), EventTime::from_nanos(1));
    let mut newest = Newest::default();
    let mut told = String::new();
    for (position, line) in story.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate()
    {
        let line = match line.strip_prefix("at ") {
            Some(judgement) => judge(&mut window, shape, judgement),
            None => fold(&mut window, &mut newest, shape, position as u64, line),
        };
        told.push_str(&line);
        told.push('\n');
    }
    let story: Vec<&str> = story.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), story);
}

fn fold(
    window: &mut GroupWindow,
    newest: &mut Newest,
    shape: Shape,
    position: u64,
    line: &str,
) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (series, value) = words[1].split_once('=').expect(line);
    let member = u64::from(series.as_bytes()[0]);
    let plain = sample(time(words[0]), position, member, value.parse().expect(line));
    let folded = newest.follow(plain).expect("a story repeats no time of a series");
    let became = match window.fold(&spec(shape), &folded) {
        Placed::Open => "",
        Placed::LateInWindow => " late",
        Placed::LateGone => " gone",
    };
    format!("{} {}{became}", words[0], words[1])
}

fn judge(window: &mut GroupWindow, shape: Shape, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let judged = window.close(&spec(shape), time(words[0]));
    let mut told = format!("at {}", words[0]);
    if judged.empty {
        told.push_str(" empty");
    }
    if !judged.changed {
        told.push_str(" unchanged");
    }
    for field in words[1..].iter().filter_map(|word| word.split_once('=')) {
        let reduction = Reduction::parse(field.0).expect(line);
        let value = window.view(&spec(shape), reduction);
        // To three decimals, for the reader's sake.
        let value = value.map(|value| ((value * 1e3).round() / 1e3).to_string());
        let value = value.unwrap_or_else(|| "none".into());
        told.push_str(&format!(" {}={value}", field.0));
    }
    told
}

/// `10s`, `10s+` for a nanosecond later, `10s-` for one earlier.
fn time(text: &str) -> EventTime {
    let span = Duration::parse(text.trim_end_matches(['+', '-'])).expect(text);
    let off = i64::from(text.ends_with('+')) - i64::from(text.ends_with('-'));
    EventTime::from_nanos(span.nanos() + off)
}

fn sliding(length: i64, every: i64) -> Shape {
    Shape::Sliding { length: Duration::from_secs(length), every: Duration::from_secs(every) }
}

fn session(gap: i64, every: i64) -> Shape {
    Shape::Session { gap: Duration::from_secs(gap), every: Duration::from_secs(every) }
}

#[test]
fn a_window_holds_its_end_and_not_its_start() {
    check(
        sliding(10, 5),
        "
        5s a=1
        5s+ a=2
        10s a=4
        10s+ a=8
        at 5s count=1 sum=1
        at 10s count=3 sum=7
        at 15s count=3 sum=14
        at 20s count=1 sum=8
        at 25s empty count=none sum=none max=none p50=none rate=none ewma=none
        at 30s empty unchanged count=none
        ",
    );
}

#[test]
fn a_tumbling_window_starts_anew() {
    check(
        sliding(10, 10),
        "
        1s a=4
        9s b=2
        10s a=6
        at 10s count=3 mean=4 min=2 max=6 first=4 last=6 share=0 distinct=3
        12s a=1
        at 20s count=1 mean=1 min=1 max=1 first=1 last=1 stddev=0
        at 30s empty
        ",
    );
}

#[test]
fn nothing_new_is_said_as_unchanged() {
    check(
        sliding(20, 5),
        "
        3s a=7
        at 5s count=1
        at 10s unchanged count=1
        at 15s unchanged count=1
        at 20s unchanged count=1
        at 25s empty
        at 30s empty unchanged
        ",
    );
}

#[test]
fn a_late_sample_enters_while_a_later_judgement_can_see_it() {
    check(
        sliding(10, 5),
        "
        7s a=1
        at 10s count=1 sum=1
        10s b=2 late
        5s+ b=4 late
        5s b=8 gone
        at 15s count=3 sum=7
        5s+ c=1 gone
        10s c=1 gone
        10s+ c=16 late
        at 20s count=1 sum=16
        ",
    );
}

#[test]
fn a_late_sample_for_a_tumbling_window_is_gone() {
    check(
        sliding(10, 10),
        "
        10s a=1
        at 10s count=1
        10s- b=2 gone
        10s+ b=3
        at 20s count=1 sum=3
        ",
    );
}

#[test]
fn counters_are_compared_with_the_sample_before_and_may_be_reset() {
    check(
        sliding(10, 5),
        "
        1s a=100
        at 5s increase=none rate=none delta=none
        6s a=130
        at 10s increase=30 rate=3 delta=30
        11s a=10
        12s a=15
        at 15s increase=45 rate=4.5 delta=-85
        at 20s increase=15 rate=1.5 delta=-115
        at 25s empty increase=none
        ",
    );
}

#[test]
fn rates_are_summed_over_the_group_and_leave_out_late_samples() {
    check(
        sliding(10, 5),
        "
        1s a=10
        1s b=1000
        4s a=20
        4s b=1040
        at 5s increase=50 rate=5
        3s c=7 late
        5s c=9 late
        at 10s count=6 increase=50 rate=5 slope=16.667
        ",
    );
}

#[test]
fn a_sample_out_of_order_in_an_open_pane_counts_but_has_no_increase() {
    check(
        sliding(10, 10),
        "
        2s a=10
        6s a=30
        4s a=25
        8s a=31
        at 10s count=4 increase=21 delta=21 first=10 last=31 slope=3.4
        ",
    );
}

#[test]
fn quantiles_end_in_the_exact_extremes() {
    check(
        sliding(10, 5),
        "
        1s a=0.1
        2s a=0.1
        6s a=-3.7
        7s a=1234.5678
        at 5s p0=0.1 p50=0.1 p100=0.1
        at 10s p0=-3.7 p50=0.1 p99_9=0.1 p100=1234.568
        at 15s p0=-3.7 p50=-3.7 p100=1234.568
        ",
    );
}

#[test]
fn an_ewma_reaches_back_beyond_the_window() {
    // Its half life is 20 s, so of two samples 20 s apart the older one weighs half.
    check(
        sliding(10, 10),
        "
        10s a=0
        at 10s ewma=0
        30s a=3
        at 20s empty ewma=none
        at 30s ewma=2
        at 40s empty ewma=none
        ",
    );
}

#[test]
fn a_session_is_judged_while_open_and_at_its_end() {
    check(
        session(10, 5),
        "
        1s a=1
        4s a=2
        11s a=4
        at 5s count=2 sum=3
        at 10s unchanged count=2 sum=3
        at 15s count=3 sum=7
        at 20s unchanged count=3 sum=7
        at 21s unchanged count=3 sum=7
        at 25s empty count=none
        30s b=9
        at 30s count=1 sum=9
        ",
    );
}

#[test]
fn a_gap_ends_a_session_one_nanosecond_after_it() {
    check(
        session(10, 5),
        "
        1s a=1
        11s a=2
        21s+ a=4
        at 5s count=1
        at 10s unchanged count=1
        at 15s count=2 sum=3
        at 20s unchanged count=2
        at 21s unchanged count=2 sum=3
        at 25s count=1 sum=4
        ",
    );
}

#[test]
fn a_late_sample_may_prolong_a_session_but_not_wake_it() {
    check(
        session(10, 5),
        "
        12s a=1
        at 15s count=1
        at 20s unchanged count=1
        2s b=1 late
        18s b=1 late
        at 25s count=3
        at 28s unchanged count=3
        27s b=1 gone
        28s b=1 gone
        28s+ b=5
        at 30s count=1 sum=5
        18s c=1 gone
        18s+ c=1 late
        at 35s count=2
        ",
    );
}

#[test]
fn the_last_samples_are_judged_on_each_once_there_are_enough() {
    let shape = Shape::Count { count: 3 };
    check(
        shape,
        "
        1s a=5
        at 1s empty count=none
        2s b=7
        at 2s empty max=none
        3s a=9
        at 3s count=3 sum=21 first=5 last=9 increase=4 slope=2 distinct=3 p50=7.031
        3s b=9
        at 3s count=3 min=7 first=7 last=9 increase=6 slope=2 distinct=2
        2s c=1
        at 2s count=3 sum=19 first=1 last=9 increase=6 slope=none
        ",
    );
}

#[test]
fn the_next_judgement_is_the_next_end_or_the_end_of_the_session() {
    let at = |text| Some(time(text));
    let spec = spec(session(10, 6));
    let mut window = GroupWindow::new(&spec, EventTime::MIN);
    assert_eq!((window.next_judgement(&spec), window.is_idle()), (None, true));
    window.fold(&spec, &sample(time("13s"), 1, 1, 1.0));
    assert_eq!((window.next_judgement(&spec), window.is_idle()), (at("18s"), false));
    window.close(&spec, time("18s"));
    assert_eq!(window.next_judgement(&spec), at("23s"));
    assert_eq!(window.bounds(&spec).map(|bounds| bounds.start), at("13s"));
    // A sample that goes on with the session moves its end; one after the end does not.
    let mut longer = window.clone();
    longer.fold(&spec, &sample(time("23s"), 2, 1, 1.0));
    assert_eq!(longer.next_judgement(&spec), at("24s"));
    longer.close(&spec, time("24s"));
    assert_eq!(longer.next_judgement(&spec), at("30s"));
    window.fold(&spec, &sample(time("23s+"), 2, 1, 1.0));
    assert_eq!(window.next_judgement(&spec), at("23s"));
    window.close(&spec, time("23s"));
    assert_eq!(window.next_judgement(&spec), at("24s"));

    let sliding = super::spec(sliding(10, 5));
    for (watermark, next) in [("10s-", "10s"), ("10s", "10s"), ("10s+", "15s"), ("15s", "15s")] {
        let window = GroupWindow::new(&sliding, time(watermark));
        assert_eq!(window.next_judgement(&sliding), at(next), "{watermark}");
    }
    let count = super::spec(Shape::Count { count: 1 });
    assert_eq!(GroupWindow::new(&count, time("10s")).next_judgement(&count), None);
}

#[test]
fn a_window_left_alone_while_idle_catches_up_before_the_next_sample() {
    let spec = spec(sliding(10, 5));
    let mut window = GroupWindow::new(&spec, time("0s"));
    window.fold(&spec, &sample(time("3s"), 1, 1, 1.0));
    window.close(&spec, time("5s"));
    window.catch_up(&spec, time("1h"));
    assert_eq!(window.next_judgement(&spec), Some(time("10s")), "it is not idle yet");
    window.close(&spec, time("15s"));
    assert!(window.is_idle());
    window.catch_up(&spec, time("1h"));
    assert_eq!(window.next_judgement(&spec), Some(time("1h")));
    let placed = |at| window.clone().fold(&spec, &sample(time(at), 2, 1, 1.0));
    assert_eq!(placed("59m55s+"), Placed::Open);
    assert_eq!(placed("59m55s"), Placed::LateInWindow);
    assert_eq!(placed("59m50s"), Placed::LateGone);
    // The watermark of a restart may lie behind; time does not go back.
    window.catch_up(&spec, time("1m"));
    assert_eq!(window.next_judgement(&spec), Some(time("1h")));
}
