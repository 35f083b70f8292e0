//! What a rule keeps when its text is edited: state is carried by rule name, never by content.

use std::sync::Arc;

use crate::kernel::event::Cause;
use crate::kernel::model::EventTime;
use crate::kernel::rule::{Judge, Rule};
use crate::kernel::shard::overflow_key;
use crate::kernel::window::dense::Dense;

use super::fresh::FreshRun;
use super::group::{Group, More};
use super::member::Waiting;
use super::output::Trouble;
use super::run::RuleRun;
use super::spare::Spare;
use super::{Context, emit};

/// What an edit means for groups that are not at rest, or that are all looked at.
#[derive(Clone, Copy)]
struct Refresh<'a> {
    old: &'a Rule,
    relabels: bool,
    retimes: bool,
    resets: bool,
}

impl RuleRun {
    /// Takes over an edit that concerns no group: all of them are at rest and stay so. They are
    /// judged by the new text from their next sample on. False when there is more to do.
    pub fn goes_on_asleep(&mut self, fresh: &mut FreshRun) -> bool {
        let asleep = self.rests_under(fresh) && self.at_rest == self.groups.len();
        if asleep {
            self.take_text(&mut fresh.run);
        }
        asleep
    }

    /// Goes on under the rule's new text; what that puts out of use is left in `fresh`. Gives why
    /// something begins anew.
    pub fn carry(&mut self, context: &mut Context<'_>, fresh: &mut FreshRun) -> Option<String> {
        let FreshRun { edit, lost, .. } = *fresh;
        if self.rests_under(fresh) {
            self.take_text(&mut fresh.run);
            let old = fresh.run.rule.clone();
            let refresh = self.refresh_after(&old, false);
            for number in self.groups.numbers() {
                if !self.groups[number].at_rest {
                    self.refresh_group(context, number, refresh);
                }
            }
            return None;
        }
        self.quarantined = false;
        // Such rules have no groups at rest, and their members go on following records.
        let follows_on = self.follows && fresh.run.follows && !edit.reselects && lost.is_none();
        if !follows_on {
            self.rouse_all(context.latest);
        }
        if edit.reselects {
            std::mem::swap(self, &mut *fresh.run);
            return self.reselect(context, &mut fresh.run, lost);
        }
        self.take_text(&mut fresh.run);
        if lost.is_some() {
            self.keep_anew(fresh.run.dense.take());
        }
        if !follows_on {
            self.follow(context.latest);
        }
        let old = fresh.run.rule.clone();
        self.refresh_groups(context, &old, lost.is_some());
        self.realign();
        lost.map(str::to_owned)
    }

    /// Whether groups at rest have nothing in them that the edit could change.
    fn rests_under(&self, fresh: &FreshRun) -> bool {
        let (edit, next) = (fresh.edit, &fresh.run);
        let by_conditions = |run: &RuleRun| matches!(run.rule.judge, Judge::Levels(_));
        let close_alike = || {
            let both = |holds: &dyn Fn(&RuleRun) -> bool| holds(self) && holds(next);
            both(&|run| run.closes_at_rest()) && both(&by_conditions)
        };
        !edit.reselects
            && !edit.hastens
            && fresh.lost.is_none()
            && !self.quarantined
            && (self.plain && next.plain || close_alike())
    }

    /// Exchanges everything that goes by the rule's text alone.
    fn take_text(&mut self, next: &mut RuleRun) {
        std::mem::swap(&mut self.rule, &mut next.rule);
        std::mem::swap(&mut self.programs, &mut next.programs);
        std::mem::swap(&mut self.share, &mut next.share);
        std::mem::swap(&mut self.specs, &mut next.specs);
        (self.delay, self.every, self.remembers) = (next.delay, next.every, next.remembers);
        (self.plain, self.guest) = (next.plain, next.guest);
        self.base_spec = next.base_spec;
        if let Some(dense) = &mut self.dense {
            // The same figures may be a breach now.
            dense.change_all();
        }
    }

    fn refresh_after<'a>(&self, old: &'a Rule, resets: bool) -> Refresh<'a> {
        Refresh {
            old,
            relabels: old.labels != self.rule.labels,
            retimes: old.timing != self.rule.timing || resets,
            resets,
        }
    }

    /// Ends every alert, because the run goes with all that is in it.
    pub fn end_for_good(&mut self, context: &mut Context<'_>, at: EventTime, cause: Cause) {
        for number in self.groups.numbers() {
            let group = &self.groups[number];
            if !group.at_rest || group.now.alert.told.is_some() {
                self.end_group(context, number, at, cause);
            }
            if let Some(guest) = self.rule.guest_of_windows() {
                context.plugins.forget_group(&guest.plugin, guest.index, number);
            }
        }
        if self.group_of(&overflow_key()).is_some() {
            self.signal(context, Trouble::SeriesLimit { rule: self.rule.name.clone() }, -1);
        }
    }

    /// Makes what the groups hold fit the rule's new text.
    fn refresh_groups(&mut self, context: &mut Context<'_>, old: &Rule, resets: bool) {
        let refresh = self.refresh_after(old, resets);
        if refresh.retimes {
            self.timers.clear();
        }
        if refresh.resets {
            self.awake.clear();
        }
        for number in self.groups.numbers() {
            self.refresh_group(context, number, refresh);
        }
    }

    fn refresh_group(&mut self, context: &mut Context<'_>, number: u32, refresh: Refresh<'_>) {
        let rule = self.rule.clone();
        let group = &mut self.groups[number];
        group.stale = true;
        group.end_faults();
        if group.now.alert.history.is_some() != rule.flapping.is_some() {
            group.now.alert.history = rule.flapping.map(|_| Default::default());
        }
        if refresh.relabels {
            let at = context.watermark;
            emit::relabel(refresh.old, &rule, group, context, at);
        }
        if refresh.resets {
            self.reset_group(context, number);
        }
        if refresh.retimes {
            self.groups[number].wake = EventTime::MAX;
            self.schedule(context, number);
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
        let bases = RuleRun::bases_among(&self.programs.columns).len();
        let joined = !windowed && self.rule.inputs.len() > 1;
        let pendings = joined.then(|| Box::new(self.new_pendings()));
        let state = self.first_state().filter(|_| self.judges_groups());
        let group = &mut self.groups[number];
        group.now.recent.windows = windows;
        let bases = vec![Default::default(); bases];
        let kept = More { bases, join: pendings, state, ..(*group.now.more).clone() };
        group.now.more = Spare::new(kept);
        group.awake = false;
        for number in group.members().to_vec() {
            let mut member = self.members[number].clone();
            self.renew_parts(context, &mut member);
            self.members[number] = member;
        }
    }

    /// The selector or the grouping changed: groups of `before` whose key can still be meant go
    /// on, and their series are bound anew.
    fn reselect(
        &mut self,
        context: &mut Context<'_>,
        before: &mut RuleRun,
        lost: Option<&'static str>,
    ) -> Option<String> {
        let at = context.watermark;
        self.closed = before.closed;
        self.realign();
        self.stats = std::mem::take(&mut before.stats);
        let old: Arc<Rule> = before.rule.clone();
        if self.rule.by != old.by || self.rule.inputs.len() != old.inputs.len() {
            before.end_for_good(context, at, Cause::RuleChanged);
            return Some("its groups are other ones, so its alerts are resolved".into());
        }
        if lost.is_none() && before.dense.is_none() {
            // Its groups bring windows of their own.
            self.dense = None;
            self.follow(context.latest);
        }
        for number in before.groups.numbers() {
            let mut group: Group = before.groups[number].clone();
            let members = group.take_members();
            // They name members by the old run's numbers; series that come back are listed anew.
            (group.now.more.crowd, group.now.more.restless) = (None, None);
            group.now.more.tidy();
            group.awake = false;
            group.wake = EventTime::MAX;
            let moved = self.enter_group(group);
            if let Some((dense, old)) = self.dense.as_mut().zip(before.dense.as_ref())
                && lost.is_none()
            {
                dense.put_back(moved, before.closed, &old.take_out(number));
            }
            for member in members {
                let mut member = before.members[member].clone();
                if lost.is_some() {
                    self.renew_parts(context, &mut member);
                }
                let place = (member.input, context.latest.series(member.id).clone());
                self.waiting.insert(place, Waiting { member, group: moved });
            }
        }
        self.refresh_groups(context, &old, lost.is_some());
        for number in self.groups.numbers() {
            self.schedule(context, number);
            if self.every.is_some() {
                self.wake(number);
            }
        }
        lost.map(str::to_owned)
    }
}
