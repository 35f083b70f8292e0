//! A plugin's place among the sources: there before its plugin, and after it.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use crate::config::catalog::LiveSource;
use crate::guest::source::Decoded;
use crate::kernel::model::{Duration, Now};
use crate::shell::clock::Clock;
use crate::shell::plugins::Lock;

use super::lane::Lane;
use super::reader::{Reader, Unread};

pub struct Place {
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    reader: Mutex<Reader>,
    /// How the reader stands, for those who must not wait while it reads.
    live: AtomicBool,
    blocked: Mutex<Option<Lock>>,
    held_until: AtomicI64,
    /// For what is posted.
    posts: OnceLock<Arc<Lane>>,
    /// Of all ways in.
    lanes: Mutex<Vec<Arc<Lane>>>,
}

impl Place {
    pub fn new(name: Arc<str>, clock: Arc<dyn Clock>) -> Place {
        Place {
            name,
            clock,
            reader: Mutex::default(),
            live: AtomicBool::new(false),
            blocked: Mutex::default(),
            held_until: AtomicI64::new(i64::MIN),
            posts: OnceLock::new(),
            lanes: Mutex::default(),
        }
    }

    pub fn is_live(&self) -> bool {
        self.live.load(Relaxed)
    }

    /// Whether bytes would be read now.
    pub fn is_ready(&self) -> bool {
        self.is_live() && self.held_until.load(Relaxed) <= self.clock.now().nanos()
    }

    /// That the plugin asks for, when it is there.
    pub fn lateness(&self) -> Option<Duration> {
        self.reader().live().and_then(|live| live.source.lateness)
    }

    /// Puts a plugin, another version of it or none in.
    pub fn swap(&self, live: Option<LiveSource>) {
        let is_live = live.is_some();
        let lateness = live.as_ref().and_then(|live| live.source.lateness);
        if self.reader().swap(live) {
            self.held_until.store(i64::MIN, Relaxed);
            self.live.store(is_live, Relaxed);
            self.lanes().iter().for_each(|lane| lane.adapt(lateness, self.missing()));
        }
    }

    /// Why the plugin may not be used, or that it may.
    pub fn block(&self, blocked: Option<Lock>) {
        let mut known = self.blocked.lock().expect(UNPOISONED);
        if *known == blocked {
            return;
        }
        *known = blocked;
        drop(known);
        let lateness = self.lateness();
        self.lanes().iter().for_each(|lane| lane.adapt(lateness, self.missing()));
    }

    pub fn blocked(&self) -> Option<Lock> {
        self.blocked.lock().expect(UNPOISONED).clone()
    }

    pub fn posts(&self) -> Option<Arc<Lane>> {
        self.posts.get().cloned()
    }

    pub fn open_for_posts(&self, open: impl FnOnce() -> Lane) {
        self.posts.get_or_init(|| {
            let lane = Arc::new(open());
            self.add(lane.clone());
            lane
        });
    }

    /// Another way in, which is told how the plugin stands.
    pub fn add(&self, lane: Arc<Lane>) {
        lane.adapt(self.lateness(), self.missing());
        self.lanes().push(lane);
    }

    /// A way in ends.
    pub fn remove(&self, lane: &Arc<Lane>) {
        self.lanes().retain(|known| !Arc::ptr_eq(known, lane));
    }

    /// Reads one payload. Blocks for as long as the plugin computes.
    pub fn read(&self, kind: &str, payload: &[u8], arrival: Now) -> Result<Decoded, Unread> {
        let mut reader = self.reader();
        let read = reader.read(kind, payload, arrival, self.clock.now());
        let held = reader.held_until(self.clock.now()).map_or(i64::MIN, Now::nanos);
        drop(reader);
        if self.held_until.swap(held, Relaxed) != held {
            let why = (held != i64::MIN).then(|| {
                let until = Now::from_nanos(held).as_arrival();
                format!("the plugin `{}` died too often; it is tried again at {until}", self.name)
            });
            if let Some(why) = &why {
                tracing::error!(plugin = &*self.name, "{why}");
            }
            self.lanes().iter().for_each(|lane| lane.block(why.clone()));
        }
        read
    }

    /// Why nothing can be read, when the plugin is not there.
    fn missing(&self) -> Option<String> {
        let name = &self.name;
        if let Some(Lock { why, .. }) = self.blocked() {
            return Some(format!("the plugin `{name}` is blocked: {why}"));
        }
        (!self.is_live()).then(|| {
            format!("there is no source `{name}`; put {name}.wasm into the plugins folder")
        })
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().expect(UNPOISONED)
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        self.lanes.lock().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "nothing panics under this lock";
