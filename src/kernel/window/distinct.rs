//! How many different things there were: exact while few, a HyperLogLog when many.

use serde::{Deserialize, Serialize};

use super::stacks::Merge;

/// Counts hashes. Up to [`Distinct::FEW_MAX`] members are kept as they are and counted exactly;
/// that is the memory (4 KiB) from which a HyperLogLog with 4,096 registers is smaller. Its
/// standard error is `1.04 / sqrt(4096)`, 1.6 %.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distinct(Members);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Members {
    /// Hashes, rising.
    Few(Vec<u64>),
    /// For each register the longest run of leading zeros seen in it, plus one; 0 is untouched.
    Many(Box<[u8]>),
}

/// Bits of the hash that choose a register.
const PRECISION: u32 = 12;
const REGISTERS: usize = 1 << PRECISION;
/// The highest value that a register can have.
const RUN_MAX: usize = 64 - PRECISION as usize + 1;

/// The hash by which a label's value is counted.
pub fn hash_of_label(value: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(value.as_bytes())
}

/// The hash by which a sample's own value is counted; both zeros are one.
pub fn hash_of_value(value: f64) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&(value + 0.0).to_bits().to_le_bytes())
}

impl Default for Distinct {
    fn default() -> Distinct {
        Distinct(Members::Few(Vec::new()))
    }
}

impl Distinct {
    const FEW_MAX: usize = 512;

    pub fn add(&mut self, hash: u64) {
        match &mut self.0 {
            Members::Few(hashes) => {
                if let Err(at) = hashes.binary_search(&hash) {
                    hashes.insert(at, hash);
                }
                if hashes.len() > Distinct::FEW_MAX {
                    self.spread();
                }
            }
            Members::Many(registers) => touch(registers, hash),
        }
    }

    /// A whole number.
    pub fn estimate(&self) -> f64 {
        match &self.0 {
            Members::Few(hashes) => hashes.len() as f64,
            Members::Many(registers) => estimate(registers).round(),
        }
    }

    fn spread(&mut self) {
        if let Members::Few(hashes) = &self.0 {
            let mut registers = vec![0u8; REGISTERS].into_boxed_slice();
            hashes.iter().for_each(|hash| touch(&mut registers, *hash));
            self.0 = Members::Many(registers);
        }
    }
}

impl Merge for Distinct {
    fn merge(&mut self, newer: &Distinct) {
        match &newer.0 {
            Members::Few(hashes) => hashes.iter().for_each(|hash| self.add(*hash)),
            Members::Many(theirs) => {
                self.spread();
                if let Members::Many(mine) = &mut self.0 {
                    for (mine, theirs) in mine.iter_mut().zip(theirs.iter()) {
                        *mine = (*mine).max(*theirs);
                    }
                }
            }
        }
    }
}

fn touch(registers: &mut [u8], hash: u64) {
    let register = &mut registers[(hash >> (64 - PRECISION)) as usize];
    // The set bit below the hash's own bits ends the run when all of them are zero.
    let run = ((hash << PRECISION) | (1 << (PRECISION - 1))).leading_zeros() + 1;
    *register = (*register).max(run as u8);
}

/// Ertl's improved raw estimator (2017), which needs no tables of corrections: it is unbiased from
/// the first member on. Its correction for registers at their highest value is left out, as those
/// take some 2^50 members.
fn estimate(registers: &[u8]) -> f64 {
    let mut with_run = [0u32; RUN_MAX + 1];
    registers.iter().for_each(|run| with_run[usize::from(*run).min(RUN_MAX)] += 1);
    let all = REGISTERS as f64;
    let touched = with_run[1..].iter().rev().fold(0.0, |sum, run| 0.5 * (sum + f64::from(*run)));
    let level = touched + all * sigma(f64::from(with_run[0]) / all);
    all * all / (2.0 * std::f64::consts::LN_2 * level)
}

/// `x + sum(x^(2^k) * 2^(k - 1))` for `k` from 1.
fn sigma(x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut total) = (x, 1.0, x);
    loop {
        power *= power;
        let before = total;
        total += power * weight;
        weight += weight;
        if total == before {
            return total;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(range: std::ops::Range<u32>) -> Distinct {
        let mut distinct = Distinct::default();
        for user in range {
            distinct.add(hash_of_label(&format!("user-{user}")));
            distinct.add(hash_of_label(&format!("user-{}", user / 2)));
        }
        distinct
    }

    #[test]
    fn few_members_are_counted_exactly() {
        for count in [0, 1, 2, 100, Distinct::FEW_MAX as u32] {
            assert_eq!(users(0..count).estimate(), f64::from(count));
        }
    }

    #[test]
    fn many_members_are_counted_within_five_percent() {
        // Three standard errors; hashes are fixed, so this passes always or never.
        for count in [513, 700, 1_000, 3_000, 5_000, 10_000, 12_000, 20_000, 50_000, 200_000] {
            let estimate = users(0..count).estimate();
            let off = estimate / f64::from(count) - 1.0;
            assert!(off.abs() < 0.049, "{estimate} for {count}");
        }
    }

    #[test]
    fn a_merge_is_the_same_as_one_count_of_all() {
        for (mine, theirs, all) in [
            (0..10, 5..20, 0..20),
            (0..400, 300..700, 0..700),
            (0..5_000, 0..10, 0..5_000),
            (0..10, 0..5_000, 0..5_000),
            (0..3_000, 2_000..9_000, 0..9_000),
        ] {
            let mut merged = users(mine);
            // A user's half is among the users only when the range starts at 0.
            merged.merge(&users(theirs.clone()));
            let mut whole = users(all);
            (theirs.start / 2..theirs.start)
                .for_each(|user| whole.add(hash_of_label(&format!("user-{user}"))));
            assert_eq!(merged, whole, "{theirs:?}");
        }
    }

    #[test]
    fn the_longest_run_ends_with_the_hash() {
        let mut registers = vec![0; REGISTERS];
        for (hash, run) in [(u64::MAX >> 12, 1), (1, 52), (0, RUN_MAX as u8)] {
            touch(&mut registers, hash);
            assert_eq!(registers[0], run, "{hash}");
        }
    }

    #[test]
    fn values_are_counted_by_what_they_equal() {
        assert_eq!(hash_of_value(0.0), hash_of_value(-0.0));
        assert_ne!(hash_of_value(1.0), hash_of_value(-1.0));
    }
}
