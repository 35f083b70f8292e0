//! How long shards stand still when a set of rules is handed over.

use std::time::Duration;

use crate::shell::metrics::{Buckets, Histogram};

/// From 100 µs to 1 s, in seconds, with the promised 5 ms among them.
const BOUNDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// Counts one pause for each shard and reload.
#[derive(Debug)]
pub struct Pauses(Histogram);

impl Default for Pauses {
    fn default() -> Pauses {
        Pauses(Histogram::new(BOUNDS))
    }
}

impl Pauses {
    /// Takes the pauses of one reload and gives the longest; none when there was no shard to ask.
    pub fn observe(&self, each: &[Duration]) -> Duration {
        each.iter().for_each(|pause| self.0.observe(*pause));
        each.iter().max().copied().unwrap_or_default()
    }

    pub fn read(&self) -> Buckets {
        self.0.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_is_counted_and_the_longest_is_told() {
        let pauses = Pauses::default();
        let micros = Duration::from_micros;
        assert_eq!(pauses.observe(&[micros(90), micros(5_000), micros(5_001)]), micros(5_001));
        assert_eq!(pauses.observe(&[]), Duration::ZERO);
        let read = pauses.read();
        let filled: Vec<(f64, u64)> =
            read.bounds.iter().copied().zip(read.counts).filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.0001, 1), (0.005, 1), (0.01, 1)]);
    }
}
