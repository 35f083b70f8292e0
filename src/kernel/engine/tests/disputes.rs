//! A native condition that is wrong: the rule does what its reference says, and people hear of it.

use std::sync::Arc;

use super::kit::*;
use crate::kernel::expr::{Binary, Graph, Native, Plan};
use crate::kernel::model::SourceId;
use crate::kernel::rule::Judge;
use crate::kernel::rule::program::{Dispute, Program};
use crate::kernel::sequence::sequencer::Arrived;

/// `v > 90`, with a native form that says the opposite.
fn contrary() -> Arc<dyn Program> {
    let mut graph = Graph::default();
    let (column, limit) = (graph.column(0), graph.float(90.0));
    let wrong = graph.binary(Binary::FloatLess, column, limit);
    let plan = Plan::new(&graph, wrong).expect("it asks no labels");
    Arc::new(Native::new(plan, Arc::new(over(90.0))))
}

#[test]
fn a_wrong_native_condition_is_reported_and_changes_no_alert() {
    let mut rule = (*rule("hot", "cpu").when(over(90.0)).make()).clone();
    let Judge::Levels(levels) = &mut rule.judge else { panic!("it has levels") };
    levels.iter_mut().flatten().for_each(|level| level.when = contrary());
    let mut machine = machine(2, vec![Arc::new(rule)]);
    let mut disputes = Vec::new();
    let mut lines = Vec::new();
    for sample in parse_feed("0s cpu{host=a} 95 | 1s cpu{host=a} 96 | 2s cpu{host=a} 10") {
        let (source, batch) = (SourceId(0), batch(&[sample]));
        let merged = machine.step(Arrived::Batch { source, batch });
        lines.extend(merged.events.iter().map(|event| line(event)));
        disputes.extend(merged.disputes);
    }
    assert_eq!(lines, ["0s fired critical {host=a} 95", "2s resolved critical {host=a} 10"]);
    let found: Vec<_> = disputes.iter().map(|note| (note.rule.as_ref(), &note.dispute)).collect();
    let (native, reference) = ("false".into(), "true".into());
    assert_eq!(found, [("hot", &Dispute { row: vec![95.0], native, reference })]);
    let disputed: u64 = machine
        .engines
        .iter_mut()
        .flat_map(|engine| engine.rule_reports())
        .map(|report| report.disputed)
        .sum();
    assert_eq!(disputed, 1);
}
