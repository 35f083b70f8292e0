//! A call into a component: what crossing over costs, what a row adds, and what a start costs.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use serde_json::{Value, json};
use watchfire::guest::grant::GuestTerms;
use watchfire::guest::wasm::{Component, WasmHost, WasmLimits, load};
use watchfire::kernel::model::{Series, SeriesId};
use watchfire::kernel::rule::program::{GuestRows, GuestVerdicts, RuleInstance, RulePlugin};

use super::data::splitmix;

const AT: i64 = 1_700_000_000_000_000_000;

/// So many in a row, for the clock's own cost would count in a single one.
const CALLS: usize = 100;

/// Calls with nothing in them that give nothing back: the crossing itself. At most 150 ns each.
#[divan::bench]
fn empty_call(bencher: Bencher<'_, '_>) {
    let mut instance = instance("threshold", &threshold());
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        for _ in 0..CALLS {
            instance.forget(black_box(&[]));
        }
    });
}

/// Rows of one call to a threshold; one in a hundred breaches. At most 3 ns a row of 4,096.
#[divan::bench(args = [1, 256, 4_096])]
fn rows(bencher: Bencher<'_, '_>, rows: usize) {
    let mut instance = instance("threshold", &threshold());
    let series = interned(&mut *instance, rows, rows);
    let value = (0..rows).map(|row| (row % 100) as f64).collect();
    let breaches = judge(bencher, instance, GuestRows { series, at: vec![AT; rows], value });
    assert_eq!(breaches, rows / 100);
}

/// Rows of one call to a rule that keeps a mean and a variance for each of 1,000 series.
#[divan::bench(args = [256, 4_096])]
fn ewma(bencher: Bencher<'_, '_>, rows: usize) {
    let settings = json!({ "metric": "m", "alpha": 0.1, "k": 4.0, "warmup": 5 });
    let mut instance = instance("ewma_anomaly", &settings);
    let series = interned(&mut *instance, rows, SERIES);
    judge(bencher, instance, GuestRows { series, at: vec![AT; rows], value: noise(rows) });
}

/// The same rows again and again, as the engine hands them over; gives the breaches of one round.
fn judge(bencher: Bencher<'_, '_>, instance: Box<dyn RuleInstance>, columns: GuestRows) -> usize {
    let mut out = GuestVerdicts::default();
    let rows = ItemsCount::new(columns.series.len());
    let instance = RefCell::new(instance);
    let filled = || {
        let mut rows = instance.borrow_mut().spare_rows();
        rows.series.extend_from_slice(&columns.series);
        rows.at.extend_from_slice(&columns.at);
        rows.value.extend_from_slice(&columns.value);
        rows
    };
    bencher.counter(rows).with_inputs(filled).bench_local_values(|rows| {
        out.breaches.clear();
        out.hold.clear();
        instance.borrow_mut().evaluate(0, black_box(rows), &mut out).expect("it judges");
        out.breaches.len()
    });
    out.breaches.len()
}

/// The same computation on the same rows, written here and compiled for this machine: what a rule
/// in a component is measured against. At most 1.3 times it.
#[divan::bench(args = [256, 4_096])]
fn ewma_native(bencher: Bencher<'_, '_>, rows: usize) {
    let mut tracks: Vec<Track> = (0..SERIES).map(|_| Track::default()).collect();
    let slots: Vec<u32> = (0..SERIES as u32).collect();
    let series: Vec<u32> = (0..rows).map(|row| (row % SERIES) as u32).collect();
    let (at, value) = (vec![AT; rows], noise(rows));
    let (weight, k, warmup) = black_box((0.1, 4.0, 5));
    let mut odd: Vec<(u32, f64)> = Vec::new();
    bencher.counter(ItemsCount::new(rows)).bench_local(|| {
        odd.clear();
        let (at, value) = (black_box(&at), black_box(&value));
        for row in 0..series.len() {
            let Some(slot) = slots.get(series[row] as usize) else { continue };
            let Some(track) = tracks.get_mut(*slot as usize) else { continue };
            let off = value[row] - track.mean;
            if track.seen >= warmup && off.abs() > k * track.variance.sqrt() {
                odd.push((row as u32, off));
            }
            track.take(weight, at[row], value[row]);
        }
        odd.len()
    });
}

/// A component that was compiled before, from its bytes to a rule that was tried: a thousandth of
/// a start with a thousand of them, which may take 2 s.
#[divan::bench]
fn load_compiled(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let host = WasmHost::new(WasmLimits::default()).expect("a host");
    host.keep_compiled_in(&folder.path().join("compiled")).expect("a folder of our own");
    let (bytes, settings) = (bytes("threshold"), threshold());
    let load =
        || load("threshold", &bytes, &settings, &GuestTerms::default(), &host).expect("it loads");
    drop(load());
    bencher.bench_local(load);
}

const SERIES: usize = 1_000;

#[derive(Default)]
struct Track {
    seen: u32,
    mean: f64,
    variance: f64,
    at: i64,
}

impl Track {
    /// As in `plugins/ewma-anomaly`.
    fn take(&mut self, weight: f64, at: i64, value: f64) {
        if self.seen == 0 {
            (self.seen, self.mean, self.variance, self.at) = (1, value, 0.0, at);
            return;
        }
        let weight = weight.max(1.0 / f64::from(self.seen + 1));
        let off = value - self.mean;
        self.mean += weight * off;
        self.variance = (1.0 - weight) * (self.variance + weight * off * off);
        self.seen = self.seen.saturating_add(1);
        self.at = at;
    }
}

/// Values that wander about 50 and never leave their mean far behind.
fn noise(rows: usize) -> Vec<f64> {
    (0..rows).map(|row| 50.0 + (splitmix(row as u64) % 1_000) as f64 / 100.0).collect()
}

fn interned(instance: &mut dyn RuleInstance, rows: usize, series: usize) -> Vec<u32> {
    let added: Vec<_> = (0..series as u32).map(|row| (SeriesId(row), named(row))).collect();
    instance.intern(&added).expect("series are taken");
    (0..rows).map(|row| (row % series) as u32).collect()
}

fn named(row: u32) -> Series {
    Series::new("m", [("host", row.to_string())])
}

/// With a limit that one row in a hundred is above.
fn threshold() -> Value {
    json!({ "name": "r", "metric": "m", "limit": 98.5 })
}

fn instance(name: &str, settings: &Value) -> Box<dyn RuleInstance> {
    plugin(name, settings).instance().expect("an instance")
}

fn plugin(name: &str, settings: &Value) -> Arc<dyn RulePlugin> {
    let host = WasmHost::new(WasmLimits::default()).expect("a host");
    match load(name, &bytes(name), settings, &GuestTerms::default(), &host)
        .expect("it loads")
        .component
    {
        Component::Rules { plugin, .. } => plugin,
        Component::Sink(_)
        | Component::SampleSink(_)
        | Component::Probe(_)
        | Component::Source(_) => panic!("{name} is a rule"),
    }
}

fn bytes(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    let file = folder.join(format!("target/wasm32-wasip2/release/{name}.wasm"));
    std::fs::read(&file).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; run `cargo build --release --target wasm32-wasip2` in plugins/",
            file.display()
        )
    })
}
