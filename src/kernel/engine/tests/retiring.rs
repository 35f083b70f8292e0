//! Series that say nothing any more: when they go, and what is kept for those that may come back.

use std::sync::Arc;

use crate::kernel::model::{Announcement, Batch, Duration, Op, Series, Slot, SourceId};
use crate::kernel::rule::Rule;
use crate::kernel::sequence::sequencer::Arrived;

use super::kit::*;

#[test]
fn a_disconnected_source_makes_nothing_absent() {
    let rules = vec![rule("gone", "beat").by(&["host"]).absent("30s").make()];
    let mut machine = machine(2, rules);
    let mut lines = run_lines(&mut machine, "0s beat{host=a} 1", 9, false);
    lines.extend(listening(&mut machine, 0, false));
    open(&mut machine, 1);
    lines.extend(run_from(&mut machine, 1, "100s up{} 1 | 200s up{} 1"));
    lines.extend(listening(&mut machine, 0, true));
    lines.extend(run_from(&mut machine, 1, "229s up{} 1"));
    assert_eq!(lines, Vec::<String>::new());
    let lines = run_from(&mut machine, 1, "231s up{} 1");
    assert_eq!(lines, ["3m50s fired critical {host=a}"]);
}

/// Rules that need a series for two minutes.
fn brief() -> Vec<Arc<Rule>> {
    vec![rule("hot", "cpu").when(over(90.0)).expire("2m").forget("2m").make()]
}

#[test]
fn a_series_goes_soon_after_the_last_rule_has_forgotten_it() {
    let mut machine = machine(2, brief());
    run_lines(&mut machine, "0s cpu{host=a} 10 | 0s cpu{host=b} 95", 9, false);
    run_lines(&mut machine, "120s cpu{host=c} 10 | 150s cpu{host=c} 10", 9, false);
    assert_eq!(machine.sequencer.live_series(), 3);
    run_lines(&mut machine, "181s cpu{host=c} 10", 9, false);
    assert_eq!(machine.sequencer.live_series(), 1);
    // Back after all, it is a series like any other.
    let lines = run_lines(&mut machine, "190s cpu{host=b} 95", 9, false);
    assert_eq!(lines, ["3m10s fired critical {host=b} 95"]);
}

#[test]
fn what_increments_were_added_up_to_is_kept_for_an_hour() {
    let mut machine = machine(1, brief());
    let mut add = |second: i64, name: &str, value| {
        let (at, row) = (base() + Duration::from_secs(second), Slot(0));
        let series = Series::new::<&str, &str>(name, []);
        let mut batch = Batch::default();
        batch.announced.push(Announcement { row: 0, slot: row, series });
        batch.push(row, at, value, Op::Add);
        let merged = machine.step(Arrived::Batch { source: SourceId(0), batch });
        merged.events.iter().map(|event| line(event)).collect::<Vec<_>>()
    };
    assert_eq!(add(0, "cpu", 60.0), [""; 0]);
    for minute in 1..59 {
        add(60 * minute, "other", 1.0);
    }
    assert_eq!(add(3_590, "cpu", 40.0), ["59m50s fired critical 100"]);
}

#[test]
fn the_silence_of_a_lost_source_makes_no_series_go() {
    let mut machine = machine(2, brief());
    let mut lines = run_lines(&mut machine, "0s cpu{host=a} 95", 9, false);
    lines.extend(listening(&mut machine, 0, false));
    open(&mut machine, 1);
    lines.extend(run_from(&mut machine, 1, "300s cpu{host=b} 1 | 600s cpu{host=b} 1"));
    lines.extend(listening(&mut machine, 0, true));
    lines.extend(run_from(&mut machine, 1, "661s cpu{host=b} 1"));
    assert_eq!(
        (machine.sequencer.live_series(), lines),
        (2, vec!["0s fired critical {host=a} 95".to_owned()])
    );
    // It is listened to again, so its silence counts from there.
    let lines = run_from(&mut machine, 1, "721s cpu{host=b} 1 | 841s cpu{host=b} 1");
    assert_eq!(lines, ["12m resolved critical {host=a} 95 forgotten"]);
    assert_eq!(machine.sequencer.live_series(), 1);
}
