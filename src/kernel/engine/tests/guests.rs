//! Components that judge windows: what they are given and when, and that their state goes where
//! their groups go. The component here is plain Rust and counts the windows of each group.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::kit::*;
use crate::kernel::model::SeriesId;
use crate::kernel::rule::GuestRule;
use crate::kernel::rule::program::{
    Fault, GuestRows, GuestVerdict, GuestVerdicts, RuleInstance, RulePlugin, WindowRows,
};
use crate::kernel::rule::ruleset::Ruleset;
use crate::kernel::rule::view::{Column, Reduction};

/// Breaches from the `after`th window of a group on, with the count as the value. Refuses windows
/// whose maximum is negative, and holds those where it is 0.
#[derive(Debug)]
struct Counting {
    version: u64,
    after: u64,
    calls: Arc<Mutex<Vec<String>>>,
}

struct Counter {
    after: u64,
    calls: Arc<Mutex<Vec<String>>>,
    groups: BTreeMap<(u32, u32), (Labels, u64)>,
}

impl RulePlugin for Counting {
    fn name(&self) -> &str {
        "counting"
    }
    fn digest(&self) -> u64 {
        self.version
    }
    fn instance(&self) -> Result<Box<dyn RuleInstance>, Fault> {
        let (after, calls) = (self.after, self.calls.clone());
        Ok(Box::new(Counter { after, calls, groups: BTreeMap::new() }))
    }
}

impl RuleInstance for Counter {
    fn intern(&mut self, _: &[(SeriesId, Series)]) -> Result<(), Fault> {
        unreachable!("a window rule is told of groups")
    }
    fn forget(&mut self, _: &[SeriesId]) {
        unreachable!("a window rule is told of groups")
    }
    fn spare_rows(&mut self) -> GuestRows {
        unreachable!("a window rule judges windows")
    }
    fn evaluate(&mut self, _: u32, _: GuestRows, _: &mut GuestVerdicts) -> Result<(), Fault> {
        unreachable!("a window rule judges windows")
    }
    fn tick(&mut self, _: u32, _: EventTime, _: &mut GuestVerdicts) -> Result<(), Fault> {
        unreachable!("a window rule judges windows")
    }
    fn intern_groups(&mut self, rule: u32, added: &[(u32, Labels)]) -> Result<(), Fault> {
        for (group, key) in added {
            let known = self.groups.insert((rule, *group), (key.clone(), 0));
            assert_eq!(known, None, "announced twice");
        }
        Ok(())
    }
    fn forget_groups(&mut self, rule: u32, removed: &[u32]) {
        for group in removed {
            let gone = self.groups.remove(&(rule, *group));
            let (key, _) = gone.expect("only known groups are forgotten");
            self.calls.lock().expect("one thread").push(format!("forget {key}"));
        }
    }
    fn evaluate_windows(
        &mut self,
        rule: u32,
        windows: &WindowRows<'_>,
        out: &mut GuestVerdicts,
    ) -> Result<(), Fault> {
        let rows = windows.groups.len();
        self.calls.lock().expect("one thread").push(format!("{rows} rows"));
        for row in 0..rows {
            let group = self.groups.get_mut(&(rule, windows.groups[row]));
            let (_, count) = group.expect("announced before its first row");
            *count += 1;
            // In the declared order, which is not that of the columns.
            let (max, samples) = (windows.values[0][row], windows.values[1][row]);
            assert!(samples >= 1.0, "an empty window is no data");
            if max < 0.0 {
                return Err(Fault::new("negative"));
            }
            let row = row as u32;
            if max == 0.0 {
                out.hold.push(row);
            } else if *count >= self.after {
                let (value, message) = (Some(*count as f64), Some(format!("window {count}")));
                out.breaches.push(GuestVerdict { row, level: Level::Warning, value, message });
            }
        }
        Ok(())
    }
    fn save(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let state: Vec<(u32, &Labels, u64)> =
            self.groups.iter().map(|((rule, _), (key, count))| (*rule, key, *count)).collect();
        Ok(Some(postcard::to_stdvec(&state).expect("plain data")))
    }
    fn restore(&mut self, state: &[u8]) -> Result<(), Fault> {
        let state: Vec<(u32, Labels, u64)> = postcard::from_bytes(state).expect("its own bytes");
        for (rule, key, count) in state {
            let mut groups = self.groups.iter_mut();
            if let Some((_, known)) = groups.find(|((of, _), (k, _))| *of == rule && *k == key) {
                known.1 = count;
            }
        }
        Ok(())
    }
}

/// The rule `w` over ten seconds of `m`, and the component behind it.
fn counted(version: u64, after: u64) -> (Arc<Ruleset>, Arc<Mutex<Vec<String>>>) {
    counted_by(Reduction::Max, version, after)
}

fn counted_by(
    first: Reduction,
    version: u64,
    after: u64,
) -> (Arc<Ruleset>, Arc<Mutex<Vec<String>>>) {
    let reduced = |reduction| Column::Reduced { input: 0, reduction };
    let guest = GuestRule {
        plugin: "counting".into(),
        index: 0,
        reads: [reduced(first), reduced(Reduction::Count)].into(),
        highest: Level::Warning,
    };
    let rule = rule("w", "m").by(&["host"]).sliding("10s", "10s").version(version);
    let mut rule = Arc::unwrap_or_clone(rule.forget("30s").expire("20s").make());
    rule.judge = Judge::Guest(guest);
    let calls = Arc::default();
    let plugin = Counting { version, after, calls: Arc::clone(&calls) };
    let ruleset = Ruleset::new(vec![Arc::new(rule)], vec![Arc::new(plugin)]);
    (Arc::new(ruleset.expect("one rule")), calls)
}

fn started(shards: u32, ruleset: Arc<Ruleset>) -> Machine {
    let mut machine = Machine::new(Limits::default(), shards, EventTime::MIN);
    machine.step(Arrived::Swap(ruleset));
    open(&mut machine, 0);
    machine
}

/// Three windows of two hosts, of which only the first two are over.
const FEED: &str = "
    1s m{host=a} 5 | 2s m{host=b} 6 | 11s m{host=a} 7 | 12s m{host=b} 8 | 21s m{host=a} 9
";

#[test]
fn all_windows_of_a_pane_end_are_judged_in_one_call() {
    let (ruleset, calls) = counted(1, 2);
    let mut machine = started(1, ruleset);
    let lines = run_lines(&mut machine, FEED, usize::MAX, false);
    assert_eq!(*calls.lock().expect("one thread"), ["2 rows", "2 rows"]);
    assert_eq!(lines, ["20s fired warning {host=a} 2", "20s fired warning {host=b} 2"]);
}

#[test]
fn windows_at_rest_come_in_the_same_call_as_those_that_burn() {
    let feed = "
        1s m{host=a} 5 | 2s m{host=b} 6 | 11s m{host=a} 7 | 12s m{host=b} 8 | 13s m{host=c} 5
        21s m{host=a} 9 | 22s m{host=b} 5 | 23s m{host=c} 5 | 31s m{host=a} 5";
    // Maxima are kept group by group, means all together.
    for first in [Reduction::Max, Reduction::Mean] {
        let (ruleset, calls) = counted_by(first, 1, 2);
        let mut machine = started(1, ruleset);
        let lines = run_lines(&mut machine, feed, usize::MAX, false);
        assert_eq!(*calls.lock().expect("one thread"), ["2 rows", "3 rows", "3 rows"]);
        assert_eq!(lines.len(), 3, "a and b at 20 s, c at 30 s: {lines:?}");
    }
}

#[test]
fn shards_and_batches_make_no_difference() {
    let mut first: Option<Vec<String>> = None;
    for shards in [1, 2, 4] {
        for size in [1, 2, usize::MAX] {
            let mut machine = started(shards, counted(1, 2).0);
            let lines = run_lines(&mut machine, FEED, size, true);
            assert!(!lines.is_empty());
            assert_eq!(&lines, first.get_or_insert_with(|| lines.clone()), "{shards} by {size}");
        }
    }
}

#[test]
fn a_new_version_goes_on_with_the_state_of_the_old() {
    let (ruleset, _) = counted(1, 3);
    let mut machine = started(2, ruleset);
    assert_eq!(run_lines(&mut machine, FEED, 1, false), Vec::<String>::new());
    let adopted = machine.step(Arrived::Swap(counted(2, 3).0)).adopted.expect("a swap");
    assert_eq!(format!("{:?}", adopted.rules), r#"[("w", Kept)]"#);
    // The third window of a is the first that the new version sees.
    assert_eq!(
        run_lines(&mut machine, "31s m{host=a} 1", 1, false),
        ["30s fired warning {host=a} 3"]
    );
}

#[test]
fn state_outlives_a_restart() {
    let (ruleset, _) = counted(1, 3);
    let mut machine = started(2, ruleset.clone());
    run_lines(&mut machine, FEED, 1, false);
    let snapshot = machine.snapshot();
    let mut machine = Machine::restored(Limits::default(), 2, ruleset, snapshot, EventTime::MIN);
    open(&mut machine, 0);
    assert_eq!(
        run_lines(&mut machine, "31s m{host=a} 1", 1, false),
        ["30s fired warning {host=a} 3"]
    );
}

#[test]
fn a_forgotten_group_begins_anew() {
    let (ruleset, calls) = counted(1, 2);
    let mut machine = started(1, ruleset);
    run_lines(&mut machine, "1s m{host=a} 5 | 11s m{host=a} 5 | 21s m{host=b} 5", 1, false);
    run_lines(&mut machine, "80s m{host=b} 5 | 91s m{host=b} 5", 1, false);
    let forgotten = r#"forget {host="a"}"#.to_owned();
    assert!(calls.lock().expect("one thread").contains(&forgotten), "{calls:?}");
    let lines = run_lines(&mut machine, "101s m{host=a} 5 | 111s m{host=c} 5", 1, false);
    assert!(lines.iter().all(|line| !line.contains("host=a")), "{lines:?}");
}

#[test]
fn a_row_that_is_held_keeps_its_verdict_and_a_fault_is_one_of_all_rows() {
    let (ruleset, _) = counted(1, 1);
    let mut machine = started(1, ruleset);
    let feed = "1s m{host=a} 5 | 11s m{host=a} 0 | 21s m{host=a} -1
        22s m{host=b} 5 | 31s m{host=a} 5";
    let lines = run_lines(&mut machine, feed, 1, false);
    assert_eq!(lines, ["10s fired warning {host=a} 1"]);
    let reports = machine.engines[0].rule_reports();
    assert_eq!(reports[0].faults, 2, "of the two groups that the call was about");
}
