//! A program that runs natively and falls back to its reference for single rows.

use std::sync::Arc;

use super::graph::Kind;
use super::lanes::{Buffers, Column as Pass, Lanes, Table};
use super::ops::FALSE;
use super::plan::Plan;
use crate::kernel::model::Labels;
use crate::kernel::rule::State;
use crate::kernel::rule::program::{Evaluator, Fault, Program};
use crate::kernel::rule::view::{Column, Frame};

/// A plan beside the interpreted program that it was made from.
#[derive(Debug)]
pub struct Native {
    plan: Arc<Plan>,
    reference: Arc<dyn Program>,
    /// Those of the reference without its labels, which facts stand for.
    reads: Vec<Column>,
    lanes: Lanes,
}

impl Native {
    /// `plan` reads columns by their place among the reference's, whose labels come last.
    pub fn new(plan: Plan, reference: Arc<dyn Program>) -> Native {
        let is_number = |column: &&Column| !matches!(column, Column::Label(_));
        let reads: Vec<Column> = reference.reads().iter().filter(is_number).cloned().collect();
        assert_eq!(reads, reference.reads()[..reads.len()], "labels come last");
        Native { plan: Arc::new(plan), reference, reads, lanes: Lanes::best() }
    }

    /// The same with the code for another machine.
    pub fn with_lanes(self, lanes: Lanes) -> Native {
        Native { lanes, ..self }
    }
}

impl Program for Native {
    fn reads(&self) -> &[Column] {
        &self.reads
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(Run {
            plan: self.plan.clone(),
            lanes: self.lanes,
            buffers: Buffers::default(),
            reference: self.reference.clone(),
            redo: None,
            facts: Vec::new(),
        })
    }

    fn source(&self) -> &str {
        self.reference.source()
    }

    fn path(&self) -> String {
        "native".into()
    }

    /// A row that is redone reads labels too, so this asks what the reference reads.
    fn has_label_facts(&self) -> bool {
        self.reads.len() < self.reference.reads().len()
    }

    fn label_facts(&self, key: &Labels) -> u64 {
        self.plan.facts(key)
    }
}

/// One shard's evaluator.
struct Run {
    plan: Arc<Plan>,
    lanes: Lanes,
    buffers: Buffers,
    reference: Arc<dyn Program>,
    /// The reference's evaluator, from the first row on that needs it.
    redo: Option<Box<dyn Evaluator>>,
    /// Of frames that come without.
    facts: Vec<u64>,
}

impl Run {
    /// Hands each row's lane to `value`; the rows that are to be redone come back.
    fn rows(&mut self, frame: &Frame<'_>, mut value: impl FnMut(u64)) -> Vec<u32> {
        let mut trapped = Vec::new();
        let mut facts = frame.facts;
        if facts.is_empty() && self.plan.has_facts() {
            self.facts.clear();
            self.facts.extend((0..frame.rows).map(|row| match key(frame, row) {
                Some(key) => self.plan.facts(key),
                None => self.plan.facts(&Labels::empty()),
            }));
            facts = &self.facts;
        }
        let table = Table { rows: frame.rows, numbers: frame.numbers, facts };
        let can_trap = self.plan.can_trap();
        self.buffers.run(&self.plan, self.lanes, &table, |start, rows, values, traps| {
            match values {
                Pass::Each(lanes) => lanes.iter().for_each(|lane| value(*lane)),
                Pass::All(lane) => (0..rows).for_each(|_| value(lane)),
            }
            if can_trap {
                let hit = (0..rows).filter(|row| traps.lane(*row) != FALSE);
                trapped.extend(hit.map(|row| (start + row) as u32));
            }
        });
        trapped
    }

    /// One row by the reference.
    fn redo(
        &mut self,
        frame: &Frame<'_>,
        row: usize,
        ask: impl FnOnce(&mut dyn Evaluator, &Frame<'_>),
    ) {
        let redo = self.redo.get_or_insert_with(|| self.reference.evaluator());
        let numbers: Vec<&[f64]> = frame
            .numbers
            .iter()
            .map(|column| if column.is_empty() { &[][..] } else { &column[row..row + 1] })
            .collect();
        let (key, facts) = (key(frame, row), frame.facts.get(row..row + 1));
        let own = Frame {
            rows: 1,
            numbers: &numbers,
            at: &frame.at[row..row + 1],
            keys: key.as_slice(),
            facts: facts.unwrap_or_default(),
        };
        ask(redo.as_mut(), &own);
    }
}

/// A row's labels, if the frame has them.
fn key<'a>(frame: &Frame<'a>, row: usize) -> Option<&'a Labels> {
    frame.keys.get(row).copied()
}

impl Evaluator for Run {
    fn test(
        &mut self,
        frame: &Frame<'_>,
        mut state: Option<&mut State>,
        truth: &mut Vec<bool>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        let first = truth.len();
        truth.reserve(frame.rows);
        for row in self.rows(frame, |lane| truth.push(lane != FALSE)) {
            let (mut own, mut fault) = (Vec::with_capacity(1), Vec::new());
            self.redo(frame, row as usize, |evaluator, frame| {
                evaluator.test(frame, state.as_deref_mut(), &mut own, &mut fault);
            });
            truth[first + row as usize] = own[0];
            faults.extend(fault.into_iter().map(|(_, fault)| (row, fault)));
        }
    }

    fn measure(
        &mut self,
        frame: &Frame<'_>,
        mut state: Option<&mut State>,
        numbers: &mut Vec<f64>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        let first = numbers.len();
        numbers.reserve(frame.rows);
        assert_eq!(self.plan.gives, Kind::Float, "a plan for numbers gives floats");
        for row in self.rows(frame, |lane| numbers.push(f64::from_bits(lane))) {
            let (mut own, mut fault) = (Vec::with_capacity(1), Vec::new());
            self.redo(frame, row as usize, |evaluator, frame| {
                evaluator.measure(frame, state.as_deref_mut(), &mut own, &mut fault);
            });
            numbers[first + row as usize] = own[0];
            faults.extend(fault.into_iter().map(|(_, fault)| (row, fault)));
        }
    }
}
