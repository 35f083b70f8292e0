//! What a ruleset changes about the one before it.
//!
//! All of it follows from the two sets alone, so it is found out before anything stands still for
//! the change. Rules go on by name, never by content.

use std::sync::Arc;

use super::program::Fault;
use super::ruleset::{Binding, Index, RuleIndex, Ruleset};
use super::{Input, Judge, Rule};
use crate::kernel::model::{Duration, Series};

#[derive(Debug)]
pub struct Succession {
    old: Arc<Ruleset>,
    new: Arc<Ruleset>,
    /// For each rule of the new set.
    changes: Vec<Change>,
    /// Rules of the new set that are not just the same ones.
    touched: Vec<RuleIndex>,
    /// Rules of the old set that are gone.
    removed: Vec<RuleIndex>,
    /// For each rule of the old set its number in the new one.
    heirs: Vec<Option<RuleIndex>>,
    renumbers: bool,
    /// The inputs of rules that take series anew; `None` when there are none.
    anew: Option<Index>,
    /// Rules that may watch for a series before it was ever seen, and did not.
    named: Vec<RuleIndex>,
}

/// Where a rule of the new set comes from. Numbers are those of the old set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Added,
    /// Nothing about it changed; `reread` when it was read from its file again all the same.
    Same {
        was: RuleIndex,
        reread: bool,
    },
    Edited {
        was: RuleIndex,
        edit: Edit,
    },
}

/// What an edit of a rule may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Its own text; else only its place, or the rules that feed it.
    pub text: bool,
    /// Which series it takes, or how it groups them.
    pub reselects: bool,
    /// Something may become due earlier in a group that nothing is wrong with.
    pub hastens: bool,
}

impl Succession {
    pub fn new(old: Arc<Ruleset>, new: Arc<Ruleset>) -> Succession {
        let mut succession = Succession {
            changes: Vec::with_capacity(new.rules().len()),
            touched: Vec::new(),
            removed: Vec::new(),
            heirs: vec![None; old.rules().len()],
            renumbers: false,
            anew: None,
            named: Vec::new(),
            old,
            new,
        };
        succession.compare();
        let takes_anew = |index: RuleIndex| !succession.keeps_series(index);
        let anew = succession.touched.iter().copied().filter(|index| takes_anew(*index));
        let anew: Vec<RuleIndex> = anew.collect();
        if !anew.is_empty() {
            succession.anew = Some(Index::of(succession.new.rules(), &anew));
        }
        succession
    }

    pub fn old(&self) -> &Arc<Ruleset> {
        &self.old
    }

    pub fn new_set(&self) -> &Arc<Ruleset> {
        &self.new
    }

    /// For each rule of the new set.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The rules of the new set that are not the same ones as before, or were read again.
    pub fn touched(&self) -> &[RuleIndex] {
        &self.touched
    }

    /// The rules of the old set that are gone.
    pub fn removed(&self) -> &[RuleIndex] {
        &self.removed
    }

    pub fn named(&self) -> &[RuleIndex] {
        &self.named
    }

    /// What number a rule of the old set has now; `None` when it is gone.
    pub fn heir(&self, was: RuleIndex) -> Option<RuleIndex> {
        self.heirs[was.index()]
    }

    /// As [`Succession::heir`], of rules whose series stay bound.
    pub fn bound_heir(&self, was: RuleIndex) -> Option<RuleIndex> {
        self.heir(was).filter(|index| self.keeps_series(*index))
    }

    /// The number in the old set of a rule that has the same series in the same groups.
    pub fn bound_before(&self, index: RuleIndex) -> Option<RuleIndex> {
        match self.changes[index.index()] {
            Change::Added => None,
            Change::Same { was, .. } => Some(was),
            Change::Edited { was, edit } => (!edit.reselects).then_some(was),
        }
    }

    /// Some rule has another number than before, or gives up its series.
    pub fn renumbers(&self) -> bool {
        self.renumbers
    }

    /// Whether some rules take series anew.
    pub fn binds(&self) -> bool {
        self.anew.is_some()
    }

    /// As [`Ruleset::bindings`], of rules that take series anew.
    pub fn bindings(&self, series: &Series) -> (Vec<Binding>, Vec<(RuleIndex, Fault)>) {
        match &self.anew {
            Some(index) => index.bindings(self.new.rules(), series),
            None => (Vec::new(), Vec::new()),
        }
    }

    fn keeps_series(&self, index: RuleIndex) -> bool {
        self.bound_before(index).is_some()
    }

    /// Both sets are sorted by name.
    fn compare(&mut self) {
        let (old, new) = (self.old.clone(), self.new.clone());
        let mut before = old.rules().iter().enumerate().peekable();
        for (at, rule) in new.rules().iter().enumerate() {
            let index = RuleIndex(at as u32);
            while let Some((gone, _)) = before.next_if(|(_, known)| known.name < rule.name) {
                self.removed.push(RuleIndex(gone as u32));
            }
            let known = before.next_if(|(_, known)| known.name == rule.name);
            let known = known.map(|(was, known)| (RuleIndex(was as u32), known));
            let change = known.map_or(Change::Added, |(was, known)| {
                let delayed = old.delay(was) != new.delay(index);
                change(was, known, rule, delayed)
            });
            self.note(index, change, known.map(|(_, known)| known.as_ref()), rule);
        }
        self.removed.extend(before.map(|(gone, _)| RuleIndex(gone as u32)));
        self.renumbers |= !self.removed.is_empty();
    }

    fn note(&mut self, index: RuleIndex, change: Change, old: Option<&Rule>, new: &Rule) {
        let was = match change {
            Change::Added => None,
            Change::Same { was, .. } | Change::Edited { was, .. } => Some(was),
        };
        if let Some(was) = was {
            self.heirs[was.index()] = Some(index);
        }
        self.changes.push(change);
        let keeps_series = self.keeps_series(index);
        self.renumbers |= was != Some(index) || !keeps_series;
        if !matches!(change, Change::Same { reread: false, .. }) {
            self.touched.push(index);
        }
        let watched = old.is_some_and(|old| keeps_series && old.timing.absent.is_some());
        if new.timing.absent.is_some() && !watched {
            self.named.push(index);
        }
    }
}

fn change(was: RuleIndex, old: &Arc<Rule>, new: &Arc<Rule>, delayed: bool) -> Change {
    let one = Arc::ptr_eq(old, new);
    // A rule that was read again but not edited: what its conditions say of their places still
    // holds if it did not move.
    let same = old.version == new.version && old.origin == new.origin;
    if (one || same) && !delayed {
        return Change::Same { was, reread: !one };
    }
    let edit = Edit {
        text: old.version != new.version,
        reselects: !selects_alike(old, new),
        hastens: delayed || hastens(old, new),
    };
    Change::Edited { was, edit }
}

/// Whether something may be due earlier: what is due later is put off when its old time comes.
/// Soak, cool and reminders concern alerts that do something.
fn hastens(old: &Rule, new: &Rule) -> bool {
    let absent = |rule: &Rule| rule.timing.absent.unwrap_or(Duration::MAX);
    let life = |rule: &Rule| {
        if rule.timing.forget_firing { rule.timing.forget } else { rule.remembers() }
    };
    new.timing.expire < old.timing.expire || life(new) < life(old) || absent(new) < absent(old)
}

/// The same series in the same groups. A closure over labels may have changed with any edit.
fn selects_alike(old: &Rule, new: &Rule) -> bool {
    let closure = |rule: &Rule| rule.inputs.iter().any(|input| input.selector.filter.is_some());
    let same_input =
        |(a, b): (&Input, &Input)| a.name == b.name && a.selector.reads_alike(&b.selector);
    let same_inputs =
        old.inputs.len() == new.inputs.len() && old.inputs.iter().zip(&new.inputs).all(same_input);
    let plugin = |rule: &Rule| match &rule.judge {
        Judge::Guest(guest) => Some(guest.plugin.clone()),
        Judge::Levels(_) | Judge::Absent(_) | Judge::Never => None,
    };
    old.by == new.by
        && same_inputs
        && plugin(old) == plugin(new)
        && (old.version == new.version || !(closure(old) || closure(new)))
}
