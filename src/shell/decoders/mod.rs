//! Sources whose format a plugin reads: what is posted to them, and what their sockets take in.
//!
//! A plugin has one instance, whoever brings bytes for it; payloads are read one after the other,
//! never on a thread of the runtime. Sources stay open when their plugin goes: they say that it is
//! missing, senders over TCP wait, and datagrams are shed.

mod lane;
mod place;
mod reader;
pub mod socket;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration as StdDuration;

use crate::config::catalog::LiveSource;
use crate::kernel::model::Duration;

use super::api::{IngestError, IngestReport};
use super::plugins::Lock;
use super::source::Surroundings;
use lane::Lane;
use place::Place;
use reader::Unread;
use socket::Socket;

/// All of them, by their plugins' names.
pub struct Decoders {
    around: Surroundings,
    places: Mutex<BTreeMap<Arc<str>, Arc<Place>>>,
}

impl Decoders {
    pub fn new(around: Surroundings) -> Decoders {
        Decoders { around, places: Mutex::default() }
    }

    /// Makes these the plugins there are. A payload that is being read is read to its end first.
    /// Those in `blocked` are there and lack a grant.
    pub fn apply(&self, declared: Vec<LiveSource>, blocked: &BTreeMap<Arc<str>, Lock>) {
        let mut places = self.places();
        for name in blocked.keys() {
            places.entry(name.clone()).or_insert_with(|| self.place(name));
        }
        for (name, place) in places.iter() {
            place.block(blocked.get(name).cloned());
            if !declared.iter().any(|live| live.source.name == *name) {
                place.swap(None);
            }
        }
        for live in declared {
            let name = live.source.name.clone();
            let place = places.entry(name.clone()).or_insert_with(|| self.place(&name));
            let lateness = live.source.lateness;
            place.swap(Some(live));
            place.open_for_posts(|| {
                Lane::open(&self.around.gate, &format!("plugin:{name}"), None, lateness)
            });
        }
    }

    /// Opens the source of a socket for a plugin, which need not be there yet.
    pub fn open_socket(
        &self,
        plugin: &str,
        source: &str,
        lateness: Option<Duration>,
    ) -> std::io::Result<Socket> {
        let name: Arc<str> = plugin.into();
        let place = self.places().entry(name.clone()).or_insert_with(|| self.place(&name)).clone();
        let lane = Lane::open(&self.around.gate, source, lateness, place.lateness());
        Socket::open(place, Arc::new(lane), self.around.clock.clone())
    }

    /// Has the plugin of this name read a payload, and hands on what it found. Blocks for as long
    /// as the plugin computes.
    pub fn ingest(&self, name: &str, kind: &str, body: &[u8]) -> Result<IngestReport, IngestError> {
        let unknown = || IngestError::UnknownSource { known: self.names() };
        let place = self.places().get(name).cloned();
        let place = place.ok_or_else(unknown)?;
        if let Some(Lock { why, cure }) = place.blocked() {
            return Err(IngestError::Blocked { why, cure });
        }
        let lane = place.posts().ok_or_else(unknown)?;
        let full = |_| IngestError::Full { retry_after: StdDuration::from_secs(1) };
        let permit = lane.inlet.admit(body.len()).map_err(full)?;
        let arrival = self.around.clock.now();
        let read = match place.read(kind, body, arrival) {
            Err(Unread::NoPlugin) => return Err(unknown()),
            Err(Unread::ContentType(takes)) => return Err(IngestError::ContentType { takes }),
            Err(Unread::Held(until)) => {
                let retry_after = until.since(arrival).to_std();
                return Err(IngestError::Held { retry_after });
            }
            read @ (Ok(_) | Err(Unread::Failed(_))) => read,
        };
        let taken = lane.hand_on(arrival, permit, [(body, read)]);
        let taken = taken.map_err(|_| IngestError::Closed)?;
        Ok(IngestReport {
            accepted: taken.samples,
            refused: taken.refused,
            defects: taken.defects,
            defect_count: taken.defect_count,
        })
    }

    fn place(&self, name: &Arc<str>) -> Arc<Place> {
        Arc::new(Place::new(name.clone(), self.around.clock.clone()))
    }

    /// Of plugins that are there.
    fn names(&self) -> Vec<Arc<str>> {
        let places = self.places();
        let live = places.iter().filter(|(_, place)| place.is_live());
        live.map(|(name, _)| name.clone()).collect()
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Place>>> {
        self.places.lock().expect("nothing panics under this lock")
    }
}
