//! From a series to its number, and from a batch to what each shard gets.

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use watchfire::kernel::decode::{Decoder, Format};
use watchfire::kernel::model::lookup::Lookup;
use watchfire::kernel::model::{Batch, EventTime, Limits, Series, SeriesId, SourceId};
use watchfire::kernel::rule::ruleset::Ruleset;
use watchfire::kernel::sequence::sequencer::{Arrived, Sequencer};

use crate::{SERIES, format, text};

/// By name and labels, for 10,000 series.
#[divan::bench]
fn series(bencher: Bencher<'_, '_>) {
    let series: Vec<Series> = batch().announced.into_iter().map(|said| said.series).collect();
    let mut table = Lookup::<Series, SeriesId>::default();
    for (number, series) in series.iter().enumerate() {
        table.insert(series.clone(), SeriesId(number as u32));
    }
    bencher.counter(ItemsCount::new(SERIES)).bench_local(|| {
        series.iter().filter_map(|series| table.get(black_box(series))).map(|id| id.0).max()
    });
}

/// A batch of known series put into the sequence, with no rule that takes them.
#[divan::bench(args = [1, 2])]
fn sequence(bencher: Bencher<'_, '_>, shards: u32) {
    let ruleset = Arc::new(Ruleset::empty());
    let mut sequencer = Sequencer::new(Limits::default(), shards, ruleset);
    let source = SourceId(0);
    sequencer.step(Arrived::Opened { source, lateness: None });
    let first = batch();
    sequencer.step(Arrived::Batch { source, batch: first.clone() });
    let mut tick = 0;
    let later = || {
        tick += 1;
        let second = i64::from(tick) * 1_000_000_000;
        let at = first.at.iter().map(|at| EventTime::from_nanos(at.nanos() + second)).collect();
        Batch { announced: Vec::new(), at, ..first.clone() }
    };
    bencher
        .counter(ItemsCount::new(SERIES))
        .with_inputs(later)
        .bench_local_values(|batch| sequencer.step(Arrived::Batch { source, batch }));
}

fn batch() -> Batch {
    let mut decoder = Decoder::new(Format::JsonLines, &Limits::default(), 2 * SERIES);
    decoder.decode(&text(format::Format::Json, 0));
    decoder.take()
}
