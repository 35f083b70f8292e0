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

    /// Cuts the batch into pieces of at most `rows` rows. What belongs to the batch as a whole
    /// stays with the first piece.
    pub fn cut(mut self, rows: usize) -> Vec<Batch> {
        assert!(rows > 0);
        if self.rows() <= rows {
            return vec![self];
        }
        let mut announced = std::mem::take(&mut self.announced).into_iter().peekable();
        let mut pieces = Vec::new();
        for from in (0..self.rows()).step_by(rows) {
            let to = (from + rows).min(self.rows());
            let first = pieces.is_empty();
            let mut piece = Batch {
                arrival: self.arrival,
                announced: Vec::new(),
                slots: self.slots[from..to].to_vec(),
                at: self.at[from..to].to_vec(),
                value: self.value[from..to].to_vec(),
                ops: if self.ops.is_empty() { Vec::new() } else { self.ops[from..to].to_vec() },
                bytes: if first { self.bytes } else { 0 },
                refused: if first { std::mem::take(&mut self.refused) } else { Default::default() },
                defects: if first { std::mem::take(&mut self.defects) } else { Vec::new() },
                defect_count: if first { self.defect_count } else { 0 },
            };
            let is_last = to == self.rows();
            while let Some(next) = announced.next_if(|next| is_last || (next.row as usize) < to) {
                piece.announced.push(Announcement { row: next.row - from as u32, ..next });
            }
            pieces.push(piece);
        }
        pieces
    }

    pub fn defect(&mut self, defect: Defect) {
        self.defect_count += 1;
        if self.defects.len() < Batch::DEFECTS_MAX {
            self.defects.push(defect);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_batch_says_the_same_in_pieces() {
        let mut batch = Batch { bytes: 9, defect_count: 2, ..Batch::default() };
        for row in 0..7u32 {
            if row % 3 == 0 {
                let series = Series::new("m", [("row", row.to_string())]);
                batch.announced.push(Announcement { row, slot: Slot(row), series });
            }
            let op = if row == 5 { Op::Add } else { Op::Set };
            batch.push(Slot(row / 3 * 3), EventTime::from_nanos(row.into()), f64::from(row), op);
        }
        for rows in [1, 2, 3, 7, 100] {
            let pieces = batch.clone().cut(rows);
            let mut whole = Batch::default();
            for piece in &pieces {
                assert!(piece.rows() <= rows);
                let before = whole.rows() as u32;
                for said in &piece.announced {
                    let row = said.row + before;
                    whole.announced.push(Announcement { row, ..said.clone() });
                }
                for row in 0..piece.rows() {
                    whole.push(piece.slots[row], piece.at[row], piece.value[row], piece.op(row));
                }
                whole.bytes += piece.bytes;
                whole.defect_count += piece.defect_count;
            }
            assert_eq!(whole, batch, "pieces of {rows}");
        }
    }
}
