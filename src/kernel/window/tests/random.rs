//! Random streams, with samples out of order and late, gaps, counter resets, repeated values and
//! several series: what the window says must be what a recount says.

use proptest::prelude::*;

use super::super::pane::Placed;
use super::super::store::GroupWindow;
use super::recount::Recount;
use super::{ALL, HALF_LIFE, Newest, WindowSpec, sample};
use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::Shape;
use crate::kernel::rule::view::Reduction;

/// A day on, so that no time is near the epoch.
const START: i64 = 86_400_000_000_000;

#[derive(Clone, Debug)]
struct Arrival {
    /// Against the newest time so far.
    offset_ms: i64,
    /// Puts the sample on a multiple of a second, give or take a nanosecond.
    edge: Option<i64>,
    member: u64,
    value: f64,
}

#[derive(Clone, Debug)]
struct Stream {
    shape: Shape,
    /// What the rule reads; the window keeps no more than that.
    reads: Vec<Reduction>,
    lateness: Duration,
    /// Skip ends while time allows, as the engine does for an idle group.
    skips: bool,
    /// After this many samples the window goes through bytes and back.
    restore_at: usize,
    arrivals: Vec<Arrival>,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let secs = Duration::from_secs;
    prop_oneof![
        (1..=16i64, 1..=4i64)
            .prop_map(move |(panes, every)| (secs(panes * every), secs(every)))
            .prop_map(|(length, every)| Shape::Sliding { length, every }),
        (1..=4i64, 1..=6i64)
            .prop_map(move |(every, more)| (secs(every + more - 1), secs(every)))
            .prop_map(|(gap, every)| Shape::Session { gap, every }),
        (1..20usize).prop_map(|count| Shape::Count { count }),
    ]
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let offset = prop_oneof![
        6 => 0..1_500i64,
        3 => -8_000..0i64,
        1 => -60_000..0i64,
        1 => 2_000..40_000i64,
    ];
    let edge = prop_oneof![3 => Just(None), 1 => (-1..=1i64).prop_map(Some)];
    let value = prop_oneof![
        4 => (0..100i32).prop_map(f64::from),
        2 => -1e6..1e6f64,
        1 => Just(0.0),
        1 => -1e-6..1e-6f64,
    ];
    let arrival = (offset, edge, 0..4u64, value)
        .prop_map(|(offset_ms, edge, member, value)| Arrival { offset_ms, edge, member, value });
    proptest::collection::vec(arrival, 1..120)
}

/// All that there is, or a few: what a window keeps and how it keeps it depends on what is read.
fn reads() -> impl Strategy<Value = Vec<Reduction>> {
    prop_oneof![
        1 => Just(ALL.to_vec()),
        3 => proptest::sample::subsequence(ALL.to_vec(), 1..4),
    ]
}

fn streams() -> impl Strategy<Value = Stream> {
    (shapes(), reads(), 0..5_000i64, any::<bool>(), 0..60usize, arrivals()).prop_map(
        |(shape, reads, lateness_ms, skips, restore_at, arrivals)| {
            let lateness = Duration::from_millis(lateness_ms);
            Stream { shape, reads, lateness, skips, restore_at, arrivals }
        },
    )
}

/// The window and its recount, side by side.
struct Pair {
    shape: Shape,
    spec: WindowSpec,
    reads: Vec<Reduction>,
    window: GroupWindow,
    recount: Recount,
    /// A late sample may enter and leave again when ends are skipped; then "changed" is allowed,
    /// but not demanded.
    late_since: bool,
}

impl Pair {
    fn judge(&mut self, end: EventTime) {
        let before = self.recount.seen();
        let judged = self.window.close(&self.spec, end);
        self.recount.close(end);
        let seen = self.recount.seen();
        assert_eq!(judged.empty, seen.is_empty(), "empty at {end}");
        if seen != before || !self.late_since {
            let changed = seen != before || matches!(self.shape, Shape::Count { .. });
            assert_eq!(judged.changed, changed, "changed at {end}");
        }
        self.late_since = false;
        for reduction in &self.reads {
            self.compare(*reduction, end);
        }
    }

    fn compare(&self, reduction: Reduction, end: EventTime) {
        if reduction == Reduction::Rate && matches!(self.shape, Shape::Count { .. }) {
            return;
        }
        let got = self.window.view(&self.spec, reduction);
        let name = reduction.name();
        match (got, self.recount.view(reduction)) {
            (None, None) => {}
            (Some(got), Some(truth)) => {
                let off = (got - truth.value).abs();
                assert!(off <= 1e-9 * truth.scale, "{name} at {end}: {got}, not {}", truth.value);
            }
            (got, truth) => {
                panic!("{name} at {end}: {got:?}, not {:?}", truth.map(|truth| truth.value))
            }
        }
    }

    /// Judges all that is due at `watermark`.
    fn advance(&mut self, watermark: EventTime, skips: bool) {
        while let Some(end) = self.window.next_judgement(&self.spec).filter(|end| *end < watermark)
        {
            let end = match self.shape {
                Shape::Sliding { every, .. } if skips => {
                    EventTime::from_nanos(watermark.nanos() - 1).floor(every)
                }
                Shape::Sliding { .. }
                | Shape::Session { .. }
                | Shape::Count { .. }
                | Shape::Each
                | Shape::Latest { .. } => end,
            };
            self.judge(end);
        }
    }
}

fn check(stream: &Stream) {
    let start = EventTime::from_nanos(START);
    let spec = WindowSpec::of(stream.shape, &stream.reads, Some(HALF_LIFE));
    let spec = spec.expect("the shape has a window");
    let window = GroupWindow::new(&spec, start.next());
    let recount = Recount::new(stream.shape, HALF_LIFE, start.floor(Duration::from_secs(1)));
    let mut pair = Pair {
        shape: stream.shape,
        spec: spec.clone(),
        reads: stream.reads.clone(),
        window,
        recount,
        late_since: false,
    };
    // The grid of `every` may have no end at the start itself.
    pair.advance(start.next(), false);
    let (mut clock, mut newest) = (START, Newest::default());
    for (position, arrival) in stream.arrivals.iter().enumerate() {
        let mut at = clock + arrival.offset_ms * 1_000_000;
        if let Some(edge) = arrival.edge {
            at = at - at % 1_000_000_000 + edge;
        }
        clock = clock.max(at);
        let at = EventTime::from_nanos(at);
        let plain = sample(at, position as u64, arrival.member, arrival.value);
        let Some(folded) = newest.follow(plain) else { continue };
        let placed = pair.window.fold(&spec, &folded);
        assert_eq!(placed, pair.recount.fold(folded), "{folded:?}");
        pair.late_since |= placed == Placed::LateInWindow;
        if matches!(stream.shape, Shape::Count { .. }) {
            pair.judge(at);
        }
        if position == stream.restore_at {
            let bytes = postcard::to_allocvec(&pair.window).expect("a window has no odd types");
            let restored = postcard::from_bytes(&bytes).expect("it was just written");
            assert_eq!(pair.window, restored);
            pair.window = restored;
        }
        pair.advance(EventTime::from_nanos(clock) - stream.lateness, stream.skips);
    }
    pair.advance(EventTime::from_nanos(clock) + Duration::from_secs(90), false);
    assert!(matches!(stream.shape, Shape::Count { .. }) || pair.window.is_idle());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_window_says_what_a_recount_says(stream in streams()) {
        check(&stream);
    }
}
