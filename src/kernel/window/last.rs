//! The window of a group's last `n` accepted samples in position order, judged on each of them
//! once there are so many.
//!
//! It has no length in time, so it has no rate; and no pane is ever closed, so no sample is late
//! (one that is older than its series' newest still has no increase).

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::cells::Cells;
use super::pane::{Folded, Lateness};
use super::sketch::Sketch;
use super::spec::{Parts, WindowSpec};
use super::stacks::TwoStacks;
use super::trend::{self, Trend};

/// Each sample is a slice of its own: some 170 bytes, and up to 100 more for quantiles, distinct
/// and slope. Every reduction costs O(log n) merges or less per sample, however large `n` is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Last {
    count: usize,
    cells: TwoStacks<Cells>,
    /// What is needed to take a sample back out; kept only when a part needs it.
    kept: VecDeque<Kept>,
    sketch: Sketch,
    /// How many of the samples have each hash.
    hashes: BTreeMap<u64, u32>,
    trends: BTreeMap<u64, TwoStacks<Trend>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    member: u64,
    value: f64,
    hash: u64,
}

impl Last {
    pub fn new(count: usize) -> Last {
        Last {
            count,
            cells: TwoStacks::default(),
            kept: VecDeque::new(),
            sketch: Sketch::default(),
            hashes: BTreeMap::new(),
            trends: BTreeMap::new(),
        }
    }

    pub fn fold(&mut self, spec: &WindowSpec, sample: &Folded) {
        while self.cells.len() >= self.count {
            self.leave(&spec.parts);
        }
        let mut cells = Cells::default();
        cells.fold(&spec.parts, sample, Lateness::OnTime);
        self.cells.push(cells);
        if spec.parts.sketch || spec.parts.distinct || spec.parts.trends {
            let (member, value, hash) = (sample.member, sample.value, sample.distinct_hash);
            self.kept.push_back(Kept { member, value, hash });
        }
        if spec.parts.sketch {
            self.sketch.add(sample.value);
        }
        if spec.parts.distinct {
            *self.hashes.entry(sample.distinct_hash).or_default() += 1;
        }
        if spec.parts.trends {
            let trend = Trend::of(sample.at, sample.value);
            self.trends.entry(sample.member).or_default().push(trend);
        }
    }

    pub fn len(&self) -> usize {
        self.cells.len()
    }

    pub fn is_full(&self) -> bool {
        self.cells.len() == self.count
    }

    /// `None` while there are fewer than `n` samples.
    pub fn cells(&self) -> Option<Cells> {
        self.cells.total().filter(|_| self.is_full())
    }

    pub fn sketch(&self) -> &Sketch {
        &self.sketch
    }

    pub fn distinct(&self) -> f64 {
        self.hashes.len() as f64
    }

    pub fn slope(&self) -> Option<f64> {
        trend::total_slope(self.trends.values().map(|member| member.total()?.slope()))
    }

    fn leave(&mut self, parts: &Parts) {
        self.cells.pop();
        let Some(kept) = self.kept.pop_front() else { return };
        if parts.sketch {
            self.sketch.remove(kept.value);
            if self.sketch.is_needlessly_coarse() {
                self.sketch = Sketch::default();
                self.kept.iter().for_each(|kept| self.sketch.add(kept.value));
            }
        }
        if parts.distinct
            && let Some(count) = self.hashes.get_mut(&kept.hash)
        {
            *count -= 1;
            if *count == 0 {
                self.hashes.remove(&kept.hash);
            }
        }
        if parts.trends
            && let Some(member) = self.trends.get_mut(&kept.member)
        {
            member.pop();
            if member.is_empty() {
                self.trends.remove(&kept.member);
            }
        }
    }
}
