//! A call into a component: what crossing over costs, and what a row adds.

use std::path::Path;
use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use watchfire::guest::wasm::{Component, WasmHost, WasmLimits, load};
use watchfire::kernel::model::{EventTime, Series, SeriesId};
use watchfire::kernel::rule::program::{GuestVerdicts, RulePlugin};

/// Rows of one call; one in a hundred breaches. A call with one row is the crossing itself.
#[divan::bench(args = [1, 256, 4_096])]
fn rows(bencher: Bencher<'_, '_>, rows: usize) {
    let mut instance = plugin().instance().expect("an instance");
    let series: Vec<SeriesId> = (0..rows as u32).map(SeriesId).collect();
    let named = |id: &SeriesId| (*id, Series::new("m", [("host", id.0.to_string())]));
    instance.intern(&series.iter().map(named).collect::<Vec<_>>()).expect("series are taken");
    let at = vec![EventTime::from_nanos(1_700_000_000_000_000_000); rows];
    let value: Vec<f64> = (0..rows).map(|row| (row % 100) as f64).collect();
    let mut out = GuestVerdicts::default();
    bencher.counter(ItemsCount::new(rows)).bench_local(|| {
        out.breaches.clear();
        out.hold.clear();
        let judged = instance.evaluate(0, &series, black_box(&at), black_box(&value), &mut out);
        judged.expect("it judges");
        out.breaches.len()
    });
    assert_eq!(out.breaches.len(), rows / 100);
}

/// `plugins/threshold` with a limit that one row in a hundred is above.
fn plugin() -> Arc<dyn RulePlugin> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    let file = folder.join("target/wasm32-wasip2/release/threshold.wasm");
    let bytes = std::fs::read(&file).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; run `cargo build --release --target wasm32-wasip2` in plugins/",
            file.display()
        )
    });
    let settings = serde_json::json!({ "name": "r", "metric": "m", "limit": 98.5 });
    let host = WasmHost::new(WasmLimits::default()).expect("a host");
    match load("threshold", &bytes, &settings, &host).expect("it loads").component {
        Component::Rules { plugin, .. } => plugin,
        Component::Sink(_)
        | Component::SampleSink(_)
        | Component::Probe(_)
        | Component::Source(_) => {
            panic!("threshold is a rule")
        }
    }
}
