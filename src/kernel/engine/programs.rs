//! One shard's evaluators of one rule, and how a batch of rows goes through them.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::kernel::model::{EventTime, Labels, Level};
use crate::kernel::rule::program::{Dispute, Evaluator, Fault, Program, Threshold};
use crate::kernel::rule::view::{Column, Frame};
use crate::kernel::rule::{Judge, Rule, State};

use super::member::NO_GROUP;

/// A rule's programs over the union of the columns that they read.
pub struct Programs {
    /// Every column that any of them reads, sorted.
    pub columns: Vec<Column>,
    levels: [Option<LevelPrograms>; 3],
    record: Option<Bound>,
    /// Scratch for what conditions say of rows.
    truth: Vec<bool>,
    reads_labels: bool,
    stateful: bool,
    comparisons: Option<Comparisons>,
    /// Rows on which a native program was wrong, so far.
    pub disputed: u64,
}

/// By level, what a value is held against.
pub type Comparisons = [Option<Threshold>; 3];

struct LevelPrograms {
    when: Bound,
    reset: Option<Bound>,
}

/// An evaluator and where its columns lie in the union.
struct Bound {
    evaluator: Box<dyn Evaluator>,
    columns: Vec<usize>,
    labelled: Option<Labelled>,
}

/// What a program asks of labels, answered once for each group.
struct Labelled {
    program: Arc<dyn Program>,
    /// By group number.
    known: Vec<Option<u64>>,
    /// Those of the rows at hand.
    facts: Vec<u64>,
}

/// The groups of some rows: their labels and their numbers. Empty when no program asks for them.
#[derive(Clone, Copy, Default)]
pub struct Groups<'a> {
    pub keys: &'a [&'a Labels],
    pub numbers: &'a [u32],
}

impl<'a> Groups<'a> {
    fn row(self, row: usize) -> Groups<'a> {
        if self.keys.is_empty() {
            return self;
        }
        Groups { keys: &self.keys[row..row + 1], numbers: &self.numbers[row..row + 1] }
    }
}

impl Labelled {
    fn answer(&mut self, groups: Groups<'_>) {
        self.facts.clear();
        for (key, number) in groups.keys.iter().zip(groups.numbers) {
            let program = &self.program;
            if *number == NO_GROUP {
                self.facts.push(program.label_facts(key));
                continue;
            }
            let number = *number as usize;
            if self.known.len() <= number {
                self.known.resize(number + 1, None);
            }
            let known = &mut self.known[number];
            self.facts.push(*known.get_or_insert_with(|| program.label_facts(key)));
        }
    }
}

/// The columns of a frame; few programs read more than four.
type Columns<'a> = SmallVec<[&'a [f64]; 4]>;

/// Rows to judge: for each column of [`Programs::columns`] its numbers (none for labels).
#[derive(Debug, Default)]
pub struct Table {
    pub columns: Vec<Vec<f64>>,
    pub at: Vec<EventTime>,
}

impl Table {
    pub fn clear(&mut self, columns: usize) {
        self.columns.resize_with(columns, Vec::new);
        self.columns.iter_mut().for_each(Vec::clear);
        self.at.clear();
    }

    /// Gives back the room for more rows than are judged again and again.
    pub fn slim(&mut self) {
        const ROWS: usize = 4_096;
        self.clear(self.columns.len());
        self.columns.iter_mut().for_each(|column| column.shrink_to(ROWS));
        self.at.shrink_to(ROWS);
    }

    pub fn rows(&self) -> usize {
        self.at.len()
    }
}

fn comparisons(judge: &Judge) -> Option<Comparisons> {
    match judge {
        Judge::Levels(levels) => {
            let mut of = [None; 3];
            for (level, of) in levels.iter().zip(&mut of) {
                let Some(level) = level else { continue };
                *of = Some(level.when.threshold().filter(|_| level.reset.is_none())?);
            }
            Some(of)
        }
        Judge::Absent(_) => Some([None; 3]),
        Judge::Guest(_) | Judge::Never => None,
    }
}

/// What the conditions said of each row: the highest level that holds, or the fault. Few rows are
/// judged at once where most groups are at rest.
pub type Judgements = SmallVec<[Result<Option<Level>, Fault>; 4]>;

impl Programs {
    pub fn new(rule: &Rule) -> Programs {
        let columns = rule.columns();
        let bind = |program: &Arc<dyn Program>| Bound {
            evaluator: program.evaluator(),
            columns: program
                .reads()
                .iter()
                .map(|read| columns.binary_search(read).expect("the union holds every column"))
                .collect(),
            labelled: program.has_label_facts().then(|| Labelled {
                program: program.clone(),
                known: Vec::new(),
                facts: Vec::new(),
            }),
        };
        let levels = match &rule.judge {
            Judge::Levels(levels) => [0, 1, 2].map(|at: usize| {
                levels[at].as_ref().map(|level| LevelPrograms {
                    when: bind(&level.when),
                    reset: level.reset.as_ref().map(bind),
                })
            }),
            Judge::Guest(_) | Judge::Absent(_) | Judge::Never => [None, None, None],
        };
        let record = rule.record.as_ref().map(|record| bind(&record.value));
        let programs = rule.programs();
        let reads_labels = programs.iter().any(|program| program.has_label_facts())
            || columns.iter().any(|column| matches!(column, Column::Label(_)));
        let (truth, stateful) = (Vec::new(), rule.state.is_some());
        let (comparisons, disputed) = (comparisons(&rule.judge), 0);
        Programs { columns, levels, record, truth, reads_labels, stateful, comparisons, disputed }
    }

    /// All that the rule asks of a value, when that is one comparison for each level and has been
    /// confirmed.
    pub fn comparisons(&self) -> Option<Comparisons> {
        self.comparisons.filter(|_| self.is_confirmed())
    }

    /// Whether all conditions agreed with their references so far; see [`Evaluator::is_confirmed`].
    pub fn is_confirmed(&self) -> bool {
        self.levels.iter().flatten().all(|level| level.when.evaluator.is_confirmed())
    }

    /// One comparison for each level, when the rule's conditions are nothing else; see
    /// [`Program::threshold`].
    pub fn thresholds(rule: &Rule) -> Option<Vec<Threshold>> {
        match &rule.judge {
            Judge::Levels(levels) => {
                levels.iter().flatten().map(|level| level.when.threshold()).collect()
            }
            Judge::Absent(_) => Some(Vec::new()),
            Judge::Guest(_) | Judge::Never => None,
        }
    }

    pub fn reads_labels(&self) -> bool {
        self.reads_labels
    }

    /// A group number begins to stand for another group: what was asked of its labels is void.
    pub fn forget_group(&mut self, number: u32) {
        if !self.reads_labels {
            return;
        }
        let number = number as usize;
        for labelled in self.bound_mut().filter_map(|bound| bound.labelled.as_mut()) {
            if let Some(known) = labelled.known.get_mut(number) {
                *known = None;
            }
        }
    }

    fn bound_mut(&mut self) -> impl Iterator<Item = &mut Bound> {
        let levels = self.levels.iter_mut().flatten();
        let levels = levels.flat_map(|level| level.reset.iter_mut().chain([&mut level.when]));
        levels.chain(&mut self.record)
    }

    /// Whether all that is read is of a kind, and no labels are.
    pub fn read_only(&self, kind: impl Fn(&Column) -> bool) -> bool {
        !self.reads_labels && self.columns.iter().all(kind)
    }

    pub fn is_stateful(&self) -> bool {
        self.stateful
    }

    pub fn has_reset(&self, level: Level) -> bool {
        self.levels[level.index()].as_ref().is_some_and(|level| level.reset.is_some())
    }

    /// The level that a lack of data breaches at: the highest that has a condition.
    pub fn highest_level(&self) -> Option<Level> {
        Level::ALL.into_iter().rev().find(|level| self.levels[level.index()].is_some())
    }

    /// Marks the rows in which the condition of some level holds, or faults; true when there is
    /// one. `numbers` gives each column that is read; it is asked by number and name.
    pub fn mark<'a>(
        &mut self,
        numbers: impl Fn(usize, &Column) -> &'a [f64],
        at: &'a [EventTime],
        groups: Groups<'_>,
        marks: &mut Vec<bool>,
    ) -> bool {
        marks.clear();
        let mut faults = Vec::new();
        for level in self.levels.iter_mut().flatten() {
            let first = marks.is_empty();
            let truth = if first { &mut *marks } else { &mut self.truth };
            let columns = level.when.columns.iter();
            let numbers: Columns<'_> =
                columns.map(|column| numbers(*column, &self.columns[*column])).collect();
            let (facts, evaluator) = level.when.facts(groups);
            let (rows, keys) = (at.len(), groups.keys);
            let frame = Frame { rows, numbers: numbers.as_slice(), at, keys, facts };
            evaluator.test(&frame, None, truth, &mut faults);
            if !first {
                marks.iter_mut().zip(self.truth.drain(..)).for_each(|(mark, holds)| *mark |= holds);
            }
        }
        for (row, _) in &faults {
            marks[*row as usize] = true;
        }
        marks.resize(at.len(), false);
        marks.contains(&true)
    }

    /// Judges every row. `states` holds each row's `this` for stateful rules, else it is empty.
    pub fn judge(
        &mut self,
        table: &Table,
        groups: Groups<'_>,
        states: &mut [&mut State],
    ) -> Judgements {
        let rows = table.rows();
        let mut judgements: Judgements = smallvec![Ok(None); rows];
        let (mut truth, mut faults) = (std::mem::take(&mut self.truth), Vec::new());
        for level in Level::ALL {
            let Some(programs) = &mut self.levels[level.index()] else { continue };
            truth.clear();
            programs.when.test(table, groups, states, &mut truth, &mut faults);
            assert_eq!(truth.len(), rows);
            for (judgement, holds) in judgements.iter_mut().zip(&truth) {
                if *holds && judgement.is_ok() {
                    *judgement = Ok(Some(level));
                }
            }
            for (row, fault) in faults.drain(..) {
                judgements[row as usize] = Err(fault);
            }
        }
        truth.clear();
        self.truth = truth;
        judgements
    }

    /// Whether the reset of `level` lets go, for one row. True where there is no reset.
    pub fn lets_go(
        &mut self,
        level: Level,
        table: &Table,
        row: usize,
        (key, number): (&Labels, u32),
        state: Option<&mut State>,
    ) -> Result<bool, Fault> {
        let programs = self.levels[level.index()].as_mut();
        let Some(reset) = programs.and_then(|programs| programs.reset.as_mut()) else {
            return Ok(true);
        };
        let (mut truth, mut faults) = (Vec::new(), Vec::new());
        let group = Groups { keys: &[key], numbers: &[number] };
        reset.frame(table, row..row + 1, group, |evaluator, frame| {
            evaluator.test(frame, state, &mut truth, &mut faults);
        });
        match faults.pop() {
            Some((_, fault)) => Err(fault),
            None => Ok(truth[0]),
        }
    }

    /// Rows on which two ways of running a program differed since this was last asked.
    pub fn take_disputes(&mut self) -> Vec<Dispute> {
        let disputes: Vec<Dispute> =
            self.bound_mut().flat_map(|bound| bound.evaluator.take_disputes()).collect();
        self.disputed += disputes.len() as u64;
        disputes
    }

    /// The number a recording rule emits for each row.
    pub fn record(&mut self, table: &Table, groups: Groups<'_>) -> Vec<Result<f64, Fault>> {
        let Some(record) = &mut self.record else { return Vec::new() };
        let (mut numbers, mut faults) = (Vec::with_capacity(table.rows()), Vec::new());
        record.frame(table, 0..table.rows(), groups, |evaluator, frame| {
            evaluator.measure(frame, None, &mut numbers, &mut faults);
        });
        let mut results: Vec<Result<f64, Fault>> = numbers.into_iter().map(Ok).collect();
        for (row, fault) in faults {
            results[row as usize] = Err(fault);
        }
        results
    }
}

impl Bound {
    fn test(
        &mut self,
        table: &Table,
        groups: Groups<'_>,
        states: &mut [&mut State],
        truth: &mut Vec<bool>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        if states.is_empty() {
            return self.frame(table, 0..table.rows(), groups, |evaluator, frame| {
                evaluator.test(frame, None, truth, faults);
            });
        }
        for (row, state) in states.iter_mut().enumerate() {
            let mut own = Vec::new();
            self.frame(table, row..row + 1, groups.row(row), |evaluator, frame| {
                evaluator.test(frame, Some(state), truth, &mut own);
            });
            faults.extend(own.into_iter().map(|(_, fault)| (row as u32, fault)));
        }
    }

    fn frame(
        &mut self,
        table: &Table,
        rows: std::ops::Range<usize>,
        groups: Groups<'_>,
        run: impl FnOnce(&mut dyn Evaluator, &Frame<'_>),
    ) {
        let numbers: Columns<'_> = self
            .columns
            .iter()
            .map(|column| &table.columns[*column])
            .map(|column| if column.is_empty() { &[][..] } else { &column[rows.clone()] })
            .collect();
        let (facts, evaluator) = self.facts(groups);
        let (at, keys) = (&table.at[rows.clone()], groups.keys);
        let frame = Frame { rows: rows.len(), numbers: &numbers, at, keys, facts };
        run(evaluator, &frame);
    }

    /// What the rows' labels say to the program, and its evaluator.
    fn facts(&mut self, groups: Groups<'_>) -> (&[u64], &mut dyn Evaluator) {
        let facts = match &mut self.labelled {
            Some(labelled) => {
                labelled.answer(groups);
                labelled.facts.as_slice()
            }
            None => &[],
        };
        (facts, self.evaluator.as_mut())
    }
}
