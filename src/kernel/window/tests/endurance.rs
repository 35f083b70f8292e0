//! Long runs: no error creeps in, nothing grows.

use super::super::store::GroupWindow;
use super::{Newest, sample, spec};
use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::Shape;
use crate::kernel::rule::view::Reduction;

const EVERY: Duration = Duration::from_secs(1);

/// A number from 0 to 1 that looks random.
fn noise(turn: u64) -> f64 {
    (xxhash_rust::xxh3::xxh3_64(&turn.to_le_bytes()) >> 11) as f64 / (1u64 << 53) as f64
}

/// Values of very different sizes, so that a running sum would lose the small ones.
fn value(turn: u64) -> f64 {
    if turn % 100 == 7 { noise(turn) * 1e15 } else { noise(turn) }
}

#[test]
fn after_a_million_panes_a_view_is_as_true_as_after_ten() {
    let shape = Shape::Sliding { length: EVERY * 20, every: EVERY };
    let reads = [Reduction::Sum, Reduction::Stddev, Reduction::Increase, Reduction::Slope];
    let spec = super::WindowSpec::of(shape, &reads, None).expect("the shape has a window");
    let mut window = GroupWindow::new(&spec, EventTime::from_nanos(1));
    let mut newest = Newest::default();
    for turn in 1..=1_000_000u64 {
        let end = EventTime::from_nanos(turn as i64 * EVERY.nanos());
        let plain = sample(end, turn, 0, value(turn));
        window.fold(&spec, &newest.follow(plain).expect("times rise"));
        window.close(&spec, end);
        assert!(window.panes() <= 20);
        // Judged where no large value is in the window, to see what large ones left behind.
        if turn % 100 != 90 {
            continue;
        }
        let values: Vec<f64> = (turn - 19..=turn).map(value).collect();
        let mean = values.iter().sum::<f64>() / 20.0;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let increase = (turn - 19..=turn).map(|turn| {
            let (before, now) = (value(turn - 1), value(turn));
            if now < before { now } else { now - before }
        });
        let middle = |turn: usize| turn as f64 - 9.5;
        let product = values.iter().enumerate().map(|(turn, value)| middle(turn) * value);
        for (reduction, truth) in [
            (Reduction::Sum, mean * 20.0),
            (Reduction::Stddev, (squares / 20.0).sqrt()),
            (Reduction::Increase, increase.sum::<f64>()),
            (Reduction::Slope, product.sum::<f64>() / 665.0),
        ] {
            let got = window.view(&spec, reduction).expect("twenty samples");
            assert!((got - truth).abs() < 1e-12, "{reduction:?} at {turn}: {got}, not {truth}");
        }
    }
}

#[test]
fn an_idle_window_lets_go_of_everything() {
    for shape in [
        Shape::Sliding { length: EVERY * 10, every: EVERY },
        Shape::Session { gap: EVERY * 10, every: EVERY },
    ] {
        let spec = spec(shape);
        let mut window = GroupWindow::new(&spec, EventTime::from_nanos(1));
        let empty = window.clone();
        for turn in 0..1_000 {
            let at = EventTime::from_nanos(1 + turn * EVERY.nanos() / 50);
            window.fold(&spec, &sample(at, turn as u64, turn as u64 % 7, noise(turn as u64)));
        }
        assert!(window.panes() >= 20);
        // One close may skip many ends.
        let judged = window.close(&spec, EventTime::from_nanos(EVERY.nanos() * 1_000));
        assert!(judged.empty && window.is_idle());
        for reduction in super::ALL {
            assert_eq!(window.view(&spec, reduction), None, "{reduction:?}");
        }
        // The ewma stays, for it covers all the history; that is some 30 bytes.
        let size = |window| postcard::to_allocvec(window).expect("plain numbers").len();
        assert!(size(&window) < size(&empty) + 40);
    }
}

#[test]
fn values_past_the_range_give_no_value_until_they_have_left() {
    let shape = Shape::Sliding { length: EVERY * 2, every: EVERY };
    let spec = spec(shape);
    let mut window = GroupWindow::new(&spec, EventTime::from_nanos(1));
    let mut newest = Newest::default();
    let mut views = Vec::new();
    for (turn, value) in [f64::MAX, f64::MAX, -f64::MAX, 3.0, 4.0].into_iter().enumerate() {
        let end = EventTime::from_nanos(EVERY.nanos() * (turn as i64 + 1));
        let plain = sample(end, turn as u64, 0, value);
        window.fold(&spec, &newest.follow(plain).expect("times rise"));
        window.close(&spec, end);
        let reads = [Reduction::Sum, Reduction::Delta, Reduction::Stddev, Reduction::Max];
        views.push(reads.map(|reduction| window.view(&spec, reduction)));
    }
    assert_eq!(views[1], [None, Some(0.0), Some(0.0), Some(f64::MAX)]);
    assert_eq!(views[2], [Some(0.0), None, None, Some(f64::MAX)]);
    assert_eq!(views[4], [Some(7.0), Some(f64::MAX), Some(0.5), Some(4.0)]);
}

#[test]
fn noise_over_the_whole_range_spoils_quantiles_only_while_it_stays() {
    let sliding = Shape::Sliding { length: EVERY * 4, every: EVERY };
    for shape in [sliding, Shape::Count { count: 6_000 }] {
        let reads = [Reduction::Quantile(500), Reduction::Distinct];
        let spec = super::WindowSpec::of(shape, &reads, None).expect("the shape has a window");
        let mut window = GroupWindow::new(&spec, EventTime::from_nanos(1));
        let mut median_of = |panes: std::ops::Range<u64>, value: &dyn Fn(u64) -> f64| {
            for turn in panes.start * 3_000..panes.end * 3_000 {
                let at = EventTime::from_nanos(1 + turn as i64 * EVERY.nanos() / 3_000);
                window.fold(&spec, &sample(at, turn, 0, value(turn)));
                if turn % 3_000 == 2_999 {
                    let end = EventTime::from_nanos((turn as i64 + 1) / 3_000 * EVERY.nanos());
                    window.close(&spec, end);
                }
            }
            let distinct = window.view(&spec, Reduction::Distinct).expect("samples");
            (window.view(&spec, Reduction::Quantile(500)).expect("samples"), distinct)
        };
        let wild = |turn| f64::from_bits((noise(turn) * 9e18) as u64);
        let (_, distinct) = median_of(0..5, &wild);
        let members = if shape == sliding { 12_000.0 } else { 6_000.0 };
        assert!((distinct / members - 1.0f64).abs() < 0.05, "{distinct} of {members}");
        let (median, distinct) = median_of(5..10, &|turn| (turn % 100) as f64 + 0.5);
        assert!((median / 49.5 - 1.0).abs() < 0.01, "{median} in {shape:?}");
        assert_eq!(distinct, 100.0);
    }
}

/// Bytes of a window that was fed once a pane until it was full, judged or not, by what it reads.
fn bytes_of(panes: i64, reads: &[Reduction]) -> usize {
    let shape = Shape::Sliding { length: EVERY * panes, every: EVERY };
    let spec = super::WindowSpec::of(shape, reads, None).expect("the shape has a window");
    let mut window = GroupWindow::new(&spec, EventTime::from_nanos(1));
    for turn in 1..=3 * panes {
        let at = EventTime::from_nanos(turn * EVERY.nanos());
        window.fold(&spec, &sample(at, turn as u64, 0, 1.0));
        window.close(&spec, at);
    }
    assert_eq!(window.panes() as i64, panes);
    size_of::<GroupWindow>() + window.heap_bytes()
}

#[test]
fn a_window_is_as_small_as_it_says() {
    use Reduction::{Increase, Last, Max, Mean, Share, Stddev, Sum};
    assert_eq!(size_of::<GroupWindow>(), 48);
    // 72 bytes, and 24 for each pane, the open one too; large windows have up to an eighth to
    // spare.
    for (panes, live) in [(1, 2), (6, 7), (60, 61)] {
        let (bytes, least) = (bytes_of(panes, &[Mean, Sum]), 72 + 24 * live);
        assert!(least <= bytes && bytes <= least + 24 * (live / 8), "{panes}: {bytes}");
    }
    // A pane pays for what its rule reads: six judged ones, one open, and one for the totals.
    assert_eq!(bytes_of(6, &[Reduction::Count]), 48 + 8 * 8);
    assert_eq!(bytes_of(6, &[Mean, Max]), 48 + 8 * 40);
    assert_eq!(bytes_of(6, &[Increase]), 48 + 8 * 48);
    let all = [Mean, Max, Stddev, Last, Increase, Share];
    assert_eq!(bytes_of(6, &all), 48 + 8 * 160);
}
