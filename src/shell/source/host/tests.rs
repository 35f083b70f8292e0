//! The machine's own metrics: what is measured, what is refused, what may grow.

use std::collections::BTreeSet;

use super::*;
use crate::kernel::model::{EventTime, Refusal, Slot};
use crate::shell::source::readings::SLOTS_MAX;
use crate::shell::source::toy::{Sequencer, in_time};

fn reading(name: &'static str, core: &str, value: f64) -> Reading {
    Reading { name, labels: vec![("core", core.to_owned())], value }
}

#[tokio::test]
async fn the_machine_is_measured_again_and_again() {
    let mut sequencer = Sequencer::new(Limits::default());
    let settings = Host { name: Arc::from("host"), interval: Duration::ZERO };
    let running = start(&sequencer.surroundings(), settings).expect("a machine");
    let (mut names, mut batches) = (BTreeSet::new(), 0);
    // Disks come when their thread has read them; the rest with every batch.
    while batches < 2 || !names.contains("disk.used_pct") {
        let (batch, _permit) = sequencer.batch().await;
        batches += 1;
        for row in sequencer.read(&batch) {
            let (series, value) = row.rsplit_once(' ').expect("a value");
            let value: f64 = value.parse().expect("a number");
            let name = series.split('{').next().expect("a name");
            assert!(series.contains("host=\""), "{series}");
            assert!(value >= 0.0, "{row}");
            let of_a_whole = name.ends_with("used_pct") || name.ends_with("usage");
            assert!(!of_a_whole || value <= 100.0, "{row}");
            names.insert(name.to_owned());
        }
        assert!(batch.at.iter().all(|at| *at == EventTime::MIN), "stamped on arrival");
    }
    for name in [
        "cpu.usage",
        "cpu.core_usage",
        "cpu.cores",
        "load.avg1",
        "load.avg5",
        "load.avg15",
        "mem.used_pct",
        "mem.used_bytes",
        "mem.total_bytes",
        "mem.available_bytes",
        "swap.used_bytes",
        "net.received_bytes",
        "net.sent_bytes",
        "net.received_packets",
        "net.sent_packets",
        "net.received_errors",
        "net.sent_errors",
        "process.cpu_pct",
        "process.memory_bytes",
        "host.uptime_seconds",
        "disk.used_pct",
        "disk.free_bytes",
        "disk.total_bytes",
        "disk.read_bytes",
        "disk.written_bytes",
    ] {
        assert!(names.contains(name), "{name} is missing among {names:?}");
    }
    in_time("a clean stop", running.stop()).await;
    assert!(!sequencer.gate.sources()[0].tally.open);
}

#[test]
fn a_series_is_announced_once() {
    let limits = Limits::default();
    let mut slots = Slots::default();
    let readings =
        || vec![reading("cpu.core_usage", "0", 1.0), reading("cpu.core_usage", "1", 2.0)];
    let first = batch(&mut slots, "h", &limits, readings());
    assert_eq!((first.announced.len(), first.rows()), (2, 2));
    assert_eq!((first.announced[1].row, first.announced[1].slot), (1, Slot(1)));
    assert_eq!(first.announced[1].series.label("core"), Some("1"));
    let second = batch(&mut slots, "h", &limits, readings());
    assert_eq!((second.announced.len(), second.slots), (0, first.slots));
}

#[test]
fn names_past_a_limit_and_values_that_are_none_are_refused() {
    let limits = Limits { value_bytes_max: 200, ..Limits::default() };
    let readings =
        vec![reading("cpu.usage", &"x".repeat(201), 1.0), reading("cpu.usage", "0", f64::NAN)];
    let batch = batch(&mut Slots::default(), "h", &limits, readings);
    assert_eq!((batch.rows(), batch.announced.len()), (0, 0));
    assert_eq!(batch.refused.get(Refusal::LabelTooLong), 1);
    assert_eq!(batch.refused.get(Refusal::NotFinite), 1);
}

#[test]
fn interfaces_that_come_and_go_do_not_grow_the_table() {
    let limits = Limits::default();
    let mut slots = Slots::default();
    for round in 0..3 {
        let readings = (0..SLOTS_MAX)
            .map(|n| reading("net.sent_bytes", &format!("{round}.{n}"), 0.0))
            .collect();
        batch(&mut slots, "h", &limits, readings);
    }
    assert!(slots.len() <= 2 * SLOTS_MAX, "{}", slots.len());
}
