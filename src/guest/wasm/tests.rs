//! The guests of `plugins/` through the host. They are built once, by cargo, before the first test.

mod files;
mod rules;
mod sinks;
mod traps;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::guest::grant::{GuestLimits, GuestTerms};
use crate::kernel::event::{Cause, Event, EventId, Fingerprint, Kind};
use crate::kernel::model::{EventTime, Labels, Level, Series, SeriesId, Version};
use crate::kernel::rule::Rule;
use crate::kernel::rule::program::{Fault, GuestRows, GuestVerdicts, RuleInstance, RulePlugin};

/// The bytes of a guest, by its file's name without `.wasm`.
fn guest(name: &str) -> Arc<Vec<u8>> {
    static BUILT: OnceLock<()> = OnceLock::new();
    static READ: Mutex<BTreeMap<String, Arc<Vec<u8>>>> = Mutex::new(BTreeMap::new());
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    BUILT.get_or_init(|| build(&plugins));
    let mut read = READ.lock().expect("no test panics while it holds the lock");
    let bytes = || {
        let file = plugins.join(format!("target/wasm32-wasip2/release/{name}.wasm"));
        Arc::new(std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
    };
    read.entry(name.to_owned()).or_insert_with(bytes).clone()
}

fn build(plugins: &Path) {
    let output = Command::new(env!("CARGO"))
        .current_dir(plugins)
        .args(["build", "--release", "--locked", "--target", "wasm32-wasip2"])
        // The caller's flags and folders are for another machine, and its target folder is locked.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .env("CARGO_TARGET_DIR", plugins.join("target"))
        .output()
        .expect("cargo runs");
    let told = String::from_utf8_lossy(&output.stderr);
    let fix = "rustup target add wasm32-wasip2";
    assert!(!told.contains("may not be installed"), "the guests' target is missing; run: {fix}");
    assert!(output.status.success(), "the guests do not build:\n{told}");
}

/// A host whose deadlines no loaded machine misses.
fn host() -> &'static WasmHost {
    static HOST: OnceLock<WasmHost> = OnceLock::new();
    HOST.get_or_init(|| {
        let host = host_with(Duration::from_secs(20));
        // The host keeps code as long as somebody runs it; the tests come and go.
        for name in ["threshold", "ewma_anomaly", "evil", "webhook"] {
            std::mem::forget(host.compile(&guest(name)));
        }
        host
    })
}

/// A host that gives a rule's call so much time.
fn host_with(call: Duration) -> WasmHost {
    let mut limits = WasmLimits::default();
    limits.rule.call = call;
    limits.sink.call = Duration::from_secs(20);
    WasmHost::new(limits).expect("an engine")
}

/// A loaded rule component.
struct Rules {
    rules: Vec<Rule>,
    plugin: Arc<dyn RulePlugin>,
    counters: Arc<Counters>,
}

fn rules(name: &str, settings: Value, host: &WasmHost) -> Result<Rules, LoadError> {
    let loaded = load(name, &guest(name), &settings, &GuestTerms::default(), host)?;
    match loaded.component {
        Component::Rules { rules, plugin } => {
            Ok(Rules { rules, plugin, counters: loaded.counters })
        }
        Component::Sink(sink) => panic!("{} is a sink", sink.name),
        Component::SampleSink(sink) => panic!("{} is a sink of samples", sink.name),
        Component::Probe(probe) => panic!("{} is a probe", probe.name),
        Component::Source(source) => panic!("{} is a source", source.name),
    }
}

impl Rules {
    /// An instance that knows the series `load{row=".."}` under these numbers.
    fn instance(&self, series: &[u32]) -> Box<dyn RuleInstance> {
        let mut instance = self.plugin.instance().expect("it started before");
        let added: Vec<_> = series.iter().map(|id| (SeriesId(*id), load_of(*id))).collect();
        instance.intern(&added).expect("a few series");
        instance
    }
}

fn load_of(id: u32) -> Series {
    Series::new("load", [("row", id.to_string())])
}

/// Rows as `(series, seconds, value)`.
type Row = (u32, i64, f64);

fn judge(instance: &mut dyn RuleInstance, rows: &[Row]) -> Result<GuestVerdicts, Fault> {
    let rows = GuestRows {
        series: rows.iter().map(|row| row.0).collect(),
        at: rows.iter().map(|row| row.1 * 1_000_000_000).collect(),
        value: rows.iter().map(|row| row.2).collect(),
    };
    let mut out = GuestVerdicts::default();
    instance.evaluate(0, rows, &mut out)?;
    Ok(out)
}

/// Verdicts as text: `0:warning=3 2:hold`.
fn print(verdicts: &GuestVerdicts) -> String {
    let mut lines: Vec<(u32, String)> = verdicts
        .breaches
        .iter()
        .map(|breach| {
            let value = breach.value.map(|value| format!("={value}")).unwrap_or_default();
            (breach.row, format!("{}:{}{value}", breach.row, breach.level))
        })
        .collect();
    lines.extend(verdicts.hold.iter().map(|row| (*row, format!("{row}:hold"))));
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join(" ")
}

/// A fired alert of the rule `cpu-high` on host a.
pub fn event() -> Event {
    let at = EventTime::from_nanos(5_000_000_000);
    Event {
        id: EventId(7),
        seq: 1,
        rule: "cpu-high".into(),
        version: Version(1),
        kind: Kind::Fired,
        level: Level::Critical,
        previous_level: None,
        key: Labels::new([("host", "a")]),
        labels: Labels::new([("team", "ops")]),
        value: Some(91.5),
        values: Vec::new(),
        window: None,
        at,
        since: at,
        fired_at: Some(at),
        resolved_at: None,
        cause: Cause::Breach,
        text: "cpu is hot on a".into(),
        annotations: vec![("runbook".into(), "https://example.net/cpu".into())],
        shadow: false,
        fingerprint: Fingerprint(9),
        notify: Vec::new(),
    }
}
