//! The native path against the interpreter: the same condition, the same rows, the same answers and
//! the same words of failure, on every machine's code, by the column and by the row.
//!
//! `WATCHFIRE_PROGRAMS=1000000` writes more programs than a usual run does, and
//! `WATCHFIRE_SEED` repeats one run.

mod writer;

use std::sync::Arc;

use super::super::condition::Condition;
use super::super::reads::{self, Offer};
use super::*;
use crate::kernel::expr::planted::{MISTAKES, Mistake};
use crate::kernel::expr::{Kind, Lanes, Native, Plan};
use crate::kernel::model::{EventTime, Labels};
use crate::kernel::rule::program::Program;
use crate::kernel::rule::view::{Column, Frame};
use writer::Random;

const ROWS: usize = 24;
const PROGRAMS: usize = 2_000;

/// Programs that once went wrong or nearly did, as closures over `v` and `labels`.
const KEPT: [&str; 17] = [
    "|v| -7 / (v.to_int() % 3 + 5) == -1",
    "|v| 1.0 / (if v > 1.0 { -0.0 } else { 1.0 }) < 0.0",
    "|v| 1.0 / -v < 0.0 || 1.0 / (0.0 - v) < 0.0",
    "|v| (9223372036854775807 + v.to_int()) > \"x\"",
    "|v| v > 16777217 || v.to_int() < 16777217",
    "|v| max(v, 0.0 / 0.0) > 1.0 || max(0.0 / 0.0, v) < 1.0 || min(v, 0.0 / 0.0) == v",
    "|v| 1.0 / max(-0.0, v) > 0.0 || 1.0 / min(0.0, v) < 0.0 || 1.0 / max(v, -0.0) > 0.0",
    "|v| { if v > 3.0 { return true; } let x = 7; if v < 0.0 { x /= 0; } x > 2 }",
    "|v| { let x = 1; if v > 0.0 { x = 2.5; } v > 1.0 }",
    "|v| { let x = if v > 1.0 { return v > 2.0; } else { 3 }; x == 3 && v.is_nan }",
    "|v, labels| labels.host != () && labels.host.starts_with(\"web\") && v > 1.0",
    "|v, labels| v > 1.0 && labels.env.contains(\"o\")",
    "|v, labels| \"web\" in labels.host || labels.env in [\"a\", ()] || labels.host == labels.env",
    "|v, labels| { let t = if labels.env == \"prod\" { 90.0 } else { 3 }; v > 1.0 }",
    "|v| -(v.to_int()) < 0 && abs(v.to_int()) >= 0 && v.to_int() % -1 == 0 && v.to_int() / -1 < 5",
    "|v| true < v.is_nan || (v > 0.0) <= (v > 1.0) || (v > 1.0) ^ (v < 2.0)",
    "|v| { let x = v; { let x = 1; x += 1; } x -= 0.5; x *= 2; x > v }",
];

/// One condition, both ways.
struct Pair {
    text: String,
    reference: Arc<dyn Program>,
    /// Or why it stays interpreted.
    plan: Result<Plan, String>,
}

/// `None` for what the interpreter does not take either.
fn pair(text: &str, host: &Host) -> Option<Pair> {
    let source = Source::new("f", text);
    let script = Arc::new(Script::compile(host.judge(), source).ok()?);
    let desk = Desk::new(script.clone(), host.judge().clone(), host.send().clone());
    let engine = host.load(Dynamic::from(desk.clone()));
    engine.run_ast(script.ast()).ok()?;
    let papers = desk.papers();
    let draft = papers.rules.first()?;
    let closure = draft.when.as_ref()?.value.clone();
    let inputs = draft.join.iter().flat_map(|join| &join.value).map(|input| input.name.clone());
    let offer = Offer {
        inputs: inputs.collect(),
        windowed: !draft.windows.is_empty(),
        baseline: draft.baseline.is_some(),
        ..Offer::default()
    };
    let uses = script.uses(&closure.function, closure.captures(), &papers.libraries);
    let reads = reads::resolve(&offer, closure.params(), closure.function.at, &uses).ok()?;
    let condition = Condition::new(closure, reads);
    let plan = condition.plan(Kind::Bool).map_err(|refusal| refusal.what);
    Some(Pair { text: text.to_owned(), reference: Arc::new(condition), plan })
}

/// Rows for a program's columns.
struct Rows {
    columns: Vec<Vec<f64>>,
    keys: Vec<Labels>,
}

impl Rows {
    fn of(columns: &[Column], random: &mut Random) -> Rows {
        let above_90 = f64::from_bits(90.0f64.to_bits() + 1);
        let below_90 = f64::from_bits(90.0f64.to_bits() - 1);
        let floats = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            2.0,
            2.5,
            3.0,
            -7.0,
            7.0,
            90.0,
            above_90,
            below_90,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            5e-324,
            -5e-324,
            1e-17,
            1e300,
            9.3e18,
            16_777_216.0,
            16_777_217.0,
            -9_223_372_036_854_775_808.0,
            9_223_372_036_854_775_807.0,
            9_007_199_254_740_993.0,
        ];
        let counts = [
            0.0,
            1.0,
            2.0,
            3.0,
            7.0,
            90.0,
            100.0,
            16_777_216.0,
            16_777_217.0,
            9_007_199_254_740_992.0,
        ];
        let lanes = |column: &Column, random: &mut Random| match column {
            Column::Label(_) => Vec::new(),
            column => {
                let pool = if column.is_whole() { &counts[..] } else { &floats[..] };
                (0..ROWS).map(|_| random.pick(pool)).collect()
            }
        };
        let columns = columns.iter().map(|column| lanes(column, random)).collect();
        let key = |random: &mut Random| {
            // An empty value is no label.
            let host = random.pick(&["", "a", "b", "web-1"]);
            Labels::new([("host", host), ("env", random.pick(&["", "prod", "a", "test"]))])
        };
        Rows { columns, keys: (0..ROWS).map(|_| key(random)).collect() }
    }

    /// Each row's truth or fault; all rows in frames of `chunk` rows.
    fn ask(&self, program: &dyn Program, chunk: usize) -> Vec<Result<bool, String>> {
        let mut evaluator = program.evaluator();
        let mut answers = Vec::new();
        for start in (0..ROWS).step_by(chunk) {
            let rows = start..(start + chunk).min(ROWS);
            let of = |column: &'_ Vec<f64>| if column.is_empty() { 0..0 } else { rows.clone() };
            let numbers: Vec<&[f64]> =
                self.columns.iter().map(|column| &column[of(column)]).collect();
            let keys: Vec<&Labels> = self.keys[rows.clone()].iter().collect();
            let facts: Vec<u64> = match program.has_label_facts() {
                true => keys.iter().map(|key| program.label_facts(key)).collect(),
                false => Vec::new(),
            };
            let at = vec![EventTime::from_nanos(0); rows.len()];
            let frame = Frame {
                rows: rows.len(),
                numbers: &numbers[..program.reads().len()],
                at: &at,
                keys: &keys,
                facts: &facts,
            };
            let (mut truth, mut faults) = (Vec::new(), Vec::new());
            evaluator.test(&frame, None, &mut truth, &mut faults);
            let first = answers.len();
            answers.extend(truth.into_iter().map(Ok));
            for (row, fault) in faults {
                answers[first + row as usize] = Err(fault.to_string());
            }
        }
        answers
    }
}

fn native(pair: &Pair, plan: &Plan, lanes: Lanes) -> Native {
    Native::new(plan.clone(), pair.reference.clone()).unconfirmed(lanes)
}

/// What a run saw, so that a run which saw nothing does not pass.
#[derive(Debug, Default)]
struct Seen {
    programs: usize,
    native: usize,
    facts: usize,
    traps: usize,
    breaches: usize,
    faults: usize,
}

/// Holds every way of running a program to the interpreter's answers, which come back.
#[track_caller]
fn hold_equal(pair: &Pair, plan: &Plan, rows: &Rows, told: &str) -> Vec<Result<bool, String>> {
    let expected = rows.ask(pair.reference.as_ref(), ROWS);
    let machines = std::iter::once(Lanes::BASELINE).chain(Lanes::avx2());
    for lanes in machines {
        let native = native(pair, plan, lanes);
        for chunk in [ROWS, 1] {
            let found = rows.ask(&native, chunk);
            let differs = (0..ROWS).find(|row| found[*row] != expected[*row]);
            if let Some(row) = differs {
                let numbers: Vec<Option<&f64>> =
                    rows.columns.iter().map(|column| column.get(row)).collect();
                panic!(
                    "{told}: by {lanes:?} in frames of {chunk}, row {row} ({numbers:?}, {:?}) \
                     gives {:?} and not {:?} in\n{}{plan:#?}",
                    rows.keys[row], found[row], expected[row], pair.text
                );
            }
        }
    }
    expected
}

fn count(seen: &mut Seen, plan: &Plan, answers: &[Result<bool, String>]) {
    seen.native += 1;
    seen.facts += usize::from(plan.has_facts());
    seen.traps += usize::from(plan.can_trap());
    seen.breaches += answers.iter().filter(|answer| **answer == Ok(true)).count();
    seen.faults += answers.iter().filter(|answer| answer.is_err()).count();
}

fn number_of(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |n| n.parse().expect("a number"))
}

#[test]
fn native_programs_answer_as_the_interpreter_does() {
    let usual = u64::from(std::process::id());
    let seed = number_of("WATCHFIRE_SEED", usual);
    let programs = number_of("WATCHFIRE_PROGRAMS", PROGRAMS as u64) as usize;
    println!("WATCHFIRE_SEED={seed}");
    let (mut random, host) = (Random::new(seed), host());
    let mut seen = Seen::default();
    while seen.programs < programs {
        let text = writer::write(&mut random);
        let Some(pair) = pair(&text, &host) else { continue };
        seen.programs += 1;
        let Ok(plan) = &pair.plan else { continue };
        let rows = Rows::of(pair.reference.reads(), &mut random);
        let answers = hold_equal(&pair, plan, &rows, &format!("WATCHFIRE_SEED={seed}"));
        count(&mut seen, plan, &answers);
    }
    println!("{seen:?}");
    assert!(seen.native * 10 > seen.programs * 7, "{seen:?}");
    let enough = seen.programs / 20;
    for many in [seen.facts, seen.traps, seen.breaches, seen.faults] {
        assert!(many > enough, "{seen:?}");
    }
}

/// The file of one of [`KEPT`].
fn file_of(closure: &str) -> String {
    format!("rule(\"r\").on(\"m\").by(\"host\", \"env\").when({closure});")
}

#[test]
fn every_planted_mistake_is_noticed() {
    let (mut random, host) = (Random::new(1), host());
    let mut unnoticed: Vec<Mistake> = MISTAKES.to_vec();
    let mut kept = KEPT.iter();
    // Few programs can tell some of them apart, and those only on a row in many.
    for _ in 0..10 * PROGRAMS {
        if unnoticed.is_empty() {
            break;
        }
        let text = kept.next().map_or_else(|| writer::write(&mut random), |kept| file_of(kept));
        let Some(pair) = pair(&text, &host) else { continue };
        let Ok(plan) = &pair.plan else { continue };
        let rows = Rows::of(pair.reference.reads(), &mut random);
        let answers = rows.ask(pair.reference.as_ref(), ROWS);
        unnoticed.retain(|mistake| {
            let wrong = plan.with_mistake(*mistake);
            let wrong = wrong.map(|plan| native(&pair, &plan, Lanes::BASELINE));
            wrong.is_none_or(|wrong| rows.ask(&wrong, ROWS) == answers)
        });
    }
    assert_eq!(unnoticed, []);
}

#[test]
fn programs_that_once_went_wrong_stay_right() {
    let (mut random, host) = (Random::new(7), host());
    for closure in KEPT {
        let pair = pair(&file_of(closure), &host).unwrap_or_else(|| panic!("{closure}"));
        let plan = pair.plan.as_ref().unwrap_or_else(|what| panic!("{closure}: {what}"));
        for _ in 0..20 {
            let rows = Rows::of(pair.reference.reads(), &mut random);
            hold_equal(&pair, plan, &rows, closure);
        }
    }
}
