//! Plans: what is computed at load, what becomes a fact, and that long columns, other machines and
//! single rows give the same bits.

use super::*;
use crate::kernel::model::{EventTime, Labels};
use crate::kernel::rule::State;
use crate::kernel::rule::program::{Dispute, Evaluator, Fault, Program};
use crate::kernel::rule::view::{Column, Frame};
use std::sync::Arc;

/// Stands for an interpreter: says that it was asked.
#[derive(Debug)]
struct Reference(Vec<Column>);

impl Program for Reference {
    fn reads(&self) -> &[Column] {
        &self.0
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(Reference(self.0.clone()))
    }

    fn source(&self) -> &str {
        "reference"
    }

    fn path(&self) -> String {
        "interpreted".into()
    }
}

impl Evaluator for Reference {
    fn test(
        &mut self,
        frame: &Frame<'_>,
        _: Option<&mut State>,
        truth: &mut Vec<bool>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        for row in 0..frame.rows {
            truth.push(false);
            faults.push((row as u32, Fault::new(format!("{}", frame.numbers[0][row]))));
        }
    }

    fn measure(
        &mut self,
        frame: &Frame<'_>,
        _: Option<&mut State>,
        numbers: &mut Vec<f64>,
        _: &mut Vec<(u32, Fault)>,
    ) {
        numbers.extend(frame.numbers[0].iter().map(|number| number + 0.5));
    }
}

fn value() -> Arc<Reference> {
    Arc::new(Reference(vec![Column::Value { input: 0 }]))
}

fn frame<T>(values: &[f64], facts: &[u64], look: impl FnOnce(&Frame<'_>) -> T) -> T {
    let at = vec![EventTime::from_nanos(0); values.len()];
    look(&Frame { rows: values.len(), numbers: &[values], at: &at, keys: &[], facts })
}

/// `v > limit`, and rows above 1000 trap.
fn over(limit: f64) -> Plan {
    let mut graph = Graph::default();
    let (column, limit, high) = (graph.column(0), graph.float(limit), graph.float(1000.0));
    let breach = graph.binary(Binary::FloatLess, limit, column);
    let fails = graph.binary(Binary::FloatLess, high, column);
    let reached = graph.bool(true);
    graph.trap(reached, fails);
    Plan::new(&graph, breach).expect("it has no facts")
}

#[test]
fn a_column_is_judged_whatever_its_length_and_the_machine() {
    for rows in [0, 1, 2, 255, 256, 257, 1024, 1025] {
        let values: Vec<f64> = (0..rows).map(|row| f64::from(row % 180)).collect();
        let expected: Vec<bool> = values.iter().map(|value| *value > 90.0).collect();
        for lanes in std::iter::once(Lanes::BASELINE).chain(Lanes::avx2()) {
            let native = Native::new(over(90.0), value()).unconfirmed(lanes);
            let (mut evaluator, mut truth, mut faults) =
                (native.evaluator(), Vec::new(), Vec::new());
            frame(&values, &[], |frame| {
                evaluator.test(frame, None, &mut truth, &mut faults);
            });
            assert_eq!((&truth, faults), (&expected, Vec::new()), "{rows} rows by {lanes:?}");
        }
    }
}

#[test]
fn only_rows_that_trap_are_redone_and_their_faults_keep_their_place() {
    let mut values = vec![91.0; 600];
    (values[3], values[300], values[599]) = (1000.0, 1001.0, 2000.0);
    let native = Native::new(over(90.0), value()).unconfirmed(Lanes::best());
    let (mut evaluator, mut truth, mut faults) = (native.evaluator(), vec![true], Vec::new());
    frame(&values, &[], |frame| evaluator.test(frame, None, &mut truth, &mut faults));
    let faults: Vec<(u32, String)> =
        faults.into_iter().map(|(row, fault)| (row, fault.to_string())).collect();
    assert_eq!(faults, [(300, "1001".into()), (599, "2000".into())]);
    let clear: Vec<usize> = (0..601).filter(|at| !truth[*at]).collect();
    assert_eq!(clear, [301, 600], "results come after what was there");
}

#[test]
fn numbers_are_redone_too() {
    let mut graph = Graph::default();
    let (column, high, yes) = (graph.column(0), graph.float(5.0), graph.bool(true));
    let twice = graph.binary(Binary::FloatAdd, column, column);
    let fails = graph.binary(Binary::FloatLess, high, column);
    graph.trap(yes, fails);
    let native = Native::new(Plan::new(&graph, twice).expect("no facts"), value())
        .unconfirmed(Lanes::best());
    let (mut evaluator, mut numbers) = (native.evaluator(), Vec::new());
    frame(&[1.0, 6.0, -0.0], &[], |frame| {
        evaluator.measure(frame, None, &mut numbers, &mut Vec::new());
    });
    assert_eq!(numbers, [2.0, 6.5, -0.0]);
}

/// Over 90.0, but wrong above 100.
fn nearly_over_90() -> Native {
    let mut graph = Graph::default();
    let (column, low, high) = (graph.column(0), graph.float(90.0), graph.float(100.0));
    let (above, below) = (
        graph.binary(Binary::FloatLess, low, column),
        graph.binary(Binary::FloatLess, column, high),
    );
    let wrong = graph.and(above, below);
    let right = Native::new(over(90.0), value()).unconfirmed(Lanes::best());
    Native::new(Plan::new(&graph, wrong).expect("no facts"), Arc::new(right))
}

#[test]
fn a_wrong_native_program_is_found_out_and_runs_by_its_reference() {
    let native = nearly_over_90();
    let (mut evaluator, mut truth, mut faults) = (native.evaluator(), Vec::new(), Vec::new());
    let mut ask = |values: &[f64]| {
        truth.clear();
        frame(values, &[], |frame| evaluator.test(frame, None, &mut truth, &mut faults));
        (truth.clone(), evaluator.take_disputes())
    };
    assert_eq!(ask(&[80.0, 95.0]), (vec![false, true], Vec::new()));
    assert_eq!(native.path(), "native");
    let dispute = Dispute { row: vec![120.0], native: "false".into(), reference: "true".into() };
    assert_eq!(ask(&[95.0, 120.0]), (vec![true, true], vec![dispute]));
    assert_eq!(native.path(), "interpreted, because its native form once gave another answer");
    assert_eq!(ask(&[120.0; 99]), (vec![true; 99], Vec::new()));
    // So do evaluators that confirmed nothing themselves.
    let mut truth = Vec::new();
    frame(&[120.0], &[], |frame| {
        native.evaluator().test(frame, None, &mut truth, &mut Vec::new());
    });
    assert_eq!(truth, [true]);
}

#[test]
fn only_the_first_rows_of_the_first_minute_are_confirmed() {
    let judged = |rows: usize, at: i64| {
        let (native, mut truth) = (nearly_over_90(), Vec::new());
        let mut evaluator = native.evaluator();
        let mut ask = |values: &[f64], at: i64| {
            let times = vec![EventTime::from_nanos(at); values.len()];
            let (rows, numbers) = (values.len(), &[values][..]);
            let frame = Frame { rows, numbers, at: &times, keys: &[], facts: &[] };
            evaluator.test(&frame, None, &mut truth, &mut Vec::new());
        };
        ask(&vec![95.0; rows], 0);
        ask(&[120.0], at);
        truth[rows]
    };
    let minute = 60_000_000_000;
    assert!(judged(15, minute - 1), "the 16th row within the minute is confirmed");
    assert!(!judged(16, minute - 1), "the 17th is not");
    assert!(!judged(1, minute), "nor is one a minute later");
}

#[test]
fn what_is_known_at_load_is_computed_at_load() {
    let mut graph = Graph::default();
    let (column, seven, two) = (graph.column(0), graph.int(7), graph.int(2));
    let three = graph.binary(Binary::IntDivide, seven, two);
    assert_eq!(graph.constant(three), Some(3));
    let (yes, no) = (graph.bool(true), graph.bool(false));
    let nan = graph.unary(Unary::IsNan, column);
    assert_eq!((graph.and(yes, nan), graph.or(no, nan)), (nan, nan));
    assert_eq!((graph.and(nan, no), graph.or(nan, yes)), (no, yes));
    let not = graph.not(nan);
    assert_eq!((graph.not(not), graph.select(nan, yes, no)), (nan, nan));
    let again = graph.unary(Unary::IsNan, column);
    assert_eq!(again, nan, "equal operations are one");
    graph.trap(no, nan);
    assert_eq!(graph.traps(), None, "what is never reached never traps");
    let plan = Plan::new(&graph, nan).expect("no facts");
    assert_eq!((plan.operations(), plan.can_trap()), (2, false));
}

#[test]
fn the_largest_truths_that_labels_decide_are_facts() {
    let mut graph = Graph::default();
    let label = |name: &str| Text::Label(name.into());
    let prod = graph.text(TextTest::equal(label("env"), Text::Fixed("prod".into())));
    let lacks = graph.lacks(&"host".into());
    let has = graph.not(lacks);
    let both = graph.and(prod, has);
    let (column, low, high) = (graph.column(0), graph.float(80.0), graph.float(90.0));
    let limit = graph.select(both, high, low);
    let breach = graph.binary(Binary::FloatLess, limit, column);
    let value = graph.and(breach, has);
    let plan = Plan::new(&graph, value).expect("two facts");
    let facts = |labels: &[(&str, &str)]| plan.facts(&Labels::new(labels.iter().copied()));
    // `host` is there, and with it `env` is prod: the parts of neither are facts.
    assert_eq!(facts(&[("env", "prod"), ("host", "a")]), 0b11);
    assert_eq!(facts(&[("host", "a")]), 0b01);
    assert_eq!(facts(&[("env", "prod")]), 0b00);
    let reads = vec![Column::Value { input: 0 }, Column::Label("env".into())];
    let native = Native::new(plan, Arc::new(Reference(reads))).unconfirmed(Lanes::best());
    assert!(native.has_label_facts() && native.reads().len() == 1);
    let mut truth = Vec::new();
    frame(&[85.0, 85.0, 95.0, 95.0], &[0b11, 0b01, 0b11, 0b00], |frame| {
        native.evaluator().test(frame, None, &mut truth, &mut Vec::new());
    });
    assert_eq!(truth, [false, true, true, false]);
}

#[test]
fn facts_have_a_limit() {
    let plan = |facts: usize| {
        let mut graph = Graph::default();
        let column = graph.column(0);
        let mut value = graph.unary(Unary::IsNan, column);
        for host in 0..facts {
            let host = Text::Fixed(host.to_string().into());
            let is = graph.text(TextTest::equal(Text::Label("host".into()), host));
            value = graph.binary(Binary::Xor, value, is);
        }
        Plan::new(&graph, value)
    };
    assert!(plan(FACTS_MAX).is_ok());
    assert_eq!(plan(FACTS_MAX + 1).err(), Some(TooManyFacts));
}

#[test]
fn zeros_and_nan_have_one_order() {
    let check = |a: f64, b: f64, max: f64, min: f64| {
        let found = (float_max(a, b).to_bits(), float_min(a, b).to_bits());
        assert_eq!(found, (max.to_bits(), min.to_bits()), "{a} {b}");
    };
    check(1.0, 2.0, 2.0, 1.0);
    check(2.0, 1.0, 2.0, 1.0);
    check(f64::NAN, 1.0, 1.0, 1.0);
    check(1.0, f64::NAN, 1.0, 1.0);
    check(0.0, -0.0, -0.0, -0.0);
    check(-0.0, 0.0, 0.0, 0.0);
    assert!(float_max(f64::NAN, f64::NAN).is_nan());
}
