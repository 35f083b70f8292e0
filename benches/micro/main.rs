//! The parts of the hot path one by one: `cargo bench --bench micro`, or with a part's name behind
//! `--` that part only. A figure is the time of a whole round; the number of items in a round
//! stands beside it as items a second.
//!
//! Figures of parts do not add up to that of the whole, whose caches are shared: for that there is
//! `benches/works.sh`. They tell which part a change made cheaper or dearer.

#[path = "../works/data.rs"]
#[expect(dead_code, reason = "the works use the rest")]
mod data;
#[path = "../works/format.rs"]
#[expect(unused_imports, reason = "its tests run with those of the works")]
mod format;

mod condition;
mod crowd;
mod decode;
mod guest;
mod lifecycle;
mod lookup;
mod reload;
mod window;

fn main() {
    divan::main();
}

/// One tick of the works' ten thousand series.
const HOSTS: usize = 1_000;
const SERIES: usize = HOSTS * data::METRICS.len();

/// Their samples as text, in the order in which they come at this tick.
fn text(format: format::Format, tick: i64) -> Vec<u8> {
    let extent = data::Extent { seed: 0, hosts: HOSTS, ticks: 600, cadence_ms: 1_000 };
    let all = data::Data::new(extent);
    let mut text = Vec::new();
    for host in all.hosts_of(tick) {
        for metric in 0..data::METRICS.len() {
            let value = all.value(host, metric, tick);
            format::Line::new(format, host, metric).write(all.time_ms(tick), value, &mut text);
        }
    }
    text
}
