//! How the bindings of a class of series are judged.

use smallvec::SmallVec;

use crate::kernel::model::EventTime;
use crate::kernel::rule::program::Threshold;
use crate::kernel::rule::ruleset::{Binding, RuleIndex};

use super::latest::PLACES;
use super::programs::Programs;
use super::run::RuleRun;

/// The bindings of a class by how they are judged. What every batch asks lies together: a thousand
/// rules of a few series each would else cost a thousand walks through memory.
#[derive(Default)]
pub struct Plan {
    pub thresholds: Vec<Line>,
    /// Places of all other bindings.
    pub others: Vec<usize>,
    /// Some condition is not confirmed yet: what it comes to may be used once it is.
    pub provisional: bool,
}

/// A binding to a rule that only holds values against constants.
pub struct Line {
    pub place: usize,
    pub rule: RuleIndex,
    /// One for each level.
    pub thresholds: SmallVec<[Threshold; 1]>,
    /// Rows that left their groups at rest, and the time of the last, since the rule was told.
    pub rested: u64,
    pub last: Option<EventTime>,
}

impl Line {
    pub fn tell(&mut self, runs: &mut [Box<RuleRun>]) {
        let rested = std::mem::take(&mut self.rested);
        runs[self.rule.index()].count_rested(rested, self.last.take());
    }
}

impl Plan {
    pub fn new(bindings: &[Binding], runs: &[Box<RuleRun>]) -> Plan {
        let mut plan = Plan::default();
        for (place, binding) in bindings.iter().enumerate() {
            let run = &runs[binding.rule.index()];
            let fits = run.plain && place < PLACES;
            let thresholds = Programs::thresholds(&run.rule).filter(|_| fits);
            let confirmed = run.programs.is_confirmed();
            plan.provisional |= thresholds.is_some() && !confirmed;
            let thresholds = thresholds.filter(|_| confirmed);
            match thresholds.map(SmallVec::from_vec) {
                Some(thresholds) => {
                    let (rule, rested, last) = (binding.rule, 0, None);
                    plan.thresholds.push(Line { place, rule, thresholds, rested, last });
                }
                None => plan.others.push(place),
            }
        }
        plan
    }
}
