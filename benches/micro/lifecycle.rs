//! The state machine of one alert, step by step.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use watchfire::kernel::alert::lifecycle::{State, Timing, Verdict, step};
use watchfire::kernel::model::{Duration, EventTime, Level};

const STEPS: i64 = 1_024;

/// `calm` never breaches, which is what nearly every step is; `busy` fires and resolves all the
/// time.
#[divan::bench(args = ["calm", "busy"])]
fn steps(bencher: Bencher<'_, '_>, mood: &str) {
    let timing = Timing { soak: Duration::from_secs(3), cool: Duration::from_secs(2) };
    let verdict = |second: i64| match mood == "busy" && second % 8 < 5 {
        true => Verdict::Breach(Level::Critical),
        false => Verdict::Clear,
    };
    let verdicts: Vec<Verdict> = (0..STEPS).map(verdict).collect();
    bencher.counter(ItemsCount::new(STEPS as u64)).bench_local(|| {
        let (mut state, mut changes) = (State::Inactive, 0u32);
        for (second, verdict) in (0..).zip(black_box(&verdicts)) {
            let (next, change) =
                step(state, EventTime::from_nanos(second * 1_000_000_000), *verdict, timing);
            state = next;
            changes += u32::from(change.is_some());
        }
        (state, changes)
    });
}
