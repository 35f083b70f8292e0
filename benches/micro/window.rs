//! Windows: a sample folded in, a pane closed and read.

use divan::Bencher;
use divan::counter::ItemsCount;
use watchfire::kernel::model::{Duration, EventTime};
use watchfire::kernel::rule::Shape;
use watchfire::kernel::rule::view::Reduction;
use watchfire::kernel::window::{Folded, GroupWindow, WindowSpec};

const START: EventTime = EventTime::from_nanos(1_700_000_000_000_000_000);

/// A window of a minute and what is read of it.
struct Case {
    name: &'static str,
    reads: Reduction,
    every: Duration,
    samples_a_second: u32,
}

/// The windows of the works: W1 judges a series every second, W2 fifty of them every ten.
const CASES: &[Case] = &[
    Case {
        name: "mean",
        reads: Reduction::Mean,
        every: Duration::from_secs(1),
        samples_a_second: 1,
    },
    Case {
        name: "p99",
        reads: Reduction::Quantile(990),
        every: Duration::from_secs(10),
        samples_a_second: 50,
    },
];

impl std::fmt::Display for Case {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name)
    }
}

/// What a sample costs.
#[divan::bench(args = CASES)]
fn fold(bencher: Bencher<'_, '_>, case: &Case) {
    let (filled, spec) = filled(case);
    let samples = samples(case, START + Duration::from_secs(60), case.every);
    bencher
        .counter(ItemsCount::new(samples.len()))
        .with_inputs(|| filled.clone())
        .bench_local_refs(|window| {
            for sample in &samples {
                window.fold(&spec, sample);
            }
        });
}

/// What one judgement costs: a pane enters, another leaves, one reduction is read.
#[divan::bench(args = CASES)]
fn close(bencher: Bencher<'_, '_>, case: &Case) {
    let (mut filled, spec) = filled(case);
    let from = START + Duration::from_secs(60);
    for sample in samples(case, from, case.every) {
        filled.fold(&spec, &sample);
    }
    bencher.counter(ItemsCount::new(1u32)).with_inputs(|| filled.clone()).bench_local_refs(
        |window| {
            window.close(&spec, from + case.every);
            window.view(&spec, case.reads)
        },
    );
}

/// A window with a minute in it.
fn filled(case: &Case) -> (GroupWindow, WindowSpec) {
    let shape = Shape::Sliding { length: Duration::from_secs(60), every: case.every };
    let spec = WindowSpec::of(shape, &[case.reads], None).expect("a sliding window is one");
    let mut window = GroupWindow::new(&spec, START);
    let read = minute(&mut window, &spec, case, START);
    assert!(read.is_some_and(|value| (0.0..100.0).contains(&value)), "{read:?}");
    (window, spec)
}

fn minute(
    window: &mut GroupWindow,
    spec: &WindowSpec,
    case: &Case,
    from: EventTime,
) -> Option<f64> {
    let (mut end, mut read) = (from, None);
    while end < from + Duration::from_secs(60) {
        for sample in samples(case, end, case.every) {
            window.fold(spec, &sample);
        }
        end = end + case.every;
        window.close(spec, end);
        read = window.view(spec, case.reads);
    }
    read
}

/// Evenly spread over `(from, from + length]`.
fn samples(case: &Case, from: EventTime, length: Duration) -> Vec<Folded> {
    let count = length.nanos() * i64::from(case.samples_a_second) / 1_000_000_000;
    let sample = |number: i64| Folded {
        at: EventTime::from_nanos(from.nanos() + length.nanos() * (number + 1) / count),
        position: number as u64,
        member: number as u64 % u64::from(case.samples_a_second),
        value: (number * 37 % 100) as f64 + 0.25,
        share_hit: false,
        distinct_hash: 0,
        previous: None,
    };
    (0..count).map(sample).collect()
}
