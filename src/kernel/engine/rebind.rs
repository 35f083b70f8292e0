//! Classes of series under rules' numbers, which a swap changes, and series that more rules take.

use crate::kernel::model::{Memo, SeriesId};
use crate::kernel::rule::Grouping;
use crate::kernel::rule::ruleset::{Binding, RuleIndex};
use crate::kernel::rule::succession::Succession;
use crate::kernel::shard::{group_key, shard_of};

use super::Engine;
use super::classes::Class;
use super::latest::Latest;
use super::output::Output;

impl Engine {
    /// Makes the classes' bindings go by the rules' new numbers. Series of rules that are gone, or
    /// take series anew, are not touched: the place of such a binding stays and is empty.
    pub(super) fn renumber_classes(&mut self, succession: &Succession) {
        self.class_of.clear();
        for class in &mut self.classes {
            class.renumber(succession);
        }
        self.classes_known = false;
    }

    /// The class of series that are bound so.
    pub(super) fn intern_class(&mut self, bindings: Vec<Binding>) -> u32 {
        if !std::mem::replace(&mut self.classes_known, true) {
            for (number, class) in self.classes.iter().enumerate() {
                if let Some(bindings) = class.bindings.iter().copied().collect() {
                    self.class_of.insert(bindings, number as u32);
                }
            }
        }
        if let Some(class) = self.class_of.get(&bindings) {
            return *class;
        }
        let number = self.classes.len() as u32;
        self.classes.push(Class::new(&bindings));
        self.class_of.insert(bindings, number);
        number
    }

    /// Binds a series that is known to more rules.
    pub(super) fn extend_bindings(&mut self, id: SeriesId, fresh: Vec<(Binding, u32)>) {
        let Latest { class, home, .. } = self.latest[id];
        let class = &self.classes[class as usize];
        let members = self.bound.members(home, class.bindings.len());
        self.bound.leave(home, class.bindings.len());
        let known = class.bindings.iter().zip(members);
        let known = known.filter_map(|(binding, member)| Some(((*binding)?, member)));
        let mut all: Vec<(Binding, u32)> = known.collect();
        for (binding, member) in &all {
            let run = &mut self.runs[binding.rule.index()];
            run.sync_followed(&self.latest, *member);
            run.rouse(&mut self.latest, run.group_of[*member as usize]);
        }
        all.extend(fresh);
        all.sort_unstable();
        self.place(id, all);
    }

    /// A rule with `absent` that names one series in full watches for it before it was ever seen.
    pub(super) fn open_named(&mut self, rules: &[RuleIndex], out: &mut Output) {
        for index in rules {
            let rule = self.ruleset.rule(*index).clone();
            let Some(series) =
                rule.timing.absent.and_then(|_| rule.inputs[0].selector.names_in_full())
            else {
                continue;
            };
            // The key is known only when the selector names the labels that make it.
            let named = match &rule.by {
                Grouping::EachSeries => !rule.inputs[0].selector.matchers.is_empty(),
                Grouping::By(labels) => labels.iter().all(|label| series.label(label).is_some()),
            };
            if !named {
                continue;
            }
            let key = group_key(&rule, 0, &series, &mut Memo::of_nothing());
            if shard_of(&key, self.shards) == self.shard {
                self.with_rule(index.0, None, out, |run, context| {
                    if run.group_of(&key).is_none() {
                        let group = run.open_group(context, key);
                        run.schedule(context, group);
                    }
                });
            }
        }
    }
}
