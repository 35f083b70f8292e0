//! An event as scripts see it: the map `a` of texts and of sinks.
//!
//! The same fields as the event's JSON, with times as RFC 3339 text, and a few more that save every
//! author the same three lines: `severity`, `state`, `day`, `silent`.

use rhai::{Dynamic, Map};

use crate::kernel::event::{Event, Kind};
use crate::kernel::model::{Duration, EventTime, Labels};

/// `absent` is the rule's own, for `silent`.
pub fn to_map(event: &Event, absent: Option<Duration>) -> Map {
    let mut map = Map::new();
    let mut set = |name: &str, value: Dynamic| {
        map.insert(name.into(), value);
    };
    set("id", event.id.to_string().into());
    set("seq", i64::try_from(event.seq).unwrap_or(i64::MAX).into());
    set("rule", text(&event.rule));
    set("version", event.version.to_string().into());
    set("kind", text(event.kind.name()));
    set("state", text(if event.kind == Kind::Resolved { "resolved" } else { "firing" }));
    set("level", text(event.level.name()));
    set("severity", text(event.level.name()));
    set("previous_level", event.previous_level.map_or(Dynamic::UNIT, |level| text(level.name())));
    set("key", labels(&event.key));
    set("labels", labels(&event.key.with(&event.labels)));
    set("value", event.value.map_or(Dynamic::UNIT, Dynamic::from_float));
    let values = event.values.iter().map(|(name, value)| (name.as_ref().into(), (*value).into()));
    set("values", Dynamic::from_map(values.collect()));
    set(
        "window",
        event.window.map_or(Dynamic::UNIT, |bounds| {
            let bounds = [("start", time(bounds.start)), ("end", time(bounds.end))];
            Dynamic::from_map(bounds.into_iter().map(|(name, at)| (name.into(), at)).collect())
        }),
    );
    set("at", time(event.at));
    set("day", day(event.at).into());
    set("since", time(event.since));
    set("fired_at", event.fired_at.map_or(Dynamic::UNIT, time));
    set("resolved_at", event.resolved_at.map_or(Dynamic::UNIT, time));
    set("cause", text(event.cause.words()));
    set("text", text(&event.text));
    let annotations = event.annotations.iter();
    let annotations = annotations.map(|(name, value)| (name.as_ref().into(), text(value)));
    set("annotations", Dynamic::from_map(annotations.collect()));
    set("shadow", event.shadow.into());
    set("fingerprint", event.fingerprint.to_string().into());
    set("silent", silence(event, absent).to_string().into());
    map
}

/// Fields that a text can ask `a` for.
pub const FIELDS: [&str; 25] = [
    "id",
    "seq",
    "rule",
    "version",
    "kind",
    "state",
    "level",
    "severity",
    "previous_level",
    "key",
    "labels",
    "value",
    "values",
    "window",
    "at",
    "day",
    "since",
    "fired_at",
    "resolved_at",
    "cause",
    "text",
    "annotations",
    "shadow",
    "fingerprint",
    "silent",
];

pub fn labels(labels: &Labels) -> Dynamic {
    Dynamic::from_map(labels.iter().map(|(name, value)| (name.into(), text(value))).collect())
}

/// An absent alert begins when the silence has already lasted for the rule's `absent`.
fn silence(event: &Event, absent: Option<Duration>) -> Duration {
    let lasted = event.at.since(event.since);
    // Whole seconds: people read this.
    let whole = (absent.unwrap_or(Duration::ZERO) + lasted).nanos() / 1_000_000_000;
    Duration::from_secs(whole)
}

/// `2023-11-14` in UTC.
fn day(at: EventTime) -> String {
    let printed = at.to_string();
    printed.split_once('T').map_or(printed.clone(), |(day, _)| day.to_owned())
}

fn text(text: &str) -> Dynamic {
    text.into()
}

fn time(at: EventTime) -> Dynamic {
    at.to_string().into()
}
