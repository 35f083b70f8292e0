//! Joins without a window: when a time is judged, on what, and once.

use std::sync::Arc;

use super::kit::*;

fn half(across: bool) -> Vec<Arc<Rule>> {
    let rule = rule("half", "bad").join("all").by(&["job"]).when(first_over_half_of_second());
    let rule = rule.expire("30s");
    vec![if across { rule.across(Across::Sum).make() } else { rule.make() }]
}

#[test]
fn a_time_is_judged_with_the_last_of_its_inputs() {
    check(
        half(false),
        "0s bad{job=a} 9 | 0s all{job=a} 10 | 10s all{job=a} 10 | 10s bad{job=a} 1",
        "0s fired critical {job=a} 9
         10s resolved critical {job=a} 1",
    );
}

/// The value that an input said last stands in, while it is not older than `tolerance`.
#[test]
fn an_input_that_stays_silent_is_waited_for_until_the_watermark_has_passed() {
    check(
        half(false),
        "0s bad{job=a} 1 | 0s all{job=a} 10 | 10s bad{job=a} 9 | 11s bad{job=a} 9
         41s bad{job=a} 9 | 50s bad{job=a} 1 | 51s all{job=a} 10 | 51s bad{job=a} 1",
        "10s fired critical {job=a} 9
         51s resolved critical {job=a} 1",
    );
}

/// The first series of each input alone would say 4 of 1, and the newest of all 9 of 12.
#[test]
fn folded_inputs_are_judged_once_on_all_series_of_their_time() {
    check(
        half(true),
        "0s bad{job=a,pod=1} 4 | 0s all{job=a,pod=1} 1 | 0s bad{job=a,pod=2} 1
         0s all{job=a,pod=2} 11 | 10s bad{job=a,pod=1} 5 | 10s bad{job=a,pod=2} 4
         10s all{job=a,pod=2} 6 | 10s all{job=a,pod=1} 6 | 20s bad{job=a,pod=1} 1",
        "10s fired critical {job=a} 9
         20s resolved critical {job=a} 5",
    );
}

/// Of two series one is ahead: what it says of later times is not read for this one.
#[test]
fn a_fold_reads_nothing_newer_than_its_time() {
    let mut machine = machine(1, half(true));
    let lateness = Some(Duration::from_secs(60));
    for source in [1, 2] {
        machine.step(Arrived::Opened { source: SourceId(source), lateness });
    }
    let mut lines = run_from(&mut machine, 1, "0s all{job=a,pod=1} 10 | 0s bad{job=a,pod=1} 1");
    lines.extend(run_from(&mut machine, 1, "10s bad{job=a,pod=1} 100 | 20s bad{job=a,pod=1} 1"));
    lines.extend(run_from(&mut machine, 2, "0s bad{job=a,pod=2} 1 | 10s bad{job=a,pod=2} 1"));
    lines.extend(machine.step(Arrived::End).events.iter().map(|event| line(event)));
    assert_eq!(lines, ["10s fired critical {job=a} 101", "20s resolved critical {job=a} 2"]);
}

/// A series that fell silent leaves the fold once its value is older than `tolerance`.
#[test]
fn a_series_that_went_leaves_the_fold() {
    check(
        half(true),
        "0s bad{job=a,pod=1} 5 | 0s bad{job=a,pod=2} 1 | 0s all{job=a,pod=2} 10
         30s bad{job=a,pod=2} 1 | 30s all{job=a,pod=2} 10 | 31s bad{job=a,pod=2} 1
         40s all{job=a,pod=2} 10",
        "0s fired critical {job=a} 6
         31s resolved critical {job=a} 1",
    );
}

#[test]
fn joins_that_wait_outlive_a_restart_unless_their_inputs_changed() {
    let mut three = half(true);
    let rule = Arc::make_mut(&mut three[0]);
    rule.inputs.push(rule.inputs[1].clone());
    for (rules, told) in
        [(half(true), "10s fired critical {job=a} 9"), (three, ""), (half(false), "")]
    {
        let mut before = machine(1, half(true));
        run_from(&mut before, 0, "0s all{job=a,pod=1} 10 | 10s bad{job=a,pod=1} 9");
        let mut after = restarted(&mut before, 2, rules);
        let lines = run_from(&mut after, 0, "11s all{job=a,pod=1} 10");
        assert_eq!(lines.join(" "), told);
    }
}
