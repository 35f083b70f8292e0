//! What a source hands to the sequencer: columns of samples, and the series they name.
//!
//! A source's worker keeps its own table from the raw key bytes of the wire to a *slot*, so labels
//! are parsed once per series and not once per sample. A batch announces what each new slot stands
//! for; the sequencer alone knows the series' real numbers.

use serde::{Deserialize, Serialize};

use super::refusal::{Defect, RefusalCounts};
use super::series::Series;
use super::time::{EventTime, Now};

/// A number for a place that samples come from; dense, given by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId(pub u16);

/// A source worker's own number for a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot(pub u32);

/// From row `row` of the batch on, `slot` stands for `series`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    pub row: u32,
    pub slot: Slot,
    pub series: Series,
}

/// How a row's value meets the series' last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// The value itself.
    Set,
    /// The series' last value plus this: a counter's increment, a relative gauge.
    Add,
}

/// One read's worth of samples in columns of equal length, in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// When it was read; `None` in a replay, where every sample arrives at its event time.
    pub arrival: Option<Now>,
    pub announced: Vec<Announcement>,
    pub slots: Vec<Slot>,
    /// [`EventTime::MIN`] where the sample came without a time.
    pub at: Vec<EventTime>,
    pub value: Vec<f64>,
    /// Empty when every row is [`Op::Set`], else one per row.
    pub ops: Vec<Op>,
    /// Bytes on the wire, for the in-flight limit.
    pub bytes: usize,
    /// Rows that the decoder itself had to refuse.
    pub refused: RefusalCounts,
    /// The first defects in full, at most [`Batch::DEFECTS_MAX`].
    pub defects: Vec<Defect>,
    /// All defects, kept in full or not.
    pub defect_count: u64,
}

impl Batch {
    pub const DEFECTS_MAX: usize = 16;

    pub fn rows(&self) -> usize {
        self.slots.len()
    }

    pub fn push(&mut self, slot: Slot, at: EventTime, value: f64, op: Op) {
        if op == Op::Add && self.ops.is_empty() {
            self.ops.resize(self.slots.len(), Op::Set);
        }
        if op == Op::Add || !self.ops.is_empty() {
            self.ops.push(op);
        }
        self.slots.push(slot);
        self.at.push(at);
        self.value.push(value);
    }

    pub fn op(&self, row: usize) -> Op {
        self.ops.get(row).copied().unwrap_or(Op::Set)
    }

    pub fn defect(&mut self, defect: Defect) {
        self.defect_count += 1;
        if self.defects.len() < Batch::DEFECTS_MAX {
            self.defects.push(defect);
        }
    }
}
