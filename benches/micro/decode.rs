//! Text to batches: lines whose series are known, as nearly all are.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use watchfire::kernel::decode::{Decoder, Format};
use watchfire::kernel::model::Limits;

use crate::{SERIES, format, text};

/// 10,000 lines of as many series, which come in another order than when they were first seen.
#[divan::bench(args = ["json", "statsd", "influx", "prom"])]
fn known_lines(bencher: Bencher<'_, '_>, name: &str) {
    let written = format::Format::parse(name).expect("a format of the works");
    let read = Format::parse(name).expect("a format of ours");
    let mut decoder = Decoder::new(read, &Limits::default(), 2 * SERIES);
    decoder.decode(&text(written, 0));
    assert_eq!(decoder.take().rows(), SERIES);
    let lines = text(written, 1);
    bencher.counter(ItemsCount::new(SERIES)).counter(BytesCount::of_slice(&lines)).bench_local(
        || {
            decoder.decode(black_box(&lines));
            decoder.take()
        },
    );
}

/// The same when no line was seen before: labels are parsed, sorted and kept.
#[divan::bench]
fn new_lines(bencher: Bencher<'_, '_>) {
    let lines = text(format::Format::Json, 0);
    let new = || Decoder::new(Format::JsonLines, &Limits::default(), 2 * SERIES);
    bencher.counter(ItemsCount::new(SERIES)).with_inputs(new).bench_local_values(|mut decoder| {
        decoder.decode(black_box(&lines));
        decoder.take()
    });
}
