//! Rhai files as their authors see them: what they declare, what is wrong with them, and what the
//! closures they hand over answer.

mod conditions;
mod declares;
mod findings;
mod probes;
mod sandbox;
mod sinks;
mod texts;

use super::*;
use crate::guest::finding::Severity;

/// A host whose folder has no libraries.
pub fn host() -> Host {
    Host::new(std::path::Path::new("/nonexistent"))
}

#[track_caller]
pub fn load_good(text: &str) -> Loaded {
    let loaded = load("rules/test.rhai", text, &host());
    assert!(loaded.is_good(), "{}", shown(&loaded.findings, text));
    loaded
}

pub fn shown(findings: &[Finding], text: &str) -> String {
    findings.iter().map(|finding| finding.render(Some(text))).collect()
}

/// The one rule of a file without findings.
#[track_caller]
pub fn rule(text: &str) -> Rule {
    let mut loaded = load_good(text);
    assert_eq!(loaded.findings, [], "{}", shown(&loaded.findings, text));
    assert_eq!(loaded.rules.len(), 1, "{text}");
    loaded.rules.remove(0)
}

/// `line:column what | help`, one line for each finding; warnings are marked.
pub fn listed(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| {
        let Finding { line, column, what, .. } = finding;
        let mark = match finding.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        let help = finding.help.iter().map(|help| format!(" | {help}")).collect::<String>();
        format!("{line}:{column} {mark}{what}{help}")
    });
    lines.collect::<Vec<_>>().join("\n")
}
