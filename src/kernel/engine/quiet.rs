//! What happens when nothing happens: series that expire, groups without data, `absent`,
//! reminders, forgetting. All by watermark, counted only while Watchfire listened.

use crate::kernel::alert::lifecycle::{self, State, Verdict};
use crate::kernel::event::Cause;
use crate::kernel::model::{Duration, EventTime, Level};
use crate::kernel::rule::{Judge, OnNoData, Shape};
use crate::kernel::sequence::listening::Listening;

use super::emit;
use super::figures::Facts;
use super::group::{Quiet, Silence};
use super::run::RuleRun;
use super::{Context, Phase};

/// What a group's timer is for. In this order when due at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A session's next judgement.
    Session,
    /// A join's oldest waiting event time.
    Join,
    /// A series' last sample is `expire` old.
    Expire,
    Absent,
    /// The end of a soak or cool, for verdicts that no sample will repeat.
    Deadline,
    Remind,
    Forget,
}

/// When the next reminder is due after so many. Far from the epoch the product alone may not fit.
fn reminder(fired_at: EventTime, repeat: Duration, reminders: u32) -> EventTime {
    let after = i128::from(repeat.nanos()) * (i128::from(reminders) + 1);
    let due = i128::from(fired_at.nanos()) + after;
    EventTime::from_nanos(i64::try_from(due).unwrap_or(i64::MAX))
}

impl RuleRun {
    /// The group's earliest timer.
    pub fn next_deadline(&self, heard: &Listening, number: u32) -> Option<(EventTime, Timer)> {
        self.deadline_among(heard, number, self.groups[number].members())
    }

    /// The earliest timer of the group itself and of some of its members.
    pub fn deadline_among(
        &self,
        listening: &Listening,
        number: u32,
        members: &[u32],
    ) -> Option<(EventTime, Timer)> {
        let group = &self.groups[number];
        let members = members.iter().map(|member| &self.members[*member]);
        let timing = &self.rule.timing;
        let listening = listening.since(group.now.recent.source);
        let from = |heard: EventTime, after: Duration| -> Option<EventTime> {
            listening.map(|since| heard.max(since) + after)
        };
        let join = group.now.more.join.as_ref().and_then(|join| join.due());
        let session = if self.is_session() {
            let own = members.clone().filter_map(|member| {
                Some((member.recent.window.as_deref()?, &self.specs[member.input as usize]))
            });
            let busy = group.now.recent.windows.iter().zip(&self.specs).chain(own);
            let busy = busy.filter(|(window, _)| !window.is_idle());
            busy.filter_map(|(window, spec)| window.next_judgement(spec)).min()
        } else {
            None
        };
        let expire = if self.specs.is_empty() {
            members
                .filter(|member| member.is_live())
                .map(|member| member.recent.heard)
                .min()
                .and_then(|heard| from(heard, timing.expire))
        } else {
            None
        };
        let is_absent = group.now.more.quiet.is_some_and(|quiet| quiet.why == Silence::Absent);
        let absent = timing
            .absent
            .filter(|_| !is_absent)
            .and_then(|after| from(group.now.recent.heard, after));
        // A sliding window speaks at the ends of its panes.
        let has_panes = matches!(self.rule.shape, Shape::Sliding { .. });
        let spoken = timing.on_no_data != OnNoData::Hold && !has_panes || is_absent;
        let deadline = (group.now.more.quiet.is_some() && spoken)
            .then(|| group.now.alert.state.deadline(emit::timing(&self.rule)))
            .flatten()
            .filter(|due| *due > group.now.recent.judged);
        let remind = match group.now.alert.state {
            State::Firing { fired_at, .. } => {
                timing.repeat.map(|repeat| reminder(fired_at, repeat, group.now.alert.reminders))
            }
            State::Inactive | State::Pending { .. } => None,
        };
        let may_go = group.now.alert.state.firing_level().is_none() || timing.forget_firing;
        let life = if timing.forget_firing { timing.forget } else { self.rule.remembers() };
        let forget = may_go.then(|| from(group.now.recent.heard, life)).flatten();
        [
            (session, Timer::Session),
            (join, Timer::Join),
            (expire, Timer::Expire),
            (absent, Timer::Absent),
            (deadline, Timer::Deadline),
            (remind, Timer::Remind),
            (forget, Timer::Forget),
        ]
        .into_iter()
        .filter_map(|(due, timer)| Some((due?, timer)))
        .min()
    }

    /// Runs every timer of the group that is due at or before `due`.
    pub fn quiet_due(&mut self, context: &mut Context<'_>, number: u32, due: EventTime) {
        context.phase = Phase::Due;
        while let Some((at, timer)) = self.next_deadline(context.listening, number) {
            if at > due {
                return;
            }
            match timer {
                Timer::Session => {
                    self.judge_windows(context, &[number], at, &mut Vec::new());
                }
                Timer::Join => return self.judge_joins(context, number),
                Timer::Expire => self.expire(context, number, at),
                Timer::Absent => self.absent(context, number, at),
                Timer::Deadline => self.speak(context, number, at),
                Timer::Remind => {
                    emit::remind(&self.rule, &mut self.groups[number], context, at);
                }
                Timer::Forget => return self.forget(context, number, at),
            }
        }
    }

    /// Series without a sample for `expire` leave the group's verdict; without any left the group
    /// has no data.
    fn expire(&mut self, context: &mut Context<'_>, number: u32, at: EventTime) {
        let since = context.listening.since(self.groups[number].now.recent.source);
        let limit = self.rule.timing.expire;
        let first_state = self.first_state().filter(|_| !self.judges_groups());
        for own in self.groups[number].members().to_vec() {
            let member = &mut self.members[own];
            let heard = since.map_or(member.recent.heard, |since| member.recent.heard.max(since));
            if member.is_live() && heard + limit <= at {
                let before = member.verdict.take();
                member.set_live(false);
                member.set_took_part(false);
                member.recent.state = first_state.clone();
                self.relist(context.latest, own, before);
            }
        }
        self.tidy_parts(number, |_, _| true);
        let members = &self.groups[number].members();
        let any_live = members.iter().any(|member| self.members[*member].is_live());
        self.groups[number].stale = true;
        if !any_live {
            return self.silence(context, number, at, Silence::Expired);
        }
        let verdict = self.group_verdict(number);
        // An absence lasts until a sample comes, whatever becomes of single series.
        let judged_by_series = self.groups[number].now.more.quiet.is_none()
            && self.rule.across.is_none()
            && self.rule.inputs.len() == 1;
        if judged_by_series && verdict != self.groups[number].verdict {
            let group = &mut self.groups[number];
            let facts = Facts::default();
            emit::judge(&self.rule, group, context, at, (verdict, Cause::Expired), &facts);
        }
    }

    /// The group has no data from `at` on.
    pub fn silence(&mut self, context: &mut Context<'_>, number: u32, at: EventTime, why: Silence) {
        if self.groups[number].now.more.quiet.is_none() {
            self.groups[number].now.more.quiet = Some(Quiet { since: at, why });
            if self.rule.timing.on_no_data == OnNoData::Hold {
                let group = &mut self.groups[number];
                return emit::hold(&self.rule, group, context, at, Cause::NoData);
            }
        }
        if self.rule.timing.on_no_data != OnNoData::Hold {
            self.speak(context, number, at);
        }
    }

    /// Lets the verdict that stands for no data, or for `absent`, into the lifecycle.
    fn speak(&mut self, context: &mut Context<'_>, number: u32, at: EventTime) {
        let why = self.groups[number].now.more.quiet.map(|quiet| quiet.why);
        let (verdict, cause) = match (why, self.rule.timing.on_no_data) {
            (Some(Silence::Absent), _) => (Verdict::Breach(self.absent_level()), Cause::Absent),
            (_, OnNoData::Breach) => (Verdict::Breach(self.absent_level()), Cause::NoData),
            (_, OnNoData::Clear | OnNoData::Hold) => (Verdict::Clear, Cause::NoData),
        };
        let outside = self.rule.during.as_ref().is_some_and(|during| !during.holds(at));
        let told = if outside { (Verdict::Clear, Cause::OutsideHours) } else { (verdict, cause) };
        let group = &mut self.groups[number];
        emit::judge(&self.rule, group, context, at, told, &Facts::default());
    }

    fn absent(&mut self, context: &mut Context<'_>, number: u32, at: EventTime) {
        self.groups[number].now.more.quiet = Some(Quiet { since: at, why: Silence::Absent });
        self.speak(context, number, at);
    }

    fn absent_level(&self) -> Level {
        match &self.rule.judge {
            Judge::Absent(level) => *level,
            Judge::Guest(guest) => guest.highest,
            Judge::Levels(_) | Judge::Never => {
                self.programs.highest_level().unwrap_or(Level::Critical)
            }
        }
    }

    /// Data came back: a held cool timer goes on, an absent alert clears.
    pub fn revive(&mut self, context: &mut Context<'_>, number: u32, at: EventTime) {
        let group = &mut self.groups[number];
        let Some(quiet) = group.now.more.quiet else { return };
        group.now.more.quiet = None;
        group.stale = true;
        if quiet.why != Silence::Absent && self.rule.timing.on_no_data == OnNoData::Hold {
            group.now.alert.state = lifecycle::resume(group.now.alert.state, at.since(quiet.since));
        }
        self.schedule(context, number);
    }

    /// A sample ends an absence at once, in rules whose own verdict does not come with the sample.
    pub fn end_absence(&mut self, context: &mut Context<'_>, number: u32, at: EventTime) {
        let absent =
            self.groups[number].now.more.quiet.is_some_and(|quiet| quiet.why == Silence::Absent);
        if !absent {
            return;
        }
        self.revive(context, number, at);
        let group = &mut self.groups[number];
        let told = (Verdict::Clear, Cause::Clear);
        emit::judge(&self.rule, group, context, at, told, &Facts::default());
    }

    fn forget(&mut self, context: &mut Context<'_>, number: u32, at: EventTime) {
        self.end_group(context, number, at, Cause::Forgotten);
        self.drop_group(context, number);
    }
}
