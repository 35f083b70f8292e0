//! Flap detection: the weighted share of recent judgements whose level differed from the one
//! before. The model is Nagios's, computed as Icinga 2 does.

use serde::{Deserialize, Serialize};

use crate::kernel::alert::lifecycle::Verdict;

/// Judgements that count.
const HISTORY: u32 = 20;

/// The last judgements of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Bit 0 is the newest judgement; a bit is set where the level differed from the one before.
    changed: u32,
    last: Option<Verdict>,
}

impl History {
    pub fn push(&mut self, verdict: Verdict) {
        let changed = self.last.is_some_and(|last| last != verdict);
        self.changed = (self.changed << 1 | u32::from(changed)) & ((1 << HISTORY) - 1);
        self.last = Some(verdict);
    }

    /// In percent. Weights rise from 0.80 for the oldest by 0.02 to 1.18 for the newest; a
    /// judgement that has not happened yet counts as unchanged.
    pub fn percent(&self) -> f64 {
        let weight = |age: u32| 0.80 + 0.02 * f64::from(HISTORY - 1 - age);
        let sum: f64 = (0..HISTORY).filter(|age| self.changed >> age & 1 == 1).map(weight).sum();
        sum / f64::from(HISTORY) * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::model::Level;

    /// A history whose judgement in slot `i` (from 1, oldest first) changed where listed.
    fn history(slots: &[u32]) -> History {
        let mut history = History::default();
        let (mut verdict, other) = (Verdict::Clear, Verdict::Breach(Level::Warning));
        history.push(verdict);
        for slot in 1..=HISTORY {
            if slots.contains(&slot) {
                verdict = if verdict == Verdict::Clear { other } else { Verdict::Clear };
            }
            history.push(verdict);
        }
        history
    }

    #[test]
    fn the_newest_change_weighs_most() {
        let close = |slots: &[u32], percent: f64| {
            let got = history(slots).percent();
            assert!((got - percent).abs() < 1e-9, "{slots:?}: {got}");
        };
        close(&[], 0.0);
        close(&[1], 4.0);
        close(&[20], 5.9);
        // The example of the old Nagios manual.
        close(&[3, 4, 5, 9, 12, 16, 19], 34.1);
        close(&(1..=20).collect::<Vec<_>>(), 99.0);
    }

    #[test]
    fn the_first_judgement_of_all_is_no_change() {
        let mut history = History::default();
        history.push(Verdict::Breach(Level::Critical));
        assert_eq!(history.percent(), 0.0);
    }

    #[test]
    fn a_change_leaves_after_twenty_judgements() {
        let mut history = History::default();
        history.push(Verdict::Clear);
        history.push(Verdict::Breach(Level::Info));
        for _ in 0..19 {
            history.push(Verdict::Breach(Level::Info));
            assert!(history.percent() > 0.0);
        }
        history.push(Verdict::Breach(Level::Info));
        assert_eq!(history.percent(), 0.0);
    }
}
