//! What the log says of a reload.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::catalog::Scan;
use crate::guest::finding::Severity;
use crate::shell::api::{Carried, ReloadReport, ReloadTrigger};
use crate::shell::sink::hub::Change;

type Held = BTreeMap<Arc<str>, String>;

/// What changed, in one line, and what is wrong with the files that did. The start has its own
/// line, once everything runs.
pub fn report(scan: &Scan, report: &ReloadReport) {
    if report.trigger != ReloadTrigger::Start {
        outcome(scan, report);
    }
    for finding in &scan.findings {
        if scan.changed.iter().any(|changed| changed.as_ref() == finding.file) {
            let text = std::fs::read_to_string(&finding.file).ok();
            let words = finding.render(text.as_deref());
            match finding.severity {
                Severity::Error => tracing::error!("{words}"),
                Severity::Warning => tracing::warn!("{words}"),
            }
        }
    }
}

fn outcome(scan: &Scan, report: &ReloadReport) {
    let changed = |kind: Carried| report.rules.iter().filter(|c| c.change == kind).count();
    tracing::info!(
        trigger = ?report.trigger,
        outcome = ?report.outcome,
        version = %report.version,
        rules = scan.ruleset.rules().len(),
        added = changed(Carried::Added),
        kept = changed(Carried::Kept),
        reset = changed(Carried::Reset),
        removed = changed(Carried::Removed),
        took = %report.duration,
        pause = %report.pause,
        "reload"
    );
}

/// Folders whose last good state is held since this look, and those that are well again.
pub fn held(before: &Held, now: &Held) {
    for (folder, why) in now {
        if before.get(folder) != Some(why) {
            tracing::error!(%folder, "{why}");
        }
    }
    for folder in before.keys().filter(|folder| !now.contains_key(*folder)) {
        tracing::info!(%folder, "it can be read again");
    }
}

/// That a sink is blocked is told where all plugins are.
pub fn sinks(changes: &[(Arc<str>, Change)]) {
    for (sink, change) in changes {
        match change {
            Change::Kept | Change::Blocked => {}
            Change::Added => tracing::info!("sink {sink} runs"),
            Change::Replaced => tracing::info!("sink {sink} runs in its new version"),
            Change::Removed { waiting } => tracing::info!(waiting, "sink {sink} is removed"),
        }
    }
}
