//! Rules that keep state, swapped between batches of a stream.

use std::sync::Arc;

use serde_json::json;
use watchfire::guest::wasm::{Component, WasmHost};
use watchfire::kernel::event::Event;
use watchfire::kernel::machine::Machine;
use watchfire::kernel::model::{
    Announcement, Batch, EventTime, Limits, Op, Series, Slot, SourceId, Version,
};
use watchfire::kernel::rule::ruleset::Ruleset;
use watchfire::kernel::sequence::sequencer::Arrived;

use super::{SWAPS, host, twins};
use crate::guests::guest;
use crate::random::Random;

const SOURCE: SourceId = SourceId(0);
const SERIES: u32 = 30;
const SAMPLES: usize = 9_000;
/// Of one moment, so that a call into a guest has some rows.
const AT_ONCE: usize = 6;

/// A count that is told with every second sample, a mean that forgets, and windows of groups: state
/// of series, weights over time, and none but the engine's own.
fn rulesets(host: &WasmHost) -> [Arc<Ruleset>; 2] {
    let components = [
        ("evil", guest("evil"), json!({ "act": "alternate" })),
        (
            "odd",
            guest("ewma_anomaly"),
            json!({ "metric": "load", "half_life": "20s", "k": 1.5, "warmup": 5, "soak": "3s" }),
        ),
        (
            "means",
            guest("window_mean"),
            json!({ "rules": [{ "name": "means", "metric": "load", "by": ["rack"],
                                "window": "4s", "every": "1s", "threshold": 50.0 }] }),
        ),
    ];
    let mut sets = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for (name, bytes, settings) in components {
        for (component, set) in twins(name, &bytes, &settings, host).into_iter().zip(&mut sets) {
            let Component::Rules { rules, plugin } = component else { panic!("{name} judges") };
            set.0.extend(rules.into_iter().map(Arc::new));
            set.1.push(plugin);
        }
    }
    sets.map(|(rules, plugins)| {
        Arc::new(Ruleset::new(rules, plugins).expect("the rules go together"))
    })
}

/// What the stream brings about, with a swap before each of these samples.
fn run(sets: &[Arc<Ruleset>; 2], shards: u32, swaps: &[usize]) -> Vec<Event> {
    let mut machine = Machine::new(Limits::default(), shards, EventTime::MIN);
    machine.step(Arrived::Swap(sets[0].clone()));
    machine.step(Arrived::Opened { source: SOURCE, lateness: None });
    let (mut random, mut told, mut swaps) = (Random::new(11), Vec::new(), swaps.iter().enumerate());
    let mut next = swaps.next();
    let (mut batch, mut announced) = (Batch::default(), 0);
    for number in 0..SAMPLES {
        while let Some((turn, _)) = next.filter(|(_, at)| **at <= number) {
            told.push(machine.step(Arrived::Batch { source: SOURCE, batch }));
            batch = Batch::default();
            told.push(machine.step(Arrived::Swap(sets[(turn + 1) % 2].clone())));
            next = swaps.next();
        }
        // Series come one by one, so that some are new to the instance that a swap began.
        let row = (random.bits() % u64::from(SERIES.min(1 + number as u32 / 100))) as u32;
        for new in announced..=row {
            batch.announced.push(announcement(batch.rows() as u32, new));
        }
        announced = announced.max(row + 1);
        let moment = (number / AT_ONCE) as i64 * 100_000_000;
        let at = EventTime::from_nanos(1_700_000_000_000_000_000 + moment);
        batch.push(Slot(row), at, (random.unit() * 1e5).round() / 1e3, Op::Set);
    }
    told.push(machine.step(Arrived::Batch { source: SOURCE, batch }));
    told.push(machine.step(Arrived::End));
    let faults: Vec<_> = told.iter().flat_map(|merged| &merged.faults).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let events = told.iter().flat_map(|merged| &merged.events);
    // By the version alone a reader can tell the builds apart.
    events.map(|event| Event { version: Version(0), ..(**event).clone() }).collect()
}

fn announcement(row: u32, slot: u32) -> Announcement {
    let labels = [("host", slot.to_string()), ("rack", (slot % 4).to_string())];
    Announcement { row, slot: Slot(slot), series: Series::new("load", labels) }
}

#[test]
fn a_hundred_swaps_lose_no_verdict_and_double_none() {
    let host = host();
    let sets = rulesets(host);
    let mut random = Random::new(5);
    let mut places: Vec<usize> =
        (0..SWAPS).map(|_| random.below(SAMPLES as u64) as usize).collect();
    places.sort_unstable();
    for shards in [1, 3] {
        let unswapped = run(&sets, shards, &[]);
        for rule in ["evil", "ewma-anomaly", "means"] {
            let events = unswapped.iter().filter(|event| &*event.rule == rule).count();
            assert!(events >= SWAPS, "{rule} told only {events}");
        }
        let swapped = run(&sets, shards, &places);
        for (number, (told, expected)) in swapped.iter().zip(&unswapped).enumerate() {
            assert_eq!(told, expected, "event {number} with {shards} shards");
        }
        assert_eq!(swapped.len(), unswapped.len(), "{shards} shards");
    }
}
