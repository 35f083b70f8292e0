//! Promises that broke once, one story each.

use super::kit::*;
use crate::kernel::model::Refusal;

const TIE: &str =
    "0s cpu{host=a} 95 | 1ms cpu{host=a} 96 | 2ms cpu{host=a} 10 | 3ms cpu{host=a} 97";

#[test]
fn samples_of_one_watermark_step_are_each_judged_with_their_own_value() {
    check(
        vec![rule("hot", "cpu").when(over(90.0)).make()],
        TIE,
        "
        0s fired critical {host=a} 95
        2ms resolved critical {host=a} 10
        3ms fired critical {host=a} 97
        ",
    );
}

#[test]
fn a_record_without_a_window_reaches_its_readers_whatever_the_batches() {
    check(
        vec![
            rule("a-copy", "cpu").record_value("copy").make(),
            rule("b-watch", "copy").when(over(90.0)).make(),
        ],
        "0s cpu{host=a} 95 | 1s cpu{host=a} 10 | 2s cpu{host=a} 99 | 3s up{} 1",
        "
        0s fired critical {host=a} 95
        1s resolved critical {host=a} 10
        2s fired critical {host=a} 99
        ",
    );
}

#[test]
fn faults_in_one_batch_suspend_as_those_of_many() {
    let feed = "0s cpu{} 95 | 1ms cpu{} -1 | 2ms cpu{} -1 | 3ms cpu{} -1 | 4ms cpu{} -1
        5ms cpu{} -1 | 6ms cpu{} 10 | 7ms cpu{} 10";
    check(vec![rule("hot", "cpu").when(over_or_fault(90.0)).make()], feed, "0s fired critical 95");
}

#[test]
fn a_repeated_verdict_tells_its_window() {
    let soaking = rule("load", "cpu").sliding("20s", "5s").when(mean_over(50.0)).soak("5s").make();
    let mut machine = machine(1, vec![soaking]);
    let batch = batch(&parse_feed("1s cpu{} 80 | 30s up{} 1"));
    let events = machine.step(Arrived::Batch { source: SourceId(0), batch }).events;
    assert_eq!(events.len(), 2, "pending at 5 s, fired at 10 s without a new sample");
    assert!(events.iter().all(|event| event.window.is_some() && event.values.len() == 1));
}

#[test]
fn hours_end_without_a_sample() {
    // The base is 22:00 UTC; the window holds its sample well past 22:01.
    check(
        vec![
            rule("load", "cpu")
                .sliding("5m", "10s")
                .when(mean_over(50.0))
                .during("22:00-22:01 UTC")
                .make(),
        ],
        "5s cpu{} 80 | 90s up{} 1",
        "
        10s fired critical 80
        60s resolved critical 80
        ",
    );
}

#[test]
fn what_is_left_in_a_window_does_not_end_an_absence() {
    check(
        vec![
            rule("load", "cpu").sliding("5m", "10s").when(mean_over(50.0)).or_absent("30s").make(),
        ],
        "5s cpu{} 10 | 100s up{} 1 | 105s cpu{} 10 | 120s up{} 1",
        "
        35s fired critical
        105s resolved critical
        ",
    );
}

#[test]
fn a_last_n_that_is_not_full_is_no_lack_of_data() {
    check(
        vec![
            rule("n", "cpu")
                .shape(Shape::Count { count: 3 })
                .when(mean_over(50.0))
                .no_data_breach()
                .make(),
        ],
        "0s cpu{} 10 | 1s cpu{} 10 | 2s cpu{} 200 | 3s cpu{} 10",
        "2s fired critical 73.33333333333333",
    );
}

#[test]
fn a_session_across_series_is_judged() {
    let session = Shape::Session { gap: Duration::from_secs(10), every: Duration::from_secs(5) };
    check(
        vec![
            rule("s", "cpu")
                .by(&[])
                .shape(session)
                .across(Across::Max)
                .when(mean_over(50.0))
                .make(),
        ],
        "1s cpu{host=a} 80 | 2s cpu{host=b} 10 | 40s up{} 1",
        "
        5s fired critical 80
        12s resolved critical 10
        ",
    );
}

#[test]
fn a_window_is_not_forgotten_before_it_ends() {
    let hour = Duration::from_secs(3_600);
    let sum = rule("day", "cpu").shape(Shape::Sliding { length: hour * 24, every: hour * 24 });
    let feed: Vec<String> = (0..14).map(|turn| format!("{}h cpu{{}} 10", turn * 2)).collect();
    let mut machine = machine(1, vec![sum.when(reduced_over("sum", 50.0)).make()]);
    let lines = run_lines(&mut machine, &feed.join(" | "), 1, true);
    assert_eq!(lines, ["2h fired critical 20"].map(|_| lines[0].clone()), "{lines:?}");
}

#[test]
fn a_refused_sample_does_not_move_the_counter_that_increments_add_to() {
    let mut machine = machine(1, vec![rule("n", "hits").when(over(12.0)).make()]);
    let series = Series::new("hits", [("host", "a")]);
    let mut rows = batch(&[(base(), series, 10.0)]);
    let slot = rows.slots[0];
    rows.push(slot, base(), 1_000.0, Op::Set);
    rows.push(slot, base() + Duration::from_secs(1), 5.0, Op::Add);
    let events = machine.step(Arrived::Batch { source: SourceId(0), batch: rows }).events;
    assert_eq!(
        events.iter().map(|event| line(event)).collect::<Vec<_>>(),
        ["1s fired critical {host=a} 15"]
    );
    assert_eq!(machine.sequencer.sources()[0].refused.get(Refusal::Duplicate), 1);
}

#[test]
fn a_jump_that_others_agree_with_counts_for_the_sources_that_made_it() {
    let mut machine = machine(1, vec![rule("n", "cpu").when(over(90.0)).make()]);
    open(&mut machine, 1);
    run_from(&mut machine, 0, "0s cpu{host=a} 1");
    for host in ["b", "c", "d"] {
        run_from(&mut machine, 1, &format!("1h cpu{{host={host}}} 1 | 1h cpu{{host={host}}} 1"));
    }
    run_from(&mut machine, 0, "1h cpu{host=a} 1");
    let counts: Vec<(u64, u64)> = machine
        .sequencer
        .sources()
        .iter()
        .map(|source| (source.accepted, source.refused.get(Refusal::Duplicate)))
        .collect();
    assert_eq!(counts, [(2, 0), (3, 3)]);
}

#[test]
fn another_grid_of_panes_after_an_edit() {
    let mean = |length: &str, every: &str, version| {
        let rule = rule("load", "cpu").sliding(length, every).when(mean_over(50.0));
        rule.version(version).make()
    };
    let mut machine = machine(2, vec![mean("20s", "10s", 1)]);
    run_lines(&mut machine, "1s cpu{host=a} 80 | 20s500ms cpu{host=a} 80", 9, false);
    swap(&mut machine, vec![mean("21s", "7s", 2)]);
    let lines =
        run_lines(&mut machine, "22s cpu{host=a} 80 | 60s cpu{host=a} 0 | 90s up{} 1", 9, false);
    assert!(lines.iter().any(|line| line.contains("resolved")), "{lines:?}");
}

#[test]
fn a_selector_and_a_window_edited_at_once() {
    let shapes = [None, Some(Across::Max)];
    for (before, after) in [(0, 1), (1, 0)] {
        let version = |at: usize, only: &str| {
            let windowed = rule("load", "cpu").by(&["dc"]).sliding("20s", "10s").only(only);
            let windowed = windowed.when(mean_over(50.0)).version(at as u64);
            match shapes[at] {
                Some(across) => windowed.across(across).make(),
                None => windowed.make(),
            }
        };
        let mut machine = machine(1, vec![version(before, "dc=~.*")]);
        run_lines(&mut machine, "1s cpu{host=a,dc=x} 80 | 12s cpu{host=a,dc=x} 80", 9, false);
        swap(&mut machine, vec![version(after, "dc=x")]);
        let feed = "13s cpu{host=a,dc=x} 80 | 60s up{} 1 | 61s cpu{host=a,dc=x} 0 | 90s up{} 1";
        let lines = run_lines(&mut machine, feed, 9, true);
        assert_eq!(lines.last().map(String::as_str), Some("70s resolved critical {dc=x} 0"));
    }
}

#[test]
fn an_alert_of_watchfire_ends_with_the_rule_it_is_about() {
    let hot = || rule("hot", "cpu").when(over(90.0));
    for (rules, group) in [(vec![], true), (vec![hot().version(2).make()], false)] {
        let limits = Limits { groups_per_rule_max: 1, ..Limits::default() };
        let window = rule("load", "cpu").by(&["host"]).sliding("10s", "10s").when(mean_over(50.0));
        let mut machine = machine_within(limits, 2, vec![hot().make(), window.make()]);
        machine.step(Arrived::Quarantine { rule: "hot".into(), on: true });
        run_lines(&mut machine, "1s cpu{host=a} 9 | 2s cpu{host=b} 9", 9, false);
        let (lines, _) = swap(&mut machine, rules);
        assert!(lines.iter().any(|line| line.contains("resolved warning {rule=hot}")), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("resolved warning {rule=load}")) || !group);
    }
}

#[test]
fn a_quarantine_stands_over_a_restart() {
    let rules = || vec![rule("hot", "cpu").when(over(90.0)).make()];
    let mut before = machine(2, rules());
    before.step(Arrived::Quarantine { rule: "hot".into(), on: true });
    let mut after = restarted(&mut before, 3, rules());
    let lifted = after.step(Arrived::Quarantine { rule: "hot".into(), on: false }).events;
    assert_eq!(lifted.iter().map(|event| event.kind).collect::<Vec<_>>(), [Kind::Resolved]);
}

#[test]
fn a_key_that_no_rule_makes_any_more_resolves_after_a_restart() {
    let by = |label: &str| vec![rule("hot", "cpu").by(&[label]).when(over(90.0)).make()];
    let mut before = machine(1, by("host"));
    run_lines(&mut before, "0s cpu{host=a,dc=x} 95", 9, false);
    let mut after = restarted(&mut before, 1, by("dc"));
    let lines = run_lines(&mut after, "1s cpu{host=a,dc=x} 95", 9, false);
    assert_eq!(
        lines,
        ["1s fired critical {dc=x} 95", "1s resolved critical {host=a} 95 rule changed",]
    );
}

#[test]
fn a_series_that_is_silent_after_a_restart_expires_in_time() {
    let rules = || vec![rule("hot", "cpu").when(over(90.0)).expire("1m").no_data_clear().make()];
    let mut before = machine(1, rules());
    run_lines(&mut before, "0s cpu{host=a} 95", 9, false);
    let mut after = restarted(&mut before, 1, rules());
    let lines = run_lines(&mut after, "61s up{} 1", 9, false);
    assert_eq!(lines, ["60s resolved critical {host=a}"].map(|line| line.replace("60s", "1m")));
}

#[test]
fn a_new_absent_rule_watches_series_that_fell_silent_before_it() {
    let mut machine = machine(2, vec![rule("other", "beat").when(over(9.0)).make()]);
    run_lines(&mut machine, "0s beat{host=a} 1 | 100s up{} 1", 9, false);
    swap(
        &mut machine,
        vec![
            rule("gone", "beat").by(&["host"]).absent("30s").make(),
            rule("named", "beat").only("host=z").absent("30s").make(),
        ],
    );
    let lines = run_lines(&mut machine, "200s up{} 1", 9, false);
    assert!(lines.iter().any(|line| line.ends_with("fired critical {host=a}")), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with("fired critical {host=z}")), "{lines:?}");
}

#[test]
fn series_past_the_group_limit_stay_in_the_overflow_group() {
    let limits = Limits { groups_per_rule_max: 1, ..Limits::default() };
    let load = rule("load", "cpu").by(&["host"]).sliding("10s", "10s").when(mean_over(50.0));
    let mut machine = machine_within(limits, 2, vec![load.forget("1m").make()]);
    run_lines(&mut machine, "1s cpu{host=a} 9 | 2s cpu{host=b} 90 | 200s up{} 1", 9, false);
    let lines = run_lines(&mut machine, "201s cpu{host=b} 90 | 230s up{} 1", 9, false);
    assert!(lines.iter().any(|line| line.contains("fired critical {__overflow__=true} 90")));
    assert!(!lines.iter().any(|line| line.contains("{host=b}")), "{lines:?}");
}

#[test]
fn the_worst_series_is_told_with_the_value_it_had_then() {
    check(
        vec![rule("hot", "cpu").by(&["host"]).when(over(90.0)).soak("1ms").make()],
        "0s cpu{host=a,core=0} 95 | 1ms cpu{host=a,core=1} 10 | 2ms cpu{host=a,core=0} 99",
        "
        0s pending critical {host=a} 95
        1ms fired critical {host=a} 95
        ",
    );
}

#[test]
fn a_series_that_came_later_expires_in_time() {
    check(
        vec![rule("hot", "cpu").when(over(90.0)).expire("1m").no_data_clear().make()],
        "0s up{} 1 | 5s cpu{host=b} 1 | 10s cpu{host=a} 95 | 200s up{} 1",
        "
        10s fired critical {host=a} 95
        70s resolved critical {host=a}
        ",
    );
}

#[test]
fn events_before_and_after_a_reminder_that_share_a_time_have_ids_of_their_own() {
    // The second series' samples are older than what was judged last, so they share its time.
    let hot = rule("hot", "cpu").by(&["host"]).when(over(90.0)).repeat("5s").make();
    let mut machine = machine(1, vec![hot]);
    let feed = "10s cpu{host=a,core=0} 95 | 20s up{} 1 | 1s cpu{host=a,core=1} 95
        2s cpu{host=a,core=0} 95 | 3s cpu{host=a,core=1} 95";
    let mut events = Vec::new();
    for sample in parse_feed(feed) {
        let (source, batch) = (SourceId(0), batch(&[sample]));
        events.extend(machine.step(Arrived::Batch { source, batch }).events);
    }
    let more = "4s cpu{host=a,core=1} 95 | 21s cpu{host=a,core=0} 10 | 5s cpu{host=a,core=1} 10
        6s cpu{host=a,core=1} 95 | 30s up{} 1 | 7s cpu{host=a,core=1} 10
        8s cpu{host=a,core=1} 95";
    for sample in parse_feed(more) {
        let (source, batch) = (SourceId(0), batch(&[sample]));
        events.extend(machine.step(Arrived::Batch { source, batch }).events);
    }
    let mut ids: Vec<_> = events.iter().map(|event| event.id).collect();
    ids.sort();
    ids.dedup();
    assert!(events.iter().filter(|event| event.kind == Kind::Fired).count() >= 3, "{events:#?}");
    assert_eq!(ids.len(), events.len());
}

#[test]
fn an_absence_outlasts_the_expiry_of_single_series() {
    check(
        vec![rule("gone", "beat").by(&["host"]).absent("30s").expire("1m").make()],
        "0s beat{host=a,core=0} 1 | 5s beat{host=a,core=1} 1 | 300s up{} 1
        310s beat{host=a,core=0} 1",
        "
        35s fired critical {host=a}
        310s resolved critical {host=a}
        ",
    );
}

#[test]
fn a_window_in_which_nothing_moved_is_recorded_all_the_same() {
    // The watcher soaks over ends at which no sample came or went.
    let latest = Shape::Latest { every: duration("5s") };
    for load in [
        rule("a-load", "cpu").sliding("60s", "5s").record("load"),
        rule("a-load", "cpu").shape(latest).across(Across::Mean).record_value("load"),
    ] {
        let watcher = rule("b-watch", "load").when(over(50.0)).soak("10s").make();
        check(
            vec![load.make(), watcher],
            "1s cpu{} 80 | 16s up{} 1",
            "
            5s pending critical 80
            15s fired critical 80
            ",
        );
    }
}

/// A record keeps the lower half of the number of the stretch that its series was seen in.
#[test]
fn stretches_whose_numbers_look_alike_judge_every_row() {
    let rules = || {
        let mean = rule("mean", "cpu").sliding("4s", "1s").when(mean_over(50.0));
        vec![rule("hot", "cpu").when(over(90.0)).make(), mean.make()]
    };
    let first = "0s cpu{host=a} 95 | 0s cpu{host=b} 10 | 1ms cpu{host=a} 96 | 1s cpu{host=b} 97";
    let then = "2s cpu{host=a} 10 | 2s cpu{host=b} 20 | 2001ms cpu{host=a} 98 | 9s cpu{host=b} 1";
    let run = |begin: u32, skipped: u32| {
        let mut machine = machine(1, rules());
        machine.engines[0].stretch.number = begin;
        let mut lines = run_lines(&mut machine, first, 4, false);
        let number = &mut machine.engines[0].stretch.number;
        *number = number.wrapping_add(skipped);
        lines.extend(run_lines(&mut machine, then, 4, true));
        lines
    };
    let expected = run(0, 0);
    assert!(expected.len() > 4, "{expected:#?}");
    let half = u32::from(u16::MAX) + 1;
    for skipped in [half - 2, half - 1, half, half + 1] {
        assert_eq!(run(0, skipped), expected, "{skipped} stretches between");
    }
    for begin in [half - 2, half - 1, half, u32::MAX - 1, u32::MAX] {
        assert_eq!(run(begin, 0), expected, "from {begin}");
    }
}
