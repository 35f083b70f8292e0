//! What the engine knows of a series on its shard, apart from any rule: one small record each,
//! which every sample touches.

use crate::kernel::model::{EventTime, Series, SeriesId, SourceId};

/// A class number that stands for none: the series is not bound here.
pub const NO_CLASS: u32 = u32::MAX;

/// Places in a class that a bit of [`Latest::busy`] stands for.
pub const PLACES: usize = 64;

#[derive(Clone, Copy, Debug)]
pub struct Latest {
    /// The newest sample; [`EventTime::MIN`] before the first.
    pub at: EventTime,
    pub value: f64,
    /// When the last sample came: the watermark then, or its event time if that was later.
    pub heard: EventTime,
    /// One bit for each of the first [`PLACES`] bindings of its class: set while the group that the
    /// binding leads to must see each sample, clear while it is at rest.
    pub busy: u64,
    /// The stretch of rows that it was last seen in; the numbers begin anew after 2^32.
    pub stretch: u32,
    pub class: u32,
    /// Where its members are kept; see [`BoundTable`](super::bound::BoundTable).
    pub home: u32,
    pub source: Option<SourceId>,
}

impl Latest {
    pub const NONE: Latest = Latest {
        at: EventTime::MIN,
        value: 0.0,
        heard: EventTime::MIN,
        busy: u64::MAX,
        stretch: 0,
        class: NO_CLASS,
        home: 0,
        source: None,
    };
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
        (latest.class, latest.home, latest.busy) = (class, home, u64::MAX);
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
