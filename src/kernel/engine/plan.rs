//! How the bindings of a class of series are judged.

use smallvec::SmallVec;

use crate::kernel::model::EventTime;
use crate::kernel::rule::program::Threshold;
use crate::kernel::rule::ruleset::Binding;
use crate::kernel::rule::succession::Succession;

use super::Engine;
use super::latest::PLACES;
use super::programs::Programs;
use super::run::RuleRun;

/// The bindings of a class by how they are judged. What every batch asks lies together: a thousand
/// rules of a few series each would else cost a thousand walks through memory.
#[derive(Default)]
pub struct Plan {
    pub thresholds: Vec<Line>,
    /// All other bindings, with their places.
    pub others: Vec<(usize, Binding)>,
    /// The swap that it was made after.
    pub round: u64,
    /// Some condition is not confirmed yet: what it comes to may be used once it is.
    pub provisional: bool,
}

/// A binding to a rule that only holds values against constants.
pub struct Line {
    pub place: usize,
    pub binding: Binding,
    /// One for each level.
    pub thresholds: SmallVec<[Threshold; 1]>,
    /// Rows that left their groups at rest, and the time of the last, since the rule was told.
    pub rested: u64,
    pub last: Option<EventTime>,
}

impl Engine {
    /// Tells the rules what was counted for them.
    pub fn tell_counts(&mut self) {
        for class in &mut self.classes {
            if let Some(plan) = &mut class.plan {
                plan.tell(&mut self.runs);
            }
        }
        for run in &mut self.runs {
            let twice = std::mem::take(&mut run.counted_twice);
            run.stats.samples -= twice;
            run.stats.evaluations -= twice;
        }
    }
}

impl Line {
    fn tell(&mut self, runs: &mut [Box<RuleRun>]) {
        let rested = std::mem::take(&mut self.rested);
        runs[self.binding.rule.index()].count_rested(rested, self.last.take());
    }
}

impl Plan {
    /// Tells the rules what was counted for them.
    pub fn tell(&mut self, runs: &mut [Box<RuleRun>]) {
        self.thresholds.iter_mut().for_each(|line| line.tell(runs));
    }

    /// Keeps what was counted for rules that are still there.
    pub fn renumber(&mut self, succession: &Succession) {
        self.thresholds.retain_mut(|line| {
            let heir = succession.heir(line.binding.rule);
            line.binding.rule = heir.unwrap_or(line.binding.rule);
            heir.is_some()
        });
    }

    pub fn new(bindings: &[Option<Binding>], runs: &[Box<RuleRun>], round: u64) -> Plan {
        let mut plan = Plan { round, ..Plan::default() };
        for (place, binding) in bindings.iter().enumerate() {
            let Some(binding) = *binding else { continue };
            let run = &runs[binding.rule.index()];
            let fits = run.plain && place < PLACES;
            let thresholds = Programs::thresholds(&run.rule).filter(|_| fits);
            let confirmed = run.programs.is_confirmed();
            plan.provisional |= thresholds.is_some() && !confirmed;
            let thresholds = thresholds.filter(|_| confirmed);
            match thresholds.map(SmallVec::from_vec) {
                Some(thresholds) => {
                    let (rested, last) = (0, None);
                    plan.thresholds.push(Line { place, binding, thresholds, rested, last });
                }
                None => plan.others.push((place, binding)),
            }
        }
        plan
    }
}
