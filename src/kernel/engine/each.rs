//! Rules without a window: samples judged as they come, and folds over latest values.

use smallvec::SmallVec;

use crate::kernel::alert::lifecycle::Verdict;
use crate::kernel::event::{Bounds, Cause};
use crate::kernel::model::{EventTime, Labels, Level, Series};
use crate::kernel::rule::program::{Fault, Threshold};
use crate::kernel::rule::view::Column;
use crate::kernel::rule::{Judge, State};
use crate::kernel::sequence::{Derived, Rows};
use crate::kernel::window::across;

use super::Context;
use super::emit;
use super::figures::{Facts, Values, all_values, main_value};
use super::programs::{Comparisons, Groups, Table};
use super::run::RuleRun;

/// A row that is to be judged: its place in the segment and its member.
#[derive(Clone, Copy)]
struct Judged {
    row: usize,
    member: u32,
    /// The series' sample before this one.
    before: Option<(EventTime, f64)>,
}

fn cause_of(level: Option<Level>, outside: bool) -> Cause {
    match level {
        _ if outside => Cause::OutsideHours,
        Some(_) => Cause::Breach,
        None => Cause::Clear,
    }
}

impl RuleRun {
    /// One input, every sample judged at its own time for its own series.
    pub fn each_rows(&mut self, context: &mut Context<'_>, rows: &Rows, inbox: &[(u32, u32)]) {
        if self.plain
            && let Some(comparisons) = self.programs.comparisons()
        {
            return self.compare_rows(context, rows, inbox, comparisons);
        }
        let mut accepted: SmallVec<[Judged; 4]> = SmallVec::with_capacity(inbox.len());
        for (row, member) in inbox {
            let (row, member) = (*row as usize, *member);
            if let Some(before) = self.accept(context, rows, (row, member)) {
                accepted.push(Judged { row, member, before });
            }
        }
        // Each row is judged as if later ones had not come yet.
        for row in accepted.iter().rev() {
            self.members[row.member].recent.last = row.before;
        }
        let stateful = self.programs.is_stateful();
        let chunk = if stateful { 1 } else { accepted.len().max(1) };
        for rows_at_once in accepted.chunks(chunk) {
            self.judge_rows(context, rows, rows_at_once);
        }
        self.rest_all(context.latest, inbox.iter().map(|(_, member)| *member));
    }

    /// As [`RuleRun::each_rows`], where nothing but values is asked for: no row need wait until
    /// others have come.
    fn compare_rows(
        &mut self,
        context: &mut Context<'_>,
        rows: &Rows,
        inbox: &[(u32, u32)],
        comparisons: Comparisons,
    ) {
        for (row, member) in inbox {
            let (row, member) = (*row as usize, *member);
            if self.accept(context, rows, (row, member)).is_none() {
                continue;
            }
            self.stats.evaluations += 1;
            let (at, value) = (rows.at[row], rows.value[row]);
            let holds = |of: &Option<Threshold>| of.is_some_and(|of| of.holds(value));
            let level = comparisons.iter().rposition(holds).map(|at| Level::ALL[at]);
            let outside = self.is_outside_hours(at);
            let level = if outside { None } else { level };
            self.settle_member(context, member, at, (level, cause_of(level, outside)));
        }
        self.rest_all(context.latest, inbox.iter().map(|(_, member)| *member));
    }

    /// Hears a row; gives the series' sample before it, unless the row is not to be judged.
    fn accept(
        &mut self,
        context: &mut Context<'_>,
        rows: &Rows,
        (row, member): (usize, u32),
    ) -> Option<Option<(EventTime, f64)>> {
        let (at, value) = (rows.at[row], rows.value[row]);
        context.position = rows.position[row];
        let group = self.group_of[member as usize];
        if group != super::member::NO_GROUP {
            self.rouse(context.latest, group);
        }
        let before = self.members[member].recent.last;
        if before.is_some_and(|(last, _)| at < last) {
            if group != super::member::NO_GROUP {
                self.late(context, group, at);
            }
            return None;
        }
        self.hear(context, member, at, value);
        let group = self.group_of[member as usize];
        self.on_time(context, group);
        if self.is_suspended(group) || self.quarantined {
            self.schedule_for(context, group, None);
            return None;
        }
        Some(before)
    }

    fn is_outside_hours(&self, at: EventTime) -> bool {
        self.rule.during.as_ref().is_some_and(|during| !during.holds(at))
    }

    fn judge_rows(&mut self, context: &mut Context<'_>, rows: &Rows, judged: &[Judged]) {
        let mut table = std::mem::take(&mut self.table);
        table.clear(self.programs.columns.len());
        for row in judged {
            table.at.push(rows.at[row.row]);
        }
        for (column, numbers) in self.programs.columns.iter().zip(&mut table.columns) {
            match column {
                Column::Value { .. } => {
                    numbers.extend(judged.iter().map(|row| rows.value[row.row]))
                }
                Column::Label(_) => {}
                Column::Reduced { .. } | Column::Base { .. } => {
                    unreachable!("a rule without a window has no reductions")
                }
            }
        }
        let (groups, members, group_of) = (&self.groups, &mut self.members, &self.group_of);
        let numbers = judged.iter().map(|row| group_of[row.member as usize]);
        let numbers: SmallVec<[u32; 8]> = numbers.collect();
        let keys: Vec<&Labels> = if self.programs.reads_labels() {
            judged.iter().map(|row| &groups[group_of[row.member as usize]].key).collect()
        } else {
            Vec::new()
        };
        let mut states: Vec<&mut State> = Vec::new();
        if self.programs.is_stateful()
            && let Some(state) = &mut members[judged[0].member].recent.state
        {
            states.push(state.as_mut());
        }
        let of = Groups { keys: &keys, numbers: &numbers };
        let judgements = self.programs.judge(&table, of, &mut states);
        let mut recorded = self.programs.record(&table, of).into_iter();
        self.count_judged(context, judgements.len());
        for (at, (row, judgement)) in judged.iter().zip(judgements).enumerate() {
            context.position = rows.position[row.row];
            self.members[row.member].recent.last = Some((rows.at[row.row], rows.value[row.row]));
            let (number, value) = (self.group_of[row.member as usize], recorded.next());
            if self.is_suspended(number) {
                continue;
            }
            self.settle_row(context, row.member, (&table, at), judgement);
            if let Some(value) = value {
                self.emit_record(context, number, table.at[at], value);
            }
        }
        self.table = table;
    }

    /// A sample's verdict enters its series, the series' its group's.
    fn settle_row(
        &mut self,
        context: &mut Context<'_>,
        member: u32,
        (table, row): (&Table, usize),
        judgement: Result<Option<Level>, Fault>,
    ) {
        let (at, number) = (table.at[row], self.group_of[member as usize]);
        let level = match judgement {
            Ok(level) => level,
            Err(fault) => return self.fault(context, number, at, fault),
        };
        let outside = self.is_outside_hours(at);
        let level = if outside { None } else { level };
        let level = match self.after_reset(number, Some(member), level, (table, row), outside) {
            Ok(level) => level,
            Err(fault) => return self.fault(context, number, at, fault),
        };
        self.settle_member(context, member, at, (level, cause_of(level, outside)));
    }

    /// Takes a series' new verdict into its group and steps the group's alert.
    pub fn settle_member(
        &mut self,
        context: &mut Context<'_>,
        member: u32,
        at: EventTime,
        (level, cause): (Option<Level>, Cause),
    ) {
        let number = self.group_of[member as usize];
        self.involve(context.latest, member, (level, false));
        self.stats.last_judged = Some(at);
        self.revive(context, number, at);
        // What a component says of a silent series counts where the group is that series.
        let alone = self.groups[number].members().len() == 1;
        let verdict = if alone { Verdict::of(level) } else { self.group_verdict(number) };
        // An absent rule judges that a sample came, not what it said.
        let judges_value = !matches!(self.rule.judge, Judge::Absent(_));
        let value = self.worst_value(context.latest, (number, member), verdict);
        let value = value.filter(|_| judges_value);
        let group = &mut self.groups[number];
        group.end_faults();
        if !group.stays_clear(verdict, value, at) {
            let facts = Facts { value, values: Values::Value, window: None };
            emit::judge(&self.rule, group, context, at, (verdict, cause), &facts);
            self.involve(context.latest, member, (level, level.is_some()));
            if self.groups[number].now.alert.is_idle() {
                self.end_parts(number);
            }
        }
        self.reschedule(context, number);
    }

    /// Timers only move away from a group that is heard, unless its alert just began to burn.
    pub fn reschedule(&mut self, context: &Context<'_>, number: u32) {
        let group = &self.groups[number];
        if group.wake == EventTime::MAX
            || !group.now.alert.is_idle()
            || group.now.more.join.is_some()
        {
            self.schedule_for(context, number, None);
        }
    }

    /// The level after hysteresis: an alert stays at its level while that level's reset does not
    /// let go. It is asked of series that took part in the episode only.
    pub fn after_reset(
        &mut self,
        number: u32,
        member: Option<u32>,
        level: Option<Level>,
        (table, row): (&Table, usize),
        outside: bool,
    ) -> Result<Option<Level>, Fault> {
        let group = &self.groups[number];
        let Some(firing) = group.now.alert.state.firing_level() else { return Ok(level) };
        let took_part = member.is_none_or(|member| self.members[member].took_part());
        if outside || level >= Some(firing) || !took_part || !self.programs.has_reset(firing) {
            return Ok(level);
        }
        let state = match member {
            Some(member) => self.members[member].recent.state.as_deref_mut(),
            None => self.groups[number].now.more.state.as_deref_mut(),
        };
        let mut copy = state.map(|state| state.clone());
        let group = (&self.groups[number].key, number);
        let lets_go = self.programs.lets_go(firing, table, row, group, copy.as_mut())?;
        Ok(if lets_go { level } else { Some(firing) })
    }

    /// Judges a group on one number for each input.
    pub fn judge_values(
        &mut self,
        context: &mut Context<'_>,
        number: u32,
        at: EventTime,
        values: &[f64],
        window: Option<Bounds>,
    ) {
        if self.is_suspended(number) || self.quarantined {
            return;
        }
        let mut table = std::mem::take(&mut self.table);
        table.clear(self.programs.columns.len());
        table.at.push(at);
        for (column, numbers) in self.programs.columns.iter().zip(&mut table.columns) {
            if let Column::Value { input } = column {
                numbers.push(values[*input as usize]);
            }
        }
        self.judge_groups(context, &table, &[number], window);
        self.table = table;
    }

    /// Judges one row for each group, in rules whose verdict belongs to the group as a whole.
    pub fn judge_groups(
        &mut self,
        context: &mut Context<'_>,
        table: &Table,
        numbers: &[u32],
        window: Option<Bounds>,
    ) {
        if self.rule.guest_of_windows().is_some() {
            return self.judge_guest_windows(context, table, numbers, window);
        }
        let mut held: Vec<Option<Box<State>>> = Vec::new();
        if self.programs.is_stateful() {
            held = numbers.iter().map(|group| self.groups[*group].now.more.state.take()).collect();
        }
        let mut states: Vec<&mut State> =
            held.iter_mut().flatten().map(|state| state.as_mut()).collect();
        let keys: Vec<&Labels> = if self.programs.reads_labels() {
            numbers.iter().map(|group| &self.groups[*group].key).collect()
        } else {
            Vec::new()
        };
        let of = Groups { keys: &keys, numbers };
        let judgements = self.programs.judge(table, of, &mut states);
        let recorded = self.programs.record(table, of);
        self.count_judged(context, judgements.len());
        for (group, state) in numbers.iter().zip(held) {
            self.groups[*group].now.more.state = state;
        }
        let mut recorded = recorded.into_iter();
        for (row, (number, judgement)) in numbers.iter().zip(judgements).enumerate() {
            self.settle_group(context, *number, (table, row), judgement, window);
            if let Some(value) = recorded.next() {
                self.emit_record(context, *number, table.at[row], value);
            }
        }
    }

    fn settle_group(
        &mut self,
        context: &mut Context<'_>,
        number: u32,
        (table, row): (&Table, usize),
        judgement: Result<Option<Level>, Fault>,
        window: Option<Bounds>,
    ) {
        let at = table.at[row];
        let outside = self.is_outside_hours(at);
        let judged = judgement.and_then(|level| {
            let level = if outside { None } else { level };
            self.after_reset(number, None, level, (table, row), outside)
        });
        let level = match judged {
            Ok(level) => level,
            Err(fault) => return self.fault(context, number, at, fault),
        };
        self.stats.last_judged = Some(at);
        self.revive(context, number, at);
        let verdict = Verdict::of(level);
        let group = &mut self.groups[number];
        group.end_faults();
        // Hours begin and end without a sample.
        group.stale = self.rule.during.is_some();
        let value = main_value(&self.programs.columns, table, row);
        if group.stays_clear(verdict, value, at) {
            self.reschedule(context, number);
            return;
        }
        let cause = match verdict {
            _ if outside => Cause::OutsideHours,
            Verdict::Breach(_) => Cause::Breach,
            Verdict::Clear => Cause::Clear,
        };
        let names = self.rule.inputs.iter().map(|input| input.name.clone()).collect::<Vec<_>>();
        let values = all_values(&self.programs.columns, &names, table, row);
        let facts = Facts { value, values: Values::All(values), window };
        emit::judge(&self.rule, group, context, at, (verdict, cause), &facts);
        self.reschedule(context, number);
    }

    /// The sample of a recording rule, for the next layer.
    fn emit_record(
        &mut self,
        context: &mut Context<'_>,
        group: u32,
        at: EventTime,
        value: Result<f64, Fault>,
    ) {
        let Some(record) = &self.rule.record else { return };
        match value {
            Ok(value) if value.is_finite() => {
                let labels = self.groups[group].key.with(&self.rule.labels);
                let series = Series::new(&record.name, labels.iter());
                let rule = context.rule;
                context.out.derived.push(Derived { series, at, value, rule });
            }
            // Without a number there is no sample: the derived series has a gap.
            Ok(_) => {}
            Err(fault) => self.fault(context, group, at, fault),
        }
    }

    /// Folds across latest values are judged at `every`; a sample only changes what will be seen.
    pub fn latest_rows(&mut self, context: &mut Context<'_>, rows: &Rows, inbox: &[(u32, u32)]) {
        self.catch_up(context.watermark);
        for (row, member) in inbox {
            let (row, member) = (*row as usize, *member);
            let (at, value) = (rows.at[row], rows.value[row]);
            context.position = rows.position[row];
            let late = self.members[member].recent.last.is_some_and(|(last, _)| at < last);
            self.hear(context, member, at, value);
            let number = self.group_of[member as usize];
            if late {
                self.late(context, number, at);
                continue;
            }
            self.on_time(context, number);
            self.first_pane(context, at);
            self.groups[number].stale = true;
            self.wake(number);
            self.schedule_for(context, number, None);
        }
    }

    /// Judges one group's latest values at `end`. False when it has no live series.
    pub fn close_latest(&mut self, context: &mut Context<'_>, number: u32, end: EventTime) -> bool {
        let inputs = self.rule.inputs.len() as u8;
        let folded = |input: u8| {
            let mut values = self.live_values(number, input);
            self.rule.across.and_then(|across| across::fold(across, &mut values))
        };
        let values: Option<Vec<f64>> = (0..inputs).map(folded).collect();
        let Some(values) = values else { return false };
        let anew = self.programs.is_stateful() || self.rule.record.is_some();
        if self.groups[number].stale || anew {
            self.judge_values(context, number, end, &values, None);
            self.groups[number].stale = self.rule.during.is_some();
        } else {
            self.repeat_verdict(context, number, end, |run| {
                let told = run.programs.columns.iter().map(|column| match column {
                    Column::Value { input } => values[*input as usize],
                    Column::Label(_) | Column::Reduced { .. } | Column::Base { .. } => 0.0,
                });
                run.facts_of(told.collect(), None)
            });
        }
        true
    }

    fn live_values(&self, group: u32, input: u8) -> Vec<f64> {
        let members = self.groups[group].members().iter().map(|member| &self.members[*member]);
        let live = members.filter(|member| member.is_live() && member.input == input);
        live.filter_map(|member| member.recent.last).map(|(_, value)| value).collect()
    }

    /// Nothing changed since the last judgement: its verdict stands, and only an alert that does
    /// something has time pass for it.
    pub fn repeat_verdict(
        &mut self,
        context: &mut Context<'_>,
        number: u32,
        at: EventTime,
        facts: impl FnOnce(&RuleRun) -> Facts,
    ) {
        let group = &self.groups[number];
        if group.now.alert.ignores_clear() {
            return;
        }
        let cause = match group.verdict {
            Verdict::Breach(_) => Cause::Breach,
            Verdict::Clear => Cause::Clear,
        };
        let (verdict, facts) = (group.verdict, facts(self));
        let group = &mut self.groups[number];
        emit::judge(&self.rule, group, context, at, (verdict, cause), &facts);
        self.reschedule(context, number);
    }
}
