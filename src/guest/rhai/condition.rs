//! Conditions, resets and recorded values as programs that the interpreter evaluates row by row.

use std::sync::Arc;

use rhai::{Dynamic, EvalAltResult};

use super::ast::{Field, Refusal};
use super::call::{Caller, Closure};
use super::errors;
use super::reads::{Reads, put};
use super::state;
use crate::kernel::expr::{Kind, Native, Plan};
use crate::kernel::model::Labels;
use crate::kernel::rule::State;
use crate::kernel::rule::program::{Cost, Evaluator, Fault, Program};
use crate::kernel::rule::view::{Column, Frame};

/// What an interpreted evaluation takes, measured on conditions of 3 to 35 terms: 230 to 1,540 ns.
const CALL_NANOS: f64 = 150.0;
const TERM_NANOS: f64 = 40.0;

/// A closure with the columns it reads: a recipe shared by all shards.
#[derive(Debug)]
pub struct Condition {
    closure: Arc<Closure>,
    reads: Reads,
    text: String,
    /// Why it has no native form, once that was tried.
    refusal: Option<Refusal>,
}

impl Condition {
    pub fn new(closure: Arc<Closure>, reads: Reads) -> Condition {
        let text = closure.text();
        Condition { closure, reads, text, refusal: None }
    }

    /// The native program where there is one, with this one as its reference; else this one.
    pub fn program(self, gives: Kind) -> Arc<dyn Program> {
        match self.plan(gives) {
            Ok(plan) => Arc::new(Native::new(plan, Arc::new(self))),
            Err(refusal) => Arc::new(Condition { refusal: Some(refusal), ..self }),
        }
    }

    /// The closure as a native plan, or why there is none.
    pub fn plan(&self, gives: Kind) -> Result<Plan, Refusal> {
        let slots = self.reads.slots.iter();
        let fields: Vec<Field<'_>> = slots
            .map(|slot| Field { param: slot.param, path: &slot.path, column: slot.column })
            .collect();
        self.closure.lower(&self.reads.columns, &fields, gives)
    }

    /// Evaluates once with every number 1 and every label "x", to find at load what could only
    /// ever fail.
    pub fn trial(&self, state: Option<&State>) -> Result<Dynamic, Box<EvalAltResult>> {
        let mut run = self.run();
        for slot in &self.reads.slots {
            let column = &self.reads.columns[slot.column];
            let value = match column {
                Column::Label(_) => "x".into(),
                Column::Value { .. } | Column::Reduced { .. } | Column::Base { .. } => {
                    number(column, 1.0)
                }
            };
            put(run.caller.param(slot.param), &slot.path, value);
        }
        let mut this = state.map(state::to_dynamic);
        run.caller.call(this.as_mut())
    }

    fn run(&self) -> Run {
        let caller = self.closure.caller();
        Run { caller, closure: self.closure.clone(), reads: self.reads.clone(), last_key: None }
    }
}

impl Program for Condition {
    fn reads(&self) -> &[Column] {
        &self.reads.columns
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(self.run())
    }

    fn source(&self) -> &str {
        &self.text
    }

    fn cost(&self) -> Cost {
        Cost { nanos: CALL_NANOS + TERM_NANOS * self.closure.size() as f64, operations: 0 }
    }

    fn path(&self) -> String {
        match &self.refusal {
            Some(Refusal { what, at }) if at.is_none() => format!("interpreted, because {what}"),
            Some(Refusal { what, at }) => {
                let (line, column) = (at.line().unwrap_or(0), at.position().unwrap_or(0));
                format!("interpreted, because {what} at {line}:{column}")
            }
            None => "interpreted".into(),
        }
    }
}

/// One shard's evaluator.
struct Run {
    caller: Caller,
    closure: Arc<Closure>,
    reads: Reads,
    /// The key whose labels are in the parameters now.
    last_key: Option<Labels>,
}

/// Whole numbers where the column counts things, as scripts expect.
fn number(column: &Column, value: f64) -> Dynamic {
    if column.is_whole() {
        // Counts stay far below 2^53, where the conversion would begin to round.
        Dynamic::from_int(value as i64)
    } else {
        Dynamic::from_float(value)
    }
}

impl Run {
    fn fill(&mut self, frame: &Frame<'_>, row: usize) {
        let key = frame.keys.get(row).copied();
        let same_key = key.is_some() && key == self.last_key.as_ref();
        for slot in &self.reads.slots {
            let column = &self.reads.columns[slot.column];
            let value = match column {
                Column::Label(_) if same_key => continue,
                Column::Label(name) => {
                    key.and_then(|key| key.get(name)).map_or(Dynamic::UNIT, |text| text.into())
                }
                Column::Value { .. } | Column::Reduced { .. } | Column::Base { .. } => {
                    number(column, frame.numbers[slot.column][row])
                }
            };
            put(self.caller.param(slot.param), &slot.path, value);
        }
        if !same_key {
            self.last_key = key.cloned();
        }
    }

    /// One row's value. The state is set last of all, so a fault leaves it as it was.
    fn row<T>(
        &mut self,
        frame: &Frame<'_>,
        row: usize,
        state: Option<&mut State>,
        convert: Convert<T>,
    ) -> Result<T, Fault> {
        self.fill(frame, row);
        let mut this = state.as_deref().map(state::to_dynamic);
        let value = self.caller.call(this.as_mut());
        let value = value.map_err(|error| errors::fault(&self.closure.script.source, &error))?;
        let value = convert(&value).map_err(|what| self.fault(&what))?;
        if let (Some(state), Some(this)) = (state, this) {
            *state = state::from_dynamic(&this).map_err(|what| self.fault(&what))?;
        }
        Ok(value)
    }

    fn fault(&self, what: &str) -> Fault {
        let place = self.closure.script.source.place(self.closure.function.at);
        Fault::new(format!("{what} ({place})"))
    }

    fn rows<T: Copy>(
        &mut self,
        frame: &Frame<'_>,
        mut state: Option<&mut State>,
        gives: (T, Convert<T>),
        out: &mut Vec<T>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        let (placeholder, convert) = gives;
        for row in 0..frame.rows {
            match self.row(frame, row, state.as_deref_mut(), convert) {
                Ok(value) => out.push(value),
                Err(fault) => {
                    out.push(placeholder);
                    faults.push((row as u32, fault));
                }
            }
        }
    }
}

/// From what a closure gave to what it must give.
type Convert<T> = fn(&Dynamic) -> Result<T, String>;

impl Evaluator for Run {
    fn test(
        &mut self,
        frame: &Frame<'_>,
        state: Option<&mut State>,
        truth: &mut Vec<bool>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        self.rows(frame, state, (false, as_truth), truth, faults);
    }

    fn measure(
        &mut self,
        frame: &Frame<'_>,
        state: Option<&mut State>,
        numbers: &mut Vec<f64>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        self.rows(frame, state, (f64::NAN, as_number), numbers, faults);
    }
}

pub fn as_truth(value: &Dynamic) -> Result<bool, String> {
    value.as_bool().map_err(|_| format!("a condition must give true or false, not {}", said(value)))
}

pub fn as_number(value: &Dynamic) -> Result<f64, String> {
    value
        .as_float()
        .or_else(|_| value.as_int().map(|whole| whole as f64))
        .map_err(|_| format!("a recorded value must be a number, not {}", said(value)))
}

/// A value as a message shows it.
fn said(value: &Dynamic) -> String {
    if value.is_unit() {
        return "nothing".into();
    }
    let shown: String = value.to_string().chars().take(40).collect();
    if value.is_string() { format!("{shown:?}") } else { shown }
}
