//! Adopting a ruleset between two batches.
//!
//! The shard stands still for it, so what follows from the rules alone was found out before: what
//! changed ([`Succession`]), and the runs of rules that are new or edited ([`Fresh`]). A rule that
//! is the same, or whose groups are all at rest and stay so, costs next to nothing, however many
//! groups it has.

use std::sync::Arc;

use crate::kernel::event::Cause;
use crate::kernel::model::EventTime;
use crate::kernel::rule::ruleset::{RuleIndex, Ruleset};
use crate::kernel::rule::succession::{Change, Succession};
use crate::kernel::sequence::Swap;

use super::fresh::{Fresh, FreshRun, Runs};
use super::output::{Adopted, Output};
use super::run::RuleRun;
use super::{Context, Engine, Phase};

impl Engine {
    /// Adopts the ruleset for everything after this position.
    pub fn swap(&mut self, swap: Swap, fresh: Fresh, out: &mut Output) {
        let Swap { position, succession, introduced } = swap;
        assert_eq!(self.ruleset.version(), succession.old().version());
        let Fresh { added, mut edited } = fresh;
        self.position = position;
        self.round += 1;
        self.ruleset = succession.new_set().clone();
        self.plugins.adopt(self.ruleset.plugins());
        self.layer_marks.clear();
        self.layer_marks.resize(self.ruleset.depth() as usize, self.watermark);
        if succession.renumbers() {
            for gone in self.rearrange(&succession, added) {
                self.end_removed(gone, out);
            }
        }
        self.reread(&succession);
        let mut resets = Vec::new();
        for fresh in &mut edited {
            if let Some(why) = self.edit(fresh, out) {
                resets.push((fresh.index, why));
            }
        }
        for introduction in &introduced {
            self.introduce(introduction, out);
        }
        for moved in edited.iter().filter(|fresh| fresh.edit.reselects) {
            self.drop_strays(moved.index, out);
        }
        self.open_named(succession.named(), out);
        resets.extend(self.hand_down(&succession));
        out.discarded.push(edited);
        out.adopted = Some(Adopted { succession, resets });
    }

    /// The rules to begin with, before anything happened.
    pub fn adopt_first(&mut self, ruleset: Arc<Ruleset>, out: &mut Output) {
        let succession = Arc::new(Succession::new(self.ruleset.clone(), ruleset));
        self.swap_unprepared(Swap { position: 0, succession, introduced: Vec::new() }, out);
    }

    /// As [`Engine::swap`], making what it needs on the way.
    pub(super) fn swap_unprepared(&mut self, swap: Swap, out: &mut Output) {
        let fresh = Fresh::new(&swap.succession);
        self.swap(swap, fresh, out);
    }

    /// Puts the runs into the order of the new rules; gives those that are gone.
    fn rearrange(&mut self, succession: &Succession, added: Runs) -> Runs {
        let old = std::mem::take(&mut self.runs).into_iter();
        let mut old: Vec<Option<Box<RuleRun>>> = old.map(Some).collect();
        let mut added = added.into_iter();
        let run_of = |change: &Change| match change {
            Change::Added => added.next(),
            Change::Same { was, .. } | Change::Edited { was, .. } => old[was.index()].take(),
        };
        let runs = succession.changes().iter().map(run_of);
        self.runs =
            runs.collect::<Option<_>>().expect("what was added was made, the rest was there");
        self.renumber(succession);
        old.into_iter().flatten().collect()
    }

    /// Makes what goes by rules' numbers go by the new ones.
    fn renumber(&mut self, succession: &Succession) {
        let old = std::mem::take(&mut self.agenda).into_iter();
        let moved = |(due, rule)| Some((due, succession.heir(RuleIndex(rule))?.0));
        let agenda: Vec<(EventTime, u32)> = old.filter_map(moved).collect();
        self.agenda_at.clear();
        self.agenda_at.resize(self.runs.len(), EventTime::MAX);
        for (due, rule) in &agenda {
            self.agenda_at[*rule as usize] = *due;
        }
        self.agenda = agenda.into_iter().collect();
        self.renumber_classes(succession);
    }

    fn end_removed(&mut self, mut run: Box<RuleRun>, out: &mut Output) {
        let at = self.watermark;
        let mut context = Context {
            out,
            plugins: &mut self.plugins,
            latest: &mut self.latest,
            listening: &self.listening,
            watermark: at,
            seen: at,
            position: self.position,
            phase: Phase::Sample,
            source: None,
            rule: RuleIndex(u32::MAX),
        };
        if self.shard == 0 && run.quarantined {
            run.signal(&mut context, run.unhealthy(), -1);
        }
        run.end_for_good(&mut context, at, Cause::RuleRemoved);
        out.discarded.push(run);
    }

    /// Rules that were not edited but read again: their text is the new set's own.
    fn reread(&mut self, succession: &Succession) {
        for index in succession.touched() {
            if let Change::Same { reread: true, .. } = succession.changes()[index.index()] {
                self.runs[index.index()].rule = self.ruleset.rule(*index).clone();
            }
        }
    }

    /// Makes an edited rule go on under its new text; gives what of it begins anew, and why.
    fn edit(&mut self, fresh: &mut FreshRun, out: &mut Output) -> Option<String> {
        if self.runs[fresh.index.index()].goes_on_asleep(fresh) {
            return None;
        }
        let (first, mut why) = (self.shard == 0, None);
        self.with_rule(fresh.index.0, None, out, |run, context| {
            // Reloading a rule lifts its quarantine.
            if first && run.quarantined {
                run.signal(context, run.unhealthy(), -1);
            }
            why = run.carry(context, fresh);
        });
        why
    }

    /// Groups that had series before the swap and have none under the new selector.
    pub(super) fn drop_strays(&mut self, index: RuleIndex, out: &mut Output) {
        let at = self.watermark;
        self.with_rule(index.0, None, out, |run, context| {
            let mut strays: Vec<u32> = run.waiting.values().map(|member| member.group).collect();
            strays.sort_unstable();
            strays.dedup();
            run.waiting.clear();
            for group in strays {
                if run.groups.get(group).is_some_and(|group| group.members().is_empty()) {
                    run.end_group(context, group, at, Cause::RuleChanged);
                    run.drop_group(context, group);
                }
            }
        });
    }
}
