//! Rules with a window: samples are folded as they come, windows are judged when their panes close
//! (or, for `last(n)`, on each sample).

use crate::kernel::event::Bounds;
use crate::kernel::model::EventTime;
use crate::kernel::rule::view::{BaseStat, Column, Frame, Reduction};
use crate::kernel::rule::{Distinct, Judge, OnNoData, Shape};
use crate::kernel::sequence::Rows;

use crate::kernel::window::across;

use crate::kernel::window::{Folded, GroupWindow, Placed, hash_of_label, hash_of_value};

use super::emit;
use super::group::Silence;
use super::programs::Table;
use super::run::RuleRun;
use super::{Context, Phase};

/// What a window's columns came to.
enum View {
    /// Nothing to judge: the window is empty, or what is read is undefined.
    NoData,
    /// As it was at the last judgement.
    Unchanged,
    /// Not to be judged: the group is suspended or its rule quarantined.
    Held,
    Changed(Vec<f64>),
}

impl RuleRun {
    pub fn window_rows(&mut self, context: &mut Context<'_>, rows: &Rows, inbox: &[(u32, u32)]) {
        self.catch_up(context.watermark);
        let shares = self.share_hits(rows, inbox);
        for (at, (row, member)) in inbox.iter().enumerate() {
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
            let number = self.members[*member].group;
            self.judge_windows(context, &[number], rows.at[*row as usize]);
        }
    }

    /// For each row of the inbox whether `.share(..)` holds; empty without one.
    fn share_hits(&mut self, rows: &Rows, inbox: &[(u32, u32)]) -> Vec<bool> {
        let Some(share) = &mut self.share else { return Vec::new() };
        let values: Vec<f64> = inbox.iter().map(|(row, _)| rows.value[*row as usize]).collect();
        let at: Vec<EventTime> = inbox.iter().map(|(row, _)| rows.at[*row as usize]).collect();
        let frame = Frame { rows: values.len(), numbers: &[&values], at: &at, keys: &[] };
        let (mut hits, mut faults) = (Vec::new(), Vec::new());
        share.test(&frame, None, &mut hits, &mut faults);
        self.stats.faults += faults.len() as u64;
        hits
    }

    fn fold_row(
        &mut self,
        context: &mut Context<'_>,
        rows: &Rows,
        (row, member): (usize, u32),
        share_hit: Option<bool>,
    ) {
        let (at, value) = (rows.at[row], rows.value[row]);
        let previous = self.hear(context, member, at, value);
        let (number, input) = (self.members[member].group, self.members[member].input);
        let distinct_hash = match &self.rule.declared.distinct {
            None => 0,
            Some(Distinct::Value) => hash_of_value(value),
            Some(Distinct::Label(label)) => {
                hash_of_label(self.members[member].series.label(label).unwrap_or(""))
            }
        };
        let sample = Folded {
            at,
            position: rows.position[row],
            member: self.members[member].hash,
            value,
            share_hit: share_hit.unwrap_or(false),
            distinct_hash,
            previous,
        };
        if !self.groups[number].awake {
            self.move_up(number, context.watermark - self.delay);
        }
        let spec = &self.specs[input as usize];
        let window = match &mut self.members[member].window {
            Some(own) => own.as_mut(),
            None => &mut self.groups[number].windows[input as usize],
        };
        match window.fold(spec, &sample) {
            Placed::Open => {
                self.on_time(context, number);
                self.end_absence(context, number, at);
            }
            Placed::LateInWindow | Placed::LateGone => self.late(context, number, at),
        }
        if self.every().is_some() {
            self.first_pane(context, at);
            self.wake(number);
        }
        if self.groups[number].wake == EventTime::MAX || self.is_session() {
            self.schedule(context, number);
        }
    }

    pub fn is_session(&self) -> bool {
        matches!(self.rule.shape, Shape::Session { .. })
    }

    /// Without any watermark yet, panes begin with the one that the first sample falls in.
    /// A run that listens since a known time judges nothing long before it: one old sample would
    /// else bring up every pane of decades.
    pub fn first_pane(&mut self, context: &Context<'_>, at: EventTime) {
        if self.closed == EventTime::MIN
            && let Some(every) = self.every()
        {
            let start = (context.listening.from - self.rule.remembers() - self.delay).floor(every);
            self.closed = start.max((at.pane_end(every) - every).floor(every));
        }
    }

    /// Windows of a group that slept catch up with the panes that closed meanwhile.
    fn move_up(&mut self, number: u32, watermark: EventTime) {
        let group = &mut self.groups[number];
        group.windows.iter_mut().for_each(|window| window.catch_up(watermark));
        for member in &self.groups[number].members {
            if let Some(window) = &mut self.members[*member].window {
                window.catch_up(watermark);
            }
        }
    }

    /// Judges every group that is awake at the end of a pane.
    pub fn close_panes(&mut self, context: &mut Context<'_>, end: EventTime) {
        context.phase = Phase::Due;
        let groups = std::mem::take(&mut self.awake);
        let awake = match (&self.rule.judge, self.rule.shape) {
            (Judge::Guest(_), Shape::Each) => self.tick(context, groups, end),
            (_, Shape::Latest { .. }) => {
                let live = |number: &u32| self.close_latest(context, *number, end);
                groups.into_iter().filter(live).collect()
            }
            _ => self.judge_windows(context, &groups, end),
        };
        for number in groups_asleep(&self.groups, &awake) {
            self.groups[number].awake = false;
        }
        self.awake = awake;
    }

    /// Judges the windows of some groups at `end`; gives the groups that have more to come.
    pub fn judge_windows(
        &mut self,
        context: &mut Context<'_>,
        numbers: &[u32],
        end: EventTime,
    ) -> Vec<u32> {
        let mut table = std::mem::take(&mut self.table);
        table.clear(self.programs.columns.len());
        let (mut changed, mut awake) = (Vec::new(), Vec::with_capacity(numbers.len()));
        for number in numbers {
            match self.view(*number, end) {
                View::Changed(values) => {
                    table.at.push(end);
                    for (numbers, value) in table.columns.iter_mut().zip(values) {
                        numbers.push(value);
                    }
                    changed.push(*number);
                    awake.push(*number);
                }
                View::Unchanged => {
                    self.repeat_verdict(context, *number, end, |run| {
                        let numbers: Option<Vec<f64>> = run
                            .programs
                            .columns
                            .iter()
                            .map(|column| run.read(*number, column))
                            .collect();
                        run.facts_of(numbers.unwrap_or_default(), run.bounds(*number, end))
                    });
                    awake.push(*number);
                }
                View::Held => awake.push(*number),
                View::NoData => {
                    if self.no_data(context, *number, end) {
                        awake.push(*number);
                    }
                }
            }
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
        self.table = table;
        awake
    }

    fn bounds(&self, number: u32, end: EventTime) -> Option<Bounds> {
        match self.rule.shape {
            Shape::Sliding { length, .. } => Some(Bounds { start: end - length, end }),
            Shape::Session { .. } => {
                self.groups[number].windows.first().and_then(GroupWindow::bounds)
            }
            Shape::Each | Shape::Latest { .. } | Shape::Count { .. } => None,
        }
    }

    /// Moves a group's windows to `end` and reads the rule's columns.
    fn view(&mut self, number: u32, end: EventTime) -> View {
        let (mut changed, mut any) = (false, false);
        let specs = &self.specs;
        let group = &mut self.groups[number];
        for (window, spec) in group.windows.iter_mut().zip(specs) {
            let judged = window.close(spec, end);
            changed |= judged.changed;
            any |= !judged.empty;
        }
        for member in &self.groups[number].members {
            let member = &mut self.members[*member];
            if let Some(window) = &mut member.window {
                let judged = window.close(&specs[member.input as usize], end);
                changed |= judged.changed;
                any |= !judged.empty;
                member.live = !judged.empty;
            }
        }
        self.close_bases(number, end, any);
        let absent = self.groups[number].quiet.is_some_and(|quiet| quiet.why == Silence::Absent);
        if absent || !any && matches!(self.rule.shape, Shape::Count { .. }) {
            // A window's remains do not end an absence, and `last(n)` waits until it is full.
            return if any || !absent { View::Held } else { View::NoData };
        }
        if !any || self.is_suspended(number) || self.quarantined {
            return if any { View::Held } else { View::NoData };
        }
        let group = &self.groups[number];
        if !changed && !group.stale && group.quiet.is_none() && !self.programs.is_stateful() {
            return View::Unchanged;
        }
        let values: Option<Vec<f64>> =
            self.programs.columns.iter().map(|column| self.read(number, column)).collect();
        values.map_or(View::NoData, View::Changed)
    }

    fn close_bases(&mut self, number: u32, end: EventTime, any: bool) {
        let Some(spec) = self.base_spec else { return };
        for (at, (input, reduction)) in self.base_columns().into_iter().enumerate() {
            let value = if any { self.reduce(number, input, reduction) } else { None };
            self.groups[number].bases[at].close(&spec, end, value);
        }
    }

    /// One column of one group; `None` when it is undefined.
    fn read(&self, number: u32, column: &Column) -> Option<f64> {
        match column {
            Column::Reduced { input, reduction } => self.reduce(number, *input, *reduction),
            Column::Base { input, reduction, stat } => {
                let bases = self.base_columns();
                let at = bases.iter().position(|base| *base == (*input, *reduction))?;
                let value = self.groups[number].bases[at].stat(*stat);
                // A condition guards by the count, so the other figures may be read without one.
                if *stat == BaseStat::Count { value } else { Some(value.unwrap_or(f64::NAN)) }
            }
            // Labels are read from the key.
            Column::Label(_) => Some(0.0),
            Column::Value { .. } => unreachable!("a rule with a window reads reductions"),
        }
    }

    fn reduce(&self, number: u32, input: u8, reduction: Reduction) -> Option<f64> {
        let spec = &self.specs[input as usize];
        let Some(across) = self.rule.across else {
            return self.groups[number].windows[input as usize].view(spec, reduction);
        };
        let mut members: Vec<_> = self.groups[number]
            .members
            .iter()
            .map(|member| &self.members[*member])
            .filter(|member| member.input == input)
            .collect();
        members.sort_by(|a, b| a.series.cmp(&b.series));
        let view = |window: &GroupWindow| window.view(spec, reduction);
        let mut values: Vec<f64> =
            members.iter().filter_map(|member| member.window.as_deref().and_then(view)).collect();
        across::fold(across, &mut values)
    }

    /// An empty pane end. True while the group has more to come without new samples.
    fn no_data(&mut self, context: &mut Context<'_>, number: u32, end: EventTime) -> bool {
        self.silence(context, number, end, Silence::Empty);
        let group = &self.groups[number];
        let idle = group.windows.iter().all(GroupWindow::is_idle)
            && group.members.iter().all(|member| {
                self.members[*member].window.as_ref().is_none_or(|window| window.is_idle())
            });
        let moving = self.rule.timing.on_no_data != OnNoData::Hold
            && group.alert.state.deadline(emit::timing(&self.rule)).is_some();
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

fn groups_asleep(groups: &super::slab::Slab<super::group::Group>, awake: &[u32]) -> Vec<u32> {
    let mut is_awake: Vec<u32> = awake.to_vec();
    is_awake.sort_unstable();
    groups
        .iter()
        .filter(|(number, group)| group.awake && is_awake.binary_search(number).is_err())
        .map(|(number, _)| number)
        .collect()
}
