//! Rules whose verdicts come from a component: raw samples in, sparse verdicts out.

use std::collections::BTreeMap;

use crate::kernel::event::Cause;
use crate::kernel::model::{EventTime, SeriesId};
use crate::kernel::rule::GuestRule;
use crate::kernel::rule::program::{Fault, GuestVerdict, GuestVerdicts};
use crate::kernel::sequence::Rows;

use super::Context;
use super::run::RuleRun;

impl RuleRun {
    fn guest_judge(&self) -> GuestRule {
        self.rule.guest_of_samples().expect("only called for rules of components").clone()
    }

    /// A segment's rows go to the component in one call; each row is then judged by its answer.
    pub fn guest_rows(&mut self, context: &mut Context<'_>, rows: &Rows, inbox: &[(u32, u32)]) {
        self.catch_up(context.watermark);
        let mut accepted: Vec<(usize, u32)> = Vec::with_capacity(inbox.len());
        for (row, member) in inbox {
            let (row, member) = (*row as usize, *member);
            context.position = rows.position[row];
            let at = rows.at[row];
            let late = self.members[member].last.is_some_and(|(last, _)| at < last);
            self.hear(context, member, at, rows.value[row]);
            let number = self.members[member].group;
            if late {
                self.late(context, number, at);
                continue;
            }
            self.on_time(context, number);
            self.first_pane(context, at);
            self.wake(number);
            self.schedule(context, number);
            if !self.is_suspended(number) && !self.quarantined {
                accepted.push((row, member));
            }
        }
        if accepted.is_empty() {
            return;
        }
        let series: Vec<SeriesId> = accepted.iter().map(|(row, _)| rows.series[*row]).collect();
        let at: Vec<EventTime> = accepted.iter().map(|(row, _)| rows.at[*row]).collect();
        let value: Vec<f64> = accepted.iter().map(|(row, _)| rows.value[*row]).collect();
        let guest = self.guest_judge();
        let mut out = GuestVerdicts::default();
        let told =
            context.plugins.evaluate(&guest.plugin, guest.index, (&series, &at, &value), &mut out);
        self.stats.evaluations += accepted.len() as u64;
        match told.and_then(|()| by_row(out, accepted.len())) {
            Ok(answers) => {
                for ((row, member), answer) in accepted.into_iter().zip(answers) {
                    context.position = rows.position[row];
                    self.settle_guest(context, member, rows.at[row], answer);
                }
            }
            Err(fault) => self.fault_all(context, &accepted, rows, &fault),
        }
    }

    /// The batch faulted as a whole: one fault for each group that had a row in it.
    fn fault_all(
        &mut self,
        context: &mut Context<'_>,
        accepted: &[(usize, u32)],
        rows: &Rows,
        fault: &Fault,
    ) {
        let mut groups: BTreeMap<u32, EventTime> = BTreeMap::new();
        for (row, member) in accepted {
            groups.insert(self.members[*member].group, rows.at[*row]);
        }
        for (number, at) in groups {
            self.fault(context, number, at, fault.clone());
        }
    }

    fn settle_guest(
        &mut self,
        context: &mut Context<'_>,
        member: u32,
        at: EventTime,
        answer: Answer,
    ) {
        let (level, told) = match answer {
            Answer::Hold => return,
            Answer::Clear => (None, None),
            Answer::Breach(verdict) => (Some(verdict.level), Some(verdict)),
        };
        let outside = self.rule.during.as_ref().is_some_and(|during| !during.holds(at));
        let (level, cause) = match level {
            _ if outside => (None, Cause::OutsideHours),
            Some(level) => (Some(level), Cause::Breach),
            None => (None, Cause::Clear),
        };
        let number = self.members[member].group;
        let message = told.as_ref().and_then(|verdict| verdict.message.clone());
        self.groups[number].message = message.map(String::into_boxed_str);
        // The value that the guest shows stands in for the sample's in this judgement only.
        let own = self.members[member].last;
        if let Some(shown) = told.and_then(|verdict| verdict.value) {
            self.members[member].last = own.map(|(time, _)| (time, shown));
        }
        self.settle_member(context, member, at, (level, cause));
        self.members[member].last = own;
    }

    /// Tells the component the time; gives the groups that still have live series.
    pub fn tick(
        &mut self,
        context: &mut Context<'_>,
        groups: Vec<u32>,
        now: EventTime,
    ) -> Vec<u32> {
        let guest = self.guest_judge();
        let mut out = GuestVerdicts::default();
        let told = if self.quarantined {
            Ok(())
        } else {
            context.plugins.tick(&guest.plugin, guest.index, now, &mut out)
        };
        match told {
            Ok(()) => self.settle_tick(context, &groups, now, out),
            Err(fault) => {
                if let Some(first) = groups.first() {
                    self.fault(context, *first, now, fault);
                }
            }
        }
        let members = &self.members;
        let live = |number: &u32| {
            let group = &self.groups[*number];
            group.members.iter().any(|member| members[*member].live)
        };
        groups.into_iter().filter(live).collect()
    }

    /// On a tick rows are series' numbers; what is not listed keeps its verdict.
    fn settle_tick(
        &mut self,
        context: &mut Context<'_>,
        groups: &[u32],
        now: EventTime,
        out: GuestVerdicts,
    ) {
        let mut told: BTreeMap<SeriesId, GuestVerdict> = BTreeMap::new();
        for verdict in out.breaches {
            told.insert(SeriesId(verdict.row), verdict);
        }
        for number in groups {
            if told.is_empty() && self.groups[*number].alert.is_idle() {
                continue;
            }
            for member in self.groups[*number].members.clone() {
                let id = self.members[member].id;
                if let Some(verdict) = told.remove(&id) {
                    self.settle_guest(context, member, now, Answer::Breach(verdict));
                }
            }
        }
    }
}

/// What a component said of one row.
pub enum Answer {
    Clear,
    Hold,
    Breach(GuestVerdict),
}

/// One answer for each row; a row that is named twice, or that does not exist, is a fault.
pub fn by_row(out: GuestVerdicts, rows: usize) -> Result<Vec<Answer>, Fault> {
    let mut answers: Vec<Answer> = (0..rows).map(|_| Answer::Clear).collect();
    let hold = out.hold.into_iter().map(|row| (row, Answer::Hold));
    let breaches = out.breaches.into_iter().map(|verdict| (verdict.row, Answer::Breach(verdict)));
    for (row, answer) in hold.chain(breaches) {
        let Some(place) = answers.get_mut(row as usize) else {
            return Err(Fault::new(format!("a verdict names row {row} of {rows}")));
        };
        if !matches!(place, Answer::Clear) {
            return Err(Fault::new(format!("two verdicts name row {row}")));
        }
        *place = answer;
    }
    Ok(answers)
}
