//! Components replaced a hundred times while they work: nothing is lost, nothing is told twice.

mod rules;
mod sinks;

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use watchfire::guest::grant::GuestTerms;
use watchfire::guest::wasm::{Component, WasmHost, WasmLimits, load};

use crate::guests::rebuilt;

/// How often a component is replaced.
const SWAPS: usize = 100;

/// A host whose deadlines no loaded machine misses, and that compiles each component once.
fn host() -> &'static WasmHost {
    static HOST: OnceLock<(WasmHost, TempDir)> = OnceLock::new();
    let (host, _) = HOST.get_or_init(|| {
        let mut limits = WasmLimits::default();
        limits.rule.call = Duration::from_secs(20);
        limits.sink.call = Duration::from_secs(20);
        let host = WasmHost::new(limits).expect("an engine");
        let folder = tempfile::tempdir().expect("a folder");
        host.keep_compiled_in(&folder.path().join("compiled")).expect("a folder of our own");
        (host, folder)
    });
    host
}

/// Two builds of one component that differ in nothing but their digest, loaded.
fn twins(name: &str, bytes: &[u8], settings: &Value, host: &WasmHost) -> [Component; 2] {
    ["one", "two"].map(|mark| {
        let bytes = rebuilt(bytes.to_vec(), mark);
        load(name, &bytes, settings, &GuestTerms::default(), host).expect("it loads").component
    })
}
