//! The engine through its machine: rules in, samples in, events out as lines of text.
//!
//! `check` runs every case with 1, 2 and 4 shards and with batches of 1, 3 and all samples, and
//! expects the same lines each time.

mod disputes;
mod extremes;
mod guests;
mod joins;
mod kit;
mod labels;
mod promises;
mod retiring;
mod simulation;
mod swaps;
mod ticks;

use kit::*;

#[test]
fn a_threshold_fires_after_its_soak_and_resolves_after_its_cool() {
    check(
        vec![rule("hot", "cpu").when(over(90.0)).soak("30s").cool("10s").make()],
        "
        0s cpu{host=a} 95 | 0s cpu{host=b} 20
        29s cpu{host=a} 95
        30s cpu{host=a} 96 | 40s cpu{host=a} 10 | 45s cpu{host=a} 99 | 50s cpu{host=a} 10
        60s cpu{host=a} 10
        ",
        "
        0s pending critical {host=a} 95
        30s fired critical {host=a} 96
        40s cooling critical {host=a} 10
        45s cleared critical {host=a} 99
        50s cooling critical {host=a} 10
        60s resolved critical {host=a} 10
        ",
    );
}

#[test]
fn a_group_is_as_bad_as_its_worst_series() {
    check(
        vec![rule("hot", "cpu").by(&["host"]).when(over(90.0)).make()],
        "
        0s cpu{host=a,core=0} 95
        1s cpu{host=a,core=1} 20
        2s cpu{host=a,core=1} 97
        3s cpu{host=a,core=0} 10
        4s cpu{host=a,core=1} 10
        ",
        "
        0s fired critical {host=a} 95
        4s resolved critical {host=a} 10
        ",
    );
}

#[test]
fn levels_with_resets_follow_the_documented_example() {
    let rule = rule("depth", "queue")
        .level(Level::Info, over(60.0), Some(under(50.0)))
        .level(Level::Warning, over(70.0), Some(under(60.0)))
        .level(Level::Critical, over(80.0), Some(under(70.0)));
    check(
        vec![rule.make()],
        "
        0s queue{} 61 | 1s queue{} 73 | 2s queue{} 64 | 3s queue{} 85
        4s queue{} 62 | 5s queue{} 56 | 6s queue{} 47
        ",
        "
        0s fired info 61
        1s changed warning from info 73
        3s changed critical from warning 85
        4s changed info from critical 62
        6s resolved info 47
        ",
    );
}

#[test]
fn a_sliding_mean_is_judged_at_the_end_of_each_pane() {
    // Panes are half-open at the start: the sample at 10 s is in the pane that ends at 10 s.
    check(
        vec![rule("load", "cpu").sliding("20s", "10s").when(mean_over(50.0)).make()],
        "
        5s cpu{host=a} 100 | 10s cpu{host=a} 100 | 15s cpu{host=a} 0 | 20s cpu{host=a} 0
        25s cpu{host=a} 0 | 31s cpu{host=a} 0 | 45s cpu{host=a} 0
        ",
        "
        10s fired critical {host=a} 100
        20s resolved critical {host=a} 50
        ",
    );
}

#[test]
fn the_end_of_the_input_closes_what_ends_at_or_before_it() {
    check(
        vec![rule("load", "cpu").sliding("10s", "10s").when(mean_over(50.0)).make()],
        "5s cpu{host=a} 100 | 10s cpu{host=a} 100",
        "10s fired critical {host=a} 100",
    );
    check(
        vec![rule("load", "cpu").sliding("10s", "10s").when(mean_over(50.0)).make()],
        "5s cpu{host=a} 100 | 9s999999999ns cpu{host=a} 100",
        "",
    );
}

#[test]
fn a_silent_group_is_absent_one_step_after_its_bound() {
    check(
        vec![rule("gone", "beat").by(&["host"]).absent("90s").make()],
        "
        0s beat{host=a} 1 | 0s beat{host=b} 1 | 80s beat{host=b} 1 | 90s beat{host=b} 1
        90s10ms beat{host=b} 1 | 200s beat{host=b} 1 | 210s beat{host=a} 1
        ",
        "
        90s fired critical {host=a}
        180s10ms fired critical {host=b}
        200s resolved critical {host=b}
        210s resolved critical {host=a}
        ",
    );
}

#[test]
fn no_data_holds_what_fires_and_takes_back_what_is_pending() {
    let hold = rule("hot", "cpu").when(over(90.0)).soak("1m").expire("5m").make();
    check(
        vec![hold],
        "
        0s cpu{host=a} 95 | 0s up{} 1
        60s cpu{host=a} 95 | 400s cpu{host=b} 95 | 420s up{} 1 | 700s up{} 1
        720s up{} 1 | 730s cpu{host=b} 95 | 740s cpu{host=a} 10
        ",
        "
        0s pending critical {host=a} 95
        60s fired critical {host=a} 95
        400s pending critical {host=b} 95
        700s cleared critical {host=b}
        730s pending critical {host=b} 95
        740s resolved critical {host=a} 10
        ",
    );
}

#[test]
fn no_data_may_count_as_clear_or_as_breach() {
    let clear = rule("a-clear", "cpu").when(over(90.0)).expire("1m").cool("30s").no_data_clear();
    let breach = rule("b-breach", "cpu").when(over(90.0)).expire("1m").soak("30s").no_data_breach();
    check(
        vec![clear.make(), breach.make()],
        "
        0s cpu{host=a} 95 | 30s cpu{host=a} 95 | 60s up{} 1 | 120s up{} 1 | 121s up{} 1
        150s up{} 1
        ",
        "
        0s fired critical {host=a} 95
        0s pending critical {host=a} 95
        30s fired critical {host=a} 95
        90s cooling critical {host=a}
        120s resolved critical {host=a}
        ",
    );
}

#[test]
fn reminders_come_by_the_watermark_also_without_samples() {
    check(
        vec![rule("hot", "cpu").when(over(90.0)).repeat("1m").expire("1h").make()],
        "0s cpu{host=a} 95 | 130s up{} 1 | 150s cpu{host=a} 10 | 300s up{} 1",
        "
        0s fired critical {host=a} 95
        60s reminded critical {host=a} 95
        120s reminded critical {host=a} 95
        150s resolved critical {host=a} 10
        ",
    );
}

#[test]
fn a_join_is_judged_once_for_each_time() {
    check(
        vec![
            rule("ratio", "bad").join("all").by(&["svc"]).when(first_over_half_of_second()).make(),
        ],
        "
        0s bad{svc=x} 6 | 0s all{svc=x} 10
        10s all{svc=x} 10 | 10s bad{svc=x} 1
        20s bad{svc=x} 9 | 30s bad{svc=x} 1 | 30s all{svc=x} 10
        ",
        "
        0s fired critical {svc=x} 6
        10s resolved critical {svc=x} 1
        20s fired critical {svc=x} 9
        30s resolved critical {svc=x} 1
        ",
    );
}

#[test]
fn a_recorded_series_feeds_the_next_layer_at_the_same_step() {
    let record = rule("svc-load", "cpu").by(&["svc"]).sliding("10s", "10s").record("svc.load");
    let watch = rule("too-much", "svc.load").when(over(50.0));
    let above = rule("watched-mean", "svc.load").sliding("20s", "10s").when(mean_over(70.0));
    check(
        vec![record.make(), watch.make(), above.make()],
        "
        1s cpu{svc=x,host=a} 40 | 2s cpu{svc=x,host=b} 50
        11s cpu{svc=x,host=a} 100 | 12s cpu{svc=x,host=b} 100
        21s cpu{svc=x,host=a} 0 | 31s cpu{svc=x,host=a} 0 | 45s cpu{svc=x,host=a} 0
        ",
        "
        20s fired critical {svc=x} 100
        20s fired critical {svc=x} 72.5
        30s resolved critical {svc=x} 0
        30s resolved critical {svc=x} 50
        ",
    );
}

#[test]
fn flapping_withholds_changes_and_tells_its_start_and_end() {
    // The level changes with every sample from the second on, then holds still.
    let mut feed = String::new();
    for second in 0..10 {
        feed += &format!("{second}s cpu{{host=a}} {} | ", if second % 2 == 0 { 95 } else { 10 });
    }
    for second in 10..31 {
        feed += &format!("{second}s cpu{{host=a}} 95 | ");
    }
    check_told(
        vec![rule("hot", "cpu").when(over(90.0)).flapping(30.0, 25.0).make()],
        feed.trim_end_matches(" | "),
        "
        0s fired critical {host=a} 95
        1s resolved critical {host=a} 10
        2s fired critical {host=a} 95
        3s resolved critical {host=a} 10
        4s fired critical {host=a} 95
        5s resolved critical {host=a} 10
        6s fired critical {host=a} 95
        6s flapping critical {host=a} 95
        25s changed critical from critical {host=a} 95
        ",
    );
}

#[test]
fn an_older_sample_of_a_series_is_late_and_changes_nothing() {
    let mut machine = machine(1, vec![rule("hot", "cpu").when(over(90.0)).make()]);
    let lines = run_lines(&mut machine, "10s cpu{} 10 | 9s cpu{} 95 | 11s cpu{} 10", 3, true);
    assert_eq!(lines, Vec::<String>::new());
    assert_eq!(machine.engines[0].rule_reports()[0].late.len(), 1);
}

#[test]
fn a_restart_in_the_middle_changes_nothing() {
    let rules = || {
        vec![
            rule("a-hot", "cpu").when(over(90.0)).soak("20s").cool("10s").make(),
            rule("b-mean", "cpu").by(&["dc"]).sliding("30s", "5s").when(mean_over(50.0)).make(),
            rule("c-gone", "cpu").by(&["host"]).absent("25s").make(),
        ]
    };
    let feed: Vec<String> = (0..60)
        .map(|second| {
            let value = if second % 37 < 25 { 95 } else { 5 };
            let other = if (15..50).contains(&second) {
                "up{} 1".to_owned()
            } else {
                format!("cpu{{host=b,dc=eu}} {}", second * 2)
            };
            format!("{second}s cpu{{host=a,dc=eu}} {value} | {second}s {other}")
        })
        .collect();
    let whole = {
        let mut machine = machine(2, rules());
        run_lines(&mut machine, &feed.join(" | "), 7, true)
    };
    assert!(whole.len() > 8, "{whole:#?}");
    for cut in [1, 13, 20, 41, 59] {
        for shards in [1, 3] {
            let mut before = machine(2, rules());
            let mut lines = run_lines(&mut before, &feed[..cut].join(" | "), 7, false);
            let mut after = restarted(&mut before, shards, rules());
            lines.extend(run_lines(&mut after, &feed[cut..].join(" | "), 5, true));
            assert_eq!(lines, whole, "restart after {cut} s with {shards} shards");
        }
    }
}

#[test]
fn editing_a_threshold_keeps_the_alert_and_removing_the_rule_resolves_it() {
    let mut machine = machine(2, vec![rule("hot", "cpu").when(over(90.0)).soak("10s").make()]);
    let mut lines = run_lines(&mut machine, "0s cpu{host=a} 95 | 10s cpu{host=a} 95", 9, false);
    swap(&mut machine, vec![rule("hot", "cpu").when(over(50.0)).soak("10s").version(2).make()]);
    lines.extend(run_lines(&mut machine, "20s cpu{host=a} 60 | 20s cpu{host=b} 60", 9, false));
    let (events, adoption) = swap(&mut machine, vec![rule("new", "cpu").when(over(99.0)).make()]);
    lines.extend(events);
    assert_eq!(
        lines,
        [
            "0s pending critical {host=a} 95",
            "10s fired critical {host=a} 95",
            "20s pending critical {host=b} 60",
            "20s resolved critical {host=a} 60 rule removed",
            "20s cleared critical {host=b} 60 rule removed",
        ]
    );
    assert_eq!(adoption, ["hot Removed", "new Added"]);
}

#[test]
fn a_new_rule_sees_series_that_were_there_before_it() {
    let mut machine = machine(2, vec![]);
    run_lines(&mut machine, "0s cpu{host=a} 95", 9, false);
    swap(&mut machine, vec![rule("hot", "cpu").when(over(90.0)).make()]);
    let lines = run_lines(&mut machine, "1s cpu{host=a} 95", 9, false);
    assert_eq!(lines, ["1s fired critical {host=a} 95"]);
}

#[test]
fn windows_survive_an_edit_that_reads_no_more_and_no_less() {
    let mean = |limit, version| {
        let rule = rule("load", "cpu").sliding("30s", "10s").when(mean_over(limit));
        rule.version(version).make()
    };
    let mut machine = machine(2, vec![mean(90.0, 1)]);
    run_lines(&mut machine, "1s cpu{host=a} 80 | 11s cpu{host=a} 80", 9, false);
    let (_, adoption) = swap(&mut machine, vec![mean(70.0, 2)]);
    assert_eq!(adoption, ["load Kept"]);
    let lines = run_lines(&mut machine, "21s cpu{host=a} 0 | 31s cpu{host=a} 0", 9, false);
    assert_eq!(
        lines,
        ["20s fired critical {host=a} 80", "30s resolved critical {host=a} 53.333333333333336"]
    );
}

#[test]
fn a_key_that_the_selector_no_longer_takes_resolves() {
    let hot = |only: &str, version| {
        rule("hot", "cpu").only(only).when(over(90.0)).version(version).make()
    };
    let mut machine = machine(2, vec![hot("env=~.*", 1)]);
    run_lines(&mut machine, "0s cpu{env=a} 95 | 0s cpu{env=b} 95", 9, false);
    let (lines, _) = swap(&mut machine, vec![hot("env=a", 2)]);
    assert_eq!(lines, ["0s resolved critical {env=b} 95 rule changed"]);
    let lines = run_lines(&mut machine, "1s cpu{env=a} 10 | 1s cpu{env=b} 95", 9, false);
    assert_eq!(lines, ["1s resolved critical {env=a} 10"]);
}

#[test]
fn a_fault_keeps_the_state_and_five_in_a_row_suspend_the_group() {
    let mut machine = machine(1, vec![rule("hot", "cpu").when(over_or_fault(90.0)).make()]);
    let feed = "0s cpu{} 95 | 1s cpu{} -1 | 2s cpu{} -1 | 3s cpu{} -1 | 4s cpu{} -1 | 5s cpu{} 10
        6s cpu{} 95 | 7s cpu{} -1 | 8s cpu{} -1 | 9s cpu{} -1 | 10s cpu{} -1
        11s cpu{} -1 | 12s cpu{} 10";
    let lines = run_lines(&mut machine, feed, 4, true);
    assert_eq!(lines, ["0s fired critical 95", "5s resolved critical 10", "6s fired critical 95"]);
    let report = &machine.engines[0].rule_reports()[0];
    assert_eq!((report.faults, report.suspended, report.firing), (9, 1, 1));
}

#[test]
fn groups_past_the_limit_fold_into_one_that_runs_plain_windows() {
    let limits = Limits { groups_per_rule_max: 2, ..Limits::default() };
    let rules =
        vec![rule("load", "cpu").by(&["host"]).sliding("10s", "10s").when(mean_over(50.0)).make()];
    for shards in [1, 2, 4] {
        let mut machine = machine_within(limits.clone(), shards, rules.clone());
        let feed = "1s cpu{host=a} 9 | 2s cpu{host=b} 90 | 3s cpu{host=c} 80
            4s cpu{host=d} 90 | 15s up{} 1";
        let lines = run_lines(&mut machine, feed, 9, false);
        assert_eq!(
            lines,
            [
                "2s fired warning {rule=load}",
                "10s fired critical {__overflow__=true} 85",
                "10s fired critical {host=b} 90",
            ],
            "{shards} shards"
        );
    }
}
