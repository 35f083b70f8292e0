//! Swaps that leave groups, or whole rules, as they are: what must hold of them all the same.

use std::sync::Arc;

use super::kit::*;
use crate::kernel::engine::output::Carried;
use crate::kernel::machine::Handover;
use crate::kernel::rule::Rule;

/// Goes through stages, each a set of rules and what comes while they stand, on one shard, two and
/// four, and compares all that is told.
#[track_caller]
fn check(stages: Vec<(Vec<Arc<Rule>>, &str)>, expected: &str) {
    let expected: Vec<&str> = expected.split('|').map(str::trim).collect();
    for shards in [1, 2, 4] {
        let mut machine = machine(shards, Vec::new());
        let mut told = Vec::new();
        for (rules, feed) in &stages {
            told.extend(swap(&mut machine, rules.clone()).0);
            told.extend(run_lines(&mut machine, feed, 2, false));
        }
        assert_eq!(told, expected, "{shards} shards");
    }
}

fn hot(limit: f64, version: u64) -> Build {
    rule("hot", "cpu").by(&["host"]).when(over(limit)).version(version)
}

#[test]
fn groups_at_rest_are_judged_by_the_new_text() {
    check(
        vec![
            (vec![hot(90.0, 1).make()], "0s cpu{host=a} 50 | 1s cpu{host=a} 51"),
            (vec![hot(40.0, 2).make()], "2s cpu{host=a} 52"),
            (vec![hot(90.0, 3).make()], "3s cpu{host=a} 53"),
        ],
        "2s fired critical {host=a} 52 | 3s resolved critical {host=a} 53",
    );
}

#[test]
fn windows_at_rest_are_judged_by_the_new_text_without_a_sample() {
    let mean = |limit, version| {
        let rule = rule("load", "cpu").by(&["host"]).sliding("30s", "10s");
        rule.when(mean_over(limit)).version(version).make()
    };
    // From its first end on the window holds the same sample.
    let calm = "21s cpu{host=a} 50 | 31s up{} 1";
    check(
        vec![(vec![mean(90.0, 1)], calm), (vec![mean(40.0, 2)], "41s up{} 1")],
        "40s fired critical {host=a} 50",
    );
}

#[test]
fn another_soak_counts_for_what_is_pending_and_disturbs_no_group_at_rest() {
    let feed = "0s cpu{host=a} 95 | 0s cpu{host=b} 10 | 5s cpu{host=a} 95 | 5s cpu{host=b} 10";
    let edited = hot(90.0, 2).soak("10s").expire("40s").no_data_breach().make();
    let before = hot(90.0, 1).soak("1m").expire("40s").no_data_breach().make();
    check(
        vec![(vec![before], feed), (vec![edited], "10s cpu{host=a} 95 | 60s up{} 1")],
        "0s pending critical {host=a} 95 | 10s fired critical {host=a} 95 \
         | 45s pending critical {host=b} | 55s fired critical {host=b}",
    );
}

#[test]
fn another_soak_counts_for_a_verdict_that_no_sample_repeats() {
    let silent =
        |soak, version| hot(90.0, version).soak(soak).expire("40s").no_data_breach().make();
    check(
        vec![
            (vec![silent("1m", 1)], "0s cpu{host=a} 10 | 45s up{} 1"),
            (vec![silent("10s", 2)], "60s up{} 1"),
        ],
        "40s pending critical {host=a} | 50s fired critical {host=a}",
    );
}

#[test]
fn another_expiry_counts_for_groups_at_rest() {
    let expiring = |text, version| hot(90.0, version).expire(text).no_data_breach().make();
    let calm = "0s cpu{host=a} 10 | 1s cpu{host=a} 10";
    check(
        vec![(vec![expiring("1h", 1)], calm), (vec![expiring("30s", 2)], "32s up{} 1")],
        "31s fired critical {host=a}",
    );
    let later = "32s up{} 1 | 122s up{} 1";
    check(
        vec![(vec![expiring("30s", 1)], calm), (vec![expiring("2m", 2)], later)],
        "2m1s fired critical {host=a}",
    );
}

#[test]
fn another_window_begins_anew_in_every_group() {
    let load = |length, version| {
        let rule = rule("load", "cpu").by(&["host"]).sliding(length, "10s");
        rule.when(mean_over(60.0)).version(version).make()
    };
    check(
        vec![
            (vec![load("30s", 1)], "1s cpu{host=a} 90 | 1s cpu{host=b} 10 | 12s up{} 1"),
            (vec![load("20s", 2)], "13s cpu{host=a} 50 | 13s cpu{host=b} 70 | 41s up{} 1"),
        ],
        "10s fired critical {host=a} 90 | 20s resolved critical {host=a} 50 \
         | 20s fired critical {host=b} 70",
    );
}

#[test]
fn a_rule_that_comes_back_takes_its_series_anew_and_others_go_on() {
    let low = || rule("low", "cpu").by(&["host"]).when(over(60.0)).make();
    let feed = "0s cpu{host=a} 70 | 0s cpu{host=b} 10";
    check(
        vec![
            (vec![hot(50.0, 1).make(), low()], feed),
            (vec![low()], "1s cpu{host=a} 71 | 1s cpu{host=b} 72"),
            (vec![], ""),
            (vec![hot(50.0, 1).make()], "2s cpu{host=a} 73 | 2s cpu{host=b} 11"),
            (vec![hot(50.0, 1).make(), low()], "3s cpu{host=a} 74 | 3s cpu{host=b} 75"),
        ],
        "0s fired critical {host=a} 70 | 0s fired critical {host=a} 70 \
         | 0s resolved critical {host=a} 70 rule removed | 1s fired critical {host=b} 72 \
         | 1s resolved critical {host=a} 71 rule removed \
         | 1s resolved critical {host=b} 72 rule removed | 2s fired critical {host=a} 73 \
         | 3s fired critical {host=a} 74 | 3s fired critical {host=b} 75 \
         | 3s fired critical {host=b} 75",
    );
}

#[test]
fn a_rule_before_the_others_changes_their_numbers_and_nothing_else() {
    let absent = || rule("gone", "beat").by(&["host"]).absent("30s").make();
    let first = || rule("a-first", "beat").by(&["host"]).when(over(5.0)).make();
    let feed = "0s beat{host=a} 1 | 1s beat{host=a} 1 | 0s cpu{host=a} 10 | 1s cpu{host=a} 10";
    for shards in [1, 2, 4] {
        let mut machine = machine(shards, vec![absent(), hot(90.0, 1).make()]);
        run_lines(&mut machine, feed, 2, false);
        let (told, adopted) = swap(&mut machine, vec![first(), absent(), hot(90.0, 1).make()]);
        assert_eq!(told, Vec::<String>::new());
        assert_eq!(adopted, ["a-first Added", "gone Unchanged", "hot Unchanged"]);
        let lines = run_lines(&mut machine, "2s cpu{host=a} 95 | 32s up{} 1", 9, false);
        assert_eq!(lines, ["2s fired critical {host=a} 95", "31s fired critical {host=a}"]);
        let mut samples = [0; 3];
        for engine in &mut machine.engines {
            let reports = engine.rule_reports();
            samples.iter_mut().zip(reports).for_each(|(sum, report)| *sum += report.samples);
        }
        assert_eq!(samples, [0, 2, 3], "what was counted before the swap is not lost");
    }
}

#[test]
fn a_series_that_only_an_overflow_group_takes_goes_on_there() {
    let limits = Limits { groups_per_rule_max: 1, ..Limits::default() };
    let mean = |name: &'static str| {
        rule(name, "cpu").by(&["host"]).sliding("10s", "10s").when(mean_over(50.0)).make()
    };
    for shards in [1, 2, 4] {
        let mut machine = machine_within(limits.clone(), shards, vec![mean("load")]);
        run_lines(&mut machine, "1s cpu{host=a} 9 | 2s cpu{host=b} 90", 9, false);
        let (told, adopted) = swap(&mut machine, vec![mean("first"), mean("load")]);
        assert_eq!(told, ["2s fired warning {rule=first}"], "{shards} shards");
        assert_eq!(adopted, ["first Added", "load Unchanged"]);
        let lines = run_lines(&mut machine, "3s cpu{host=b} 70 | 15s up{} 1", 9, false);
        let expected = [
            "10s fired critical {__overflow__=true} 70",
            "10s fired critical {__overflow__=true} 80",
        ];
        assert_eq!(lines, expected, "{shards} shards");
    }
}

#[test]
fn a_set_that_was_made_ready_is_adopted_like_any_other() {
    let (old, new) = (ruleset(vec![hot(90.0, 1).make()]), ruleset(vec![hot(40.0, 2).make()]));
    let mut machine = machine(2, Vec::new());
    machine.step(Arrived::Swap(old.clone()));
    run_lines(&mut machine, "0s cpu{host=a} 50", 9, false);
    let Handover { succession, fresh } = Handover::new(old, new, 2);
    let inputs = machine.sequencer.step(Arrived::Succession(succession));
    let steps = Handover::steps(inputs, fresh);
    let outputs = machine.engines.iter_mut().zip(steps).map(|(engine, step)| engine.take(step));
    let merged = machine.merge.merge(outputs.collect());
    let adopted = merged.adopted.expect("a swap is adopted").rules;
    assert_eq!(adopted, [("hot".into(), Carried::Kept)]);
    assert_eq!(merged.discarded.len(), 2, "what is out of use is handed on");
    let lines = run_lines(&mut machine, "1s cpu{host=a} 50", 9, false);
    assert_eq!(lines, ["1s fired critical {host=a} 50"]);
}

#[test]
fn an_edit_to_an_increase_counts_from_what_the_rule_heard_before() {
    let window = |reads, limit, version| {
        let rule = rule("load", "cpu").by(&["host"]).sliding("30s", "10s");
        rule.when(reduced_over(reads, limit)).version(version).make()
    };
    check(
        vec![
            (vec![window("max", 1e9, 1)], "1s cpu{host=a} 10 | 2s cpu{host=a} 20"),
            (vec![window("increase", 25.0, 2)], "3s cpu{host=a} 50 | 11s up{} 1"),
        ],
        "10s fired critical {host=a} 30",
    );
    // The series was known when the rule came, but the rule heard nothing of it.
    let before = "1s cpu{host=a} 10 | 2s cpu{host=a} 20";
    check(
        vec![
            (vec![hot(1e9, 1).make()], before),
            (vec![hot(1e9, 1).make(), window("max", 1e9, 1)], "2s up{} 1"),
            (
                vec![hot(1e9, 1).make(), window("increase", 5.0, 2)],
                "3s cpu{host=a} 50 | 5s cpu{host=a} 60 | 11s up{} 1",
            ),
        ],
        "10s fired critical {host=a} 10",
    );
}

/// Its members have other numbers afterwards, and two of three breach while it changes.
#[test]
fn a_group_of_several_goes_on_under_another_selector() {
    let hot = |only: &str, version| {
        let rule = rule("hot", "cpu").by(&["dc"]).only(only).when(over(90.0)).version(version);
        vec![rule.make()]
    };
    let mut machine = machine(1, hot("dc=x", 1));
    let feed = "0s cpu{dc=x,host=c} 1 | 0s cpu{dc=x,host=b} 95 | 0s cpu{dc=x,host=a} 99";
    let mut lines = run_from(&mut machine, 0, feed);
    swap(&mut machine, hot("host!=a", 2));
    let check = |machine: &Machine| {
        let engine = &machine.engines[0];
        engine.runs.iter().for_each(|run| run.check_groups(&engine.latest, &engine.listening));
    };
    check(&machine);
    for sample in ["1s cpu{dc=x,host=c} 2", "2s cpu{dc=x,host=b} 3", "3s cpu{dc=x,host=c} 97"] {
        lines.extend(run_from(&mut machine, 0, sample));
        check(&machine);
    }
    assert_eq!(
        lines,
        [
            "0s fired critical {dc=x} 95",
            "2s resolved critical {dc=x} 3",
            "3s fired critical {dc=x} 97"
        ]
    );
}
