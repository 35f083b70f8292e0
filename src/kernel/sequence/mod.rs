//! The sequencer: puts everything that happens into one order, gives it positions and watermarks,
//! and hands each shard its part.
//!
//! Never judges anything. Invariants: the watermark never goes backward and moves in steps of
//! 10 ms; a position is given once; what a shard gets depends on the recorded sequence alone, so
//! results do not depend on how samples were batched or on the number of shards.

pub mod listening;
mod masks;
pub mod progress;
mod retention;
pub mod router;
mod samples;
pub mod sequencer;
mod source;
mod swap;
pub mod table;
pub mod tap;

use std::sync::Arc;

use crate::kernel::model::{Duration, EventTime, Labels, Series, SeriesId, SourceId};
use crate::kernel::rule::program::Fault;
use crate::kernel::rule::ruleset::{Binding, RuleIndex};
use crate::kernel::rule::succession::Succession;

/// The watermark moves in steps of this much event time.
pub const STEP: Duration = Duration::from_millis(10);

/// One element of the sequence, as one shard gets it. Every shard gets every element.
#[derive(Clone, Debug)]
pub enum Input {
    Rows(Rows),
    /// Adopt a ruleset.
    Swap(Swap),
    /// A source began or ceased to be listened to, at this watermark time.
    Listening {
        position: u64,
        source: SourceId,
        on: bool,
        at: EventTime,
    },
    /// End an alert and drop its group, by command.
    Forget {
        position: u64,
        rule: Arc<str>,
        key: Labels,
    },
    /// Take a rule out of service, or put it back.
    Quarantine {
        position: u64,
        rule: Arc<str>,
        on: bool,
    },
}

/// Samples in columns of equal length, in position order, with the watermark steps among them.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    pub source: Option<SourceId>,
    /// The position after the last row of the whole batch, on this shard or not.
    pub end: u64,
    pub introduced: Vec<Introduction>,
    pub retired: Vec<SeriesId>,
    pub series: Vec<SeriesId>,
    pub at: Vec<EventTime>,
    pub value: Vec<f64>,
    pub position: Vec<u64>,
    pub cuts: Vec<Cut>,
}

impl Rows {
    pub fn with_room(source: Option<SourceId>, rows: usize) -> Rows {
        Rows {
            source,
            series: Vec::with_capacity(rows),
            at: Vec::with_capacity(rows),
            value: Vec::with_capacity(rows),
            position: Vec::with_capacity(rows),
            ..Rows::default()
        }
    }
}

/// Before row `row` (an index into this shard's columns) the watermark moves to `watermark`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub row: usize,
    pub position: u64,
    pub watermark: EventTime,
}

/// A series that a shard hears of for the first time, or that more rules take than before.
#[derive(Clone, Debug, PartialEq)]
pub struct Introduction {
    /// Where in the sequence it was first named, and the watermark there.
    pub position: u64,
    pub watermark: EventTime,
    pub id: SeriesId,
    pub series: Series,
    /// The inputs that take it and whose group lies on the shard, in rule order.
    pub entries: Vec<Entry>,
    /// Closures that failed on its labels; told to one shard only.
    pub faults: Vec<(RuleIndex, Fault)>,
}

/// One input that takes a series, and the group that the series falls in: the overflow group when
/// the rule has as many groups as it may.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub binding: Binding,
    pub key: Labels,
}

#[derive(Clone, Debug)]
pub struct Swap {
    pub position: u64,
    pub succession: Arc<Succession>,
    /// Series that rules take anew, with those entries alone.
    pub introduced: Vec<Introduction>,
}

/// A sample that a recording rule emitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    pub series: Series,
    pub at: EventTime,
    pub value: f64,
    /// The rule's place in the ruleset: with the series and time it puts derived samples in order.
    pub rule: RuleIndex,
}

#[inline(always)]
fn place(out: &mut [Rows], shards: u64, position: u64, id: SeriesId, at: EventTime, value: f64) {
    let mut rest = shards;
    while rest != 0 {
        let rows = &mut out[rest.trailing_zeros() as usize];
        rows.series.push(id);
        rows.at.push(at);
        rows.value.push(value);
        rows.position.push(position);
        rest &= rest - 1;
    }
}
