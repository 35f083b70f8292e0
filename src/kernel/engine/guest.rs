//! Rules whose verdicts come from a component: raw samples in, sparse verdicts out.

use std::collections::BTreeMap;

use crate::kernel::event::Cause;
use crate::kernel::model::{Duration, EventTime, SeriesId};
use crate::kernel::rule::GuestRule;
use crate::kernel::rule::program::{Fault, GuestVerdict, GuestVerdicts};
use crate::kernel::sequence::Rows;

use super::Context;
use super::run::RuleRun;

/// A rule whose series all fell silent hears of the time for so much longer at most.
const SILENT_FOR: Duration = Duration::from_secs(60);

impl RuleRun {
    fn guest_judge(&self) -> GuestRule {
        self.rule.guest_of_samples().expect("only called for rules of components").clone()
    }

    /// A segment's rows go to the component in one call; each row is then judged by its answer.
    /// Rows of groups at rest are looked at only where the answer names them.
    pub fn guest_rows(&mut self, context: &mut Context<'_>, rows: &Rows, inbox: &[(u32, u32)]) {
        self.catch_up(context.watermark);
        let mut asked: Vec<Asked> = Vec::with_capacity(inbox.len() + self.passing.len());
        for (row, member) in inbox {
            if self.guest_hears(context, rows, *row as usize, *member) {
                asked.push(Asked { row: *row, member: *member, busy: true });
            }
        }
        let resting = |(row, member)| Asked { row, member, busy: false };
        self.stats.samples += self.passing.len() as u64;
        asked.extend(self.passing.drain(..).map(resting));
        if asked.is_empty() {
            return;
        }
        if !asked.is_sorted_by_key(|asked| asked.row) {
            asked.sort_unstable_by_key(|asked| asked.row);
        }
        let guest = self.guest_judge();
        let mut columns = context.plugins.spare_rows(&guest.plugin);
        let row_of = |asked: &Asked| asked.row as usize;
        columns.series.extend(asked.iter().map(|asked| rows.series[row_of(asked)].0));
        columns.at.extend(asked.iter().map(|asked| rows.at[row_of(asked)].nanos()));
        columns.value.extend(asked.iter().map(|asked| rows.value[row_of(asked)]));
        let mut out = GuestVerdicts::default();
        let told = context.plugins.evaluate(&guest.plugin, guest.index, columns, &mut out);
        self.stats.evaluations += asked.len() as u64;
        match told.and_then(|()| Answers::new(out, asked.len())) {
            Ok(answers) => self.settle_asked(context, rows, &asked, answers),
            Err(fault) => self.fault_all(context, &asked, rows, &fault),
        }
        let busy = asked.iter().filter(|asked| asked.busy);
        self.rest_all(context.latest, busy.map(|asked| asked.member));
    }

    /// Enters a row into its group. False when it is not to be judged.
    fn guest_hears(
        &mut self,
        context: &mut Context<'_>,
        rows: &Rows,
        row: usize,
        member: u32,
    ) -> bool {
        context.position = rows.position[row];
        self.rouse(context.latest, self.group_of[member as usize]);
        let at = rows.at[row];
        let late = self.members[member].recent.last.is_some_and(|(last, _)| at < last);
        self.hear(context, member, at, rows.value[row]);
        let number = self.group_of[member as usize];
        if late {
            self.late(context, number, at);
            return false;
        }
        self.on_time(context, number);
        self.first_pane(context, at);
        self.wake(number);
        self.schedule_for(context, number, None);
        !self.is_suspended(number) && !self.quarantined
    }

    fn settle_asked(
        &mut self,
        context: &mut Context<'_>,
        rows: &Rows,
        asked: &[Asked],
        mut answers: Answers,
    ) {
        for (at, Asked { row, member, busy }) in asked.iter().enumerate() {
            let answer = answers.of(at);
            let row = *row as usize;
            if !busy {
                if !matches!(answer, Answer::Breach(_)) {
                    continue;
                }
                self.guest_hears(context, rows, row, *member);
                self.stats.samples -= 1;
            }
            context.position = rows.position[row];
            self.settle_guest(context, *member, rows.at[row], answer);
        }
    }

    /// The batch faulted as a whole: one fault for each group that had a row in it.
    fn fault_all(
        &mut self,
        context: &mut Context<'_>,
        asked: &[Asked],
        rows: &Rows,
        fault: &Fault,
    ) {
        let mut groups: BTreeMap<u32, EventTime> = BTreeMap::new();
        for Asked { row, member, .. } in asked {
            groups.insert(self.group_of[*member as usize], rows.at[*row as usize]);
        }
        for (number, at) in groups {
            self.rouse(context.latest, number);
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
        let number = self.group_of[member as usize];
        let message = told.as_ref().and_then(|verdict| verdict.message.clone());
        let group = &mut self.groups[number];
        if message.is_some() || group.now.more.message.is_some() {
            group.now.more.message = message.map(String::into_boxed_str);
        }
        // The value that the guest shows stands in for the sample's in this judgement only.
        let own = self.members[member].recent.last;
        if let Some(shown) = told.and_then(|verdict| verdict.value) {
            self.members[member].recent.last = own.map(|(time, _)| (time, shown));
        }
        self.settle_member(context, member, at, (level, cause));
        self.members[member].recent.last = own;
    }

    /// Tells the component the time; gives the groups that are to be told of again.
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
                    self.rouse(context.latest, *first);
                    self.fault(context, *first, now, fault);
                }
            }
        }
        // Looking for those that fell silent costs more than a few ticks for nobody.
        if now.floor(SILENT_FOR) != now {
            return groups;
        }
        let members = &self.members;
        let live = |number: &u32| {
            let group = &self.groups[*number];
            group.members().iter().any(|member| members[*member].is_live())
        };
        let (live, silent): (Vec<u32>, Vec<u32>) = groups.into_iter().partition(live);
        self.sleep(&silent);
        live
    }

    /// On a tick rows are series' numbers; what is not listed keeps its verdict.
    fn settle_tick(
        &mut self,
        context: &mut Context<'_>,
        groups: &[u32],
        now: EventTime,
        out: GuestVerdicts,
    ) {
        if out.breaches.is_empty() {
            return;
        }
        let mut told: BTreeMap<SeriesId, GuestVerdict> = BTreeMap::new();
        for verdict in out.breaches {
            told.insert(SeriesId(verdict.row), verdict);
        }
        for number in groups {
            for member in self.groups[*number].members().to_vec() {
                let id = self.members[member].id;
                if let Some(verdict) = told.remove(&id) {
                    self.rouse(context.latest, *number);
                    self.settle_guest(context, member, now, Answer::Breach(verdict));
                }
            }
        }
    }
}

/// A row that the component is asked about. Of a group at rest nothing was looked at yet.
struct Asked {
    row: u32,
    member: u32,
    busy: bool,
}

/// What a component said of one row.
pub enum Answer {
    Clear,
    Hold,
    Breach(GuestVerdict),
}

/// What was said of a call's rows, to be asked for in their order.
pub struct Answers(std::iter::Peekable<std::vec::IntoIter<(u32, Answer)>>);

impl Answers {
    /// A row that is named twice, or that does not exist, is a fault of the whole answer.
    pub fn new(out: GuestVerdicts, rows: usize) -> Result<Answers, Fault> {
        let hold = out.hold.into_iter().map(|row| (row, Answer::Hold));
        let breach = |verdict: GuestVerdict| (verdict.row, Answer::Breach(verdict));
        let mut named: Vec<(u32, Answer)> =
            hold.chain(out.breaches.into_iter().map(breach)).collect();
        named.sort_by_key(|(row, _)| *row);
        if let Some((row, _)) = named.last().filter(|(row, _)| *row as usize >= rows) {
            return Err(Fault::new(format!("a verdict names row {row} of {rows}")));
        }
        if let Some(pair) = named.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Fault::new(format!("two verdicts name row {}", pair[0].0)));
        }
        Ok(Answers(named.into_iter().peekable()))
    }

    /// Rows are asked for in order; one that was not named is clear.
    pub fn of(&mut self, row: usize) -> Answer {
        let named = self.0.next_if(|(named, _)| *named as usize == row);
        named.map_or(Answer::Clear, |(_, answer)| answer)
    }
}
