//! One group of many series: what a sample costs must not grow with the number of its neighbours.

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
use watchfire::kernel::sequence::sequencer::Arrived;

const START: i64 = 1_700_000_000;
const SIZES: [usize; 2] = [100, 10_000];
const ROWS: usize = 5_000;

/// While one series burns, all samples of its group are looked at one by one.
const BURNING: &str = r#"rule("r").on("bad").by("job").when(|v| v > 98.0)"#;
const STORM: &str = r#"rule("r").on("bad").by("job").when(|v| v > 45.0)"#;
const QUANTILE: &str = r#"rule("r").on("bad").by("job").window("1m").when(|w| w.p99 > 1000.0)"#;
const SUMS: &str = r#"rule("r").join(#{ bad: "bad", all: "all" }, "job").across("sum")
    .when(|v| v.bad / v.all > 2.0)"#;

#[divan::bench(args = SIZES)]
fn burning(bencher: Bencher<'_, '_>, series: usize) {
    rounds(bencher, BURNING, series);
}

/// Half of the series burn.
#[divan::bench(args = SIZES)]
fn storm(bencher: Bencher<'_, '_>, series: usize) {
    rounds(bencher, STORM, series);
}

#[divan::bench(args = SIZES)]
fn quantile(bencher: Bencher<'_, '_>, series: usize) {
    rounds(bencher, QUANTILE, series);
}

#[divan::bench(args = SIZES)]
fn sums(bencher: Bencher<'_, '_>, series: usize) {
    rounds(bencher, SUMS, series);
}

/// A sample of each series a round, ten seconds apart.
fn rounds(bencher: Bencher<'_, '_>, rule: &str, series: usize) {
    let mut machine = machine(rule);
    let mut round = 0;
    let mut play = |machine: &mut Machine| {
        round += 1;
        let mut events = 0;
        for rows in (0..series).step_by(ROWS).map(|from| from..series.min(from + ROWS)) {
            let batch = batch(rows, round);
            events += machine.step(Arrived::Batch { source: SourceId(0), batch }).events.len();
        }
        events
    };
    let events: usize = (0..3).map(|_| play(&mut machine)).sum();
    assert!(events > 0 || rule != BURNING, "one series burns");
    bencher.counter(ItemsCount::new(series)).bench_local(|| play(&mut machine));
}

fn machine(rule: &str) -> Machine {
    let host = WasmHost::new(WasmLimits::default()).expect("a host");
    let mut catalog = Catalog::new(Duration::ZERO, Arc::new(host));
    let bytes = format!("{rule};").into_bytes().into();
    let (settings, terms) = (serde_json::Value::Null, GuestTerms::default());
    let file = Found { path: "rules/r.rhai".into(), bytes, settings, terms };
    let folder = Folder { path: "rules".into(), files: Ok(vec![file]), libraries: Imports::new() };
    let scan = catalog.scan(&[folder], Now::from_nanos(0), false);
    assert!(scan.findings.is_empty(), "{:?}", scan.findings.first());
    let mut machine = Machine::new(Limits::default(), 1, EventTime::MIN);
    machine.step(Arrived::Swap(scan.ruleset));
    machine.step(Arrived::Opened { source: SourceId(0), lateness: Some(Duration::ZERO) });
    machine
}

/// Half of the series count what went wrong, the other half everything.
fn batch(rows: std::ops::Range<usize>, round: i64) -> Batch {
    let mut batch = Batch::default();
    let at = EventTime::from_nanos((START + round * 10) * 1_000_000_000);
    for (row, number) in (0..).zip(rows) {
        let slot = Slot(number as u32);
        if round == 1 {
            let name = if number % 2 == 0 { "bad" } else { "all" };
            let labels = [("job", "api".into()), ("pod", format!("{:06}", number / 2))];
            batch.announced.push(Announcement { row, slot, series: Series::new(name, labels) });
        }
        let value = if number == 4 { 99.0 } else { (number % 90) as f64 };
        batch.push(slot, at, value, Op::Set);
    }
    batch
}
