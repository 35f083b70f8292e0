//! Where a sketch keeps its counts: an array for buckets that lie close together, a sorted list for
//! those that do not.

use serde::{Deserialize, Serialize};

/// Buckets side by side, empty ones too: 4 bytes each.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Near {
    first: i32,
    counts: Vec<u32>,
    /// Buckets that hold something.
    pub used: u32,
}

/// Buckets that hold something: 12 bytes each.
///
/// Invariants: `keys` rise strictly; no count is zero but for moments.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Apart {
    pub keys: Vec<i32>,
    counts: Vec<u64>,
}

impl Near {
    /// An array is worth its room from so many buckets on, ..
    pub const USED_MIN: usize = 16;
    /// .. as long as there are not so many empty ones between two of them, ..
    const GAP_MAX: i32 = 16;
    /// .. and never longer than this: 8 KiB.
    const LENGTH_MAX: usize = 2_048;

    /// An empty array where most of these buckets lie close together, with some room around; of no
    /// length when too few of them do.
    pub fn around(buckets: &[(i32, u64)]) -> Near {
        let is_near = |a: &(i32, u64), b: &(i32, u64)| b.0 - a.0 <= Near::GAP_MAX;
        // Of several as large the first.
        let most = buckets.chunk_by(is_near).rev().max_by_key(|run| run.len());
        let Some(run) = most.filter(|run| run.len() >= Near::USED_MIN) else {
            return Near::default();
        };
        let (first, last) = (run[0].0, run[run.len() - 1].0);
        let room = (last - first) / 4;
        let length = ((last - first + 1 + 2 * room) as usize).min(Near::LENGTH_MAX);
        Near { first: first - room, counts: vec![0; length], used: 0 }
    }

    /// Gives what there was no room for.
    pub fn add(&mut self, key: i32, count: u64) -> u64 {
        let at = i64::from(key) - i64::from(self.first);
        let Some(known) = usize::try_from(at).ok().and_then(|at| self.counts.get_mut(at)) else {
            return count;
        };
        let fits = count.min(u64::from(u32::MAX - *known));
        self.used += u32::from(*known == 0 && fits > 0);
        *known += fits as u32;
        count - fits
    }

    /// Takes up to `count` and gives how much that was.
    pub fn take(&mut self, key: i32, count: u64) -> u64 {
        let at = i64::from(key) - i64::from(self.first);
        let Some(known) = usize::try_from(at).ok().and_then(|at| self.counts.get_mut(at)) else {
            return 0;
        };
        let taken = count.min(u64::from(*known));
        *known -= taken as u32;
        self.used -= u32::from(*known == 0 && taken > 0);
        taken
    }

    pub fn buckets(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        let held = self.counts.iter().zip(self.first..).filter(|(count, _)| **count > 0);
        held.map(|(count, key)| (key, u64::from(*count)))
    }
}

impl Apart {
    /// True when the bucket is new.
    pub fn add(&mut self, key: i32, count: u64) -> bool {
        match self.keys.binary_search(&key) {
            Ok(at) => {
                self.counts[at] += count;
                false
            }
            Err(at) => {
                self.keys.insert(at, key);
                self.counts.insert(at, count);
                true
            }
        }
    }

    /// May leave a count of zero, for [`Apart::sweep`] to clear away.
    pub fn take(&mut self, key: i32, count: u64) {
        let at = self.keys.binary_search(&key).expect("only what was added is taken back");
        self.counts[at] = self.counts[at].checked_sub(count).expect("no more than was added");
    }

    pub fn sweep(&mut self) {
        if self.counts.contains(&0) {
            let mut counts = self.counts.iter();
            self.keys.retain(|_| counts.next().is_some_and(|count| *count > 0));
            self.counts.retain(|count| *count > 0);
        }
    }

    pub fn buckets(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        self.keys.iter().copied().zip(self.counts.iter().copied())
    }
}
