//! What the API shows, as plain data: the app fills these in, the API turns them into JSON.
//!
//! Times of the stream are [`EventTime`], times of our own doing are [`Now`]; both print as
//! RFC 3339 in UTC. Lengths of time print as people write them (`1m30s`).

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::plugins::PluginStatus;
use super::times::{rfc3339, rfc3339_or_null};
use crate::guest::changes::PluginEvent;
use crate::kernel::event::Fingerprint;
use crate::kernel::model::{Duration, EventTime, Labels, Level, Now, Version};
use crate::kernel::rule::Origin;
use crate::shell::metrics::Exposition;
use crate::shell::sample_sinks::status::SampleSinkStatus;

/// What the app knows about itself. Each call is made on a thread that may block, and returns a
/// copy of how things stood at one moment.
pub trait Facts: Send + Sync + 'static {
    /// Whether rules were loaded and sources started; else what is still missing, in words.
    fn ready(&self) -> Result<(), String>;
    /// Every rule of the live set, shadow rules as well.
    fn rules(&self) -> Vec<RuleStatus>;
    /// Every alert that is not inactive.
    fn alerts(&self) -> Vec<AlertStatus>;
    /// The last reloads, oldest first.
    fn reloads(&self) -> Vec<ReloadReport>;
    fn sinks(&self) -> Vec<SinkStatus>;
    fn sample_sinks(&self) -> Vec<SampleSinkStatus>;
    fn sources(&self) -> Vec<SourceStatus>;
    fn plugins(&self) -> Vec<PluginStatus>;
    /// What happened to plugins after this number, oldest first, as far as it is kept.
    fn plugin_changes(&self, after: u64) -> Vec<Arc<PluginEvent>>;
    fn components(&self) -> Vec<ComponentHealth>;
    /// Writes all of the app's own metrics.
    fn metrics(&self, out: &mut Exposition);
}

#[derive(Clone, Debug)]
pub struct RuleStatus {
    pub name: Arc<str>,
    pub origin: Origin,
    pub version: Version,
    /// The inputs as text, `cpu.usage{env="prod"}`.
    pub selector: String,
    /// Grouping, window and conditions as text, for people.
    pub view: String,
    /// The worst state among its alerts.
    pub state: RuleState,
    pub health: RuleHealth,
    /// The last fault, with its place; kept after it is over.
    pub last_error: Option<String>,
    /// Groups it keeps.
    pub groups: u64,
    pub last_evaluation: Option<EventTime>,
    pub shadow: bool,
    pub labels: Labels,
    /// As written in the rule, before they are rendered.
    pub annotations: Vec<(Arc<str>, String)>,
    pub soak: Duration,
    pub cool: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleState {
    Inactive,
    Pending,
    Firing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleHealth {
    Ok,
    /// Its last evaluation faulted, or some of its groups are suspended.
    Faulting,
    Quarantined,
}

#[derive(Clone, Debug)]
pub struct AlertStatus {
    pub rule: Arc<str>,
    pub key: Labels,
    /// The rule's static labels.
    pub labels: Labels,
    pub state: AlertState,
    pub level: Level,
    pub value: Option<f64>,
    /// When the episode's pending began.
    pub since: EventTime,
    pub fired_at: Option<EventTime>,
    /// Rendered when its last event was made.
    pub annotations: Vec<(Arc<str>, String)>,
    pub fingerprint: Fingerprint,
    pub shadow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    Pending,
    Firing,
    Cooling,
    Flapping,
}

#[derive(Clone, Debug, Serialize)]
pub struct ReloadReport {
    /// Counts reloads from 1, the first load included.
    pub id: u64,
    #[serde(serialize_with = "rfc3339")]
    pub at: Now,
    pub trigger: ReloadTrigger,
    pub outcome: ReloadOutcome,
    /// The ruleset's version after it.
    #[serde(serialize_with = "as_text")]
    pub version: Version,
    pub files: Vec<FileReport>,
    pub rules: Vec<RuleChange>,
    /// From the first change seen to the new set being live.
    pub duration: Duration,
    /// The longest that a shard stood still for it.
    pub pause: Duration,
}

/// When a look has several causes, the greatest is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadTrigger {
    Start,
    /// The regular look found a change that the watcher had missed.
    Poll,
    /// The folder's watcher saw a change.
    Watch,
    Signal,
    /// Asked for over the API.
    Command,
    /// A new version of a component died.
    Death,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// The new set is live.
    Adopted,
    Unchanged,
    /// The good files are live; those with errors keep their last good version.
    Partial,
    /// Nothing changed, because nothing in it could be used.
    Failed,
}

#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    pub file: Arc<str>,
    pub findings: Vec<FindingReport>,
}

#[derive(Clone, Debug, Serialize)]
pub struct FindingReport {
    /// `error` or `warning`.
    pub severity: &'static str,
    /// From 1; 0 where the whole file is meant.
    pub line: u32,
    pub column: u32,
    pub message: String,
    /// The source line itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RuleChange {
    pub rule: Arc<str>,
    pub change: Carried,
    /// In words, such as "the window changed from 5m to 10m".
    pub why: String,
}

/// What became of a rule's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carried {
    Kept,
    /// Windows were made anew from the recording.
    Rebuilt,
    /// Windows start empty.
    Reset,
    Added,
    Removed,
}

#[derive(Clone, Debug, Serialize)]
pub struct SinkStatus {
    pub name: Arc<str>,
    pub kind: &'static str,
    #[serde(serialize_with = "as_text")]
    pub version: Version,
    pub state: SinkState,
    /// Events that wait for it, in memory and on disk.
    pub pending: u64,
    pub delivered: u64,
    pub attempts: u64,
    pub failed_attempts: u64,
    /// Events in its dead-letter log.
    pub dead: u64,
    pub last_error: Option<String>,
    #[serde(serialize_with = "rfc3339_or_null")]
    pub last_delivery: Option<Now>,
    #[serde(serialize_with = "rfc3339_or_null")]
    pub next_attempt: Option<Now>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkState {
    Disconnected,
    Connecting,
    Streaming,
    Throttled,
    /// It asked for something that was not granted.
    Blocked,
    /// No file declares it any more; its events wait for its return or for a purge.
    Removed,
}

#[derive(Clone, Debug, Serialize)]
pub struct SourceStatus {
    pub name: Arc<str>,
    pub kind: &'static str,
    pub state: SourceState,
    pub samples: u64,
    pub bytes: u64,
    /// By reason; only those that happened.
    pub refused: BTreeMap<&'static str, u64>,
    pub defects: u64,
    pub late: u64,
    pub watermark: Option<EventTime>,
    #[serde(serialize_with = "rfc3339_or_null")]
    pub last_batch: Option<Now>,
    pub last_error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    Live,
    Idle,
    CatchingUp,
    Disconnected,
    /// The plugin that reads it is missing, or left alone for a while.
    Blocked,
}

#[derive(Clone, Debug, Serialize)]
pub struct ComponentHealth {
    pub name: &'static str,
    pub state: ComponentState,
    /// What is wrong and what to do, or what is fine; one sentence.
    pub detail: String,
}

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentState {
    Ok,
    /// Something is missing, but alerts are judged and told.
    Degraded,
    /// Alerts may be missed; `/health` answers 503.
    Down,
}

fn as_text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
