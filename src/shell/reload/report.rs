//! What a reload's report says of findings, rules and sinks.

use std::sync::Arc;

use crate::guest::finding::Finding;
use crate::kernel::engine::output::Carried as Kept;
use crate::kernel::model::Duration;
use crate::kernel::rule::ruleset::Ruleset;
use crate::shell::api::{Carried, FindingReport, RuleChange};
use crate::shell::sink::SinkHub;

/// A finding with the line that it is about.
pub fn of_finding(finding: &Finding) -> FindingReport {
    let text = std::fs::read_to_string(&finding.file).ok();
    let line = (finding.line as usize).checked_sub(1);
    let source = text.and_then(|text| text.lines().nth(line?).map(str::to_owned));
    FindingReport {
        severity: finding.severity.name(),
        line: finding.line,
        column: finding.column,
        message: finding.what.clone(),
        source,
        hint: finding.help.clone(),
    }
}

/// What became of a rule; `None` when nothing did.
pub fn of_rule((rule, kept): (Arc<str>, Kept)) -> Option<RuleChange> {
    let (change, why) = match kept {
        Kept::Unchanged => return None,
        Kept::Added => (Carried::Added, String::new()),
        Kept::Removed => (Carried::Removed, "its alerts are resolved".into()),
        Kept::Kept => (Carried::Kept, "alerts, windows and `this` go on".into()),
        Kept::Reset { why } => {
            let what = "windows begin empty, for they cannot be rebuilt without a recording";
            (Carried::Reset, format!("{why}; {what}"))
        }
    };
    Some(RuleChange { rule, change, why })
}

/// Rules and the sinks they name that do not run.
pub fn missing_sinks(ruleset: &Ruleset, hub: &SinkHub) -> Vec<(Arc<str>, Arc<str>)> {
    let running: Vec<Arc<str>> = hub
        .status()
        .into_iter()
        .filter(|status| status.state.runs())
        .map(|status| status.name)
        .collect();
    let named = ruleset
        .rules()
        .iter()
        .flat_map(|rule| rule.notify.iter().map(|sink| (rule.name.clone(), sink.clone())));
    named.filter(|(_, sink)| !running.contains(sink)).collect()
}

/// A length of time as reports have it.
pub fn length(length: std::time::Duration) -> Duration {
    let nanos = i64::try_from(length.as_nanos()).unwrap_or(i64::MAX);
    Duration::from_nanos(nanos)
}
