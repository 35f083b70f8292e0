//! The traits behind which a rule's code runs: native, Rhai or Wasm, the engine cannot tell.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::State;
use super::view::{Column, Frame};
use crate::kernel::event::Event;
use crate::kernel::model::{EventTime, Labels, Level, Series, SeriesId};

/// What went wrong in a program, in words, with its place in the source where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub what: Arc<str>,
}

impl Fault {
    pub fn new(what: impl Into<Arc<str>>) -> Fault {
        Fault { what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)
    }
}

/// A condition, a reset or a recorded value: a recipe shared by all shards.
pub trait Program: Send + Sync + fmt::Debug {
    /// The columns it reads, in the order in which a [`Frame`] must hold them.
    fn reads(&self) -> &[Column];

    /// A fresh evaluator for one shard.
    fn evaluator(&self) -> Box<dyn Evaluator>;

    /// The comparison that it comes to, when it does nothing but hold a sample's value against a
    /// constant. Such conditions are ruled out for many rows at once.
    fn threshold(&self) -> Option<Threshold> {
        None
    }

    /// The source text, for `explain`; one line when it can be.
    fn source(&self) -> &str;

    /// How it runs, for `explain`: "native" or "interpreted, because ..".
    fn path(&self) -> String;

    /// What a row costs, as a forecast.
    fn cost(&self) -> Cost {
        Cost::default()
    }

    /// Whether it asks anything of a group's labels that [`Program::label_facts`] answers.
    fn has_label_facts(&self) -> bool {
        false
    }

    /// What labels alone decide, as bits that [`Frame::facts`] hands back for each row.
    fn label_facts(&self, key: &Labels) -> u64 {
        let _ = key;
        0
    }
}

/// A value held against a constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    pub comparison: Comparison,
    pub limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Threshold {
    pub fn holds(self, value: f64) -> bool {
        self.may_hold(value, value)
    }

    /// Whether it holds for some value in `low..=high`, if each of both is such a value.
    pub fn may_hold(self, low: f64, high: f64) -> bool {
        match self.comparison {
            Comparison::Above => high > self.limit,
            Comparison::AtLeast => high >= self.limit,
            Comparison::Below => low < self.limit,
            Comparison::AtMost => low <= self.limit,
        }
    }
}

/// One shard's copy of a [`Program`]. Results are appended, one for each row.
///
/// A row that faults appends a placeholder (`false`, `NaN`) and an entry in `faults` with the
/// row's number; the other rows are not touched by it.
pub trait Evaluator: Send {
    /// Judges each row. `state` is the group's `this` and is there only for rules that declared
    /// one; such frames have exactly one row. On a fault the state is put back.
    fn test(
        &mut self,
        frame: &Frame<'_>,
        state: Option<&mut State>,
        truth: &mut Vec<bool>,
        faults: &mut Vec<(u32, Fault)>,
    );

    /// Computes a number for each row.
    fn measure(
        &mut self,
        frame: &Frame<'_>,
        state: Option<&mut State>,
        numbers: &mut Vec<f64>,
        faults: &mut Vec<(u32, Fault)>,
    );

    /// Whether its first answers were compared with those of a second way of running the program,
    /// where there is one, and agreed. Until then no row is decided without it.
    fn is_confirmed(&self) -> bool {
        true
    }

    /// Rows on which two ways of running the program differed since this was last asked.
    fn take_disputes(&mut self) -> Vec<Dispute> {
        Vec::new()
    }
}

/// What running a program once takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Nanoseconds of one core for a row.
    pub nanos: f64,
    /// Native operations; 0 for a program that is not native.
    pub operations: usize,
}

/// A row on which a native program differed from its reference. The reference's answer was used.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispute {
    /// The numbers of the program's columns, in their order.
    pub row: Vec<f64>,
    pub native: Arc<str>,
    pub reference: Arc<str>,
}

/// Renders one annotation of an alert when an event is made. Left of the bus: same event, same
/// text, on every machine.
pub trait Template: Send + Sync + fmt::Debug {
    fn render(&self, event: &Event) -> Result<String, Fault>;
}

/// A closure over a series' labels, asked once per series.
pub trait SeriesFilter: Send + Sync + fmt::Debug {
    fn admits(&self, series: &Series) -> Result<bool, Fault>;
    fn source(&self) -> &str;
}

/// A loaded component that judges samples or windows: a recipe shared by all shards.
pub trait RulePlugin: Send + Sync + fmt::Debug {
    fn name(&self) -> &str;

    /// Hash of the component's bytes and settings; equal means nothing to swap.
    fn digest(&self) -> u64;

    /// A fresh instance for one shard.
    fn instance(&self) -> Result<Box<dyn RuleInstance>, Fault>;
}

/// One shard's instance of a [`RulePlugin`]. Every row is judged: a row in neither list is clear.
/// A component judges either samples or windows, and answers the other half with a fault.
///
/// What an instance dies of is known to its host; the call after that begins with a new one.
pub trait RuleInstance: Send {
    /// Announces series before their first row.
    fn intern(&mut self, added: &[(SeriesId, Series)]) -> Result<(), Fault>;

    fn forget(&mut self, removed: &[SeriesId]);

    /// Empty columns for the next rows, with the room of some that were judged before.
    fn spare_rows(&mut self) -> GuestRows;

    /// Judges rows of the component's rule number `rule`; it may keep them. `out` comes cleared.
    fn evaluate(
        &mut self,
        rule: u32,
        rows: GuestRows,
        out: &mut GuestVerdicts,
    ) -> Result<(), Fault>;

    /// Time has come to `now` for rule number `rule`; rows of the answer are series numbers, and a
    /// series that is not listed keeps its verdict.
    fn tick(&mut self, rule: u32, now: EventTime, out: &mut GuestVerdicts) -> Result<(), Fault>;

    /// Announces groups of a window rule, by their numbers, before their first row.
    fn intern_groups(&mut self, rule: u32, added: &[(u32, Labels)]) -> Result<(), Fault>;

    fn forget_groups(&mut self, rule: u32, removed: &[u32]);

    /// Judges windows of the component's rule number `rule`. `out` comes cleared.
    fn evaluate_windows(
        &mut self,
        rule: u32,
        windows: &WindowRows<'_>,
        out: &mut GuestVerdicts,
    ) -> Result<(), Fault>;

    /// The guest's own state, if it keeps any worth carrying over a swap or restart.
    fn save(&mut self) -> Result<Option<Vec<u8>>, Fault>;

    /// Series and groups are interned first. An error means a cold start.
    fn restore(&mut self, state: &[u8]) -> Result<(), Fault>;
}

/// Samples of one rule: columns of equal length, as a component takes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuestRows {
    /// Numbers of series.
    pub series: Vec<u32>,
    /// Nanoseconds since the epoch.
    pub at: Vec<i64>,
    pub value: Vec<f64>,
}

impl GuestRows {
    /// Empties the columns, which keep their room.
    pub fn clear(&mut self) {
        self.series.clear();
        self.at.clear();
        self.value.clear();
    }
}

/// Windows of one rule, a row each: columns of equal length.
#[derive(Clone, Copy, Debug)]
pub struct WindowRows<'a> {
    pub groups: &'a [u32],
    pub ends: &'a [EventTime],
    /// One column for each of [`super::GuestRule::reads`], in that order.
    pub values: &'a [&'a [f64]],
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuestVerdicts {
    /// Rows in breach, each at most once.
    pub breaches: Vec<GuestVerdict>,
    /// Rows without a verdict.
    pub hold: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GuestVerdict {
    /// The row of the columns; on a tick the series' number.
    pub row: u32,
    pub level: Level,
    /// What to show as the judged value in place of the sample's or the window's.
    pub value: Option<f64>,
    pub message: Option<String>,
}
