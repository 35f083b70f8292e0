//! What the merger's thread tells the rest of the program: events to bus, sinks and log, faults to
//! the log, and a view of what every alert last said.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam::channel::Sender;

use crate::kernel::engine::output::{Adoption, Discarded, DisputeNote, FaultNote};
use crate::kernel::event::{Event, Kind};
use crate::kernel::merge::Merged;
use crate::kernel::model::Labels;
use crate::kernel::model::text::escape_control;
use crate::kernel::rule::program::Dispute;

use super::bus::Bus;
use super::metrics::Exposition;
use super::sink::SinkHub;

/// A rule's faults are logged once in so much time.
const FAULT_LOG: Duration = Duration::from_secs(60);

/// The log's target for alerts that go to the default sinks. Where one of these is the terminal,
/// people who look at log and terminal at once see each of them twice.
pub const ALERTS: &str = "watchfire::alert";

/// A rule's name and a group's labels.
type AlertKey = (Arc<str>, Labels);

pub struct Board {
    bus: Bus,
    hub: Arc<SinkHub>,
    /// The last event of every alert that has not ended.
    said: Mutex<BTreeMap<AlertKey, Arc<Event>>>,
    counts: [AtomicU64; Kind::ALL.len()],
}

/// The merger's side of a board.
pub struct Teller {
    board: Arc<Board>,
    adoptions: Sender<Adopted>,
    faults_logged: BTreeMap<Arc<str>, (Instant, u64)>,
}

impl Board {
    pub fn new(bus: Bus, hub: Arc<SinkHub>) -> Board {
        let counts = Kind::ALL.map(|_| AtomicU64::new(0));
        Board { bus, hub, said: Mutex::default(), counts }
    }

    /// What an alert last said, while it has not ended.
    pub fn last_event(&self, rule: &Arc<str>, key: &Labels) -> Option<Arc<Event>> {
        let said = self.said.lock().expect(UNPOISONED);
        said.get(&(rule.clone(), key.clone())).cloned()
    }

    /// Watchfire's own alerts that stand: no rule judges them, so no shard knows them.
    pub fn own_alerts(&self) -> Vec<Arc<Event>> {
        let said = self.said.lock().expect(UNPOISONED);
        let own = |event: &&Arc<Event>| event.rule.starts_with("watchfire_");
        said.values().filter(own).cloned().collect()
    }

    pub fn metrics(&self, out: &mut Exposition) {
        let family = out.counter("watchfire_events_total", "Events of alerts, by kind.");
        for (kind, count) in Kind::ALL.iter().zip(&self.counts) {
            family.count(&[("kind", kind.name())], count.load(Ordering::Relaxed));
        }
    }

    fn tell(&self, event: &Arc<Event>) {
        let place = Kind::ALL.iter().position(|kind| *kind == event.kind);
        self.counts[place.expect("every kind is listed")].fetch_add(1, Ordering::Relaxed);
        log(event);
        self.remember(event);
        self.hub.publish(event);
        self.bus.publish(event.clone());
    }

    fn remember(&self, event: &Arc<Event>) {
        let key = (event.rule.clone(), event.key.clone());
        let mut said = self.said.lock().expect(UNPOISONED);
        match event.kind {
            Kind::Resolved => said.remove(&key),
            Kind::Fired | Kind::Changed | Kind::Reminded | Kind::Flapping => {
                said.insert(key, event.clone())
            }
            Kind::Pending | Kind::Cooling | Kind::Cleared => None,
        };
    }
}

const UNPOISONED: &str = "nothing panics under this lock";

/// What became of a swap, and what it put out of use, for whoever asked for the swap to drop.
pub type Adopted = (Adoption, Vec<Discarded>);

impl Teller {
    pub fn new(board: Arc<Board>, adoptions: Sender<Adopted>) -> Teller {
        Teller { board, adoptions, faults_logged: BTreeMap::new() }
    }

    pub fn tell(&mut self, merged: Merged) {
        for event in &merged.events {
            self.board.tell(event);
        }
        for fault in merged.faults {
            self.log_fault(fault);
        }
        merged.disputes.iter().for_each(log_dispute);
        if let Some(adoption) = merged.adopted {
            // Nobody waits for it at the very end.
            let _ = self.adoptions.send((adoption, merged.discarded));
        }
    }

    fn log_fault(&mut self, note: FaultNote) {
        let now = Instant::now();
        if let Some((logged, withheld)) = self.faults_logged.get_mut(&note.rule)
            && now.duration_since(*logged) < FAULT_LOG
        {
            *withheld += 1;
            return;
        }
        let before = self.faults_logged.insert(note.rule.clone(), (now, 0));
        let withheld = before.map_or(0, |(_, withheld)| withheld);
        let key = note.key.to_string();
        tracing::warn!(
            rule = %note.rule,
            key = %escape_control(&key),
            at = %note.at,
            withheld,
            "rule faulted: {}",
            escape_control(&note.fault.what)
        );
    }
}

/// A rule has at most 64 of these for each of its conditions and shards.
fn log_dispute(note: &DisputeNote) {
    let Dispute { row, native, reference } = &note.dispute;
    tracing::error!(
        rule = %note.rule,
        ?row,
        %native,
        interpreted = %escape_control(reference),
        "a native condition was wrong and runs interpreted from now on; please report this"
    );
}

/// One line for each change of an alert; those that nobody is told of at debug level.
fn log(event: &Event) {
    let (key, text) = (event.key.to_string(), escape_control(&event.text));
    let (key, kind, level) = (escape_control(&key), event.kind.name(), event.level.name());
    let (rule, at, cause) = (&event.rule, event.at, event.cause.words());
    if event.kind.is_told() {
        let (value, shadow) = (event.value, event.shadow);
        if event.notify.is_empty() && !shadow {
            tracing::info!(target: ALERTS, %rule, %key, kind, level, value, %at, cause, "{text}");
        } else {
            tracing::info!(%rule, %key, kind, level, value, %at, cause, shadow, "{text}");
        }
    } else {
        tracing::debug!(%rule, %key, kind, level, value = event.value, %at, cause, "{text}");
    }
}
