//! Adopting a ruleset between two batches: state is carried by rule name, never by content.

use std::sync::Arc;

use crate::kernel::event::Cause;
use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::ruleset::{RuleIndex, Ruleset};
use crate::kernel::rule::{Input, Judge, Rule, State};
use crate::kernel::sequence::Swap;
use crate::kernel::window::dense::Dense;

use super::group::{Group, More};
use super::output::{Adoption, Carried, Output};
use super::programs::Programs;
use super::run::RuleRun;
use super::spare::Spare;
use super::{Context, Engine, Phase, emit};

impl Engine {
    /// Adopts the ruleset for everything after this position.
    pub fn swap(&mut self, swap: Swap, out: &mut Output) {
        self.position = swap.position;
        self.forget_plans();
        let next = swap.ruleset;
        self.plugins.adopt(next.plugins());
        let mut old = std::mem::take(&mut self.runs).into_iter().peekable();
        // The new number of each old rule whose series stay bound.
        let mut numbers = Vec::with_capacity(old.len());
        out.discarded.rulesets.push(std::mem::replace(&mut self.ruleset, next.clone()));
        self.layer_marks = vec![self.watermark; next.depth() as usize];
        let mut adoption = Adoption::default();
        let (mut unbound, mut removed) = (Vec::new(), Vec::new());
        let (mut moved, mut named) = (Vec::new(), Vec::new());
        // Both are sorted by name.
        for (at, rule) in next.rules().iter().enumerate() {
            let index = RuleIndex(at as u32);
            let delay = next.delay(index);
            while let Some(gone) = old.next_if(|run| run.rule.name < rule.name) {
                removed.push(gone);
                numbers.push(None);
            }
            let Some(run) = old.next_if(|run| run.rule.name == rule.name) else {
                self.runs.push(Box::new(RuleRun::new(rule.clone(), delay)));
                adoption.rules.push((rule.name.clone(), Carried::Added));
                unbound.push(index);
                continue;
            };
            let (was_quarantined, was_absent) = (run.quarantined, run.rule.timing.absent.is_some());
            let first = self.shard == 0;
            let mut context = self.context(out, index);
            let (run, carried, bound) = run.carry(&mut context, rule, delay);
            if first && was_quarantined && !run.quarantined {
                run.signal(&mut context, run.unhealthy(), -1);
            }
            if bound && !was_absent {
                named.push(index);
            }
            adoption.rules.push((rule.name.clone(), carried));
            numbers.push(bound.then_some(index));
            if !bound {
                unbound.push(index);
                moved.push(index);
            }
            self.runs.push(run);
        }
        for gone in old {
            removed.push(gone);
            numbers.push(None);
        }
        for run in removed {
            adoption.rules.push((run.rule.name.clone(), Carried::Removed));
            self.end_removed(run, out);
        }
        self.renumber(&numbers);
        self.bind_rules(&unbound, out);
        for introduction in &swap.introduced {
            self.introduce(introduction, out);
        }
        for index in moved {
            self.drop_strays(index, out);
        }
        named.extend(&unbound);
        self.open_named(&named, out);
        self.hand_down(&mut adoption);
        for rule in 0..self.runs.len() as u32 {
            self.with_rule(rule, None, out, |_, _| {});
        }
        adoption.rules.sort();
        out.adopted = Some(adoption);
    }

    fn end_removed(&mut self, mut run: Box<RuleRun>, out: &mut Output) {
        let first = self.shard == 0;
        let mut context = self.context(out, RuleIndex(0));
        let at = context.watermark;
        if first && run.quarantined {
            run.signal(&mut context, run.unhealthy(), -1);
        }
        run.end_all(&mut context, at, Cause::RuleRemoved);
    }

    /// Makes what goes by rules' numbers go by the new ones, if they changed.
    fn renumber(&mut self, numbers: &[Option<RuleIndex>]) {
        let same =
            |(at, number): (usize, &Option<RuleIndex>)| *number == Some(RuleIndex(at as u32));
        if numbers.len() != self.runs.len() || !numbers.iter().enumerate().all(same) {
            self.agenda.clear();
            self.agenda_at = vec![EventTime::MAX; self.runs.len()];
            self.remap_classes(numbers);
        }
    }

    /// The rules to begin with, before anything happened.
    pub fn adopt_first(&mut self, ruleset: Arc<Ruleset>, out: &mut Output) {
        self.swap(Swap { position: 0, ruleset, introduced: Vec::new() }, out);
    }

    fn context<'a>(&'a mut self, out: &'a mut Output, rule: RuleIndex) -> Context<'a> {
        Context {
            out,
            plugins: &mut self.plugins,
            latest: &mut self.latest,
            listening: &self.listening,
            watermark: self.watermark,
            seen: self.watermark,
            position: self.position,
            phase: Phase::Sample,
            source: None,
            rule,
        }
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
                if run.groups.get(group).is_some_and(|group| group.members.is_empty()) {
                    run.end_group(context, group, at, Cause::RuleChanged);
                    run.drop_group(context, group);
                }
            }
        });
    }
}

impl RuleRun {
    /// This rule under its new text: itself, what it kept, and whether its series stay bound.
    fn carry(
        mut self: Box<Self>,
        context: &mut Context<'_>,
        rule: &Arc<Rule>,
        delay: Duration,
    ) -> (Box<RuleRun>, Carried, bool) {
        let old = self.rule.clone();
        // A rule that was read again but not edited: what its conditions say of their places still
        // holds if it did not move.
        let same = old.version == rule.version && old.origin == rule.origin;
        if (same || Arc::ptr_eq(&old, rule)) && self.delay == delay {
            self.rule = rule.clone();
            return (self, Carried::Unchanged, true);
        }
        // Reloading a rule lifts its quarantine.
        let was_at_work = !std::mem::take(&mut self.quarantined);
        let selects_alike = selects_alike(&old, rule);
        if selects_alike && was_at_work && self.goes_on_at_rest(rule) {
            let carried = carried_under(&old, rule);
            drop(old);
            return (self.with_new_conditions(context, rule, delay), carried, true);
        }
        self.rouse_all(context.latest);
        if !selects_alike {
            return self.reselect(context, rule, delay);
        }
        let fresh = RuleRun::new(rule.clone(), delay);
        let why = self.why_not_kept(&fresh);
        let (specs, base_spec) = (fresh.specs, fresh.base_spec);
        self.programs = Programs::new(rule);
        (self.plain, self.guest) = (fresh.plain, fresh.guest);
        (self.every, self.remembers) = (fresh.every, fresh.remembers);
        (self.rule, self.delay, self.share) = (rule.clone(), delay, fresh.share);
        (self.specs, self.base_spec) = (specs, base_spec);
        if why.is_some() {
            self.keep_anew(fresh.dense);
        }
        self.follow(context.latest);
        self.refresh_groups(context, &old, why.is_some());
        self.realign();
        let carried = match why {
            Some(why) => Carried::Reset { why },
            None => carried_under(&old, rule),
        };
        (self, carried, true)
    }

    /// Whether groups at rest have nothing in them that the rule's new text could change: they are
    /// judged by it from their next sample on.
    fn goes_on_at_rest(&self, rule: &Rule) -> bool {
        self.plain
            && RuleRun::is_plain(rule)
            && self.rule.timing == rule.timing
            && self.rule.labels == rule.labels
    }

    fn with_new_conditions(
        mut self: Box<Self>,
        context: &mut Context<'_>,
        rule: &Arc<Rule>,
        delay: Duration,
    ) -> Box<RuleRun> {
        let programs = std::mem::replace(&mut self.programs, Programs::new(rule));
        let old = std::mem::replace(&mut self.rule, rule.clone());
        context.out.discarded.rules.push((old, programs));
        self.delay = delay;
        if self.at_rest == self.groups.len() {
            return self;
        }
        for group in self.groups.iter_mut().filter(|group| !group.at_rest) {
            group.stale = true;
            group.end_faults();
        }
        self
    }

    /// Why windows and `this` cannot go on under the new text; alerts always do.
    fn why_not_kept(&self, next: &RuleRun) -> Option<String> {
        let (old, new) = (&self.rule, &next.rule);
        let continues = self.specs.len() == next.specs.len()
            && next.specs.iter().zip(&self.specs).all(|(new, old)| new.continues(old));
        if old.shape != new.shape {
            return Some("the window is another one".into());
        }
        if !continues
            || self.base_columns() != next.base_columns()
            || self.base_spec != next.base_spec
        {
            return Some("its conditions read figures that were not kept before".into());
        }
        if old.across != new.across || old.declared.distinct != new.declared.distinct {
            return Some("series are folded in another way".into());
        }
        if matches!(old.judge, Judge::Guest(_)) != matches!(new.judge, Judge::Guest(_)) {
            return Some("it is judged by another kind of program".into());
        }
        if !same_form(old.state.as_ref(), new.state.as_ref()) {
            return Some("`this` has other keys or types".into());
        }
        None
    }

    /// Makes what the groups hold fit the rule's new text.
    fn refresh_groups(&mut self, context: &mut Context<'_>, old: &Rule, reset: bool) {
        let at = context.watermark;
        let rule = self.rule.clone();
        let relabelled = old.labels != rule.labels;
        let retimed = old.timing != rule.timing || reset;
        if retimed {
            self.timers.clear();
        }
        for number in self.groups.numbers() {
            let group = &mut self.groups[number];
            group.stale = true;
            group.end_faults();
            if group.alert.history.is_some() != rule.flapping.is_some() {
                group.alert.history = rule.flapping.map(|_| Default::default());
            }
            if relabelled {
                emit::relabel(old, &rule, group, context, at);
            }
            if reset {
                self.reset_group(context, number);
            }
            if retimed {
                self.groups[number].wake = EventTime::MAX;
                self.schedule(context, number);
            }
        }
    }

    /// Begins with empty windows, kept as the new text wants them.
    fn keep_anew(&mut self, dense: Option<Box<Dense>>) {
        self.dense = dense;
        self.resting.clear();
        let last = self.groups.numbers().last().copied();
        if let Some((dense, last)) = self.dense.as_mut().zip(last) {
            dense.make_room(last);
            self.resting.resize(last as usize + 1, false);
        }
    }

    /// New windows, joins and `this`; the alert and the series stay.
    fn reset_group(&mut self, context: &mut Context<'_>, number: u32) {
        let windowed = !self.specs.is_empty();
        let alone = self.rule.across.is_none() && self.dense.is_none();
        let inputs = if alone { self.specs.len() as u8 } else { 0 };
        let windows = (0..inputs).map(|input| self.new_window(context, input)).collect();
        let bases = self.base_columns().len();
        let joined = !windowed && self.rule.inputs.len() > 1;
        let pendings = joined.then(|| Box::new(super::join::Pendings::new(self.rule.inputs.len())));
        let state = self.first_state().filter(|_| self.judges_groups());
        let group = &mut self.groups[number];
        group.recent.windows = windows;
        let bases = vec![Default::default(); bases];
        let kept = More { bases, join: pendings, state, ..(*group.more).clone() };
        group.more = Spare::new(kept);
        group.awake = false;
        for number in group.members.clone() {
            let mut member = self.members[number].clone();
            self.renew_parts(context, &mut member);
            self.members[number] = member;
        }
        self.awake.retain(|other| *other != number);
    }

    /// The selector or the grouping changed: groups whose key can still be meant go on, and their
    /// series are bound anew.
    fn reselect(
        mut self: Box<Self>,
        context: &mut Context<'_>,
        rule: &Arc<Rule>,
        delay: Duration,
    ) -> (Box<RuleRun>, Carried, bool) {
        let at = context.watermark;
        let mut next = Box::new(RuleRun::new(rule.clone(), delay));
        next.closed = self.closed;
        next.realign();
        next.stats = std::mem::take(&mut self.stats);
        if self.rule.by != rule.by || self.rule.inputs.len() != rule.inputs.len() {
            self.end_all(context, at, Cause::RuleChanged);
            return (
                next,
                Carried::Reset {
                    why: "its groups are other ones, so its alerts are resolved".into(),
                },
                false,
            );
        }
        let why = self.why_not_kept(&next);
        if why.is_none() && self.dense.is_none() {
            // Its groups bring windows of their own.
            next.dense = None;
            next.follows = next.follows_records();
        }
        let old = self.rule.clone();
        for number in self.groups.numbers() {
            let mut group: Group = self.groups[number].clone();
            let members = std::mem::take(&mut group.members);
            group.awake = false;
            group.wake = EventTime::MAX;
            let moved = next.enter_group(group);
            if let Some((dense, old)) = next.dense.as_mut().zip(self.dense.as_ref())
                && why.is_none()
            {
                dense.put_back(moved, self.closed, &old.take_out(number));
            }
            for member in members {
                let mut member = self.members[member].clone();
                member.group = moved;
                if why.is_some() {
                    next.renew_parts(context, &mut member);
                }
                next.waiting.insert((member.input, member.series.clone()), member);
            }
        }
        next.refresh_groups(context, &old, why.is_some());
        for number in next.groups.numbers() {
            next.schedule(context, number);
            if next.every.is_some() {
                next.wake(number);
            }
        }
        let carried = why.map_or(Carried::Kept, |why| Carried::Reset { why });
        (next, carried, false)
    }
}

fn carried_under(old: &Rule, new: &Rule) -> Carried {
    if old.version == new.version { Carried::Unchanged } else { Carried::Kept }
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

/// The same keys with the same types of values.
fn same_form(old: Option<&State>, new: Option<&State>) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(State::Map(old)), Some(State::Map(new))) => {
            old.len() == new.len()
                && old.iter().zip(new).all(|((old_key, old), (new_key, new))| {
                    old_key == new_key && same_form(Some(old), Some(new))
                })
        }
        (Some(old), Some(new)) => std::mem::discriminant(old) == std::mem::discriminant(new),
        (None, Some(_)) | (Some(_), None) => false,
    }
}
