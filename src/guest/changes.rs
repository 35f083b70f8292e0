//! What happens to plugins, as typed facts in one order.
//!
//! Whoever brings a change about publishes it here, once. It gets a number and a time, a line with
//! fields in the log at the same moment, and is kept for a while: for the API, and for readers such
//! as an audit log, which each go at their own pace and are told when they missed something.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration as StdDuration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use crate::kernel::model::text::escape_control;
use crate::kernel::model::{Duration, Now};

/// So many are kept for those who read; a thousand plugins that all start are a quarter of it.
const KEPT_MAX: usize = 4_096;

/// Pairs of plugin and change that are counted by name; the rest is counted as [`OTHERS`].
const COUNTED_MAX: usize = 16_384;

/// In place of a plugin's name where there are too many of them.
pub const OTHERS: &str = "__others__";

/// One change of one plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginEvent {
    /// From 1, without a gap, in one run of the program.
    pub seq: u64,
    #[serde(serialize_with = "rfc3339")]
    pub at: Now,
    pub plugin: Arc<str>,
    #[serde(flatten)]
    pub change: PluginChange,
}

/// Everything that can happen to a plugin. Digests are SHA-256 of the file in hexadecimal.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum PluginChange {
    /// It is there, and nothing of its name was.
    Loaded { world: &'static str, digest: String },
    /// Another version is there. The digests are the same when only its settings changed.
    Swapped { from: String, to: String },
    /// What lies in its file now cannot be used. What ran before goes on.
    Refused { why: String },
    /// A new version died soon, and the one before it runs again.
    RolledBack { from: String, to: String, why: String },
    /// It does not run until the operator adds what `cure` says.
    Blocked { why: String, cure: String },
    /// What blocked it is gone.
    Unblocked,
    /// An instance of it died; `strikes` of them did in the last minute.
    Struck { trap: String, strikes: usize, why: String },
    /// It is out of service until then; for a plugin that judges, these rules of it are.
    Quarantined {
        why: String,
        #[serde(serialize_with = "rfc3339")]
        until: Now,
        backoff: Duration,
        rules: Vec<Arc<str>>,
    },
    /// It is tried again, or another version of it is there.
    Released { why: &'static str, rules: Vec<Arc<str>> },
    /// An instance began without what the one before it had saved.
    StateLost { why: String },
    /// Its file is gone.
    Removed { digest: String },
}

impl PluginChange {
    /// As JSON and metrics have it.
    pub fn name(&self) -> &'static str {
        match self {
            PluginChange::Loaded { .. } => "loaded",
            PluginChange::Swapped { .. } => "swapped",
            PluginChange::Refused { .. } => "refused",
            PluginChange::RolledBack { .. } => "rolled_back",
            PluginChange::Blocked { .. } => "blocked",
            PluginChange::Unblocked => "unblocked",
            PluginChange::Struck { .. } => "struck",
            PluginChange::Quarantined { .. } => "quarantined",
            PluginChange::Released { .. } => "released",
            PluginChange::StateLost { .. } => "state_lost",
            PluginChange::Removed { .. } => "removed",
        }
    }

    /// Whether another version is at work from now on, or none.
    pub fn is_version(&self) -> bool {
        match self {
            PluginChange::Loaded { .. }
            | PluginChange::Swapped { .. }
            | PluginChange::RolledBack { .. }
            | PluginChange::Removed { .. } => true,
            PluginChange::Refused { .. }
            | PluginChange::Blocked { .. }
            | PluginChange::Unblocked
            | PluginChange::Struck { .. }
            | PluginChange::Quarantined { .. }
            | PluginChange::Released { .. }
            | PluginChange::StateLost { .. } => false,
        }
    }

    /// Whether somebody should look at it.
    fn is_trouble(&self) -> bool {
        match self {
            PluginChange::Loaded { .. }
            | PluginChange::Swapped { .. }
            | PluginChange::Unblocked
            | PluginChange::Released { .. }
            | PluginChange::Removed { .. } => false,
            PluginChange::Refused { .. }
            | PluginChange::RolledBack { .. }
            | PluginChange::Blocked { .. }
            | PluginChange::Struck { .. }
            | PluginChange::Quarantined { .. }
            | PluginChange::StateLost { .. } => true,
        }
    }
}

/// As much of a digest as tells two files apart on a screen.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// In words, after the plugin's name.
impl fmt::Display for PluginChange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PluginChange::Loaded { world, digest } => {
                write!(out, "is loaded: a {world}, {}", short(digest))
            }
            PluginChange::Swapped { from, to } if from == to => {
                write!(out, "has new settings, {}", short(to))
            }
            PluginChange::Swapped { from, to } => {
                write!(out, "is swapped from {} to {}", short(from), short(to))
            }
            PluginChange::Refused { why } => write!(out, "is refused: {why}"),
            PluginChange::RolledBack { from, to, why } => {
                write!(out, "is rolled back from {} to {}: {why}", short(from), short(to))
            }
            PluginChange::Blocked { why, cure } => {
                let cure = cure.trim_end().replace('\n', "; ");
                write!(out, "is blocked: {why}; add to grants.toml: {cure}")
            }
            PluginChange::Unblocked => out.write_str("is no longer blocked"),
            PluginChange::Struck { strikes, why, .. } => {
                write!(out, "died, {strikes} of 3 strikes in a minute: {why}")
            }
            PluginChange::Quarantined { why, until, backoff, rules } => {
                let until = until.as_arrival();
                write!(out, "is quarantined for {backoff}, until {until}: {why}")?;
                if rules.is_empty() { Ok(()) } else { write!(out, "; rules: {}", rules.join(", ")) }
            }
            PluginChange::Released { why, .. } => write!(out, "is back in service: {why}"),
            PluginChange::StateLost { why } => write!(out, "lost its state: {why}"),
            PluginChange::Removed { digest } => write!(out, "is removed, {}", short(digest)),
        }
    }
}

/// All changes of one run.
#[derive(Default)]
pub struct Changes {
    book: Mutex<Book>,
    moved: Condvar,
}

#[derive(Default)]
struct Book {
    kept: VecDeque<Arc<PluginEvent>>,
    published: u64,
    counts: BTreeMap<(Arc<str>, &'static str), u64>,
}

impl Changes {
    /// Numbers the change, counts it, logs it and lets readers have it. Never waits for a reader.
    pub fn publish(&self, plugin: &str, change: PluginChange) {
        let mut book = self.book();
        book.published += 1;
        let event = PluginEvent { seq: book.published, at: now(), plugin: plugin.into(), change };
        book.count(&event);
        // Under the lock, so that the log has the order of the numbers.
        log(&event);
        if book.kept.len() == KEPT_MAX {
            book.kept.pop_front();
        }
        book.kept.push_back(Arc::new(event));
        drop(book);
        self.moved.notify_all();
    }

    /// Those after this number that are kept, oldest first.
    pub fn after(&self, seq: u64) -> Vec<Arc<PluginEvent>> {
        let book = self.book();
        let from = book.kept.partition_point(|event| event.seq <= seq);
        book.kept.range(from..).cloned().collect()
    }

    /// How often each change happened to each plugin.
    pub fn counts(&self) -> Vec<(Arc<str>, &'static str, u64)> {
        let book = self.book();
        book.counts.iter().map(|((plugin, name), count)| (plugin.clone(), *name, *count)).collect()
    }

    /// Reads what comes after this number; 0 begins with the oldest that is kept.
    pub fn read(self: &Arc<Self>, seq: u64) -> Reader {
        Reader { changes: self.clone(), heard: seq }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn count(&mut self, event: &PluginEvent) {
        let name = event.change.name();
        let mut key = (event.plugin.clone(), name);
        if self.counts.len() >= COUNTED_MAX && !self.counts.contains_key(&key) {
            key.0 = OTHERS.into();
        }
        *self.counts.entry(key).or_default() += 1;
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Changes").field("published", &self.book().published).finish()
    }
}

/// One who reads all changes, at its own pace.
pub struct Reader {
    changes: Arc<Changes>,
    heard: u64,
}

/// What a reader is given.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Event(Arc<PluginEvent>),
    /// So many were forgotten before they were read.
    Missed(u64),
}

impl Reader {
    /// The next one; waits so long for it at most.
    pub fn next(&mut self, patience: StdDuration) -> Option<Heard> {
        let heard = self.heard;
        let book = self.changes.book();
        let waiting = self.changes.moved.wait_timeout_while(book, patience, |book| {
            book.kept.back().is_none_or(|newest| newest.seq <= heard)
        });
        let (book, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        let event = book.kept.get(book.kept.partition_point(|event| event.seq <= heard))?;
        let missed = event.seq - heard - 1;
        if missed > 0 {
            self.heard = event.seq - 1;
            return Some(Heard::Missed(missed));
        }
        self.heard = event.seq;
        Some(Heard::Event(event.clone()))
    }
}

/// The wall clock: changes are for people and for the audit log, and nothing is judged by them.
pub fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn log(event: &PluginEvent) {
    let PluginEvent { seq, plugin, change, .. } = event;
    let (name, words) = (change.name(), change.to_string());
    let words = escape_control(&words);
    match change.is_trouble() {
        true => tracing::warn!(%plugin, change = name, seq, "plugin {plugin} {words}"),
        false => tracing::info!(%plugin, change = name, seq, "plugin {plugin} {words}"),
    }
}

fn rfc3339<S: Serializer>(at: &Now, serializer: S) -> Result<S::Ok, S::Error> {
    at.as_arrival().serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(why: usize) -> PluginChange {
        PluginChange::StateLost { why: why.to_string() }
    }

    #[test]
    fn changes_have_one_order_and_readers_their_own_pace() {
        let changes = Arc::new(Changes::default());
        let mut early = changes.read(0);
        assert_eq!(early.next(StdDuration::ZERO), None);
        changes.publish("a", PluginChange::Unblocked);
        changes.publish("b", lost(1));
        let mut late = changes.read(1);
        let text = |heard: Option<Heard>| match heard {
            Some(Heard::Event(event)) => {
                format!("{} {} {}", event.seq, event.plugin, event.change.name())
            }
            Some(Heard::Missed(count)) => format!("missed {count}"),
            None => "nothing".to_owned(),
        };
        let mut early = || text(early.next(StdDuration::ZERO));
        assert_eq!([early(), early(), early()], ["1 a unblocked", "2 b state_lost", "nothing"]);
        assert_eq!(text(late.next(StdDuration::ZERO)), "2 b state_lost");
        for why in 0..KEPT_MAX + 3 {
            changes.publish("c", lost(why));
        }
        assert_eq!([early(), early()], ["missed 3".to_owned(), "6 c state_lost".to_owned()]);
        assert_eq!(changes.after(0).len(), KEPT_MAX);
        assert_eq!(changes.after(2 + KEPT_MAX as u64 + 3).len(), 0);
        let counts = changes.counts();
        assert_eq!(counts[2], ("c".into(), "state_lost", KEPT_MAX as u64 + 3));
    }

    #[test]
    fn a_change_is_flat_json() {
        let change = PluginChange::Quarantined {
            why: "it died".to_owned(),
            until: Now::from_nanos(1_700_000_001_000_000_000),
            backoff: Duration::from_secs(1),
            rules: vec!["hot".into()],
        };
        let at = Now::from_nanos(1_700_000_000_000_000_000);
        let event = PluginEvent { seq: 7, at, plugin: "p".into(), change };
        let expected = serde_json::json!({
            "seq": 7, "at": "2023-11-14T22:13:20Z", "plugin": "p", "change": "quarantined",
            "why": "it died", "until": "2023-11-14T22:13:21Z", "backoff": "1s", "rules": ["hot"],
        });
        assert_eq!(serde_json::to_value(&event).expect("plain data"), expected);
        let words = "is quarantined for 1s, until 2023-11-14T22:13:21Z: it died; rules: hot";
        assert_eq!(event.change.to_string(), words);
    }

    #[test]
    fn counts_by_name_are_bounded() {
        let changes = Changes::default();
        for plugin in 0..COUNTED_MAX + 2 {
            let mut book = changes.book();
            let plugin = plugin.to_string().into();
            let event = PluginEvent { seq: 1, at: now(), plugin, change: PluginChange::Unblocked };
            book.count(&event);
        }
        let counts = changes.counts();
        assert_eq!(counts.len(), COUNTED_MAX + 1);
        assert!(counts.contains(&(OTHERS.into(), "unblocked", 2)));
    }
}
