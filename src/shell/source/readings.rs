//! From values that were measured one by one to batches: what the host's own metrics and probes
//! have in common.

use std::collections::BTreeMap;

use crate::kernel::model::{
    Announcement, Batch, EventTime, Limits, Memo, Op, Refusal, Series, Slot,
};

/// Series come and go. Past this many the table begins anew, which costs one batch of
/// announcements.
pub const SLOTS_MAX: usize = 16_384;

/// The series that were announced, each with its slot.
#[derive(Debug, Default)]
pub struct Slots(BTreeMap<Series, Slot>);

impl Slots {
    #[cfg(test)]
    pub fn known(&self) -> usize {
        self.0.len()
    }

    /// To be called before each batch.
    pub fn begin(&mut self) -> Batch {
        if self.0.len() > SLOTS_MAX {
            self.0.clear();
        }
        Batch::default()
    }

    /// Adds a value to the batch, or a refusal. Without a time it is stamped on arrival.
    pub fn push<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        batch: &mut Batch,
        limits: &Limits,
        (metric, labels): (&str, impl IntoIterator<Item = (N, V)>),
        at: Option<EventTime>,
        value: f64,
    ) {
        match Series::within(limits, &mut Memo::of_nothing(), metric, labels) {
            Ok(_) if !value.is_finite() => batch.refused.add(Refusal::NotFinite, 1),
            Ok(series) => {
                let slot = self.slot(batch, series);
                batch.push(slot, at.unwrap_or(EventTime::MIN), value, Op::Set);
            }
            Err(refusal) => batch.refused.add(refusal, 1),
        }
    }

    fn slot(&mut self, batch: &mut Batch, series: Series) -> Slot {
        if let Some(slot) = self.0.get(&series) {
            return *slot;
        }
        let slot = Slot(self.0.len() as u32);
        let row = batch.rows() as u32;
        batch.announced.push(Announcement { row, slot, series: series.clone() });
        self.0.insert(series, slot);
        slot
    }
}
