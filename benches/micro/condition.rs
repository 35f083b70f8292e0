//! Conditions over columns: the closure of a rule file as the engine runs it.

use std::path::Path;
use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use watchfire::guest::rhai::{Host, load};
use watchfire::kernel::model::EventTime;
use watchfire::kernel::rule::Judge;
use watchfire::kernel::rule::program::Program;
use watchfire::kernel::rule::view::Frame;

/// As many rows as are judged at once.
const ROWS: usize = 1_024;

/// The second has a loop, which is always interpreted.
#[divan::bench(args = [
    "v > 80.0",
    "v > 80.0 && (v < 95.0 || abs(v - 90.0) < 2.5)",
    "let over = 0; for limit in [70.0, 80.0] { if v > limit { over += 1; } } over == 2",
])]
fn over_1024_rows(bencher: Bencher<'_, '_>, condition: &str) {
    let program = program(condition);
    let mut evaluator = program.evaluator();
    let values: Vec<f64> = (0..ROWS).map(|row| (row * 37 % 100) as f64).collect();
    let at = vec![EventTime::from_nanos(0); ROWS];
    let (mut truth, mut faults) = (Vec::new(), Vec::new());
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        truth.clear();
        let numbers: &[&[f64]] = &[black_box(&values)];
        let frame = Frame { rows: ROWS, numbers, at: &at, keys: &[], facts: &[] };
        evaluator.test(&frame, None, &mut truth, &mut faults);
        truth.iter().filter(|holds| **holds).count()
    });
    assert!(faults.is_empty() && truth.contains(&true) && truth.contains(&false));
}

fn program(condition: &str) -> Arc<dyn Program> {
    let text = format!("rule(\"r\").on(\"m\").severity(\"critical\").when(|v| {{ {condition} }});");
    let mut loaded = load("micro.rhai", &text, &Host::new(Path::new(".")));
    assert!(loaded.is_good(), "{:?}", loaded.findings);
    match loaded.rules.remove(0).judge {
        Judge::Levels([_, _, Some(critical)]) => critical.when,
        judge => panic!("a rule with one level has {judge:?}"),
    }
}
