//! The rows of one class in the stretch at hand: which of them their rules must see one by one.

use crate::kernel::model::{EventTime, Labels};
use crate::kernel::rule::ruleset::Binding;
use crate::kernel::rule::view::Column;
use crate::kernel::sequence::Rows;

use super::bound::BoundTable;
use super::latest::{LatestTable, PLACES};
use super::output::DisputeNote;
use super::plan::Line;
use super::programs::Groups;
use super::run::RuleRun;

/// Scratch space for the stretch at hand.
#[derive(Default)]
pub struct Stretch {
    pub number: u32,
    pub classes: Vec<u32>,
    pub rules: Vec<u32>,
    /// Rows older than what their series said last.
    pub late: Vec<u32>,
    /// The columns of the class at hand, once somebody wants them.
    pub gathered: bool,
    at: Vec<EventTime>,
    value: Vec<f64>,
    /// As [`Latest::busy`](super::latest::Latest::busy) of the rows' series.
    busy: Vec<u32>,
    marks: Vec<bool>,
    pub disputes: Vec<DisputeNote>,
    /// Some rule has rows of a group of several series that must be seen one by one.
    pub crowded: bool,
}

/// A class's rows with what is known of their series.
pub struct Around<'a> {
    pub rows: &'a Rows,
    pub mine: &'a [u32],
    pub bound: &'a BoundTable,
    pub latest: &'a LatestTable,
    /// Bindings of the class.
    pub places: usize,
}

impl Around<'_> {
    /// As [`Around::judge_plain`], where the conditions are known to be comparisons.
    pub fn judge_line(&self, stretch: &mut Stretch, run: &mut RuleRun, line: &Line) -> u64 {
        stretch.gather(self);
        let mut handed = 0;
        for (at, row) in self.mine.iter().enumerate() {
            let (value, busy) = (stretch.value[at], stretch.busy[at]);
            let breaches = line.thresholds.iter().any(|threshold| threshold.holds(value));
            if breaches || busy >> line.place & 1 == 1 {
                let member = self.member(*row, line.place);
                handed += u64::from(stretch.offer(run, line.binding, *row, member));
            }
        }
        handed
    }

    /// Hands over the rows that breach, or fault, or whose group is busy; gives how many. Of
    /// groups of several series they are only noted.
    pub fn judge_plain(
        &self,
        stretch: &mut Stretch,
        run: &mut RuleRun,
        binding: Binding,
        place: usize,
    ) -> u64 {
        stretch.gather(self);
        // Under quarantine all groups are busy.
        let marked = !run.quarantined
            && stretch.mark(run, self.mine.iter().map(|row| self.member(*row, place)));
        if !run.programs.is_confirmed() {
            stretch.disputes.extend(run.disputes());
        }
        let mut handed = 0;
        for (at, row) in self.mine.iter().enumerate() {
            if marked && stretch.marks[at] || self.is_busy(*row, place) {
                let member = self.member(*row, place);
                handed += u64::from(stretch.offer(run, binding, *row, member));
            }
        }
        // Rows that are handed over are counted when they are judged one by one.
        handed
    }

    /// Hands over all rows; those of groups at rest only a component, or the window, is to see.
    pub fn hand_all(
        &self,
        stretch: &mut Stretch,
        run: &mut RuleRun,
        binding: Binding,
        place: usize,
    ) {
        for row in self.mine {
            let member = self.member(*row, place);
            if (run.guest || run.dense.is_some()) && !self.is_busy(*row, place) {
                stretch.pass(run, binding, *row, member);
            } else {
                stretch.hand(run, binding, *row, member);
            }
        }
    }

    fn member(&self, row: u32, place: usize) -> u32 {
        let home = self.latest[self.rows.series[row as usize]].home;
        self.bound.member(home, self.places, place)
    }

    fn is_busy(&self, row: u32, place: usize) -> bool {
        let id = self.rows.series[row as usize];
        place >= PLACES || self.latest[id].busy >> place & 1 == 1
    }
}

impl Stretch {
    /// Brings a class's rows together in columns, unless they are already.
    fn gather(&mut self, around: &Around<'_>) {
        if std::mem::replace(&mut self.gathered, true) {
            return;
        }
        self.at.clear();
        self.value.clear();
        self.busy.clear();
        let Around { rows, mine, latest, .. } = *around;
        self.at.extend(mine.iter().map(|row| rows.at[*row as usize]));
        self.value.extend(mine.iter().map(|row| rows.value[*row as usize]));
        self.busy.extend(mine.iter().map(|row| latest[rows.series[*row as usize]].busy));
    }

    /// Marks the gathered rows that breach, or fault; true when there is one.
    fn mark(&mut self, run: &mut RuleRun, members: impl Iterator<Item = u32>) -> bool {
        let RuleRun { programs, groups, .. } = run;
        let value = &self.value;
        let numbers = |_: usize, column: &Column| match column {
            Column::Value { .. } => value.as_slice(),
            Column::Label(_) => &[],
            Column::Reduced { .. } | Column::Base { .. } => {
                unreachable!("a rule without a window has no reductions")
            }
        };
        if !programs.reads_labels() {
            return programs.mark(numbers, &self.at, Groups::default(), &mut self.marks);
        }
        let nothing = Labels::empty();
        let of: Vec<u32> = members.map(|member| run.group_of[member as usize]).collect();
        let key = |number: &u32| groups.get(*number).map_or(&nothing, |group| &group.key);
        let keys: Vec<&Labels> = of.iter().map(key).collect();
        let groups = Groups { keys: &keys, numbers: &of };
        programs.mark(numbers, &self.at, groups, &mut self.marks)
    }

    /// Hands a row to its rule unless all rows of its group have to be looked for, which is noted.
    pub fn offer(&mut self, run: &mut RuleRun, binding: Binding, row: u32, member: u32) -> bool {
        // Asked before the group is looked at, which is one more walk through memory.
        if run.plain
            && run.crowds
            && let Some(group) = run.groups.get_mut(run.group_of[member as usize])
            && group.members().len() > 1
        {
            group.now.recent.seen_in = self.number;
            (run.crowded, self.crowded) = (true, true);
            return false;
        }
        self.hand(run, binding, row, member);
        true
    }

    /// Gives a rule a row of a group at rest.
    fn pass(&mut self, run: &mut RuleRun, binding: Binding, row: u32, member: u32) {
        if run.passing.is_empty() {
            self.rules.push(binding.rule.0);
        }
        run.passing.push((row, member));
    }

    pub fn hand(&mut self, run: &mut RuleRun, binding: Binding, row: u32, member: u32) {
        if run.inbox.is_empty() {
            self.rules.push(binding.rule.0);
        }
        run.inbox.push((row, member));
    }
}
