//! A reload of 10,000 rules: reading the files anew, and handing the set to a shard that has
//! 100,000 groups.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use watchfire::config::catalog::{Catalog, Folder, Found};
use watchfire::guest::grant::GuestTerms;
use watchfire::guest::rhai::Imports;
use watchfire::guest::wasm::{WasmHost, WasmLimits};
use watchfire::kernel::machine::Machine;
use watchfire::kernel::model::{
    Announcement, Batch, Duration, EventTime, Limits, Now, Op, Series, Slot, SourceId,
};
use watchfire::kernel::rule::ruleset::Ruleset;
use watchfire::kernel::sequence::sequencer::Arrived;

const RULES: usize = 10_000;
const RULES_A_FILE: usize = 500;
const GROUPS_A_RULE: usize = 10;

/// Every file changes: each is run, its conditions are compiled, the set is checked.
#[divan::bench(sample_count = 20)]
fn read(bencher: Bencher<'_, '_>) {
    let (mut catalog, mut limit) = (catalog(), 0);
    bencher.counter(ItemsCount::new(RULES)).bench_local(|| {
        limit += 1;
        ruleset(&mut catalog, limit)
    });
}

/// The pause of a shard: it adopts a set in which every rule changed, and keeps every alert.
#[divan::bench(sample_count = 20)]
fn adopt(bencher: Bencher<'_, '_>) {
    let mut catalog = catalog();
    let sets = [1, 2].map(|limit| ruleset(&mut catalog, limit));
    let mut machine = Machine::new(Limits::default(), 1, EventTime::MIN);
    machine.step(Arrived::Swap(sets[0].clone()));
    let source = SourceId(0);
    machine.step(Arrived::Opened { source, lateness: None });
    machine.step(Arrived::Batch { source, batch: samples() });
    let mut turn = 0;
    bencher.counter(ItemsCount::new(RULES * GROUPS_A_RULE)).bench_local(|| {
        turn += 1;
        machine.step(Arrived::Swap(sets[turn % 2].clone()))
    });
}

fn catalog() -> Catalog {
    let host = WasmHost::new(WasmLimits::default()).expect("a host");
    Catalog::new(Duration::ZERO, Arc::new(host))
}

fn ruleset(catalog: &mut Catalog, limit: usize) -> Arc<Ruleset> {
    let file = |number: usize| {
        let first = number * RULES_A_FILE;
        let to = first + RULES_A_FILE;
        let text = format!(
            "for n in {first}..{to} {{ rule(`r-${{n}}`).on(`m-${{n}}`).when(|v| v > {limit}.0); }}"
        );
        let path = format!("rules/{number}.rhai").into();
        let (settings, terms) = (serde_json::Value::Null, GuestTerms::default());
        Found { path, bytes: text.into_bytes().into(), settings, terms }
    };
    let files = Ok((0..RULES / RULES_A_FILE).map(file).collect());
    let folder = Folder { path: "rules".into(), files, libraries: Imports::new() };
    let scan = catalog.scan(&[folder], Now::from_nanos(0), false);
    assert!(scan.findings.is_empty(), "{:?}", scan.findings.first());
    scan.ruleset
}

/// One sample for every group.
fn samples() -> Batch {
    let mut batch = Batch::default();
    for number in 0..RULES * GROUPS_A_RULE {
        let (row, name) = (number as u32, format!("m-{}", number / GROUPS_A_RULE));
        let series = Series::new(&name, [("host", (number % GROUPS_A_RULE).to_string())]);
        batch.announced.push(Announcement { row, slot: Slot(row), series });
        batch.push(Slot(row), EventTime::from_nanos(1), 0.5, Op::Set);
    }
    batch
}
