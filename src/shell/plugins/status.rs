//! One plugin as the API shows it, and what health says of all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::{Entry, Lock};
use crate::config::catalog::ComponentInfo;
use crate::guest::changes::now;
use crate::guest::wasm::error::SPEAKS;
use crate::guest::wasm::strikes::{Quarantine, Strikes};
use crate::kernel::rule::ruleset::Ruleset;
use crate::shell::api::{
    BlockedStatus, ComponentHealth, ComponentState, ComponentStatus, MeasuredStatus, PluginState,
    PluginStatus, QuarantineStatus,
};
use crate::shell::judge::Overview;
use crate::shell::probes::ProbeStatus;

/// All that is looked at to say how plugins stand.
pub struct Seen<'a> {
    /// Of the same moment as the rest.
    pub overview: &'a Overview,
    pub ruleset: Option<&'a Ruleset>,
    pub strikes: &'a Strikes,
    pub probes: &'a [ProbeStatus],
}

/// Every plugin as the API shows it, in the order of the entries.
pub fn status(entries: &[Entry], seen: &Seen<'_>) -> Vec<PluginStatus> {
    let mut changes: BTreeMap<Arc<str>, BTreeMap<&'static str, u64>> = BTreeMap::new();
    for (plugin, change, count) in seen.strikes.changes().counts() {
        changes.entry(plugin).or_default().insert(change, count);
    }
    let one = |entry: &Entry| PluginStatus {
        changes: changes.get(&entry.name).cloned().unwrap_or_default(),
        ..one(entry, seen)
    };
    entries.iter().map(one).collect()
}

fn one(entry: &Entry, seen: &Seen<'_>) -> PluginStatus {
    let quarantine = quarantine(entry, seen);
    let state = match (&entry.access.blocked, &quarantine) {
        (Some(_), _) => PluginState::Blocked,
        (None, Some(_)) => PluginState::Quarantined,
        (None, None) => PluginState::Running,
    };
    let blocked =
        |Lock { why, cure }: &Lock| BlockedStatus { why: why.clone(), cure: cure.clone() };
    let probe = seen.probes.iter().filter(|_| entry.world == "probe");
    PluginStatus {
        name: entry.name.clone(),
        file: entry.file.clone(),
        language: if entry.component.is_some() { "wasm" } else { "rhai" },
        world: entry.world,
        state,
        granted: entry.access.given.clone(),
        missing: entry.access.missing.clone(),
        blocked: entry.access.blocked.as_ref().map(blocked),
        quarantine,
        changes: BTreeMap::new(),
        probe: probe.into_iter().find(|probe| probe.name == entry.name).map(measured),
        component: entry.component.as_ref().map(|component| figures(component, seen.strikes)),
    }
}

/// Its own, or that of those of its rules that are held back longest.
fn quarantine(entry: &Entry, seen: &Seen<'_>) -> Option<QuarantineStatus> {
    entry.component.as_ref()?;
    if let Some(Quarantine { until, backoff }) = seen.strikes.quarantine(&entry.name) {
        return Some(QuarantineStatus { until, backoff, rules: Vec::new() });
    }
    let own = seen.ruleset.into_iter().flat_map(Ruleset::rules);
    let own = own.filter(|rule| rule.guest().is_some_and(|guest| guest.plugin == entry.name));
    let held: Vec<(Arc<str>, Quarantine)> = own
        .filter_map(|rule| Some((rule.name.clone(), *seen.overview.quarantines.get(&rule.name)?)))
        .collect();
    let longest = held.iter().map(|(_, quarantine)| quarantine).max_by_key(|held| held.until)?;
    let Quarantine { until, backoff } = *longest;
    let rules = held.into_iter().map(|(rule, _)| rule).collect();
    Some(QuarantineStatus { until, backoff, rules })
}

fn measured(probe: &ProbeStatus) -> MeasuredStatus {
    let counts = probe.counts.clone();
    MeasuredStatus {
        measured: counts.measured,
        failed: counts.failed,
        readings: counts.readings,
        left_out: counts.left_out,
        last_error: counts.last_error,
    }
}

fn figures(component: &ComponentInfo, strikes: &Strikes) -> ComponentStatus {
    let counters = &component.counters;
    let read = |counter: &AtomicU64| counter.load(Relaxed);
    let manifest = component.manifest.as_ref();
    ComponentStatus {
        version: manifest.map(|manifest| manifest.version.clone()),
        digest: component.digest.clone(),
        file_bytes: component.bytes,
        interface: format!("watchfire:plugin@{}", component.built_for),
        adapter: SPEAKS,
        asks: manifest.map(|manifest| manifest.needs.clone()).unwrap_or_default(),
        calls: counters.calls(),
        batches: read(&counters.batches),
        rows: read(&counters.rows),
        verdicts: read(&counters.verdicts),
        cpu_seconds: counters.busy().as_secs_f64(),
        memory_bytes: counters.memory_bytes(),
        memory_peak_bytes: counters.memory_peak_bytes(),
        memory_limit_bytes: component.limits.memory_bytes as u64,
        growths_denied: read(&counters.growths_denied),
        deaths: read(&counters.traps),
        traps: counters.traps_by_code(),
        strikes: strikes.count(&component.name, Instant::now()) as u64,
        last_death: counters.last_death(),
        faults: read(&counters.faults),
        state_bytes: counters.state_bytes(),
        last_checkpoint: counters.saved_at(),
        checkpoint_age: counters.saved_at().map(|at| now().since(at)),
        states_lost: read(&counters.states_lost),
        requests: read(&counters.requests),
        requests_denied: read(&counters.requests_denied),
        denied_hosts: counters.denied_hosts(),
        log_lines_left_out: read(&counters.log_lines_left_out),
        counters: counters.own(),
    }
}

/// A probe or a source that does not run measures nothing. Blocked sinks and quarantined rules are
/// told where sinks and rules are.
pub fn health(entries: &[Entry], strikes: &Strikes) -> ComponentHealth {
    let blocked = entries.iter().find_map(|entry| {
        let lock = entry.access.blocked.as_ref()?;
        matches!(entry.world, "probe" | "source").then_some((entry, lock))
    });
    let held = entries.iter().filter(|entry| entry.component.is_some());
    let held = held.map(|entry| (entry, strikes.quarantine(&entry.name)));
    let held = held.into_iter().find_map(|(entry, quarantine)| Some((entry, quarantine?)));
    let (state, detail) = if let Some((entry, Lock { why, .. })) = blocked {
        let (world, name) = (entry.world, &entry.name);
        let what = format!("{world} {name} is blocked: {why}; see `watchfire plugin list`");
        (ComponentState::Degraded, what)
    } else if let Some((entry, Quarantine { until, .. })) = held {
        let (world, name, until) = (entry.world, &entry.name, until.as_arrival());
        let what = format!("{world} {name} is quarantined until {until}: it died too often");
        (ComponentState::Degraded, what)
    } else {
        (ComponentState::Ok, format!("{} plugins are there", entries.len()))
    };
    ComponentHealth { name: "plugins", state, detail }
}
