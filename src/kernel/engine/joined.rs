//! Joins of named inputs without a window: one judgement for each event time.

use crate::kernel::model::SeriesId;
use crate::kernel::rule::program::Fault;
use crate::kernel::sequence::Rows;
use crate::kernel::window::across;

use super::Context;
use super::join::Pendings;
use super::run::RuleRun;

impl RuleRun {
    /// Of a group whose inputs said nothing yet.
    pub fn new_pendings(&self) -> Pendings {
        Pendings::new(self.rule.inputs.len(), self.rule.across.is_some())
    }

    /// Several inputs: judged once for each event time.
    pub fn join_rows(&mut self, context: &mut Context<'_>, rows: &Rows, inbox: &[(u32, u32)]) {
        let folds = self.rule.across.is_some();
        for (row, member) in inbox {
            let (row, member) = (*row as usize, *member);
            let (at, value) = (rows.at[row], rows.value[row]);
            context.position = rows.position[row];
            self.hear(context, member, at, value);
            let (number, input) = (self.group_of[member as usize], self.members[member].input);
            if !folds && let Some(other) = self.second_series(number, member, input) {
                let other = context.latest.series(other);
                let own = context.latest.series(self.members[member].id);
                let what = format!(
                    "two series of one input meet in one group: {other} and {own}; add labels to \
                     the join, or .across(..) to fold them"
                );
                self.fault(context, number, at, Fault::new(what));
                continue;
            }
            let id = self.members[member].id;
            let speaker = if folds { context.latest.series(id).digest() } else { input.into() };
            let join =
                self.groups[number].now.more.join.as_mut().expect("a join's group keeps pendings");
            if !join.add((input, speaker), at, value) {
                self.late(context, number, at);
                continue;
            }
            self.on_time(context, number);
            self.judge_joins(context, number);
        }
    }

    fn second_series(&self, group: u32, member: u32, input: u8) -> Option<SeriesId> {
        let others = self.groups[group].members().iter().filter(|other| **other != member);
        let same = |other: &&u32| {
            let other = &self.members[**other];
            other.is_live() && other.input == input
        };
        others.clone().find(same).map(|other| self.members[*other].id)
    }

    /// Judges every event time of a join that is ready.
    pub fn judge_joins(&mut self, context: &mut Context<'_>, number: u32) {
        let tolerance = self.rule.tolerance.unwrap_or(self.rule.timing.expire);
        let until = context.watermark - self.delay;
        let across = self.rule.across;
        let value = |mut said: Vec<f64>| match across {
            Some(across) => across::fold(across, &mut said),
            None => said.first().copied(),
        };
        while let Some(join) = &mut self.groups[number].now.more.join
            && let Some(at) = join.ready(until)
        {
            let said = join.take(at, tolerance).into_iter();
            if let Some(values) = said.map(value).collect::<Option<Vec<f64>>>() {
                self.judge_values(context, number, at, &values, None);
            }
        }
        self.schedule_for(context, number, None);
    }
}
