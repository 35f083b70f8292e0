//! What is posted: a filled-in template, or the alerts as objects.

use serde_json::{Value, json};
use watchfire_plugin::sink::{Alert, Cause, Kind};
use watchfire_plugin::{Failure, Label};

/// Refuses a line template that holds an unknown placeholder.
pub fn check(template: &str) -> Result<(), Failure> {
    let known = ["kind", "level", "rule", "text", "value", "id"];
    let mut unknown = None;
    replace(template, |name| {
        if !known.contains(&name) && !name.starts_with("labels.") {
            unknown = Some(name.to_owned());
        }
        String::new()
    });
    unknown.map_or(Ok(()), |name| {
        Err(Failure::settings(format!(
            "`line` holds {{{name}}}; write one of {} or labels.NAME",
            known.join(", ")
        )))
    })
}

pub struct Lines {
    pub text: String,
    pub count: usize,
}

/// One line for each alert.
pub fn lines(template: &str, alerts: &[Alert]) -> Lines {
    let lines: Vec<String> = alerts.iter().map(|alert| line(template, alert)).collect();
    Lines { text: lines.join("\n"), count: lines.len() }
}

fn line(template: &str, alert: &Alert) -> String {
    replace(template, |name| match name {
        "kind" => kind_name(alert.kind).to_owned(),
        "level" => alert.level.name().to_owned(),
        "rule" => alert.rule.clone(),
        "text" => alert.text.clone(),
        "value" => alert.value.map(|value| value.to_string()).unwrap_or_default(),
        "id" => alert.id.clone(),
        other => label(alert, other.trim_start_matches("labels.")),
    })
}

/// A group label, else a static one, else nothing.
fn label(alert: &Alert, name: &str) -> String {
    let find = |labels: &[Label]| {
        labels.iter().find(|label| label.name == name).map(|label| label.value.clone())
    };
    find(&alert.key).or_else(|| find(&alert.labels)).unwrap_or_default()
}

/// Fills the texts of a JSON template.
pub fn fill(template: &Value, key: &str, lines: &Lines) -> Value {
    match template {
        Value::String(text) => Value::String(replace(text, |name| match name {
            "lines" => lines.text.clone(),
            "count" => lines.count.to_string(),
            "key" => key.to_owned(),
            other => format!("{{{other}}}"),
        })),
        Value::Array(items) => items.iter().map(|item| fill(item, key, lines)).collect(),
        Value::Object(fields) => {
            let filled = fields.iter().map(|(name, value)| (name.clone(), fill(value, key, lines)));
            Value::Object(filled.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => template.clone(),
    }
}

/// The alerts as the host's own JSON names them; times are nanoseconds since the epoch.
pub fn objects(key: &str, alerts: &[Alert]) -> Value {
    let alerts: Vec<Value> = alerts.iter().map(object).collect();
    json!({ "key": key, "alerts": alerts })
}

fn object(alert: &Alert) -> Value {
    let map = |labels: &[Label]| -> Value {
        let pairs = labels.iter().map(|label| (label.name.clone(), label.value.clone().into()));
        Value::Object(pairs.collect())
    };
    let texts = alert.annotations.iter().map(|note| (note.name.clone(), note.text.clone().into()));
    json!({
        "id": alert.id,
        "seq": alert.seq,
        "rule": alert.rule,
        "version": alert.version,
        "kind": kind_name(alert.kind),
        "level": alert.level.name(),
        "previous_level": alert.previous_level.map(|level| level.name()),
        "key": map(&alert.key),
        "labels": map(&alert.labels),
        "value": alert.value,
        "at": alert.at,
        "since": alert.since,
        "fired_at": alert.fired_at,
        "resolved_at": alert.resolved_at,
        "cause": cause_name(alert.cause),
        "text": alert.text,
        "annotations": Value::Object(texts.collect()),
        "fingerprint": alert.fingerprint,
    })
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Fired => "fired",
        Kind::Changed => "changed",
        Kind::Reminded => "reminded",
        Kind::Flapping => "flapping",
        Kind::Resolved => "resolved",
        Kind::Pending => "pending",
        Kind::Cooling => "cooling",
        Kind::Cleared => "cleared",
    }
}

fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Breach => "breach",
        Cause::Clear => "clear",
        Cause::Level => "level",
        Cause::Reminder => "reminder",
        Cause::Flapping => "flapping",
        Cause::RuleRemoved => "rule_removed",
        Cause::RuleChanged => "rule_changed",
        Cause::Expired => "expired",
        Cause::Forgotten => "forgotten",
        Cause::NoData => "no_data",
        Cause::Absent => "absent",
        Cause::OutsideHours => "outside_hours",
    }
}

/// Puts `value(name)` in the place of each `{name}`; a brace that is not closed stays as it is.
fn replace(template: &str, mut value: impl FnMut(&str) -> String) -> String {
    let (mut out, mut rest) = (String::new(), template);
    while let Some(open) = rest.find('{') {
        let Some(length) = rest[open..].find('}') else { break };
        out.push_str(&rest[..open]);
        out.push_str(&value(&rest[open + 1..open + length]));
        rest = &rest[open + length + 1..];
    }
    out.push_str(rest);
    out
}
