//! What is due when: a rule's timers, and the ends of its panes.

use std::cmp::Reverse;

use crate::kernel::model::EventTime;

use super::Context;
use super::due::Due;
use super::run::RuleRun;

impl RuleRun {
    /// The next time at which something is due, in the rule's own time.
    pub fn next_due(&self) -> Option<EventTime> {
        let pane = self.next_pane();
        let timer = self.timers.peek().map(|Reverse(due)| due.at());
        [pane, timer].into_iter().flatten().min()
    }

    fn next_pane(&self) -> Option<EventTime> {
        let every = self.every?;
        let holds = self.dense.as_ref().is_some_and(|dense| !dense.is_idle());
        (holds || !self.awake.is_empty()).then(|| self.closed + every)
    }

    /// Runs everything due before `watermark` (the engine's), in the order of due times.
    pub fn run_due(&mut self, context: &mut Context<'_>) {
        let until = context.watermark - self.delay;
        while let Some(due) = self.next_due().filter(|due| *due < until) {
            if self.next_pane() == Some(due) {
                self.closed = due;
                self.close_panes(context, due);
            } else {
                self.run_timer(context, due);
            }
        }
        self.catch_up(context.watermark);
    }

    fn run_timer(&mut self, context: &mut Context<'_>, due: EventTime) {
        let Some(Reverse(Due { group, .. })) = self.timers.pop() else { return };
        if self.groups.get(group).is_some_and(|group| group.wake == due) {
            self.rouse(context.latest, group);
            self.groups[group].wake = EventTime::MAX;
            self.quiet_due(context, group, due);
            if self.groups.get(group).is_some() {
                self.schedule(context, group);
                self.rest(context.latest, group);
            }
        }
    }

    /// Puts the group's next timer on the agenda unless an earlier entry is there.
    pub fn schedule(&mut self, context: &Context<'_>, group: u32) {
        if let Some((due, _)) = self.next_deadline(context.listening, group) {
            self.put_on_agenda(group, due);
        }
    }

    /// As [`RuleRun::schedule`] after something happened to the group and to at most one member:
    /// what the others wait for is on the agenda already.
    pub fn schedule_for(&mut self, context: &Context<'_>, group: u32, member: Option<u32>) {
        if self.groups[group].wake == EventTime::MAX {
            return self.schedule(context, group);
        }
        if let Some((due, _)) = self.deadline_among(context.listening, group, member.as_slice()) {
            self.put_on_agenda(group, due);
        }
    }

    /// Looks at the group's timers at this time, unless that is done earlier already.
    pub fn put_on_agenda(&mut self, group: u32, due: EventTime) {
        let known = &mut self.groups[group];
        if due < known.wake {
            known.wake = due;
            if self.timers.len() == self.timers.capacity() {
                self.clear_agenda();
            }
            self.timers.push(Reverse(Due::new(due, group)));
        }
    }

    /// Takes out the void entries of a full agenda, which grows only if they were few.
    #[cold]
    fn clear_agenda(&mut self) {
        let groups = &self.groups;
        let stands = |due: &Due| groups.get(due.group).map(|it| it.wake) == Some(due.at());
        self.timers.retain(|Reverse(due)| stands(due));
        if self.timers.len() > self.timers.capacity() / 8 * 7 {
            self.timers.reserve(self.timers.capacity());
        }
    }
}
