//! The way of a segment's rows to the rules: series that are bound alike form a class, and a class's
//! rows are judged together, a column at a time.
//!
//! Only rows that breach, or whose group is not at rest, go on to the rule one by one.

use std::ops::Range;

use crate::kernel::model::{EventTime, Labels, SeriesId};
use crate::kernel::rule::ruleset::Binding;
use crate::kernel::sequence::Rows;

use super::Engine;
use super::latest::{LatestTable, PLACES};
use super::output::Output;
use super::run::RuleRun;

/// Series that are bound to the same inputs of the same rules.
#[derive(Default)]
pub struct Class {
    pub bindings: Vec<Binding>,
    /// Rows of the stretch at hand.
    rows: Vec<u32>,
}

impl Class {
    pub fn new(bindings: Vec<Binding>) -> Class {
        Class { bindings, rows: Vec::new() }
    }
}

/// Scratch space for the stretch at hand.
#[derive(Default)]
pub struct Stretch {
    number: u64,
    classes: Vec<u32>,
    rules: Vec<u32>,
    /// Rows older than what their series said last.
    late: Vec<u32>,
    at: Vec<EventTime>,
    value: Vec<f64>,
    marks: Vec<bool>,
    /// Some rule has rows of a group of several series that must be seen one by one.
    crowded: bool,
}

impl Engine {
    /// Rows between two watermark steps, given to the rules that take them.
    pub fn segment(&mut self, rows: &Rows, range: Range<usize>, out: &mut Output) {
        if range.is_empty() {
            return;
        }
        self.position = rows.position[range.end - 1];
        let mut from = range.start;
        while from < range.end {
            let to = self.sort_out(rows, from..range.end);
            self.judge_classes(rows);
            self.run_rules(rows, out);
            self.remember(rows, from..to);
            from = to;
        }
    }

    /// Puts rows to their classes, up to the first one whose series has a row among them already.
    /// Gives where it stopped.
    fn sort_out(&mut self, rows: &Rows, range: Range<usize>) -> usize {
        self.stretch.number += 1;
        for row in range.clone() {
            let Some(latest) = self.latest.bound(rows.series[row]) else { continue };
            if latest.stretch == self.stretch.number {
                return row;
            }
            latest.stretch = self.stretch.number;
            if rows.at[row] < latest.at {
                self.stretch.late.push(row as u32);
                continue;
            }
            let class = &mut self.classes[latest.class as usize];
            if class.rows.is_empty() {
                self.stretch.classes.push(latest.class);
            }
            class.rows.push(row as u32);
        }
        range.end
    }

    /// Fills the rules' inboxes with the rows that they must see one by one.
    fn judge_classes(&mut self, rows: &Rows) {
        let touched = std::mem::take(&mut self.stretch.classes);
        for class in &touched {
            self.judge_class(rows, *class as usize);
        }
        self.hand_late(rows);
        if std::mem::take(&mut self.stretch.crowded) {
            for class in &touched {
                self.hand_crowded(rows, *class as usize);
            }
            for class in &touched {
                for binding in &self.classes[*class as usize].bindings {
                    self.runs[binding.rule.index()].crowded = false;
                }
            }
        }
        for class in &touched {
            self.classes[*class as usize].rows.clear();
        }
        self.stretch.classes = touched;
        self.stretch.classes.clear();
    }

    fn judge_class(&mut self, rows: &Rows, number: usize) {
        let Engine { stretch, classes, runs, series, latest, .. } = self;
        let class = &classes[number];
        let busy = stretch.gather(rows, class, latest);
        for (place, binding) in class.bindings.iter().enumerate() {
            let run = &mut runs[binding.rule.index()];
            let member = |id: SeriesId| {
                series[id.index()].as_ref().expect("its class is bound").members[place]
            };
            if run.asks_guest() {
                for row in &class.rows {
                    let id = rows.series[*row as usize];
                    let is_busy = place >= PLACES || latest[id].busy >> place & 1 == 1;
                    stretch.pass(run, *binding, (*row, member(id)), is_busy);
                }
                continue;
            }
            if !run.plain {
                for row in &class.rows {
                    stretch.hand(run, *binding, *row, member(rows.series[*row as usize]));
                }
                continue;
            }
            let ids = class.rows.iter().map(|row| rows.series[*row as usize]);
            let marked = !run.quarantined && stretch.mark(run, ids.map(member));
            let held = place >= PLACES || busy >> place & 1 == 1;
            let mut handed = 0;
            if marked || held {
                for (at, row) in class.rows.iter().enumerate() {
                    let id = rows.series[*row as usize];
                    let is_busy = place >= PLACES || latest[id].busy >> place & 1 == 1;
                    if is_busy || marked && stretch.marks[at] {
                        handed += u64::from(stretch.offer(run, *binding, *row, member(id)));
                    }
                }
            }
            // Rows that are handed over are counted when they are judged one by one.
            let rested = class.rows.len() as u64 - handed;
            run.stats.samples += rested;
            run.stats.evaluations += rested;
            run.stats.last_judged = run.stats.last_judged.max(stretch.at.last().copied());
        }
    }

    /// Late rows go to all of their rules, which count them.
    fn hand_late(&mut self, rows: &Rows) {
        let Engine { stretch, classes, runs, series, latest, .. } = self;
        for row in std::mem::take(&mut stretch.late) {
            let id = rows.series[row as usize];
            let bound = series[id.index()].as_ref().expect("only bound series are sorted out");
            let class = &classes[latest[id].class as usize];
            for (binding, member) in class.bindings.iter().zip(&bound.members) {
                let run = &mut runs[binding.rule.index()];
                if !stretch.offer(run, *binding, row, *member) {
                    stretch.hand(run, *binding, row, *member);
                }
            }
        }
    }

    /// Of a group of several series, one of which has a row that must be seen, all rows must be.
    fn hand_crowded(&mut self, rows: &Rows, number: usize) {
        let Engine { stretch, classes, runs, series, .. } = self;
        let class = &classes[number];
        for (place, binding) in class.bindings.iter().enumerate() {
            let run = &mut runs[binding.rule.index()];
            if !run.crowded {
                continue;
            }
            for row in &class.rows {
                let id = rows.series[*row as usize];
                let bound = series[id.index()].as_ref().expect("its class is bound");
                let member = bound.members[place];
                let group = run.groups.get(run.members[member].group);
                if group.is_some_and(|group| group.seen_in == stretch.number) {
                    stretch.hand(run, *binding, *row, member);
                    run.stats.samples -= 1;
                    run.stats.evaluations -= 1;
                }
            }
        }
    }

    /// Runs the rules that have rows, in their order.
    fn run_rules(&mut self, rows: &Rows, out: &mut Output) {
        let mut rules = std::mem::take(&mut self.stretch.rules);
        rules.sort_unstable();
        rules.dedup();
        for rule in rules.drain(..) {
            self.with_rule(rule, rows.source, out, |run, context| {
                if !run.inbox.is_sorted() {
                    run.inbox.sort_unstable();
                }
                run.rows(context, rows);
            });
        }
        self.stretch.rules = rules;
    }

    /// Notes what each series said last, once all rules saw what it had said before.
    fn remember(&mut self, rows: &Rows, range: Range<usize>) {
        // Recorded samples come while deeper layers are still behind the watermark.
        let mark = *self.layer_marks.last().expect("there is always a first layer");
        for row in range {
            let Some(latest) = self.latest.bound(rows.series[row]) else { continue };
            let at = rows.at[row];
            if latest.at <= at {
                (latest.at, latest.value) = (at, rows.value[row]);
            }
            latest.heard = latest.heard.max(at.max(mark));
            latest.source = rows.source.or(latest.source);
        }
    }
}

impl Stretch {
    /// Brings a class's rows together in columns. Gives the places that are busy in any of them.
    fn gather(&mut self, rows: &Rows, class: &Class, latest: &LatestTable) -> u64 {
        self.at.clear();
        self.value.clear();
        let mut busy = 0;
        for row in &class.rows {
            let row = *row as usize;
            self.at.push(rows.at[row]);
            self.value.push(rows.value[row]);
            busy |= latest[rows.series[row]].busy;
        }
        busy
    }

    /// Marks the gathered rows that breach, or fault; true when there is one.
    fn mark(&mut self, run: &mut RuleRun, members: impl Iterator<Item = u32>) -> bool {
        let RuleRun { programs, members: known, groups, .. } = run;
        if !programs.reads_labels() {
            return programs.mark(&self.value, &self.at, &[], &mut self.marks);
        }
        let nothing = Labels::empty();
        let group = |member| groups.get(known[member].group);
        let key = |member| group(member).map_or(&nothing, |group| &group.key);
        let keys: Vec<&Labels> = members.map(key).collect();
        programs.mark(&self.value, &self.at, &keys, &mut self.marks)
    }

    /// Hands a row to its rule unless all rows of its group have to be looked for, which is noted.
    fn offer(&mut self, run: &mut RuleRun, binding: Binding, row: u32, member: u32) -> bool {
        let group = run.members[member].group;
        if let Some(group) = run.groups.get_mut(group)
            && group.members.len() > 1
            && run.plain
        {
            group.seen_in = self.number;
            (run.crowded, self.crowded) = (true, true);
            return false;
        }
        self.hand(run, binding, row, member);
        true
    }

    /// Gives a component's rule a row; of a group at rest only the component is to see it.
    fn pass(&mut self, run: &mut RuleRun, binding: Binding, row: (u32, u32), is_busy: bool) {
        if run.inbox.is_empty() && run.passing.is_empty() {
            self.rules.push(binding.rule.0);
        }
        if is_busy { run.inbox.push(row) } else { run.passing.push(row) }
    }

    fn hand(&mut self, run: &mut RuleRun, binding: Binding, row: u32, member: u32) {
        if run.inbox.is_empty() {
            self.rules.push(binding.rule.0);
        }
        run.inbox.push((row, member));
    }
}
