//! Times and numbers that no sane source sends must be judged, refused or counted, never a panic.

use super::kit::*;
use super::simulation::{Dice, all_rules};
use crate::kernel::model::Now;

const HOUR: i64 = 3_600_000_000_000;

fn odd_time(dice: &mut Dice) -> EventTime {
    let now = base().nanos();
    let edges = [i64::MIN, i64::MIN + 1, i64::MIN + HOUR, -HOUR, -1, 0, 1, HOUR, now, now + 1];
    let more = [now - HOUR, now + HOUR, i64::MAX - HOUR, i64::MAX - 1, i64::MAX];
    let all = [&edges[..], &more[..]].concat();
    let edge = all[dice.between(0, all.len() as i64) as usize];
    EventTime::from_nanos(edge.saturating_add(dice.between(-30, 30) * 1_000_000_000))
}

fn odd_value(dice: &mut Dice) -> f64 {
    let values = [0.0, -0.0, 95.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 1e-310, f64::NAN];
    values[dice.between(0, values.len() as i64) as usize]
}

fn run(seed: u64, shards: u32, live: bool) {
    let mut dice = Dice::new(seed);
    let from = if live { base() } else { EventTime::MIN };
    let mut machine = Machine::new(Limits::default(), shards, from);
    machine.step(Arrived::Swap(ruleset(all_rules(0))));
    open(&mut machine, 0);
    let mut offered = 0;
    for turn in 0..60 {
        let rows = (0..dice.between(0, 8)).map(|_| {
            let labels = [("host", dice.between(0, 3).to_string()), ("dc", "eu".into())];
            let metric = if dice.one_in(3) { "bytes" } else { "cpu" };
            (odd_time(&mut dice), Series::new(metric, labels), odd_value(&mut dice))
        });
        let batch = batch(&rows.collect::<Vec<_>>());
        offered += batch.rows() as u64;
        let now = Now::from_nanos(base().nanos() + turn * 1_000_000_000);
        let arrival = live.then_some(now);
        machine.step(Arrived::Batch { source: SourceId(0), batch: Batch { arrival, ..batch } });
        if live {
            machine.step(Arrived::Tick(now));
        }
        if turn % 20 == 19 {
            machine.step(Arrived::Swap(ruleset(all_rules(turn as usize % 3))));
        }
    }
    machine.step(Arrived::End);
    let source = &machine.sequencer.sources()[0];
    assert_eq!(source.accepted + source.refused.total(), offered, "seed {seed}");
}

#[test]
fn times_at_the_ends_of_the_world_are_survived() {
    for seed in 0..12 {
        run(seed, 1, true);
        run(seed, 64, seed % 2 == 0);
        run(seed, 1, false);
    }
}

#[test]
fn a_machine_without_rules_or_samples_is_fine() {
    let mut machine = Machine::new(Limits::default(), 64, EventTime::MIN);
    for now in [i64::MIN, 0, i64::MAX] {
        machine.step(Arrived::Tick(Now::from_nanos(now)));
    }
    machine.step(Arrived::End);
    machine.step(Arrived::Until(EventTime::MAX));
    assert_eq!(machine.snapshot().engine.shards, 64);
}

#[test]
fn a_leap_of_decades_is_told_with_few_reminders() {
    let hot = rule("hot", "cpu").when(over(90.0)).repeat("1m").make();
    let mut machine = machine(1, vec![hot]);
    let samples: Vec<_> = (0..5)
        .map(|turn| {
            let at = if turn == 0 { EventTime::from_nanos(0) } else { base() };
            let labels = [("host", turn.to_string())];
            (at + Duration::from_secs(turn), Series::new("cpu", labels), 95.0)
        })
        .collect();
    let events =
        machine.step(Arrived::Batch { source: SourceId(0), batch: batch(&samples) }).events;
    assert!(events.len() < 2_100, "{}", events.len());
}

/// More series than tests have otherwise are looked up some samples ahead.
#[test]
fn a_batch_of_many_series_is_judged_as_its_samples_one_by_one() {
    let mut dice = Dice::new(7);
    let sample = |at: i64| {
        let (host, value) = (dice.between(0, 9), dice.between(60, 120));
        format!("{}ms cpu{{host=h{host}}} {value}", at * 37)
    };
    let feed = (0..300).map(sample).collect::<Vec<_>>().join(" | ");
    let run = |size: usize| {
        let hot = rule("hot", "cpu").when(over(90.0)).soak("100ms").make();
        run_lines(&mut machine(2, vec![hot]), &feed, size, true)
    };
    let expected = run(1);
    assert!(expected.len() > 50, "{expected:#?}");
    for size in [2, 3, 4, 7, 299, 300] {
        assert_eq!(run(size), expected, "batches of {size}");
    }
}
