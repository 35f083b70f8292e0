//! What a rule is, and the traits behind which its code runs.
//!
//! Rhai scripts and Wasm components both produce the same [`Rule`] value and one engine runs it.
//! Never parses a file, never runs a guest itself: a condition is a [`Program`] (a shared recipe),
//! of which every shard makes its own [`program::Evaluator`].
//!
//! Invariants: a rule's name is its identity; a rule that reached this type was fully checked.

pub mod calendar;
pub mod program;
pub mod ruleset;
pub mod selector;
pub mod succession;
pub mod view;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::kernel::model::{Duration, Labels, Level, Version};
use calendar::Calendar;
use program::{Program, Template};
use selector::Selector;
use view::{Column, Reduction};

/// A checked rule. Times are event time; bounds are inclusive.
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: Arc<str>,
    pub version: Version,
    pub origin: Origin,
    /// One for `on`, several for `join`; names are unique.
    pub inputs: Vec<Input>,
    pub by: Grouping,
    pub shape: Shape,
    pub across: Option<Across>,
    /// Delays the rule's own panes by this much past the watermark.
    pub lateness: Duration,
    /// How old an input's value may be in a join; `expire` when not given.
    pub tolerance: Option<Duration>,
    pub baseline: Option<Baseline>,
    /// Reductions that exist only because the rule declares them.
    pub declared: Declared,
    pub judge: Judge,
    /// The first value of `this`; `None` when the rule keeps no state of its own.
    pub state: Option<State>,
    pub timing: Timing,
    pub flapping: Option<Flapping>,
    pub during: Option<Calendar>,
    /// Static labels: attributes of every alert, not part of its identity.
    pub labels: Labels,
    /// Rendered when an event is made, in this order. The text is the annotation `text`.
    pub annotations: Vec<(Arc<str>, Arc<dyn Template>)>,
    /// Sinks by name; empty means the default sinks.
    pub notify: Vec<Arc<str>>,
    pub record: Option<Record>,
    pub shadow: bool,
}

/// Where a rule was written, for messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub file: Arc<str>,
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.file, self.line)
    }
}

/// One stream of samples that a rule reads.
#[derive(Clone, Debug)]
pub struct Input {
    /// The name under which a joined view holds it; empty for the one input of `on`.
    pub name: Arc<str>,
    pub selector: Selector,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grouping {
    /// Every series is its own group, with all of its labels as the key.
    EachSeries,
    /// One group for each combination of these labels' values; none puts all into one.
    By(Vec<Arc<str>>),
}

/// How samples become views, with `every` resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// No window: each sample is judged at its own time.
    Each,
    /// `every` is set only for `across` without a window: judged at each multiple of it.
    Latest { every: Duration },
    /// `(t - length, t]` at every multiple `t` of `every`; a tumbling window when both are equal.
    Sliding { length: Duration, every: Duration },
    /// Open until `gap` passes without a sample; judged at each `every` while open and at close.
    Session { gap: Duration, every: Duration },
    /// The group's last `count` samples in position order, judged on each once there are so many.
    Count { count: usize },
}

/// A fold over a group's series, after each was reduced to one value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Across {
    Sum,
    Mean,
    Min,
    Max,
    Count,
    /// Linear interpolation between ranks, `0.0..=1.0`.
    Quantile(f64),
}

/// The trailing history that `base` summarises: values at the non-overlapping window ends in
/// `(t - length - span, t - length]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    pub span: Duration,
}

/// What `.share(..)`, `.ewma(..)` and `.distinct(..)` ask a window to keep.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The share of samples for which this holds; reads [`Column::Value`].
    pub share: Option<Arc<dyn Program>>,
    pub ewma: Option<Duration>,
    pub distinct: Option<Distinct>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Distinct {
    /// Values of this label among the samples' series.
    Label(Arc<str>),
    /// The samples' own values, as StatsD sets send them.
    Value,
}

/// What decides a verdict.
#[derive(Clone, Debug)]
pub enum Judge {
    /// Conditions by level, lowest first; at least one is there.
    Levels([Option<LevelRule>; 3]),
    /// A Wasm component's judgement, of raw samples or of windows: which plugin, which rule.
    Guest(GuestRule),
    /// Only `absent` speaks, at this level.
    Absent(Level),
    /// A recording rule without a condition.
    Never,
}

#[derive(Clone, Debug)]
pub struct LevelRule {
    pub when: Arc<dyn Program>,
    /// Consulted only at the alert's own level while it fires or cools.
    pub reset: Option<Arc<dyn Program>>,
}

/// `plugin` names an entry of the ruleset's plugins; `index` is the rule's place in what the
/// component declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestRule {
    pub plugin: Arc<str>,
    pub index: u32,
    /// What it is given of a window, in this order; empty when it judges samples.
    pub reads: Arc<[Column]>,
    /// The highest level that its verdicts may have: a lack of data breaches at it.
    pub highest: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    pub soak: Duration,
    pub cool: Duration,
    pub repeat: Option<Duration>,
    /// Without a sample for this long a series has no data.
    pub expire: Duration,
    /// Without a sample for this long an inactive or pending group is forgotten.
    pub forget: Duration,
    /// `.forget(d)` was written in the rule, so it ends firing alerts too.
    pub forget_firing: bool,
    pub absent: Option<Duration>,
    pub on_no_data: OnNoData,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            soak: Duration::ZERO,
            cool: Duration::ZERO,
            repeat: None,
            expire: Duration::from_secs(300),
            forget: Duration::from_secs(3600),
            forget_firing: false,
            absent: None,
            on_no_data: OnNoData::Hold,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNoData {
    Hold,
    Clear,
    Breach,
}

/// Thresholds in percent of weighted state change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flapping {
    pub high: f64,
    pub low: f64,
}

/// A series that a rule emits.
#[derive(Clone, Debug)]
pub struct Record {
    pub name: Arc<str>,
    pub value: Arc<dyn Program>,
}

/// The value of `this`: what a rule's script may keep for a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum State {
    Unit,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<State>),
    /// In order of the keys.
    Map(Vec<(String, State)>),
}

impl Rule {
    /// Every column that any of the rule's programs reads, or its component, each once, in order.
    pub fn columns(&self) -> Vec<Column> {
        let mut columns: Vec<Column> =
            self.programs().iter().flat_map(|program| program.reads().to_vec()).collect();
        if let Judge::Guest(guest) = &self.judge {
            columns.extend(guest.reads.iter().cloned());
        }
        columns.sort();
        columns.dedup();
        columns
    }

    /// The component that judges this rule's samples one by one, if it is one.
    pub fn guest_of_samples(&self) -> Option<&GuestRule> {
        self.guest().filter(|_| self.shape == Shape::Each)
    }

    /// The component that judges this rule's windows.
    pub fn guest_of_windows(&self) -> Option<&GuestRule> {
        self.guest().filter(|_| self.shape != Shape::Each)
    }

    /// The component that judges this rule, if one does.
    pub fn guest(&self) -> Option<&GuestRule> {
        match &self.judge {
            Judge::Guest(guest) => Some(guest),
            Judge::Levels(_) | Judge::Absent(_) | Judge::Never => None,
        }
    }

    /// Equal for rules that take the same series and group them alike; `None` of a rule with
    /// closures over labels, which cannot be compared.
    pub fn binds_by(&self) -> Option<String> {
        let selectors = self.inputs.iter().map(|input| &input.selector);
        if selectors.clone().any(|selector| selector.filter.is_some()) {
            return None;
        }
        let by = match &self.by {
            Grouping::EachSeries => None,
            Grouping::By(names) => Some(names),
        };
        let each = selectors.map(|selector| (&selector.metric, &selector.matchers));
        // The derived text quotes what authors wrote, so no two of them run into one.
        Some(format!("{by:?} {:?}", each.collect::<Vec<_>>()))
    }

    /// A silent group is remembered for at least so long: while it may still expire or turn out
    /// absent, and while its window may hold a sample.
    pub fn remembers(&self) -> Duration {
        let timing = &self.timing;
        let window = match self.shape {
            Shape::Sliding { length, every } => length + every,
            Shape::Session { gap, every } => gap + every,
            Shape::Each | Shape::Latest { .. } | Shape::Count { .. } => Duration::ZERO,
        };
        let history = self.baseline.map_or(Duration::ZERO, |baseline| baseline.span);
        timing
            .forget
            .max(timing.expire)
            .max(timing.absent.unwrap_or(Duration::ZERO))
            .max(window + history)
    }

    /// Every condition, reset and recorded value.
    pub fn programs(&self) -> Vec<&Arc<dyn Program>> {
        let mut programs = Vec::new();
        if let Judge::Levels(levels) = &self.judge {
            for level in levels.iter().flatten() {
                programs.push(&level.when);
                programs.extend(&level.reset);
            }
        }
        programs.extend(self.record.as_ref().map(|record| &record.value));
        programs
    }

    /// The reductions that the window of input `input` must keep.
    pub fn reductions(&self, input: u8) -> Vec<Reduction> {
        let mut reductions: Vec<Reduction> = self
            .columns()
            .into_iter()
            .filter_map(|column| match column {
                Column::Reduced { input: of, reduction } if of == input => Some(reduction),
                Column::Base { input: of, reduction, .. } if of == input => Some(reduction),
                _ => None,
            })
            .collect();
        reductions.sort();
        reductions.dedup();
        reductions
    }
}
