//! Events: the numbered facts that leave the engine, each with its cause.
//!
//! An event is a deterministic record: the same sequence of inputs gives byte-identical events,
//! whatever the batches, the shards or the machine. The bus cursor is not part of it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::kernel::model::{EventTime, Labels, Level, Version};

/// One change of one alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub id: EventId,
    /// Counts this alert's events from 1.
    pub seq: u64,
    pub rule: Arc<str>,
    /// The rule's version, as 16 hexadecimal digits.
    #[serde(with = "version_text")]
    pub version: Version,
    pub kind: Kind,
    /// The level after the change; for `resolved`, the level that ended.
    pub level: Level,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous_level: Option<Level>,
    /// Group labels: with the rule's name, the alert's identity.
    pub key: Labels,
    /// The rule's static labels.
    pub labels: Labels,
    /// What was judged: the worst series' value, a window's main reduction, a join's first input.
    /// `None` where there is none (absent, forgotten) or it is not finite.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<f64>,
    /// Every value the condition read, by the name it reads it under.
    #[serde(skip_serializing_if = "Vec::is_empty", default, with = "value_map")]
    pub values: Vec<(Arc<str>, f64)>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub window: Option<Bounds>,
    /// The judged time.
    pub at: EventTime,
    /// When the episode's pending began.
    pub since: EventTime,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fired_at: Option<EventTime>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resolved_at: Option<EventTime>,
    pub cause: Cause,
    /// The rendered text; a plain sentence where the rule gives none.
    pub text: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default, with = "text_map")]
    pub annotations: Vec<(Arc<str>, String)>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub shadow: bool,
    /// By which Alertmanager tells alerts apart: a hash of rule name, key and static labels.
    pub fingerprint: Fingerprint,
    /// Sinks the rule names; empty means the default sinks.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notify: Vec<Arc<str>>,
}

impl Event {
    /// An event that Watchfire makes about itself: no rule judged it, so it has no version. Its
    /// episode begins at `at`; a caller that knows better sets the times afterwards.
    pub fn own(
        rule: &str,
        key: Labels,
        kind: Kind,
        level: Level,
        at: EventTime,
        text: String,
    ) -> Event {
        let identity = Identity { rule, key: &key, since: at, kind, level, at, repeat: 0 };
        Event {
            id: EventId::of(&identity),
            seq: 1,
            rule: rule.into(),
            version: Version(0),
            kind,
            level,
            previous_level: None,
            fingerprint: Fingerprint::of(rule, &key, &Labels::empty()),
            key,
            labels: Labels::empty(),
            value: None,
            values: Vec::new(),
            window: None,
            at,
            since: at,
            fired_at: Some(at),
            resolved_at: (kind == Kind::Resolved).then_some(at),
            cause: if kind == Kind::Resolved { Cause::Clear } else { Cause::Breach },
            text,
            annotations: Vec::new(),
            shadow: false,
            notify: Vec::new(),
        }
    }

    /// The own event as number `seq` of its alert, from 1. Two events of one alert may be made at
    /// the same moment; their numbers tell their ids apart.
    pub fn numbered(self, seq: u64) -> Event {
        let identity = Identity {
            rule: &self.rule,
            key: &self.key,
            since: self.at,
            kind: self.kind,
            level: self.level,
            at: self.at,
            repeat: (seq - 1) as u32,
        };
        Event { id: EventId::of(&identity), seq, ..self }
    }
}

/// The half-open window `(start, end]` that was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    pub start: EventTime,
    pub end: EventTime,
}

/// What changed. The first five are events that sinks get; the others are shown on request only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Fired,
    Changed,
    Reminded,
    Flapping,
    Resolved,
    Pending,
    Cooling,
    /// Pending went back to inactive, or cooling went back to firing.
    Cleared,
}

impl Kind {
    pub const ALL: [Kind; 8] = [
        Kind::Fired,
        Kind::Changed,
        Kind::Reminded,
        Kind::Flapping,
        Kind::Resolved,
        Kind::Pending,
        Kind::Cooling,
        Kind::Cleared,
    ];

    pub fn name(self) -> &'static str {
        match self {
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

    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == text)
    }

    /// Whether sinks are told.
    pub fn is_told(self) -> bool {
        matches!(
            self,
            Kind::Fired | Kind::Changed | Kind::Reminded | Kind::Flapping | Kind::Resolved
        )
    }
}

/// Why it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Breach,
    Clear,
    Level,
    Reminder,
    Flapping,
    RuleRemoved,
    RuleChanged,
    Expired,
    Forgotten,
    NoData,
    Absent,
    OutsideHours,
}

impl Cause {
    /// In words, as people read it: "rule removed".
    pub fn words(self) -> &'static str {
        match self {
            Cause::Breach => "breach",
            Cause::Clear => "clear",
            Cause::Level => "level",
            Cause::Reminder => "reminder",
            Cause::Flapping => "flapping",
            Cause::RuleRemoved => "rule removed",
            Cause::RuleChanged => "rule changed",
            Cause::Expired => "expired",
            Cause::Forgotten => "forgotten",
            Cause::NoData => "no data",
            Cause::Absent => "absent",
            Cause::OutsideHours => "outside hours",
        }
    }
}

/// 128 bits over (rule, key, the episode's pending-since, kind, level, at, how many events of this
/// alert already had this `at`). Printed as 32 hexadecimal digits; the idempotency key of sinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u128);

/// 64 bits, printed as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl fmt::Display for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// What identifies an event within its alert.
pub struct Identity<'a> {
    pub rule: &'a str,
    pub key: &'a Labels,
    pub since: EventTime,
    pub kind: Kind,
    pub level: Level,
    pub at: EventTime,
    pub repeat: u32,
}

impl EventId {
    pub fn of(identity: &Identity<'_>) -> EventId {
        let mut text = Vec::with_capacity(96);
        text.extend_from_slice(identity.rule.as_bytes());
        text.push(0xFF);
        text.extend_from_slice(identity.key.bytes());
        text.push(0xFF);
        text.extend_from_slice(&identity.since.nanos().to_le_bytes());
        text.extend_from_slice(&[identity.kind as u8, identity.level as u8]);
        text.extend_from_slice(&identity.at.nanos().to_le_bytes());
        text.extend_from_slice(&identity.repeat.to_le_bytes());
        EventId(xxhash_rust::xxh3::xxh3_128(&text))
    }
}

impl Fingerprint {
    pub fn of(rule: &str, key: &Labels, labels: &Labels) -> Fingerprint {
        let mut text = Vec::with_capacity(96);
        text.extend_from_slice(rule.as_bytes());
        text.push(0xFF);
        text.extend_from_slice(key.bytes());
        text.push(0xFF);
        text.extend_from_slice(labels.bytes());
        Fingerprint(xxhash_rust::xxh3::xxh3_64(&text))
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<EventId, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(EventId).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Fingerprint, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Fingerprint).map_err(serde::de::Error::custom)
    }
}

mod version_text {
    use super::Version;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(version: &Version, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(version)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Version).map_err(serde::de::Error::custom)
    }
}

mod value_map {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(
        values: &[(Arc<str>, f64)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| (name.as_ref(), value)))
    }

    /// JSON has no infinities and writes them as `null`, which reads back as NaN.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(Arc<str>, f64)>, D::Error> {
        let values = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        Ok(values.into_iter().map(|(name, value)| (Arc::from(name), known(value))).collect())
    }
}

mod text_map {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(
        texts: &[(Arc<str>, String)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(texts.iter().map(|(name, text)| (name.as_ref(), text)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(Arc<str>, String)>, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(texts.into_iter().map(|(name, text)| (Arc::from(name), text)).collect())
    }
}
