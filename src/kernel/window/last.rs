//! The window of a group's last `n` accepted samples in position order, judged on each of them
//! once there are so many.
//!
//! It has no length in time, so it has no rate; and no pane is ever closed, so no sample is late
//! (one that is older than its series' newest still has no increase).

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::ewma::{self, Ewma};
use super::pane::Folded;
use super::record::{Halves, Kept as KeptParts};
use super::ring::Ring;
use super::sketch::Sketch;
use super::spec::{Parts, WindowSpec};
use super::stacks::TwoStacks;
use super::trend::{self, Trend};

/// Each sample is a record of its own: 24 bytes for a mean, 160 for all that records hold, and up
/// to 100 more for quantiles, distinct and slope. Every reduction costs O(log n) merges or less per
/// sample, however large `n` is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Last {
    count: usize,
    ring: Ring,
    /// What is needed to take a sample back out; kept only when a part needs it.
    kept: VecDeque<Kept>,
    sketch: Sketch,
    /// How many of the samples have each hash.
    hashes: BTreeMap<u64, u32>,
    trends: BTreeMap<u64, TwoStacks<Trend>>,
    ewma: Option<Ewma>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    member: u64,
    value: f64,
    hash: u64,
}

impl Last {
    pub fn new(count: usize, parts: &Parts) -> Last {
        Last {
            count,
            ring: Ring::new(KeptParts::new(parts)),
            kept: VecDeque::new(),
            sketch: Sketch::default(),
            hashes: BTreeMap::new(),
            trends: BTreeMap::new(),
            ewma: None,
        }
    }

    pub fn fold(&mut self, spec: &WindowSpec, sample: &Folded) {
        while self.len() >= self.count {
            self.leave(&spec.parts);
        }
        self.ring.push(spec, sample);
        self.ring.changed = true;
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
        if let Some(half_life) = spec.half_life {
            ewma::take_in(&mut self.ewma, Ewma::of(sample.at, sample.value), half_life);
        }
    }

    /// Whether a sample entered since it was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.ring.changed)
    }

    pub fn changed(&self) -> bool {
        self.ring.changed
    }

    pub fn len(&self) -> usize {
        self.ring.judged()
    }

    pub fn is_full(&self) -> bool {
        self.len() == self.count
    }

    /// `None` while there are fewer than `n` samples.
    pub fn halves(&self) -> Option<Halves<'_>> {
        self.ring.halves().filter(|_| self.is_full())
    }

    pub fn ewma(&self) -> Option<f64> {
        self.ewma?.value()
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
        self.ring.pop();
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
