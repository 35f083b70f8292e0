//! After a swap: classes under their new numbers, and series bound to rules that are new.

use std::collections::BTreeMap;

use crate::kernel::model::{Series, SeriesId};
use crate::kernel::rule::Grouping;
use crate::kernel::rule::ruleset::{Binding, RuleIndex};
use crate::kernel::rule::selector::NamePattern;
use crate::kernel::sequence::Entry;
use crate::kernel::shard::{group_key, shard_of};

use super::Engine;
use super::output::Output;

impl Engine {
    /// Renumbers the bindings of every class and takes out those of rules that are gone or will be
    /// bound anew.
    pub fn remap_classes(&mut self, numbers: &[Option<RuleIndex>]) {
        let kept: Vec<Vec<usize>> = self
            .classes
            .iter()
            .map(|class| {
                let stays = |at: &usize| numbers[class.bindings[*at].rule.index()].is_some();
                (0..class.bindings.len()).filter(stays).collect()
            })
            .collect();
        let loses = |class: u32| {
            let class = class as usize;
            kept[class].len() < self.classes[class].bindings.len()
        };
        for (at, bound) in self.series.iter_mut().enumerate() {
            let Some(bound) = bound else { continue };
            let class = self.latest[SeriesId(at as u32)].class;
            if !loses(class) {
                continue;
            }
            let stays = &kept[class as usize];
            bound.members = stays.iter().map(|at| bound.members[*at]).collect();
            for (place, (from, member)) in stays.iter().zip(&bound.members).enumerate() {
                let old = self.classes[class as usize].bindings[*from].rule;
                let rule = numbers[old.index()].expect("only rules that stay are kept");
                let run = &mut self.runs[rule.index()];
                run.rouse(&mut self.latest, run.members[*member].group);
                run.move_to_place(*member, place);
            }
            self.latest.enter(SeriesId(at as u32), class, &bound.members);
        }
        self.class_of.clear();
        for (number, (class, stays)) in self.classes.iter_mut().zip(&kept).enumerate() {
            let renumbered = stays.iter().filter_map(|at| {
                let Binding { rule, input } = class.bindings[*at];
                numbers[rule.index()].map(|rule| Binding { rule, input })
            });
            class.bindings = renumbered.collect();
            self.class_of.insert(class.bindings.clone(), number as u32);
        }
    }

    /// Binds the series that are known to rules that are new or select anew.
    pub fn bind_rules(&mut self, rules: &[RuleIndex], out: &mut Output) {
        if rules.is_empty() || self.series.iter().all(Option::is_none) {
            return;
        }
        let mut by_metric: BTreeMap<String, Vec<SeriesId>> = BTreeMap::new();
        for (at, bound) in self.series.iter().enumerate() {
            if let Some(bound) = bound {
                let id = SeriesId(at as u32);
                by_metric.entry(bound.series.name().to_owned()).or_default().push(id);
            }
        }
        let place = (self.position, self.watermark);
        let mut fresh: BTreeMap<SeriesId, Vec<(Binding, u32)>> = BTreeMap::new();
        for index in rules {
            let rule = self.ruleset.rule(*index).clone();
            for (input, declared) in rule.inputs.iter().enumerate() {
                let binding = Binding { rule: *index, input: input as u8 };
                let candidates: Vec<SeriesId> = match &declared.selector.metric {
                    NamePattern::Exact(name) => {
                        by_metric.get(name.as_ref()).cloned().unwrap_or_default()
                    }
                    NamePattern::Glob(_) => by_metric.values().flatten().copied().collect(),
                };
                for id in candidates {
                    let series = self.series_of(id);
                    if declared.selector.takes(&series) != Ok(true) {
                        continue;
                    }
                    let key = group_key(&rule, binding.input, &series);
                    let own = shard_of(&key, self.shards) == self.shard;
                    let entry = Entry { binding, key };
                    if own && let Some(member) = self.bind((id, &series), &entry, place, out) {
                        fresh.entry(id).or_default().push((binding, member));
                    }
                }
            }
        }
        for (id, fresh) in fresh {
            self.extend_bindings(id, fresh);
        }
    }

    fn series_of(&self, id: SeriesId) -> Series {
        let bound = self.series[id.index()].as_ref();
        bound.expect("only series that are bound are asked for").series.clone()
    }

    fn extend_bindings(&mut self, id: SeriesId, fresh: Vec<(Binding, u32)>) {
        let bound = self.series[id.index()].take().expect("only known series are bound anew");
        let class = self.latest[id].class as usize;
        for (binding, member) in self.classes[class].bindings.iter().zip(&bound.members) {
            let run = &mut self.runs[binding.rule.index()];
            run.rouse(&mut self.latest, run.members[*member].group);
        }
        let known = self.classes[class].bindings.iter().copied();
        let mut all: Vec<(Binding, u32)> = known.zip(bound.members).chain(fresh).collect();
        all.sort_unstable();
        self.place(id, bound.series, all);
    }

    /// A rule with `absent` that names one series in full watches for it before it was ever seen.
    pub fn open_named(&mut self, rules: &[RuleIndex], out: &mut Output) {
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
            let key = group_key(&rule, 0, &series);
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
