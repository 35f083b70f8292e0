//! A plugin as the API shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::times::{rfc3339, rfc3339_or_null};
use crate::kernel::model::{Duration, Now};

/// One plugin, with what its present version did since it was loaded.
#[derive(Clone, Debug, Serialize)]
pub struct PluginStatus {
    pub name: Arc<str>,
    pub file: Arc<str>,
    /// `wasm`, or `rhai` for the sinks and probes of scripts, which have fewer fields.
    pub language: &'static str,
    /// `rule`, `window-rule`, `sink`, `sample-sink`, `probe` or `source`.
    pub world: &'static str,
    pub state: PluginState,
    /// What it may reach, and what it asks for besides.
    pub granted: Vec<String>,
    pub missing: Vec<String>,
    pub blocked: Option<BlockedStatus>,
    pub quarantine: Option<QuarantineStatus>,
    /// What happened to it in this run, by the name of the change.
    pub changes: BTreeMap<&'static str, u64>,
    /// Of a probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<MeasuredStatus>,
    /// Of a component.
    #[serde(flatten)]
    pub component: Option<ComponentStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    Running,
    /// It asks for something that was not granted.
    Blocked,
    /// It, or a rule of it, is out of service for a while.
    Quarantined,
}

impl PluginState {
    pub fn name(self) -> &'static str {
        match self {
            PluginState::Running => "running",
            PluginState::Blocked => "blocked",
            PluginState::Quarantined => "quarantined",
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct BlockedStatus {
    pub why: String,
    /// The lines that `grants.toml` needs.
    pub cure: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct QuarantineStatus {
    #[serde(serialize_with = "rfc3339")]
    pub until: Now,
    pub backoff: Duration,
    /// Of a plugin that judges: the rules that are held back.
    pub rules: Vec<Arc<str>>,
}

/// What a probe measured.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredStatus {
    pub measured: u64,
    pub failed: u64,
    pub readings: u64,
    /// Past what one measurement may have.
    pub left_out: u64,
    pub last_error: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ComponentStatus {
    /// Of the crate or package that it was built from; absent without a manifest.
    pub version: Option<String>,
    /// SHA-256 of the file in hexadecimal, as a grant may pin it.
    pub digest: String,
    pub file_bytes: u64,
    /// The version of the interface that it was built for.
    pub interface: String,
    /// The version by which this host runs it.
    pub adapter: &'static str,
    /// What it asks for, before its settings are filled in.
    pub asks: Vec<String>,
    pub calls: u64,
    /// Batches of samples or windows, payloads, measurements, attempts to deliver.
    pub batches: u64,
    pub rows: u64,
    pub verdicts: u64,
    pub cpu_seconds: f64,
    /// Of all its instances now.
    pub memory_bytes: u64,
    pub memory_peak_bytes: u64,
    /// What one instance may have.
    pub memory_limit_bytes: u64,
    pub growths_denied: u64,
    /// Instances that died, and of what.
    pub deaths: u64,
    pub traps: BTreeMap<String, u64>,
    /// Deaths in the last minute; three are too many.
    pub strikes: u64,
    pub last_death: Option<String>,
    pub faults: u64,
    /// Of what its instances saved last.
    pub state_bytes: u64,
    #[serde(serialize_with = "rfc3339_or_null")]
    pub last_checkpoint: Option<Now>,
    pub checkpoint_age: Option<Duration>,
    pub states_lost: u64,
    pub requests: u64,
    pub requests_denied: u64,
    /// By host; past 16 of them as `__others__`.
    pub denied_hosts: BTreeMap<String, u64>,
    pub log_lines_left_out: u64,
    /// Its own.
    pub counters: BTreeMap<String, f64>,
}
