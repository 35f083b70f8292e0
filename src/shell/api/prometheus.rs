//! `/api/v1/rules` and `/api/v1/alerts` in Prometheus' own shape, so that what reads those reads
//! ours.
//!
//! A file is a group, a rule's name is the label `alertname`, soak is `duration`, cool is
//! `keepFiringFor`. Cooling and flapping alerts are still `firing` to Prometheus. What it has no
//! word for stands under `watchfire`, and alerts of shadow rules carry the label `shadow="true"`,
//! so that nobody takes them for real ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Shared;
use super::facts::{AlertState, AlertStatus, RuleHealth, RuleState, RuleStatus};
use super::problem::Problem;
use super::query;
use crate::kernel::event::Fingerprint;
use crate::kernel::model::{EventTime, Labels, Level};

#[derive(Serialize)]
struct Success<T> {
    status: &'static str,
    data: T,
}

#[derive(Serialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Alerts {
    alerts: Vec<AlertJson>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    file: Arc<str>,
    /// Rules are judged as time passes in the stream and not by a timer.
    interval: u32,
    limit: u32,
    rules: Vec<RuleJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleJson {
    state: RuleState,
    name: Arc<str>,
    query: String,
    duration: f64,
    keep_firing_for: f64,
    labels: Labels,
    annotations: BTreeMap<Arc<str>, String>,
    alerts: Vec<AlertJson>,
    health: &'static str,
    last_error: String,
    evaluation_time: f64,
    last_evaluation: String,
    #[serde(rename = "type")]
    kind: &'static str,
    watchfire: RuleMore,
}

#[derive(Serialize)]
struct RuleMore {
    line: u32,
    version: String,
    selector: String,
    view: String,
    health: RuleHealth,
    groups: u64,
    shadow: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertJson {
    labels: Labels,
    annotations: BTreeMap<Arc<str>, String>,
    state: RuleState,
    active_at: EventTime,
    value: String,
    watchfire: AlertMore,
}

#[derive(Serialize)]
struct AlertMore {
    rule: Arc<str>,
    key: Labels,
    state: AlertState,
    level: Level,
    value: Option<f64>,
    since: EventTime,
    fired_at: Option<EventTime>,
    fingerprint: Fingerprint,
    shadow: bool,
}

/// Prometheus' own query parameters; as it does, we pass over the ones we do not know.
#[derive(Default)]
struct Wanted {
    kind: Option<String>,
    names: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    without_alerts: bool,
}

pub async fn rules(State(api): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let wanted = read_query(&uri)?;
    api.ask(move |facts| {
        let groups = groups(facts.rules(), facts.alerts(), &wanted);
        success(Groups { groups })
    })
    .await
}

pub async fn alerts(State(api): State<Arc<Shared>>) -> Result<Response, Problem> {
    api.ask(|facts| {
        let alerts = facts.alerts().into_iter().map(alert_json).collect();
        success(Alerts { alerts })
    })
    .await
}

fn groups(rules: Vec<RuleStatus>, alerts: Vec<AlertStatus>, wanted: &Wanted) -> Vec<Group> {
    let mut by_rule: BTreeMap<Arc<str>, Vec<AlertJson>> = BTreeMap::new();
    for alert in alerts {
        by_rule.entry(alert.rule.clone()).or_default().push(alert_json(alert));
    }
    let mut by_file: BTreeMap<Arc<str>, Vec<RuleJson>> = BTreeMap::new();
    for rule in rules.into_iter().filter(|rule| wanted.takes(rule)) {
        let alerts = if wanted.without_alerts { None } else { by_rule.remove(&rule.name) };
        let file = rule.origin.file.clone();
        by_file.entry(file).or_default().push(rule_json(rule, alerts.unwrap_or_default()));
    }
    by_file
        .into_iter()
        .map(|(file, rules)| Group {
            name: group_name(&file).to_owned(),
            file,
            interval: 0,
            limit: 0,
            rules,
        })
        .collect()
}

impl Wanted {
    fn takes(&self, rule: &RuleStatus) -> bool {
        let among = |wanted: &[String], one: &str| {
            wanted.is_empty() || wanted.iter().any(|wanted| wanted == one)
        };
        self.kind.as_deref().is_none_or(|kind| kind == "alert")
            && among(&self.names, &rule.name)
            && among(&self.groups, group_name(&rule.origin.file))
            && among(&self.files, &rule.origin.file)
    }
}

fn read_query(uri: &Uri) -> Result<Wanted, Problem> {
    let mut wanted = Wanted::default();
    for (name, value) in query::pairs(uri)? {
        match name.as_str() {
            "type" => wanted.kind = Some(value),
            "rule_name[]" => wanted.names.push(value),
            "rule_group[]" => wanted.groups.push(value),
            "file[]" => wanted.files.push(value),
            "exclude_alerts" => wanted.without_alerts = value == "true",
            _ => {}
        }
    }
    Ok(wanted)
}

fn rule_json(rule: RuleStatus, alerts: Vec<AlertJson>) -> RuleJson {
    let parts = [rule.selector.as_str(), rule.view.as_str()];
    let query = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" | ");
    RuleJson {
        state: rule.state,
        query,
        duration: rule.soak.as_secs_f64(),
        keep_firing_for: rule.cool.as_secs_f64(),
        labels: marked(&rule.labels, rule.shadow),
        annotations: rule.annotations.into_iter().collect(),
        alerts,
        health: match rule.health {
            RuleHealth::Ok if rule.last_evaluation.is_none() => "unknown",
            RuleHealth::Ok => "ok",
            RuleHealth::Faulting | RuleHealth::Quarantined => "err",
        },
        last_error: rule.last_error.unwrap_or_default(),
        // Samples are judged as they come, many rules at a time: none has a time of its own.
        evaluation_time: 0.0,
        last_evaluation: rule.last_evaluation.map_or(NEVER.to_owned(), |at| at.to_string()),
        kind: "alerting",
        watchfire: RuleMore {
            line: rule.origin.line,
            version: rule.version.to_string(),
            selector: rule.selector,
            view: rule.view,
            health: rule.health,
            groups: rule.groups,
            shadow: rule.shadow,
        },
        name: rule.name,
    }
}

fn alert_json(alert: AlertStatus) -> AlertJson {
    let name = Labels::new([("alertname", alert.rule.as_ref())]);
    let labels = marked(&alert.labels.with(&alert.key).with(&name), alert.shadow);
    AlertJson {
        labels,
        annotations: alert.annotations.into_iter().collect(),
        state: match alert.state {
            AlertState::Pending => RuleState::Pending,
            AlertState::Firing | AlertState::Cooling | AlertState::Flapping => RuleState::Firing,
        },
        active_at: alert.since,
        value: alert.value.map_or("NaN".to_owned(), |value| value.to_string()),
        watchfire: AlertMore {
            rule: alert.rule,
            key: alert.key,
            state: alert.state,
            level: alert.level,
            value: alert.value,
            since: alert.since,
            fired_at: alert.fired_at,
            fingerprint: alert.fingerprint,
            shadow: alert.shadow,
        },
    }
}

/// What Prometheus writes for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

fn marked(labels: &Labels, shadow: bool) -> Labels {
    if shadow { labels.with(&Labels::new([("shadow", "true")])) } else { labels.clone() }
}

/// `rules/web/disk.rhai` is the group `disk`.
fn group_name(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn success<T: Serialize>(data: T) -> Response {
    Json(Success { status: "success", data }).into_response()
}
