//! Rules with a window: samples are folded as they come, windows are judged when their panes close
//! (or, for `last(n)`, on each sample).

use crate::kernel::event::Bounds;
use crate::kernel::model::EventTime;
use crate::kernel::rule::view::{BaseStat, Column, Frame, Reduction};
use crate::kernel::rule::{Distinct, Judge, OnNoData, Shape};
use crate::kernel::sequence::Rows;

use crate::kernel::window::across;

use crate::kernel::window::{Folded, GroupWindow, Work, hash_of_label, hash_of_value};

use super::emit;
use super::figures::{Facts, Values, all_values, main_value};
use super::group::Silence;
use super::programs::Table;
use super::run::RuleRun;
use super::{Context, Phase};

/// What a window's columns came to.
#[derive(Clone, Copy)]
enum View {
    /// Nothing to judge: the window is empty, or what is read is undefined.
    NoData,
    /// As it was at the last judgement.
    Unchanged,
    /// Not to be judged: the group is suspended or its rule quarantined.
    Held,
    /// Its numbers are a new row of the table.
    Changed,
}

/// The reductions that have a baseline, in the order of a group's `bases`.
type Bases = [(u8, Reduction)];

/// So many groups are asked for at once before the first of them is worked on: what waits for
/// memory then waits for all of them together.
pub const AT_ONCE: usize = 16;

impl RuleRun {
    pub fn window_rows(&mut self, context: &mut Context<'_>, rows: &Rows, inbox: &[(u32, u32)]) {
        self.catch_up(context.watermark);
        if self.dense.is_some() {
            return self.dense_rows(context, rows, inbox);
        }
        if self.follows {
            return self.follow_rows(context, rows, inbox);
        }
        let shares = self.share_hits(rows, inbox);
        for (at, (row, member)) in inbox.iter().enumerate() {
            if at % AT_ONCE == 0 {
                let next = inbox[at..].iter().take(AT_ONCE);
                self.warm(Work::Fold, next.map(|(_, member)| self.group_of[*member as usize]));
            }
            context.position = rows.position[*row as usize];
            self.fold_row(context, rows, (*row as usize, *member), shares.get(at).copied());
        }
    }

    /// `last(n)` is judged on each sample once it is full.
    pub fn count_rows(&mut self, context: &mut Context<'_>, rows: &Rows, inbox: &[(u32, u32)]) {
        let shares = self.share_hits(rows, inbox);
        for (at, (row, member)) in inbox.iter().enumerate() {
            context.position = rows.position[*row as usize];
            self.fold_row(context, rows, (*row as usize, *member), shares.get(at).copied());
            let number = self.group_of[*member as usize];
            self.judge_windows(context, &[number], rows.at[*row as usize], &mut Vec::new());
        }
    }

    /// For each row of the inbox whether `.share(..)` holds; empty without one.
    fn share_hits(&mut self, rows: &Rows, inbox: &[(u32, u32)]) -> Vec<bool> {
        let Some(share) = &mut self.share else { return Vec::new() };
        let values: Vec<f64> = inbox.iter().map(|(row, _)| rows.value[*row as usize]).collect();
        let at: Vec<EventTime> = inbox.iter().map(|(row, _)| rows.at[*row as usize]).collect();
        let frame =
            Frame { rows: values.len(), numbers: &[&values], at: &at, keys: &[], facts: &[] };
        let (mut hits, mut faults) = (Vec::new(), Vec::new());
        share.test(&frame, None, &mut hits, &mut faults);
        self.stats.faults += faults.len() as u64;
        hits
    }

    pub fn fold_row(
        &mut self,
        context: &mut Context<'_>,
        rows: &Rows,
        (row, member): (usize, u32),
        share_hit: Option<bool>,
    ) {
        let (at, value) = (rows.at[row], rows.value[row]);
        self.rouse(context.latest, self.group_of[member as usize]);
        let previous = self.hear(context, member, at, value);
        let (number, input) = (self.group_of[member as usize], self.members[member].input);
        let distinct_hash = match &self.rule.declared.distinct {
            None => 0,
            Some(Distinct::Value) => hash_of_value(value),
            Some(Distinct::Label(label)) => {
                let series = context.latest.series(self.members[member].id);
                hash_of_label(series.label(label).unwrap_or(""))
            }
        };
        let id = self.members[member].id;
        let tells_apart = self.specs[input as usize].tells_members_apart();
        let sample = Folded {
            at,
            position: rows.position[row],
            member: if tells_apart { context.latest.series(id).digest() } else { 0 },
            value,
            share_hit: share_hit.unwrap_or(false),
            distinct_hash,
            previous,
        };
        if !self.groups[number].awake {
            self.move_up(number, context.watermark - self.delay);
        }
        let spec = &self.specs[input as usize];
        let placed = match (&mut self.dense, &mut self.members[member].recent.window) {
            (Some(dense), _) => dense.fold(number, self.closed, at, value),
            (None, Some(own)) => own.fold(spec, &sample),
            (None, None) => {
                self.groups[number].now.recent.windows[input as usize].fold(spec, &sample)
            }
        };
        self.settle_fold(context, number, at, placed);
        if self.every.is_some() {
            self.first_pane(context, at);
            self.wake(number);
        }
        if self.groups[number].wake == EventTime::MAX || self.is_session() {
            self.schedule_for(context, number, Some(member));
        }
    }

    /// What a verdict over these numbers, one for each column, was about.
    pub fn facts_of(&self, numbers: Vec<f64>, window: Option<Bounds>) -> Facts {
        let columns = numbers.into_iter().map(|number| vec![number]).collect();
        let table = Table { columns, at: Vec::new() };
        let names = self.rule.inputs.iter().map(|input| input.name.clone()).collect::<Vec<_>>();
        let value = main_value(&self.programs.columns, &table, 0);
        let values = all_values(&self.programs.columns, &names, &table, 0);
        Facts { value, values: Values::All(values), window }
    }

    pub fn is_session(&self) -> bool {
        matches!(self.rule.shape, Shape::Session { .. })
    }

    /// Without any watermark yet, panes begin with the one that the first sample falls in.
    /// A run that listens since a known time judges nothing long before it: one old sample would
    /// else bring up every pane of decades.
    pub fn first_pane(&mut self, context: &Context<'_>, at: EventTime) {
        if self.closed == EventTime::MIN
            && let Some(every) = self.every
        {
            let start = (context.listening.from - self.rule.remembers() - self.delay).floor(every);
            self.closed = start.max((at.pane_end(every) - every).floor(every));
        }
    }

    /// Windows of a group that slept catch up with the panes that closed meanwhile.
    fn move_up(&mut self, number: u32, watermark: EventTime) {
        let specs = &self.specs;
        for (window, spec) in self.groups[number].now.recent.windows.iter_mut().zip(specs) {
            window.catch_up(spec, watermark);
        }
        for member in self.groups[number].members() {
            let member = &mut self.members[*member];
            if let Some(window) = &mut member.recent.window {
                window.catch_up(&specs[member.input as usize], watermark);
            }
        }
    }

    /// Judges every group that is awake at the end of a pane.
    pub fn close_panes(&mut self, context: &mut Context<'_>, end: EventTime) {
        context.phase = Phase::Due;
        if let Shape::Sliding { every, .. } = self.rule.shape {
            assert!(end == end.floor(every), "a window ends where a pane does");
        }
        let groups = std::mem::take(&mut self.awake);
        self.awake = match (&self.rule.judge, self.rule.shape) {
            (Judge::Guest(_), Shape::Each) => self.tick(context, groups, end),
            (_, Shape::Latest { .. }) => {
                self.sleep(&groups);
                let live = |number: &u32| self.close_latest(context, *number, end);
                let live = groups.into_iter().filter(live).collect();
                self.stay_awake(live)
            }
            _ if self.dense.is_some() => self.close_dense(context, groups, end),
            _ => {
                let mut awake = Vec::with_capacity(groups.len());
                self.judge_windows(context, &groups, end, &mut awake);
                awake
            }
        };
    }

    pub fn sleep(&mut self, groups: &[u32]) {
        groups.iter().for_each(|number| self.groups[*number].awake = false);
    }

    fn stay_awake(&mut self, groups: Vec<u32>) -> Vec<u32> {
        groups.iter().for_each(|number| self.groups[*number].awake = true);
        groups
    }

    /// Judges the windows of some groups at `end`; groups that have more to come go to `awake`,
    /// the others sleep until their next sample.
    pub fn judge_windows(
        &mut self,
        context: &mut Context<'_>,
        numbers: &[u32],
        end: EventTime,
        awake: &mut Vec<u32>,
    ) {
        let mut table = std::mem::take(&mut self.table);
        table.clear(self.programs.columns.len());
        let bases = if self.base_spec.is_some() {
            RuleRun::bases_among(&self.programs.columns)
        } else {
            Vec::new()
        };
        let mut changed = Vec::with_capacity(numbers.len());
        for (at, number) in numbers.iter().enumerate() {
            if at % AT_ONCE == 0 {
                self.warm(Work::Close, numbers[at..].iter().take(AT_ONCE).copied());
            }
            match self.view(*number, end, &bases, &mut table) {
                View::Changed => changed.push(*number),
                View::Held => {}
                View::Unchanged => self.repeat_verdict(context, *number, end, |run| {
                    let read = |column: &Column| run.read(*number, column, &bases);
                    let numbers: Option<Vec<f64>> = run.programs.columns.iter().map(read).collect();
                    run.facts_of(numbers.unwrap_or_default(), run.bounds(*number, end))
                }),
                View::NoData => {
                    self.rouse(context.latest, *number);
                    if !self.no_data(context, *number, end) {
                        self.groups[*number].awake = false;
                        continue;
                    }
                }
            }
            awake.push(*number);
        }
        let bounds = changed.first().and_then(|number| self.bounds(*number, end));
        if self.programs.is_stateful() {
            // One at a time: a state is lent out while its row is judged.
            for (row, number) in changed.iter().enumerate() {
                let one = table.row(row);
                self.judge_groups(context, &one, &[*number], bounds);
            }
        } else if !changed.is_empty() {
            self.judge_groups(context, &table, &changed, bounds);
        }
        table.slim();
        self.table = table;
    }

    fn bounds(&self, number: u32, end: EventTime) -> Option<Bounds> {
        match self.rule.shape {
            Shape::Sliding { length, .. } => Some(Bounds { start: end - length, end }),
            Shape::Session { .. } => {
                let window = self.groups[number].now.recent.windows.first()?;
                window.bounds(self.specs.first()?)
            }
            Shape::Each | Shape::Latest { .. } | Shape::Count { .. } => None,
        }
    }

    /// Moves a group's windows to `end` and reads the rule's columns into a row of the table.
    fn view(&mut self, number: u32, end: EventTime, bases: &Bases, table: &mut Table) -> View {
        let (changed, any) = self.close_windows(number, end);
        self.close_bases(number, end, any, bases);
        let group = &self.groups[number];
        let absent = group.now.more.quiet.is_some_and(|quiet| quiet.why == Silence::Absent);
        if absent || !any && matches!(self.rule.shape, Shape::Count { .. }) {
            // A window's remains do not end an absence, and `last(n)` waits until it is full.
            return if any || !absent { View::Held } else { View::NoData };
        }
        if !any || self.is_suspended(number) || self.quarantined {
            return if any { View::Held } else { View::NoData };
        }
        let anew = self.programs.is_stateful() || self.rule.record.is_some();
        if !changed && !group.stale && group.now.more.quiet.is_none() && !anew {
            return View::Unchanged;
        }
        for (at, column) in self.programs.columns.iter().enumerate() {
            let Some(value) = self.read(number, column, bases) else {
                table.columns[..at].iter_mut().for_each(|column| column.truncate(table.at.len()));
                return View::NoData;
            };
            table.columns[at].push(value);
        }
        table.at.push(end);
        View::Changed
    }

    /// Whether a sample entered or left any of the group's windows, and whether any holds one.
    fn close_windows(&mut self, number: u32, end: EventTime) -> (bool, bool) {
        if let Some(dense) = &mut self.dense {
            return (dense.take_changed(number), dense.count(number) > 0);
        }
        let (mut changed, mut any) = (false, false);
        let (specs, group) = (&self.specs, &mut self.groups[number]);
        for (window, spec) in group.now.recent.windows.iter_mut().zip(specs) {
            let judged = window.close(spec, end);
            changed |= judged.changed;
            any |= !judged.empty;
        }
        if self.rule.across.is_none() {
            return (changed, any);
        }
        for member in group.members() {
            let member = &mut self.members[*member];
            if let Some(window) = &mut member.recent.window {
                let judged = window.close(&specs[member.input as usize], end);
                changed |= judged.changed;
                any |= !judged.empty;
                member.set_live(!judged.empty);
            }
        }
        (changed, any)
    }

    fn close_bases(&mut self, number: u32, end: EventTime, any: bool, bases: &Bases) {
        let Some(spec) = self.base_spec else { return };
        for (at, (input, reduction)) in bases.iter().enumerate() {
            let value = if any { self.reduce(number, *input, *reduction) } else { None };
            self.groups[number].now.more.bases[at].close(&spec, end, value);
        }
    }

    /// One column of one group; `None` when it is undefined.
    pub fn read(&self, number: u32, column: &Column, bases: &Bases) -> Option<f64> {
        match column {
            Column::Reduced { input, reduction } => self.reduce(number, *input, *reduction),
            Column::Base { input, reduction, stat } => {
                let at = bases.iter().position(|base| *base == (*input, *reduction))?;
                let value = self.groups[number].now.more.bases[at].stat(*stat);
                // A condition guards by the count, so the other figures may be read without one.
                if *stat == BaseStat::Count { value } else { Some(value.unwrap_or(f64::NAN)) }
            }
            // Labels are read from the key.
            Column::Label(_) => Some(0.0),
            Column::Value { .. } => unreachable!("a rule with a window reads reductions"),
        }
    }

    fn reduce(&self, number: u32, input: u8, reduction: Reduction) -> Option<f64> {
        if let Some(dense) = &self.dense {
            return dense.view(number, reduction);
        }
        let spec = &self.specs[input as usize];
        let Some(across) = self.rule.across else {
            return self.groups[number].now.recent.windows[input as usize].view(spec, reduction);
        };
        let members = self.groups[number].members().iter().map(|member| &self.members[*member]);
        let members = members.filter(|member| member.input == input);
        let view = |window: &GroupWindow| window.view(spec, reduction);
        let values = members.filter_map(|member| member.recent.window.as_deref().and_then(view));
        let mut values: Vec<f64> = values.collect();
        across::fold(across, &mut values)
    }

    /// An empty pane end. True while the group has more to come without new samples.
    fn no_data(&mut self, context: &mut Context<'_>, number: u32, end: EventTime) -> bool {
        self.silence(context, number, end, Silence::Empty);
        let group = &self.groups[number];
        let holds = self.dense.as_ref().is_some_and(|dense| dense.holds(number));
        let idle = !holds
            && group.now.recent.windows.iter().all(GroupWindow::is_idle)
            && group.members().iter().all(|member| {
                self.members[*member].recent.window.as_ref().is_none_or(|window| window.is_idle())
            });
        let moving = self.rule.timing.on_no_data != OnNoData::Hold
            && group.now.alert.state.deadline(emit::timing(&self.rule)).is_some();
        !idle || moving
    }
}

impl Table {
    /// One row as a table of its own.
    fn row(&self, row: usize) -> Table {
        let cell = |column: &Vec<f64>| column.get(row).copied().into_iter().collect();
        Table { columns: self.columns.iter().map(cell).collect(), at: vec![self.at[row]] }
    }
}
