//! Since when each source has been listened to: silence counts only from there.

use std::collections::BTreeMap;

use crate::kernel::model::{EventTime, SourceId};

#[derive(Clone, Debug)]
pub struct Listening {
    /// Start or restore: before it nobody listened to anything.
    pub from: EventTime,
    /// Sources that were lost, and when they came back.
    sources: BTreeMap<SourceId, Option<EventTime>>,
}

impl Listening {
    pub fn new(from: EventTime) -> Listening {
        Listening { from, sources: BTreeMap::new() }
    }

    /// The source is listened to since this time, or was lost (`None`).
    pub fn tell(&mut self, source: SourceId, since: Option<EventTime>) {
        self.sources.insert(source, since);
    }

    /// `None` while the source is lost.
    pub fn since(&self, source: Option<SourceId>) -> Option<EventTime> {
        match source.and_then(|source| self.sources.get(&source)) {
            None => Some(self.from),
            Some(back) => back.map(|back| back.max(self.from)),
        }
    }
}
