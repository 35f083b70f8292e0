//! Stories on the real engine under virtual time.

use std::sync::Arc;

use crate::config::story::run::Bench;
use crate::kernel::event::Event;
use crate::kernel::machine::Machine;
use crate::kernel::merge::Merged;
use crate::kernel::model::{
    Announcement, Batch, Duration, EventTime, Limits, Op, Series, Slot, SourceId,
};
use crate::kernel::rule::ruleset::Ruleset;
use crate::kernel::sequence::sequencer::Arrived;

const SOURCE: SourceId = SourceId(0);

/// One machine with a story's rules and no past.
pub struct StoryBench {
    machine: Machine,
}

impl StoryBench {
    /// Listens since `start`.
    pub fn new(ruleset: Arc<Ruleset>, start: EventTime) -> StoryBench {
        let mut machine = Machine::new(Limits::default(), 1, start);
        machine.step(Arrived::Swap(ruleset));
        let lateness = Some(Duration::ZERO);
        machine.step(Arrived::Opened { source: SOURCE, lateness });
        StoryBench { machine }
    }

    fn told(merged: Merged) -> Vec<Event> {
        merged.events.iter().map(|event| event.as_ref().clone()).collect()
    }
}

impl Bench for StoryBench {
    fn feed(&mut self, samples: &[(EventTime, Series, f64)]) -> Vec<Event> {
        let mut batch = Batch::default();
        for (row, (at, series, value)) in samples.iter().enumerate() {
            let slot = Slot(row as u32);
            let series = series.clone();
            batch.announced.push(Announcement { row: row as u32, slot, series });
            batch.push(slot, *at, *value, Op::Set);
        }
        // A gap in a story is meant: it is no clock that went wrong.
        let mut events = Vec::new();
        if let Some((at, _, _)) = samples.first() {
            let before = EventTime::from_nanos(at.nanos() - 1);
            events = StoryBench::told(self.machine.step(Arrived::Until(before)));
        }
        let merged = self.machine.step(Arrived::Batch { source: SOURCE, batch });
        events.extend(StoryBench::told(merged));
        events
    }

    fn advance(&mut self, to: EventTime) -> Vec<Event> {
        StoryBench::told(self.machine.step(Arrived::Until(to)))
    }

    fn finish(&mut self) -> Vec<Event> {
        StoryBench::told(self.machine.step(Arrived::End))
    }
}
