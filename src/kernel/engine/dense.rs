//! Rules that keep the windows of all groups together: batches fall into panes, and the end of a
//! pane is judged a column at a time. Groups at rest are looked at only where something happens.

use std::ops::Range;

use crate::kernel::model::{EventTime, Labels};
use crate::kernel::rule::program::Threshold;
use crate::kernel::rule::view::Column;
use crate::kernel::sequence::Rows;
use crate::kernel::window::Placed;

use super::Context;
use super::programs::{Groups, Programs, Table};
use super::run::RuleRun;

/// So many groups' figures are read before they are judged: they fit into the cache.
const ROWS: usize = 1_024;

impl RuleRun {
    /// Folds a segment's rows in their order, whether their groups are at rest or not: the last
    /// digit of a sum depends on it.
    pub fn dense_rows(&mut self, context: &mut Context<'_>, rows: &Rows, inbox: &[(u32, u32)]) {
        let mut passing = std::mem::take(&mut self.passing);
        if !passing.is_sorted() {
            passing.sort_unstable();
        }
        self.stats.samples += passing.len() as u64;
        let mut seen = inbox.iter().peekable();
        for (row, member) in &passing {
            while let Some((earlier, other)) = seen.next_if(|(other, _)| other < row) {
                self.dense_row(context, rows, *earlier, *other);
            }
            let at = rows.at[*row as usize];
            let group = self.group_of[*member as usize];
            if at > self.closed {
                let dense = self.dense.as_mut().expect("only called where windows are together");
                let placed = dense.fold(group, self.closed, at, rows.value[*row as usize]);
                assert!(placed == Placed::Open);
            } else {
                self.stats.samples -= 1;
                self.dense_row(context, rows, *row, *member);
            }
        }
        for (row, member) in seen {
            self.dense_row(context, rows, *row, *member);
        }
        if self.closes_at_rest() {
            for (_, member) in inbox {
                self.rest(context.latest, self.group_of[*member as usize]);
            }
        }
        passing.clear();
        self.passing = passing;
    }

    /// A row of a group that must see it.
    fn dense_row(&mut self, context: &mut Context<'_>, rows: &Rows, row: u32, member: u32) {
        context.position = rows.position[row as usize];
        self.fold_row(context, rows, (row as usize, member), None);
    }

    /// Judges all windows at the end of a pane; gives the groups that are to be looked at at the
    /// next end whatever happens.
    pub fn close_dense(
        &mut self,
        context: &mut Context<'_>,
        busy: Vec<u32>,
        end: EventTime,
    ) -> Vec<u32> {
        if let Some(dense) = &mut self.dense {
            dense.close(end);
        }
        let mut numbers = busy;
        numbers.retain(|number| {
            let group = &mut self.groups[*number];
            group.awake = !group.at_rest;
            group.awake
        });
        if self.rule.guest_of_windows().is_some() {
            // All groups go to the component in one call, those at rest too.
            let resting = self.resting.iter().enumerate().filter(|(_, resting)| **resting);
            numbers.extend(resting.map(|(number, _)| number as u32));
        } else if self.closes_at_rest() {
            self.judge_resting(context, end, &mut numbers);
        }
        let mut awake = Vec::with_capacity(numbers.len());
        self.judge_windows(context, &numbers, end, &mut awake);
        awake.retain(|number| {
            if !self.groups[*number].at_rest {
                self.rest(context.latest, *number);
            }
            let group = &mut self.groups[*number];
            group.awake = !group.at_rest;
            group.awake
        });
        awake
    }

    /// Looks over the groups at rest: those that a condition may hold for, or that fell silent, are
    /// roused and join `busy`.
    fn judge_resting(&mut self, context: &mut Context<'_>, end: EventTime, busy: &mut Vec<u32>) {
        let mut roused = Vec::new();
        for from in (0..self.resting.len()).step_by(ROWS) {
            let some = from..self.resting.len().min(from + ROWS);
            self.judge_some(context, end, some, &mut roused);
        }
        for number in roused {
            self.rouse(context.latest, number);
            // What it says was read already; it has to be read again for its own judgement.
            self.groups[number].stale = true;
            busy.push(number);
        }
    }

    fn judge_some(
        &mut self,
        context: &mut Context<'_>,
        end: EventTime,
        some: Range<usize>,
        roused: &mut Vec<u32>,
    ) {
        let mut table = std::mem::take(&mut self.table);
        table.clear(self.programs.columns.len());
        let dense = self.dense.as_mut().expect("only called where windows are together");
        let figures = self.programs.columns.iter().map(|column| match column {
            Column::Reduced { reduction, .. } => dense.view_all(some.clone(), *reduction),
            // Labels are read from the key.
            Column::Label(_) => vec![0.0; some.len()],
            Column::Value { .. } | Column::Base { .. } => {
                unreachable!("windows that are kept together are read by reductions alone")
            }
        });
        let figures: Vec<Vec<f64>> = figures.collect();
        let mut numbers = Vec::new();
        for (at, group) in some.enumerate() {
            if !self.resting[group] {
                continue;
            }
            let number = group as u32;
            let changed = dense.take_changed(number);
            let defined = figures.iter().all(|column| !column[at].is_nan());
            if defined && changed {
                let columns = table.columns.iter_mut().zip(&figures);
                columns.for_each(|(column, figures)| column.push(figures[at]));
                table.at.push(end);
                numbers.push(number);
            } else if changed || dense.count(number) == 0 {
                roused.push(number);
            }
        }
        self.stats.evaluations += numbers.len() as u64;
        if !numbers.is_empty() {
            self.stats.last_judged = self.stats.last_judged.max(Some(end));
            self.find_breaches(context, &table, &numbers, roused);
        }
        self.table = table;
    }

    fn find_breaches(
        &mut self,
        context: &mut Context<'_>,
        table: &Table,
        numbers: &[u32],
        roused: &mut Vec<u32>,
    ) {
        if self.is_ruled_out(table) {
            return;
        }
        let nothing = Labels::empty();
        let keys: Vec<&Labels> = if self.programs.reads_labels() {
            let key = |number: &u32| self.groups.get(*number).map_or(&nothing, |group| &group.key);
            numbers.iter().map(key).collect()
        } else {
            Vec::new()
        };
        let mut marks = Vec::new();
        let numbers_of = |at: usize, column: &Column| match column {
            Column::Label(_) => &[],
            Column::Value { .. } | Column::Reduced { .. } | Column::Base { .. } => {
                table.columns[at].as_slice()
            }
        };
        let groups = Groups { keys: &keys, numbers };
        if self.programs.mark(numbers_of, &table.at, groups, &mut marks) {
            let marked = numbers.iter().zip(&marks).filter(|(_, mark)| **mark);
            let before = roused.len();
            roused.extend(marked.map(|(number, _)| *number));
            // They are counted when they are judged by themselves.
            self.stats.evaluations -= (roused.len() - before) as u64;
        }
        context.out.disputes.extend(self.disputes());
    }

    /// Whether no group can breach, by the lowest and the highest figure alone.
    fn is_ruled_out(&self, table: &Table) -> bool {
        if !self.programs.is_confirmed() || self.programs.columns.len() != 1 {
            return false;
        }
        let Some(thresholds) = Programs::thresholds(&self.rule) else { return false };
        let (low, high) = table.columns[0]
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(*value), high.max(*value))
            });
        !thresholds.iter().any(|threshold: &Threshold| threshold.may_hold(low, high))
    }
}
