//! What conditions answer.

use std::sync::Arc;

use super::*;
use crate::kernel::model::{EventTime, Labels};
use crate::kernel::rule::program::{Fault, Program};
use crate::kernel::rule::view::{Column, Frame, Reduction};
use crate::kernel::rule::{Judge, State};

/// The `when` of the one rule that `words` and `condition` make.
#[track_caller]
fn condition(words: &str, condition: &str) -> Arc<dyn Program> {
    let rule = rule(&format!("rule(\"r\").on(\"m\"){words}.when({condition});"));
    let Judge::Levels([None, Some(level), None]) = rule.judge else { panic!("one level") };
    level.when
}

/// Rows of the program's columns in order; labels have an empty column.
struct Rows<'a> {
    columns: Vec<&'a [f64]>,
    keys: Vec<Labels>,
}

impl Rows<'_> {
    fn frame<T>(&self, look: impl FnOnce(&Frame<'_>) -> T) -> T {
        let rows = self.columns.iter().map(|column| column.len()).max().unwrap_or(0);
        let at = vec![EventTime::from_nanos(0); rows];
        let keys: Vec<&Labels> = self.keys.iter().collect();
        look(&Frame { rows, numbers: &self.columns, at: &at, keys: &keys, facts: &[] })
    }
}

fn test(
    program: &Arc<dyn Program>,
    rows: &Rows<'_>,
    state: Option<&mut State>,
) -> (Vec<bool>, Vec<(u32, Fault)>) {
    let (mut truth, mut faults) = (Vec::new(), Vec::new());
    let mut evaluator = program.evaluator();
    rows.frame(|frame| evaluator.test(frame, state, &mut truth, &mut faults));
    (truth, faults)
}

#[track_caller]
fn check_values(closure: &str, values: &[f64], expected: &[bool]) {
    let rows = Rows { columns: vec![values], keys: Vec::new() };
    let (truth, faults) = test(&condition("", closure), &rows, None);
    assert_eq!((truth.as_slice(), faults), (expected, Vec::new()), "{closure}");
}

#[test]
fn comparisons_are_those_of_ieee_754() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let above_90 = f64::from_bits(90.0f64.to_bits() + 1);
    let values = [89.0, 90.0, above_90, inf, -inf, nan, 0.0, -0.0, 1e-17];
    for (closure, expected) in [
        ("|v| v > 90.0", [false, false, true, true, false, false, false, false, false]),
        ("|v| v > 90", [false, false, true, true, false, false, false, false, false]),
        ("|v| v >= 90.0", [false, true, true, true, false, false, false, false, false]),
        ("|v| v < 90.0", [true, false, false, false, true, false, true, true, true]),
        ("|v| 90 > v", [true, false, false, false, true, false, true, true, true]),
        ("|v| v <= 90", [true, true, false, false, true, false, true, true, true]),
        ("|v| v == 90.0", [false, true, false, false, false, false, false, false, false]),
        ("|v| 90 == v", [false, true, false, false, false, false, false, false, false]),
        ("|v| v != 90", [true, false, true, true, true, true, true, true, true]),
        ("|v| v == v", [true, true, true, true, true, false, true, true, true]),
        ("|v| v > 0.0", [true, true, true, true, false, false, false, false, true]),
        ("|v| v == 0", [false, false, false, false, false, false, true, true, false]),
        ("|v| 0.0 / 0.0 == v", [false; 9]),
        (
            "|v| v.is_nan() || v.is_nan",
            [false, false, false, false, false, true, false, false, false],
        ),
        ("|v| v in [90.0, 0.0]", [false, true, false, false, false, false, true, true, false]),
    ] {
        check_values(closure, &values, &expected);
    }
}

#[test]
fn functions_take_whole_numbers_and_floats() {
    for closure in [
        "|v| max(0, v - 1) == 1.5 && max(v, 3) == 3.0 && min(1, v) == 1.0 && max(1, 2) == 2",
        "|v| abs(-v) == v && sqrt(v * v) == v && sqrt(4) == 2.0",
        "|v| floor(v) == 2 && ceiling(v) == 3.0 && floor(2) == 2 && ceiling(2) == 2",
        "|v| to_float(3) == 3.0 && to_float(v) == v && 3.to_float() == 3.0 && !3.is_nan()",
        "|v| v + 1 == 3.5 && 7 / 2 == 3 && 7 % 4 == 3 && 7.0 / 2 == 3.5",
        "|v| `web-1`.starts_with(`web`) && `web-1`.ends_with(`1`) && `web`.contains(`e`)",
        "|v| { let x = 0; for i in 0..3 { x += i; } x == 3 }",
        "|v| { if v < 1.0 { return false; } return v > 2.0; }",
        "|v| !(v < 1.0) && (v > 9.0 || v > 2.0)",
    ] {
        check_values(closure, &[2.5, 2.5], &[true, true]);
    }
}

#[test]
fn counts_are_whole_numbers_and_other_fields_are_floats() {
    let program = condition(
        ".window(\"1m\").on_no_data(\"hold\")",
        "|w| type_of(w.count) == \"i64\" && type_of(w.mean) == \"f64\" && w.count / 2 == 3",
    );
    let reads = [Reduction::Count, Reduction::Mean];
    assert_eq!(program.reads(), reads.map(|reduction| Column::Reduced { input: 0, reduction }));
    let rows = Rows { columns: vec![&[7.0], &[7.0]], keys: Vec::new() };
    assert_eq!(test(&program, &rows, None), (vec![true], Vec::new()));
}

#[test]
fn a_join_s_inputs_and_a_baseline_fill_their_fields() {
    let text =
        "rule(\"r\").join(#{ bad: \"e\", all: \"q\" }, \"host\").window(\"1m\").baseline(\"1h\")
        .when(|w, base| w.bad.rate > base.bad.rate.mean && w.all.rate > w.bad.rate);";
    let rule = rule(text);
    let Judge::Levels([_, Some(level), _]) = &rule.judge else { panic!("one level") };
    // Inputs are in the order of their names: all, bad.
    let names: Vec<&str> = rule.inputs.iter().map(|input| input.name.as_ref()).collect();
    assert_eq!((names, level.when.reads().len()), (vec!["all", "bad"], 3));
    let rows = Rows {
        columns: vec![&[9.0, 9.0, 1.0], &[5.0, 5.0, 5.0], &[1.0, 6.0, 1.0]],
        keys: Vec::new(),
    };
    assert_eq!(test(&level.when, &rows, None), (vec![true, false, false], Vec::new()));
}

#[test]
fn labels_are_text_or_nothing() {
    let program =
        condition(".by(\"host\", \"dc\")", "|v, labels| labels.host == \"a\" && labels.dc == ()");
    let keys = [
        Labels::new([("host", "a")]),
        Labels::new([("host", "b")]),
        Labels::new([("host", "a"), ("dc", "x")]),
        Labels::new([("host", "a")]),
    ];
    let rows = Rows { columns: vec![&[1.0; 4], &[], &[]], keys: keys.to_vec() };
    assert_eq!(test(&program, &rows, None), (vec![true, false, false, true], Vec::new()));
}

#[test]
fn captures_are_frozen_when_the_rule_is_said() {
    let text = "let limit = 50.0; let list = [1.0];
        rule(\"r\").on(\"m\").when(|v| v > limit && list.len() == 1);
        limit = 99.0; list.push(2.0);";
    let rule = rule(text);
    let Judge::Levels([_, Some(level), _]) = &rule.judge else { panic!("one level") };
    let rows = Rows { columns: vec![&[49.0, 51.0]], keys: Vec::new() };
    assert_eq!(test(&level.when, &rows, None), (vec![false, true], Vec::new()));
}

#[test]
fn constants_are_seen_by_closures_and_by_functions() {
    let text = "const LIMIT = 50.0;
        fn over(v) { v > global::LIMIT }
        rule(\"r\").on(\"m\").when(|v| over(v) && v > LIMIT);";
    let rule = rule(text);
    let Judge::Levels([_, Some(level), _]) = &rule.judge else { panic!("one level") };
    let rows = Rows { columns: vec![&[49.0, 51.0]], keys: Vec::new() };
    assert_eq!(test(&level.when, &rows, None), (vec![false, true], Vec::new()));
}

#[test]
fn state_is_kept_and_put_back_on_a_fault() {
    let program = condition(
        ".state(#{ n: 0, seen: [] })",
        "|v| {
            this.n += 1;
            this.seen.push(v);
            if v < 0.0 { throw \"no\"; }
            if v == 5.0 { this.big = \"x\"; this.big.pad(5000, 'x'); }
            if v == 7.0 { return 3; }
            this.n >= 2
        }",
    );
    let mut state =
        State::Map(vec![("n".into(), State::Int(0)), ("seen".into(), State::List(vec![]))]);
    let mut step = |value: f64| {
        let column = [value];
        let rows = Rows { columns: vec![&column], keys: Vec::new() };
        let (truth, faults) = test(&program, &rows, Some(&mut state));
        (
            truth[0],
            faults.into_iter().map(|(_, fault)| fault.to_string()).collect::<String>(),
            state.clone(),
        )
    };
    let kept = |n: i64, seen: &[f64]| {
        let seen = seen.iter().map(|value| State::Float(*value)).collect();
        State::Map(vec![("n".into(), State::Int(n)), ("seen".into(), State::List(seen))])
    };
    assert_eq!(step(1.0), (false, String::new(), kept(1, &[1.0])));
    assert_eq!(step(-1.0), (false, "no (rules/test.rhai:4:26)".into(), kept(1, &[1.0])));
    let (_, fault, state_now) = step(5.0);
    assert!(fault.starts_with("`this` holds"), "{fault}");
    assert_eq!(state_now, kept(1, &[1.0]));
    let (_, fault, state_now) = step(7.0);
    assert!(fault.starts_with("a condition must give true or false, not 3"), "{fault}");
    assert_eq!(state_now, kept(1, &[1.0]));
    assert_eq!(step(2.0), (true, String::new(), kept(2, &[1.0, 2.0])));
}

#[test]
fn the_restart_loop_of_the_guide_counts_strikes() {
    let loaded = load_good(super::declares::GUIDE);
    let found = loaded.rules.iter().find(|rule| rule.name.as_ref() == "restart-loop");
    let rule = found.expect("it is in the guide");
    let Judge::Levels([_, Some(level), _]) = &rule.judge else { panic!("one level") };
    let mut state = rule.state.clone().expect("it keeps state");
    let mut breaches = Vec::new();
    for value in [1.0, 2.0, 3.0, 3.0, 4.0, 5.0] {
        let column = [value];
        let rows = Rows { columns: vec![&column], keys: Vec::new() };
        let (truth, faults) = test(&level.when, &rows, Some(&mut state));
        assert_eq!(faults, []);
        breaches.extend(truth);
    }
    assert_eq!(breaches, [false, false, true, false, true, true]);
}

#[test]
fn one_row_s_fault_leaves_the_others_alone() {
    let program = condition("", "|v| { let n = 10 / (v.to_int() - 2); n > 3 }");
    let rows = Rows { columns: vec![&[1.0, 2.0, 3.0, 4.0]], keys: Vec::new() };
    let (truth, faults) = test(&program, &rows, None);
    assert_eq!(truth, [false, false, true, true]);
    let faults: Vec<(u32, String)> =
        faults.into_iter().map(|(row, fault)| (row, fault.to_string())).collect();
    assert_eq!(faults, [(1, "division by zero: 10 / 0 (rules/test.rhai:1:41)".into())]);
}

#[test]
fn an_endless_condition_is_a_fault_and_no_hang() {
    let program = condition("", "|v| { while v > 5.0 { } true }");
    let rows = Rows { columns: vec![&[1.0, 6.0, 1.0]], keys: Vec::new() };
    let (truth, faults) = test(&program, &rows, None);
    assert_eq!(truth, [true, false, true]);
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].1.to_string().starts_with("the script does not come to an end"),
        "{faults:?}"
    );
}

#[test]
fn a_captured_variable_cannot_carry_state_from_row_to_row() {
    let program = condition("", "|v| { let n = 0; n += 1; n == 1 && v > 0.0 }");
    let rows = Rows { columns: vec![&[1.0, 1.0, 1.0]], keys: Vec::new() };
    assert_eq!(test(&program, &rows, None).0, [true, true, true]);
    let text = "let n = 0; rule(\"r\").on(\"m\").when(|v| { n += 1; n == 1 });";
    let loaded = load("f", text, &host());
    assert_eq!(listed(&loaded.findings), "1:41 cannot modify constant n");
}

#[test]
fn recorded_values_are_numbers() {
    let rule = rule("rule(\"r\").on(\"m\").record(\"x\", |v| if v > 2.0 { 7 } else { v * 2.0 });");
    let value = &rule.record.as_ref().expect("it records").value;
    let rows = Rows { columns: vec![&[1.0, 3.0]], keys: Vec::new() };
    let (mut numbers, mut faults) = (Vec::new(), Vec::new());
    let mut evaluator = value.evaluator();
    rows.frame(|frame| evaluator.measure(frame, None, &mut numbers, &mut faults));
    assert_eq!((numbers, faults), (vec![2.0, 7.0], Vec::new()));
}

#[test]
fn shards_evaluate_one_program_at_the_same_time() {
    let program = condition("", "|v| v > 90.0 && [1, 2].some(|x| v > x)");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let values: Vec<f64> = (0..200).map(f64::from).collect();
                let rows = Rows { columns: vec![&values], keys: Vec::new() };
                let (truth, faults) = test(&program, &rows, None);
                assert_eq!((truth.iter().filter(|truth| **truth).count(), faults.len()), (109, 0));
            });
        }
    });
}

#[test]
fn only_asks_a_closure_once_per_series() {
    let rule = rule(
        "rule(`r`).on(`m`).only(|labels| labels.env == `prod` && labels.len() == 2)
            .when(|v| v > 1);",
    );
    let series =
        |labels: &[(&str, &str)]| crate::kernel::model::Series::new("m", labels.iter().copied());
    let takes = |labels: &[(&str, &str)]| rule.inputs[0].selector.takes(&series(labels));
    assert_eq!(takes(&[("env", "prod"), ("host", "a")]), Ok(true));
    assert_eq!(takes(&[("env", "test"), ("host", "a")]), Ok(false));
    assert_eq!(takes(&[("env", "prod")]), Ok(false));
}
