//! What the engine knows of a series on its shard, apart from any rule: one small record each,
//! which every sample touches.

use crate::kernel::model::{EventTime, Series, SeriesId, SourceId};

/// A class number that stands for none: the series is not bound here.
pub const NO_CLASS: u32 = u32::MAX;

/// Places in a class that a bit of [`Latest::busy`] stands for.
pub const PLACES: usize = u32::BITS as usize;

/// There are as many of these as series, so it is 40 bytes and not more.
#[derive(Clone, Copy, Debug)]
pub struct Latest {
    /// The newest sample; [`EventTime::MIN`] before the first.
    pub at: EventTime,
    pub value: f64,
    /// When the last sample came: the watermark then, or its event time if that was later.
    pub heard: EventTime,
    /// One bit for each of the first [`PLACES`] bindings of its class: set while the group that the
    /// binding leads to must see each sample, clear while it is at rest.
    pub busy: u32,
    pub class: u32,
    /// Where its members are kept; see [`BoundTable`](super::bound::BoundTable).
    pub home: u32,
    /// The stretch of rows that it was last seen in, as far as the number fits. To take an old one
    /// for the one at hand is harmless: a stretch ends early.
    pub stretch: u16,
    /// [`NO_SOURCE`] before a source was known.
    source: SourceId,
}

const NO_SOURCE: SourceId = SourceId(u16::MAX);

impl Latest {
    pub const NONE: Latest = Latest {
        at: EventTime::MIN,
        value: 0.0,
        heard: EventTime::MIN,
        busy: u32::MAX,
        class: NO_CLASS,
        home: 0,
        stretch: 0,
        source: NO_SOURCE,
    };

    /// Where its last sample came from, if a source was known.
    pub fn source(&self) -> Option<SourceId> {
        Some(self.source).filter(|source| *source != NO_SOURCE)
    }

    /// Its last sample came from there, if that is known.
    #[inline(always)]
    pub fn set_source(&mut self, source: Option<SourceId>) {
        self.source = source.unwrap_or(self.source);
    }
}

/// The records of all series of a shard, by their numbers.
#[derive(Debug, Default)]
pub struct LatestTable {
    records: Vec<Latest>,
    /// Apart, since samples need the records alone.
    series: Vec<Option<Series>>,
}

impl LatestTable {
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Names a series, before it is bound.
    pub fn name(&mut self, id: SeriesId, series: &Series) {
        self.make_room(id);
        self.series[id.index()] = Some(series.clone());
    }

    /// A series that was named, until it [leaves](LatestTable::leave).
    pub fn series(&self, id: SeriesId) -> &Series {
        self.series[id.index()].as_ref().expect("members are of series that were named")
    }

    /// The record of a series that is bound here.
    pub fn bound(&mut self, id: SeriesId) -> Option<&mut Latest> {
        self.records.get_mut(id.index()).filter(|latest| latest.class != NO_CLASS)
    }

    /// The time of a series' newest sample; [`EventTime::MIN`] of one without a record.
    pub fn said(&self, id: SeriesId) -> EventTime {
        self.records.get(id.index()).map_or(EventTime::MIN, |latest| latest.at)
    }

    /// Takes in what was known of a series before it had a record here.
    pub fn learn(&mut self, id: SeriesId, last: Option<(EventTime, f64)>, heard: EventTime) {
        self.make_room(id);
        let latest = &mut self.records[id.index()];
        if let Some((at, value)) = last.filter(|(at, _)| latest.at < *at) {
            (latest.at, latest.value) = (at, value);
        }
        latest.heard = latest.heard.max(heard);
    }

    /// Puts a series into a class, in which all of its groups are busy until they come to rest.
    pub fn enter(&mut self, id: SeriesId, class: u32, home: u32) {
        self.make_room(id);
        let latest = &mut self.records[id.index()];
        (latest.class, latest.home, latest.busy) = (class, home, u32::MAX);
    }

    fn make_room(&mut self, id: SeriesId) {
        if self.records.len() <= id.index() {
            self.records.resize(id.index() + 1, Latest::NONE);
            self.series.resize(id.index() + 1, None);
        }
    }

    pub fn leave(&mut self, id: SeriesId) {
        if let Some(latest) = self.records.get_mut(id.index()) {
            *latest = Latest::NONE;
            self.series[id.index()] = None;
        }
    }
}

impl std::ops::Index<SeriesId> for LatestTable {
    type Output = Latest;
    fn index(&self, id: SeriesId) -> &Latest {
        &self.records[id.index()]
    }
}

impl std::ops::IndexMut<SeriesId> for LatestTable {
    fn index_mut(&mut self, id: SeriesId) -> &mut Latest {
        &mut self.records[id.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_as_small_as_it_says_and_knows_its_source() {
        assert_eq!(size_of::<Latest>(), 40);
        let mut latest = Latest::NONE;
        let told = [None, Some(SourceId(3)), None].map(|source| {
            latest.set_source(source);
            latest.source()
        });
        assert_eq!(told, [None, Some(SourceId(3)), Some(SourceId(3))]);
    }
}
