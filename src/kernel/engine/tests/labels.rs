//! What conditions ask of labels is asked once for each group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::kit::*;
use crate::kernel::model::{Labels, SourceId};
use crate::kernel::rule::program::{Evaluator, Fault, Program};
use crate::kernel::rule::view::{Column, Frame};
use crate::kernel::rule::{Judge, State};
use crate::kernel::sequence::sequencer::Arrived;

/// `v > 90.0 && labels.host == "a"`, which counts how often it is asked for the labels.
#[derive(Clone, Debug, Default)]
struct HotOnA(Arc<AtomicU32>);

impl Program for HotOnA {
    fn reads(&self) -> &[Column] {
        &[Column::Value { input: 0 }]
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(self.clone())
    }

    fn source(&self) -> &str {
        "v > 90.0 && labels.host == \"a\""
    }

    fn path(&self) -> String {
        "native".into()
    }

    fn has_label_facts(&self) -> bool {
        true
    }

    fn label_facts(&self, key: &Labels) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed);
        u64::from(key.get("host") == Some("a"))
    }
}

impl Evaluator for HotOnA {
    fn test(
        &mut self,
        frame: &Frame<'_>,
        _: Option<&mut State>,
        truth: &mut Vec<bool>,
        _: &mut Vec<(u32, Fault)>,
    ) {
        let rows = frame.numbers[0].iter().zip(frame.facts);
        truth.extend(rows.map(|(value, facts)| *value > 90.0 && *facts == 1));
    }

    fn measure(
        &mut self,
        _: &Frame<'_>,
        _: Option<&mut State>,
        _: &mut Vec<f64>,
        _: &mut Vec<(u32, Fault)>,
    ) {
        unreachable!("nothing is recorded");
    }
}

#[test]
fn labels_are_asked_once_for_each_group() {
    let program = HotOnA::default();
    let mut rule = (*rule("hot", "cpu").by(&["host"]).when(over(90.0)).make()).clone();
    let Judge::Levels(levels) = &mut rule.judge else { panic!("it has levels") };
    levels.iter_mut().flatten().for_each(|level| level.when = Arc::new(program.clone()));
    let mut machine = machine(1, vec![Arc::new(rule)]);
    let feed = "0s cpu{host=a} 50 | 0s cpu{host=b} 95 | 1s cpu{host=a} 95 | 1s cpu{host=b} 95 | \
                2s cpu{host=a} 96 | 3s cpu{host=a} 10 | 3s cpu{host=b} 10";
    let mut lines = Vec::new();
    for sample in parse_feed(feed) {
        let (source, batch) = (SourceId(0), batch(&[sample]));
        let merged = machine.step(Arrived::Batch { source, batch });
        lines.extend(merged.events.iter().map(|event| line(event)));
    }
    assert_eq!(lines, ["1s fired critical {host=a} 95", "3s resolved critical {host=a} 10"]);
    assert_eq!(program.0.load(Ordering::Relaxed), 2);
}
