//! A source as the sequencer knows it: how far it came, and what its slots stand for.

use crate::kernel::model::{Announcement, RefusalCounts, Series, SeriesId};

use super::progress::Progress;

/// A slot's generation before its series was looked up.
const NEW: u32 = u32::MAX;

#[derive(Debug)]
pub struct Source {
    pub progress: Progress,
    pub slots: Vec<SlotEntry>,
    /// What each slot stands for; apart from the entries, since samples need those alone.
    pub series: Vec<Option<Series>>,
    pub accepted: u64,
    pub refused: RefusalCounts,
    /// Known from before a restart, and not opened since.
    pub restored: bool,
}

/// The number that a slot's series had when it was last looked up.
#[derive(Clone, Copy, Debug)]
pub struct SlotEntry {
    pub id: SeriesId,
    pub generation: u32,
}

impl Source {
    pub fn new(progress: Progress, restored: bool) -> Source {
        let (slots, series, refused) = (Vec::new(), Vec::new(), RefusalCounts::default());
        Source { progress, slots, series, accepted: 0, refused, restored }
    }

    /// From now on the slot stands for this series, which has to be looked up.
    pub fn announce(&mut self, announced: &Announcement) {
        let at = announced.slot.0 as usize;
        let unknown = SlotEntry { id: SeriesId(0), generation: NEW };
        if self.slots.len() <= at {
            self.slots.resize(at + 1, unknown);
            self.series.resize(at + 1, None);
        }
        self.slots[at] = unknown;
        self.series[at] = Some(announced.series.clone());
    }
}
