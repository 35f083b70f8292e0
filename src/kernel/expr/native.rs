//! A program that runs natively, with its reference at hand: for rows that trap, and to confirm the
//! first rows of each evaluator.
//!
//! A difference should not be possible. Should there be one, the reference is right: the row is
//! reported, and the program runs by its reference from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::graph::Kind;
use super::lanes::{Buffers, Column as Pass, Lanes, Table};
use super::ops::FALSE;
use super::plan::Plan;
use crate::kernel::model::{Duration, EventTime, Labels};
use crate::kernel::rule::State;
use crate::kernel::rule::program::{Cost, Dispute, Evaluator, Fault, Program, Threshold};
use crate::kernel::rule::view::{Column, Frame};

/// Rows that an evaluator confirms, at most ..
const CONFIRMED_MAX: u32 = 16;
/// .. and for how long after its first row.
const CONFIRMED_FOR: Duration = Duration::from_secs(60);
/// What a row takes, calls and copies included; measured between 0.2 and 2 ns.
const ROW_NANOS: f64 = 2.0;

/// A plan beside the interpreted program that it was made from.
#[derive(Debug)]
pub struct Native {
    plan: Arc<Plan>,
    reference: Arc<dyn Program>,
    /// Those of the reference without its labels, which facts stand for.
    reads: Vec<Column>,
    lanes: Lanes,
    /// Rows that each evaluator confirms.
    confirmed: u32,
    /// Set once a row was disputed.
    distrusted: Arc<AtomicBool>,
}

impl Native {
    /// `plan` reads columns by their place among the reference's, whose labels come last.
    pub fn new(plan: Plan, reference: Arc<dyn Program>) -> Native {
        let is_number = |column: &&Column| !matches!(column, Column::Label(_));
        let reads: Vec<Column> = reference.reads().iter().filter(is_number).cloned().collect();
        assert_eq!(reads, reference.reads()[..reads.len()], "labels come last");
        Native {
            plan: Arc::new(plan),
            reference,
            reads,
            lanes: Lanes::best(),
            confirmed: CONFIRMED_MAX,
            distrusted: Arc::default(),
        }
    }

    /// The same with the code for another machine, and confirming nothing: for comparisons, which
    /// must see what the native code itself answers.
    pub fn unconfirmed(self, lanes: Lanes) -> Native {
        Native { lanes, confirmed: 0, ..self }
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
            to_confirm: self.confirmed,
            confirm_until: None,
            distrusted: self.distrusted.clone(),
            disputes: Vec::new(),
        })
    }

    fn threshold(&self) -> Option<Threshold> {
        let trusted = !self.distrusted.load(Ordering::Relaxed);
        self.plan.threshold().filter(|_| trusted)
    }

    fn source(&self) -> &str {
        self.reference.source()
    }

    fn path(&self) -> String {
        if self.distrusted.load(Ordering::Relaxed) {
            return "interpreted, because its native form once gave another answer".into();
        }
        "native".into()
    }

    fn cost(&self) -> Cost {
        if self.distrusted.load(Ordering::Relaxed) {
            return self.reference.cost();
        }
        Cost { nanos: ROW_NANOS, operations: self.plan.operations() }
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
    /// Rows that are still to be confirmed, before this time.
    to_confirm: u32,
    confirm_until: Option<EventTime>,
    distrusted: Arc<AtomicBool>,
    disputes: Vec<Dispute>,
}

/// What asks an evaluator for one kind of answer.
trait Answer: Copy + PartialEq + std::fmt::Debug {
    fn of(lane: u64) -> Self;
    fn ask(
        evaluator: &mut dyn Evaluator,
        frame: &Frame<'_>,
        state: Option<&mut State>,
        out: &mut Vec<Self>,
        faults: &mut Vec<(u32, Fault)>,
    );
    /// Whether two answers mean the same: all NaN do.
    fn same(self, other: Self) -> bool;
}

impl Answer for bool {
    fn of(lane: u64) -> bool {
        lane != FALSE
    }

    fn ask(
        evaluator: &mut dyn Evaluator,
        frame: &Frame<'_>,
        state: Option<&mut State>,
        out: &mut Vec<bool>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        evaluator.test(frame, state, out, faults);
    }

    fn same(self, other: bool) -> bool {
        self == other
    }
}

impl Answer for f64 {
    fn of(lane: u64) -> f64 {
        f64::from_bits(lane)
    }

    fn ask(
        evaluator: &mut dyn Evaluator,
        frame: &Frame<'_>,
        state: Option<&mut State>,
        out: &mut Vec<f64>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        evaluator.measure(frame, state, out, faults);
    }

    fn same(self, other: f64) -> bool {
        self.to_bits() == other.to_bits() || (self.is_nan() && other.is_nan())
    }
}

impl Run {
    fn answer<T: Answer>(
        &mut self,
        frame: &Frame<'_>,
        mut state: Option<&mut State>,
        out: &mut Vec<T>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        if self.distrusted.load(Ordering::Relaxed) {
            return T::ask(self.redo(), frame, state, out, faults);
        }
        let first = out.len();
        out.reserve(frame.rows);
        let trapped = self.rows(frame, out);
        for row in trapped.iter().map(|row| *row as usize) {
            match self.one(frame, row, state.as_deref_mut()) {
                (value, None) => out[first + row] = value,
                (value, Some(fault)) => {
                    out[first + row] = value;
                    faults.push((row as u32, fault));
                }
            }
        }
        if self.to_confirm > 0 {
            self.confirm(frame, state, &trapped, (&mut out[first..], faults));
        }
    }

    /// Has the reference judge the first rows too, those left out that it judged already.
    fn confirm<T: Answer>(
        &mut self,
        frame: &Frame<'_>,
        mut state: Option<&mut State>,
        trapped: &[u32],
        (out, faults): (&mut [T], &mut Vec<(u32, Fault)>),
    ) {
        for (row, answer) in out.iter_mut().enumerate() {
            let until = *self.confirm_until.get_or_insert(frame.at[row] + CONFIRMED_FOR);
            if frame.at[row] >= until {
                self.to_confirm = 0;
            }
            if self.to_confirm == 0 {
                break;
            }
            if trapped.binary_search(&(row as u32)).is_ok() {
                continue;
            }
            self.to_confirm -= 1;
            let (value, fault) = self.one::<T>(frame, row, state.as_deref_mut());
            if fault.is_none() && value.same(*answer) {
                continue;
            }
            self.distrusted.store(true, Ordering::Relaxed);
            self.disputes.push(Dispute {
                row: frame.numbers.iter().filter_map(|column| column.get(row)).copied().collect(),
                native: format!("{answer:?}").into(),
                reference: match &fault {
                    Some(fault) => fault.what.clone(),
                    None => format!("{value:?}").into(),
                },
            });
            *answer = value;
            faults.extend(fault.map(|fault| (row as u32, fault)));
        }
        if self.to_confirm == 0 {
            // Most evaluators never need it again.
            self.redo = None;
        }
    }

    /// Appends what each row's lane says; the rows that are to be redone come back, rising.
    fn rows<T: Answer>(&mut self, frame: &Frame<'_>, out: &mut Vec<T>) -> Vec<u32> {
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
                Pass::Each(lanes) => out.extend(lanes.iter().map(|lane| T::of(*lane))),
                Pass::All(lane) => out.extend(std::iter::repeat_n(T::of(lane), rows)),
            }
            if can_trap {
                let hit = (0..rows).filter(|row| traps.lane(*row) != FALSE);
                trapped.extend(hit.map(|row| (start + row) as u32));
            }
        });
        trapped
    }

    fn redo(&mut self) -> &mut dyn Evaluator {
        self.redo.get_or_insert_with(|| self.reference.evaluator()).as_mut()
    }

    /// One row by the reference.
    fn one<T: Answer>(
        &mut self,
        frame: &Frame<'_>,
        row: usize,
        state: Option<&mut State>,
    ) -> (T, Option<Fault>) {
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
        let (mut value, mut faults) = (Vec::with_capacity(1), Vec::new());
        T::ask(self.redo(), &own, state, &mut value, &mut faults);
        (value[0], faults.pop().map(|(_, fault)| fault))
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
        state: Option<&mut State>,
        truth: &mut Vec<bool>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        self.answer(frame, state, truth, faults);
    }

    fn measure(
        &mut self,
        frame: &Frame<'_>,
        state: Option<&mut State>,
        numbers: &mut Vec<f64>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        assert_eq!(self.plan.gives, Kind::Float, "a plan for numbers gives floats");
        self.answer(frame, state, numbers, faults);
    }

    fn is_confirmed(&self) -> bool {
        self.to_confirm == 0 && !self.distrusted.load(Ordering::Relaxed)
    }

    fn take_disputes(&mut self) -> Vec<Dispute> {
        std::mem::take(&mut self.disputes)
    }
}
