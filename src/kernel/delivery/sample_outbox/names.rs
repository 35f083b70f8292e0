//! The series of one outbox's rows, under numbers of its own.
//!
//! The sequencer gives a number to another series once the first is retired; rows of the first may
//! wait still. So a series has a number here that is free only when nothing refers to it: neither
//! the sequencer nor a row. The sink is told of each once in the life of an instance, before its
//! first row, and of those that are gone.

use crate::kernel::model::{Series, SeriesId};

/// Stands for "none" where numbers of ours are kept.
const NONE: u32 = u32::MAX;

#[derive(Debug, Default)]
pub struct Names {
    /// Our number by the sequencer's.
    by_host: Vec<u32>,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// Announced to the instance and gone since.
    gone: Vec<u32>,
    /// Of series that only waiting rows keep.
    held_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    series: Series,
    /// Rows that are not settled.
    waiting: u32,
    /// The sequencer refers to it.
    live: bool,
    /// The present instance knows it.
    announced: bool,
}

impl Names {
    /// The sequencer's number stands for this series from now on; `wanted` or not.
    pub fn introduce(&mut self, host: SeriesId, series: &Series, wanted: bool) {
        let known = self.own(host);
        if wanted && known.is_some_and(|own| self.entry(own).series == *series) {
            return;
        }
        self.retire(host);
        if wanted {
            let own = self.add(series.clone());
            if self.by_host.len() <= host.index() {
                self.by_host.resize(host.index() + 1, NONE);
            }
            self.by_host[host.index()] = own;
        }
    }

    /// The sequencer's number stands for nothing any more.
    pub fn retire(&mut self, host: SeriesId) {
        let Some(own) = self.own(host) else { return };
        self.by_host[host.index()] = NONE;
        self.entry_mut(own).live = false;
        if self.entry(own).waiting > 0 {
            self.held_bytes += self.entry(own).series.text_len();
        } else {
            self.remove(own);
        }
    }

    /// As if every series that is not wanted had retired.
    pub fn keep(&mut self, wanted: impl Fn(&Series) -> bool) {
        for host in 0..self.by_host.len() {
            let host = SeriesId(host as u32);
            if self.own(host).is_some_and(|own| !wanted(&self.entry(own).series)) {
                self.retire(host);
            }
        }
    }

    /// Our number of a series that is wanted.
    #[inline]
    pub fn own(&self, host: SeriesId) -> Option<u32> {
        self.by_host.get(host.index()).copied().filter(|own| *own != NONE)
    }

    /// A row of it waits.
    #[inline]
    pub fn wait(&mut self, own: u32) {
        self.entry_mut(own).waiting += 1;
    }

    /// A row of it waits no longer.
    #[inline]
    pub fn settle(&mut self, own: u32) {
        let entry = self.entry_mut(own);
        entry.waiting -= 1;
        if entry.waiting == 0 && !entry.live {
            self.held_bytes -= self.entry(own).series.text_len();
            self.remove(own);
        }
    }

    /// Those of these rows that the instance does not know yet; it does from now on.
    pub fn announce(&mut self, rows: &[u32]) -> Vec<(u32, Series)> {
        let mut added = Vec::new();
        for own in rows {
            let entry = self.entry_mut(*own);
            if !std::mem::replace(&mut entry.announced, true) {
                added.push((*own, entry.series.clone()));
            }
        }
        added
    }

    /// What the instance shall forget.
    pub fn take_gone(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.gone)
    }

    /// All that the present instance knows.
    pub fn announced(&self) -> Vec<(u32, Series)> {
        let entries = self.entries.iter().enumerate();
        let known = entries.filter_map(|(own, entry)| {
            let entry = entry.as_ref().filter(|entry| entry.announced)?;
            Some((own as u32, entry.series.clone()))
        });
        known.collect()
    }

    /// A new instance knows nothing.
    pub fn forget_announcements(&mut self) {
        self.entries.iter_mut().flatten().for_each(|entry| entry.announced = false);
        self.gone.clear();
    }

    /// Bytes of names that only waiting rows keep.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn add(&mut self, series: Series) -> u32 {
        let entry = Some(Entry { series, waiting: 0, live: true, announced: false });
        match self.free.pop() {
            Some(own) => {
                self.entries[own as usize] = entry;
                own
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        }
    }

    fn remove(&mut self, own: u32) {
        let entry = self.entries[own as usize].take().expect(KNOWN);
        if entry.announced {
            self.gone.push(own);
        }
        self.free.push(own);
    }

    fn entry(&self, own: u32) -> &Entry {
        self.entries[own as usize].as_ref().expect(KNOWN)
    }

    fn entry_mut(&mut self, own: u32) -> &mut Entry {
        self.entries[own as usize].as_mut().expect(KNOWN)
    }
}

const KNOWN: &str = "a number is kept while the sequencer or a row refers to it";
