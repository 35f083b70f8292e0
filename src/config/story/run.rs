//! Runs a story on an engine under virtual time.

use super::{Report, Story};
use crate::kernel::event::Event;
use crate::kernel::model::{EventTime, Series};

/// An engine with the story's rules and no past. Every call returns all that it led to, changes
/// that no sink is told included.
pub trait Bench {
    /// Samples of one event time, in the order they are written. Calls come in order of time.
    fn feed(&mut self, samples: &[(EventTime, Series, f64)]) -> Vec<Event>;
    /// Nothing comes any more up to and including this time.
    fn advance(&mut self, to: EventTime) -> Vec<Event>;
    /// The end of the input.
    fn finish(&mut self) -> Vec<Event>;
}

/// Feeds the samples, lets time go on to the story's end, and compares.
pub fn run(story: &Story, bench: &mut dyn Bench) -> Report {
    let mut events = Vec::new();
    for together in story.samples().chunk_by(|a, b| a.0 == b.0) {
        events.extend(bench.feed(together));
    }
    events.extend(bench.advance(story.start + story.length()));
    events.extend(bench.finish());
    Report::of(story, &events)
}
