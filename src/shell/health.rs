//! What `/health` says of each part, and in words what is wrong with it.

use crate::guest::finding::Finding;

use super::api::{ComponentHealth, ComponentState};
use super::inlet::SourceStatus;
use super::pipeline::Look;
use super::reload::Live;
use super::sample_sinks::status::SampleSinkStatus;
use super::sink::SinkStatus;

pub fn rules(live: &Live, look: &Look) -> ComponentHealth {
    let (state, detail) = if let Some((folder, why)) = live.held.first_key_value() {
        (ComponentState::Down, format!("{folder}: {why}"))
    } else if let Some(finding) = live.findings.iter().find(|finding| finding.is_error()) {
        (ComponentState::Degraded, broken(live, finding))
    } else if let Some(rule) = look.rules.iter().find(|rule| rule.quarantined) {
        (ComponentState::Degraded, held_back(live, &rule.name))
    } else {
        let rules = live.ruleset.as_ref().map_or(0, |ruleset| ruleset.rules().len());
        (ComponentState::Ok, format!("{rules} rules are live"))
    };
    ComponentHealth { name: "rules", state, detail }
}

/// A finding in one line, with what is live in place of its file.
fn broken(live: &Live, finding: &Finding) -> String {
    let Finding { file, line, what, .. } = finding;
    let mut rules = live.ruleset.iter().flat_map(|ruleset| ruleset.rules());
    let is_live = rules.any(|rule| *rule.origin.file == **file)
        || live.plugins.iter().any(|plugin| *plugin.file == **file);
    let rest = if is_live { "its last good version is live" } else { "nothing of it is live" };
    match line {
        0 => format!("{file}: {what}; {rest}"),
        line => format!("{file}:{line}: {what}; {rest}"),
    }
}

fn held_back(live: &Live, name: &str) -> String {
    let ruleset = live.ruleset.as_ref();
    let rule = ruleset.and_then(|ruleset| Some(ruleset.rule(ruleset.find(name)?)));
    match rule.and_then(|rule| rule.guest()) {
        Some(guest) => {
            let plugin = &guest.plugin;
            format!("rule {name} is quarantined; `watchfire plugin list {plugin}` shows why")
        }
        None => format!("rule {name} is quarantined: most of its evaluations fault"),
    }
}

pub fn sources(sources: &[SourceStatus]) -> ComponentHealth {
    let open: Vec<&SourceStatus> = sources.iter().filter(|source| source.tally.open).collect();
    let blocked = open.iter().find_map(|source| {
        let why = source.tally.blocked.as_ref()?;
        Some(format!("source {} takes nothing: {why}", source.name))
    });
    let (state, detail) = match blocked {
        Some(why) => (ComponentState::Degraded, why),
        None => (ComponentState::Ok, format!("{} sources are open", open.len())),
    };
    ComponentHealth { name: "sources", state, detail }
}

pub fn sinks(live: &Live, status: &[SinkStatus], samples: &[SampleSinkStatus]) -> ComponentHealth {
    // One that nobody sends to yet misses nothing; rules that name one are looked at below.
    let blocked = status.iter().find(|sink| sink.default && sink.state.name() == "blocked");
    let failing = status.iter().find(|sink| sink.queued > 0 && sink.last_error.is_some());
    let (state, detail) = if let Some(sink) = blocked {
        let what = format!("sink {} is blocked; see `watchfire plugin list`", sink.name);
        (ComponentState::Degraded, what)
    } else if let Some((rule, sink)) = live.missing_sinks.first() {
        let what = format!("rule {rule} notifies {sink}, which is not running");
        (ComponentState::Degraded, what)
    } else if !status.iter().any(|sink| sink.default && sink.state.name() != "removed") {
        let what = "no default sink runs; see [sinks] default in the settings";
        (ComponentState::Degraded, what.to_owned())
    } else if let Some(sink) = failing {
        let error = sink.last_error.as_deref().unwrap_or_default();
        (ComponentState::Degraded, format!("sink {} does not deliver: {error}", sink.name))
    } else if let Some(trouble) = samples.iter().find_map(SampleSinkStatus::trouble) {
        (ComponentState::Degraded, trouble)
    } else {
        let running = status.iter().filter(|sink| sink.state.runs());
        (ComponentState::Ok, format!("{} of {} sinks run", running.count(), status.len()))
    };
    ComponentHealth { name: "sinks", state, detail }
}

/// Of what the last stop left.
pub fn state(error: Option<&String>) -> ComponentHealth {
    let (state, detail) = match error {
        Some(error) => (ComponentState::Degraded, error.clone()),
        None => {
            (ComponentState::Ok, "the state of the last stop was read or there was none".into())
        }
    };
    ComponentHealth { name: "state", state, detail }
}
