//! Rules whose windows the engine keeps and a component judges: all windows that closed at one
//! pane end and changed go to it in one call, as columns.

use crate::kernel::alert::lifecycle::Verdict;
use crate::kernel::event::{Bounds, Cause};
use crate::kernel::rule::GuestRule;
use crate::kernel::rule::program::{Fault, GuestVerdicts, WindowRows};
use crate::kernel::rule::ruleset::RuleIndex;
use crate::kernel::rule::succession::{Change, Succession};

use super::emit;
use super::figures::{Facts, main_value};
use super::guest::{Answer, Answers};
use super::programs::Table;
use super::run::RuleRun;
use super::{Context, Engine};

impl Engine {
    /// Gives components that a swap replaced the state of the version before, now that all groups
    /// are there. Gives the rules for which it was lost, and why.
    pub fn hand_down(&mut self, succession: &Succession) -> Vec<(RuleIndex, String)> {
        let mut resets = Vec::new();
        for plugin in self.plugins.heirs() {
            self.announce_groups(&plugin);
            let Some(lost) = self.plugins.inherit(&plugin) else { continue };
            let rules = self.ruleset.rules().iter().zip(succession.changes()).enumerate();
            for (at, (rule, change)) in rules {
                let judged = rule.guest().is_some_and(|guest| *guest.plugin == *plugin);
                if judged && *change != Change::Added {
                    let why = format!("the component's state was lost: {lost}");
                    resets.push((RuleIndex(at as u32), why));
                }
            }
        }
        resets
    }

    /// Tells a component of every group of its window rules.
    pub fn announce_groups(&mut self, plugin: &str) {
        for run in &self.runs {
            let Some(guest) = run.rule.guest_of_windows() else { continue };
            if *guest.plugin == *plugin {
                let key_of = |group: u32| run.groups[group].key.clone();
                let groups = run.groups.numbers();
                // Who dies of it shows so in the first judgement.
                let _ = self.plugins.announce(plugin, guest.index, &groups, key_of);
            }
        }
    }
}

impl RuleRun {
    /// Judges one row for each group. A fault of the call is a fault of every group in it.
    pub fn judge_guest_windows(
        &mut self,
        context: &mut Context<'_>,
        table: &Table,
        numbers: &[u32],
        window: Option<Bounds>,
    ) {
        self.stats.evaluations += numbers.len() as u64;
        match self.ask_guest(context, table, numbers) {
            Ok(mut answers) => {
                for (row, number) in numbers.iter().enumerate() {
                    let answer = answers.of(row);
                    let resting = self.groups[*number].at_rest;
                    if resting && matches!(answer, Answer::Clear | Answer::Hold) {
                        continue;
                    }
                    self.rouse(context.latest, *number);
                    self.settle_guest_window(context, *number, (table, row), answer, window);
                }
            }
            Err(fault) => {
                for (number, at) in numbers.iter().zip(&table.at) {
                    self.rouse(context.latest, *number);
                    self.fault(context, *number, *at, fault.clone());
                }
            }
        }
    }

    fn ask_guest(
        &self,
        context: &mut Context<'_>,
        table: &Table,
        numbers: &[u32],
    ) -> Result<Answers, Fault> {
        let guest = self.rule.guest_of_windows().expect("only called for rules of components");
        let columns = &self.programs.columns;
        let column = |read| columns.binary_search(read).expect("the rule reads what it declares");
        let values: Vec<&[f64]> =
            guest.reads.iter().map(|read| table.columns[column(read)].as_slice()).collect();
        let GuestRule { plugin, index, .. } = guest;
        let key_of = |number: u32| self.groups[number].key.clone();
        context.plugins.announce(plugin, *index, numbers, key_of)?;
        let windows = WindowRows { groups: numbers, ends: &table.at, values: &values };
        let mut out = GuestVerdicts::default();
        context.plugins.evaluate_windows(plugin, *index, &windows, &mut out)?;
        Answers::new(out, numbers.len())
    }

    fn settle_guest_window(
        &mut self,
        context: &mut Context<'_>,
        number: u32,
        (table, row): (&Table, usize),
        answer: Answer,
        window: Option<Bounds>,
    ) {
        let at = table.at[row];
        let told = match answer {
            Answer::Hold => {
                self.groups[number].end_faults();
                return;
            }
            Answer::Clear => None,
            Answer::Breach(verdict) => Some(verdict),
        };
        let outside = self.rule.during.as_ref().is_some_and(|during| !during.holds(at));
        let told = told.filter(|_| !outside);
        let verdict = Verdict::of(told.as_ref().map(|verdict| verdict.level));
        self.stats.last_judged = Some(at);
        self.revive(context, number, at);
        let (shown, message) = told.map(|told| (told.value, told.message)).unwrap_or_default();
        let value = shown.or_else(|| main_value(&self.programs.columns, table, row));
        let group = &mut self.groups[number];
        group.end_faults();
        // Hours begin and end without a sample.
        group.stale = self.rule.during.is_some();
        if message.is_some() || group.now.more.message.is_some() {
            group.now.more.message = message.map(String::into_boxed_str);
        }
        if group.stays_clear(verdict, value, at) {
            return self.reschedule(context, number);
        }
        let cause = match verdict {
            _ if outside => Cause::OutsideHours,
            Verdict::Breach(_) => Cause::Breach,
            Verdict::Clear => Cause::Clear,
        };
        let numbers = table.columns.iter().map(|column| column[row]).collect();
        let facts = Facts { value, ..self.facts_of(numbers, window) };
        let group = &mut self.groups[number];
        emit::judge(&self.rule, group, context, at, (verdict, cause), &facts);
        self.reschedule(context, number);
    }
}
