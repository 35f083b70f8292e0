//! The way of a segment's rows to the rules: series that are bound alike form a class, and the rows
//! of a class are judged together, a column at a time.
//!
//! Only rows that breach, or whose group is not at rest, go on to the rule one by one.

use std::ops::Range;

use crate::kernel::model::EventTime;
use crate::kernel::rule::program::Threshold;
use crate::kernel::rule::ruleset::Binding;
use crate::kernel::rule::succession::Succession;
use crate::kernel::sequence::Rows;

use super::Engine;
use super::output::Output;
use super::plan::Plan;
use super::stretch::Around;

/// Series that are bound to the same inputs of the same rules.
pub struct Class {
    /// Empty where the rule is gone, or takes series anew.
    pub bindings: Vec<Option<Binding>>,
    /// How the bindings are judged; made when rows come, and anew after a swap.
    pub plan: Option<Plan>,
    /// Rows of the stretch at hand, and what they have in common.
    rows: Vec<u32>,
    seen: Seen,
}

/// What the rows of a class have in common.
#[derive(Clone, Copy)]
struct Seen {
    /// Places that are busy in any of them.
    busy: u32,
    low: f64,
    high: f64,
    last: EventTime,
}

impl Seen {
    const NOTHING: Seen =
        Seen { busy: 0, low: f64::INFINITY, high: f64::NEG_INFINITY, last: EventTime::MIN };
}

impl Class {
    pub fn new(bindings: &[Binding]) -> Class {
        let bindings = bindings.iter().copied().map(Some).collect();
        Class { bindings, plan: None, rows: Vec::new(), seen: Seen::NOTHING }
    }

    pub fn renumber(&mut self, succession: &Succession) {
        for place in &mut self.bindings {
            *place = place.and_then(|Binding { rule, input }| {
                succession.bound_heir(rule).map(|rule| Binding { rule, input })
            });
        }
        if let Some(plan) = &mut self.plan {
            plan.renumber(succession);
        }
    }
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
        self.stretch.number = self.stretch.number.wrapping_add(1);
        for row in range.clone() {
            let Some(latest) = self.latest.bound(rows.series[row]) else { continue };
            if latest.stretch == self.stretch.number as u16 {
                return row;
            }
            latest.stretch = self.stretch.number as u16;
            if rows.at[row] < latest.at {
                self.stretch.late.push(row as u32);
                continue;
            }
            let class = &mut self.classes[latest.class as usize];
            if class.rows.is_empty() {
                self.stretch.classes.push(latest.class);
                class.seen = Seen::NOTHING;
            }
            class.rows.push(row as u32);
            let value = rows.value[row];
            class.seen.busy |= latest.busy;
            class.seen.low = class.seen.low.min(value);
            class.seen.high = class.seen.high.max(value);
            class.seen.last = rows.at[row];
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
                for binding in self.classes[*class as usize].bindings.iter().flatten() {
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
        let class = &mut self.classes[number];
        if class.plan.as_ref().is_none_or(|plan| plan.round != self.round) {
            if let Some(plan) = &mut class.plan {
                plan.tell(&mut self.runs);
            }
            class.plan = Some(Plan::new(&class.bindings, &self.runs, self.round));
        }
        let Engine { stretch, classes, runs, bound, latest, .. } = self;
        let Class { plan, rows: mine, seen, bindings } = &mut classes[number];
        let plan = plan.as_mut().expect("it was just made");
        stretch.gathered = false;
        let around = Around { rows, mine, bound, latest, places: bindings.len() };
        for line in &mut plan.thresholds {
            let may = |threshold: &Threshold| threshold.may_hold(seen.low, seen.high);
            let mut rested = mine.len() as u64;
            if seen.busy >> line.place & 1 == 1 || line.thresholds.iter().any(may) {
                let run = &mut runs[line.binding.rule.index()];
                rested -= around.judge_line(stretch, run, line);
            }
            line.rested += rested;
            line.last = line.last.max(Some(seen.last));
        }
        for (place, binding) in &plan.others {
            let run = &mut runs[binding.rule.index()];
            let binding = *binding;
            if run.plain {
                let rested = mine.len() as u64 - around.judge_plain(stretch, run, binding, *place);
                run.count_rested(rested, Some(seen.last));
            } else {
                around.hand_all(stretch, run, binding, *place);
            }
        }
        let confirmed =
            |(_, binding): &(usize, Binding)| runs[binding.rule.index()].programs.is_confirmed();
        if plan.provisional && plan.others.iter().all(confirmed) {
            plan.tell(runs);
            classes[number].plan = None;
        }
    }

    /// Late rows go to all of their rules, which count them.
    fn hand_late(&mut self, rows: &Rows) {
        let Engine { stretch, classes, runs, bound, latest, .. } = self;
        for row in std::mem::take(&mut stretch.late) {
            let latest = &latest[rows.series[row as usize]];
            let bindings = &classes[latest.class as usize].bindings;
            for (place, binding) in bindings.iter().enumerate() {
                let Some(binding) = binding else { continue };
                let member = bound.member(latest.home, bindings.len(), place);
                let run = &mut runs[binding.rule.index()];
                if !stretch.offer(run, *binding, row, member) {
                    stretch.hand(run, *binding, row, member);
                }
            }
        }
    }

    /// Of a group of several series, one of which has a row that must be seen, all rows must be.
    fn hand_crowded(&mut self, rows: &Rows, number: usize) {
        let Engine { stretch, classes, runs, bound, latest, .. } = self;
        let class = &classes[number];
        for (place, binding) in class.bindings.iter().enumerate() {
            let Some(binding) = binding else { continue };
            let run = &mut runs[binding.rule.index()];
            if !run.crowded {
                continue;
            }
            for row in &class.rows {
                let home = latest[rows.series[*row as usize]].home;
                let member = bound.member(home, class.bindings.len(), place);
                let group = run.groups.get(run.group_of[member as usize]);
                if group.is_some_and(|group| group.now.recent.seen_in == stretch.number) {
                    stretch.hand(run, *binding, *row, member);
                    run.counted_twice += 1;
                }
            }
        }
    }

    /// Runs the rules that have rows, in their order.
    fn run_rules(&mut self, rows: &Rows, out: &mut Output) {
        out.disputes.append(&mut self.stretch.disputes);
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
            latest.set_source(rows.source);
        }
    }
}
