//! What a step of the engine gives back: events, derived samples, signals, faults and counts.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::kernel::event::Event;
use crate::kernel::model::{EventTime, Labels, SourceId};
use crate::kernel::rule::program::{Dispute, Fault};
use crate::kernel::rule::ruleset::RuleIndex;
use crate::kernel::rule::succession::{Change, Succession};
use crate::kernel::sequence::Derived;

/// Everything one step brought about. The caller clears it between steps.
#[derive(Debug, Default)]
pub struct Output {
    pub events: Vec<Emitted>,
    pub derived: Vec<Derived>,
    pub signals: Vec<Signal>,
    pub faults: Vec<FaultNote>,
    pub disputes: Vec<DisputeNote>,
    pub adopted: Option<Adopted>,
    /// What a swap put out of use, to be dropped where no shard waits for it.
    pub discarded: Discarded,
}

/// Old rules with their evaluators and groups.
#[derive(Default)]
pub struct Discarded(Vec<Box<dyn Send>>);

impl Discarded {
    pub fn push(&mut self, what: impl Send + 'static) {
        self.0.push(Box::new(what));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn append(&mut self, mut other: Discarded) {
        self.0.append(&mut other.0);
    }
}

impl fmt::Debug for Discarded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} things", self.0.len())
    }
}

/// A shard adopted a ruleset.
#[derive(Debug)]
pub struct Adopted {
    pub succession: Arc<Succession>,
    /// Rules that lost something on this shard, and why.
    pub resets: Vec<(RuleIndex, String)>,
}

/// An event with its place in the one order of all events.
#[derive(Clone, Debug, PartialEq)]
pub struct Emitted {
    /// Of the sample, or of what moved the watermark.
    pub position: u64,
    pub phase: Phase,
    /// The time at which it was due.
    pub due: EventTime,
    pub event: Arc<Event>,
}

/// Within one position what was due comes before the sample that moved the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Due,
    Sample,
}

impl Emitted {
    /// By (position, phase, due time, rule, key, per-alert sequence).
    pub fn order(&self, other: &Emitted) -> Ordering {
        let head = |emitted: &Emitted| (emitted.position, emitted.phase, emitted.due);
        head(self)
            .cmp(&head(other))
            .then_with(|| self.event.rule.cmp(&other.event.rule))
            .then_with(|| self.event.key.cmp(&other.event.key))
            .then_with(|| self.event.seq.cmp(&other.event.seq))
    }
}

/// Something about the engine itself that is or is not so, counted over all shards by whoever
/// merges their outputs: an alert of Watchfire's own stands while the sum is above zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    pub position: u64,
    pub at: EventTime,
    pub what: Trouble,
    /// +1 when it begins for a group, -1 when it ends.
    pub delta: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// All samples of a group from this source have been late for a minute.
    DataLate { rule: Arc<str>, source: SourceId },
    /// A group folds series that it had no room for.
    SeriesLimit { rule: Arc<str> },
    /// The rule is quarantined.
    RuleUnhealthy { rule: Arc<str> },
}

/// A fault of a rule's program, for the log.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultNote {
    pub rule: Arc<str>,
    pub key: Labels,
    pub at: EventTime,
    pub fault: Fault,
}

/// A native condition of a rule was wrong about a row, for the log.
#[derive(Clone, Debug, PartialEq)]
pub struct DisputeNote {
    pub rule: Arc<str>,
    pub dispute: Dispute,
}

/// What became of the rules at a swap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adoption {
    pub rules: Vec<(Arc<str>, Carried)>,
}

impl Adoption {
    /// All shards adopt the same rules; one that lost something on any shard lost it.
    pub fn of(shards: Vec<Adopted>) -> Option<Adoption> {
        let succession = shards.first()?.succession.clone();
        let rules = succession.new_set().rules().iter();
        let mut rules: Vec<(Arc<str>, Carried)> = rules
            .zip(succession.changes())
            .map(|(rule, change)| (rule.name.clone(), Carried::by(*change)))
            .collect();
        for (index, why) in shards.into_iter().flat_map(|shard| shard.resets) {
            rules[index.index()].1 = Carried::Reset { why };
        }
        let removed = succession.removed().iter().map(|index| succession.old().rule(*index));
        rules.extend(removed.map(|rule| (rule.name.clone(), Carried::Removed)));
        rules.sort();
        Some(Adoption { rules })
    }
}

impl Carried {
    fn by(change: Change) -> Carried {
        match change {
            Change::Added => Carried::Added,
            Change::Same { .. } => Carried::Unchanged,
            Change::Edited { edit, .. } if edit.text || edit.reselects => Carried::Kept,
            Change::Edited { .. } => Carried::Unchanged,
        }
    }
}

/// What a rule kept over a swap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carried {
    /// Nothing about it changed.
    Unchanged,
    Added,
    Removed,
    /// Alerts, windows and `this`.
    Kept,
    /// Alerts only; the text says why the windows or `this` began anew.
    Reset {
        why: String,
    },
}
