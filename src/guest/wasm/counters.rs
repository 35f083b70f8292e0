//! What one version of a plugin did, and how often it met a limit: every host of a world adds to
//! the same counters, and all that shows them reads them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::moment::{Moment, Ticks};
use crate::guest::changes::{self, OTHERS};
use crate::kernel::model::Now;

/// Of a version of a plugin, over all of its instances.
#[derive(Debug, Default)]
pub struct Counters {
    /// Batches of samples or windows, payloads, measurements, and attempts to deliver.
    pub batches: AtomicU64,
    /// Samples, windows, alerts or readings in those.
    pub rows: AtomicU64,
    /// Of the rows that it judged, those in breach.
    pub verdicts: AtomicU64,
    /// Stores that had to be thrown away: traps and missed deadlines.
    pub traps: AtomicU64,
    /// Answers that broke a promise, and failures that a guest reported.
    pub faults: AtomicU64,
    /// Instances that began without the state of the one before.
    pub states_lost: AtomicU64,
    /// An instance died within this version's first batches.
    pub died_new: AtomicBool,
    /// Memory that it asked for past its limit.
    pub growths_denied: AtomicU64,
    /// Over HTTP, those denied included.
    pub requests: AtomicU64,
    pub requests_denied: AtomicU64,
    /// Its own past its rate, and ours about it.
    pub log_lines_left_out: AtomicU64,
    /// Additions to counters of its own past their number, or with a value or name that is none.
    pub counters_left_out: AtomicU64,
    calls: Mutex<Calls>,
    memory: Memory,
    state: State,
    words: Mutex<Words>,
}

/// Calls of all instances: of those that are gone together, of the others each by itself.
#[derive(Debug, Default)]
struct Calls {
    gone: Called,
    open: Vec<Arc<Tally>>,
    /// What was told last of the ticks, and as which time: what a tick is worth is known better
    /// and better, and a figure that was told must never fall.
    told: (Ticks, Duration),
}

/// How often it was called, of every function, and how long it was inside, less the time inside
/// host functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Called {
    times: u64,
    ticks: Ticks,
}

/// The calls of one instance. Only one thread at a time counts, so no step of it need be atomic:
/// that would be a tenth of a short call.
#[derive(Debug, Default)]
pub struct Tally {
    times: AtomicU64,
    ticks: AtomicU64,
}

impl Tally {
    /// One call more, which took so long.
    pub fn count(&self, ticks: Ticks) {
        self.times.store(self.times.load(Relaxed) + 1, Relaxed);
        self.ticks.store(self.ticks.load(Relaxed) + ticks, Relaxed);
    }

    fn read(&self) -> Called {
        Called { times: self.times.load(Relaxed), ticks: self.ticks.load(Relaxed) }
    }
}

impl Calls {
    fn called(&self) -> Called {
        let mut called = self.gone;
        self.open.iter().for_each(|tally| called.add(tally.read()));
        called
    }
}

impl Called {
    fn add(&mut self, other: Called) {
        self.times += other.times;
        self.ticks += other.ticks;
    }
}

/// Of linear memory and tables of all instances there are, in bytes.
#[derive(Debug, Default)]
struct Memory {
    now: AtomicU64,
    peak: AtomicU64,
}

/// Of what instances saved last.
#[derive(Debug, Default)]
struct State {
    bytes: AtomicU64,
    /// In nanoseconds since the epoch; 0 before the first time.
    saved_at: AtomicI64,
}

/// What has names, which come from the guest or the engine; each list is bounded.
#[derive(Debug, Default)]
struct Words {
    /// The guest's own counters.
    own: BTreeMap<String, f64>,
    last_death: Option<String>,
    traps: BTreeMap<String, u64>,
    denied_hosts: BTreeMap<String, u64>,
}

impl Counters {
    const OWN_MAX: usize = 64;
    const OWN_NAME_BYTES_MAX: usize = 128;
    const DENIED_HOSTS_MAX: usize = 16;

    /// A new instance's own count.
    pub(super) fn open(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        self.all_calls().open.push(tally.clone());
        tally
    }

    /// An instance is gone; its calls stay counted.
    pub(super) fn close(&self, tally: &Arc<Tally>) {
        let mut calls = self.all_calls();
        let before = calls.open.len();
        calls.open.retain(|open| !Arc::ptr_eq(open, tally));
        if calls.open.len() < before {
            calls.gone.add(tally.read());
        }
    }

    /// Calls into the guest, of every function.
    pub fn calls(&self) -> u64 {
        self.all_calls().called().times
    }

    /// Time inside calls, less that inside host functions.
    pub fn busy(&self) -> Duration {
        let mut calls = self.all_calls();
        let ticks = calls.called().ticks;
        let (before, length) = calls.told;
        calls.told = (ticks, length + Moment::length(ticks - before));
        calls.told.1
    }

    fn all_calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to one of the guest's own counters.
    pub(super) fn add_own(&self, name: String, delta: f64) {
        let mut words = self.words();
        let full = words.own.len() >= Counters::OWN_MAX && !words.own.contains_key(&name);
        if full || name.len() > Counters::OWN_NAME_BYTES_MAX || !delta.is_finite() {
            self.counters_left_out.fetch_add(1, Relaxed);
            return;
        }
        *words.own.entry(name).or_default() += delta;
    }

    /// An instance died: of what, and all that can be said about it.
    pub(super) fn died(&self, trap: &str, report: &str) {
        self.traps.fetch_add(1, Relaxed);
        let mut words = self.words();
        words.last_death = Some(report.to_owned());
        *words.traps.entry(trap.to_owned()).or_default() += 1;
    }

    /// A request was denied; `host` is the one that the guest asked for.
    pub(super) fn denied(&self, host: String) {
        self.requests_denied.fetch_add(1, Relaxed);
        let hosts = &mut self.words().denied_hosts;
        let full = hosts.len() >= Counters::DENIED_HOSTS_MAX && !hosts.contains_key(&host);
        *hosts.entry(if full { OTHERS.to_owned() } else { host }).or_default() += 1;
    }

    /// An instance's memory went from `before` to `after` bytes.
    pub(super) fn memory_moved(&self, before: u64, after: u64) {
        if after < before {
            self.memory.now.fetch_sub(before - after, Relaxed);
        } else if before < after {
            let by = after - before;
            let all = self.memory.now.fetch_add(by, Relaxed) + by;
            self.memory.peak.fetch_max(all, Relaxed);
        }
    }

    /// An instance's saved state went from `before` to `after` bytes.
    pub(super) fn state_moved(&self, before: u64, after: u64) {
        if after < before {
            self.state.bytes.fetch_sub(before - after, Relaxed);
        } else {
            self.state.bytes.fetch_add(after - before, Relaxed);
        }
    }

    /// A checkpoint was taken at this time.
    pub(super) fn saved(&self, at: Now) {
        self.state.saved_at.fetch_max(at.nanos(), Relaxed);
    }

    /// A checkpoint of an instance was taken now.
    pub(super) fn checkpointed(&self, before: u64, after: u64) {
        self.state_moved(before, after);
        self.saved(changes::now());
    }

    /// Linear memory and tables of all of its instances now.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.now.load(Relaxed)
    }

    /// The most that it ever was.
    pub fn memory_peak_bytes(&self) -> u64 {
        self.memory.peak.load(Relaxed)
    }

    /// Of what its instances saved last.
    pub fn state_bytes(&self) -> u64 {
        self.state.bytes.load(Relaxed)
    }

    /// When one of them last saved.
    pub fn saved_at(&self) -> Option<Now> {
        Some(self.state.saved_at.load(Relaxed)).filter(|nanos| *nanos > 0).map(Now::from_nanos)
    }

    /// How an instance last died: the call, the cause, what it said and which file it was.
    pub fn last_death(&self) -> Option<String> {
        self.words().last_death.clone()
    }

    /// Deaths by what ended the instance.
    pub fn traps_by_code(&self) -> BTreeMap<String, u64> {
        self.words().traps.clone()
    }

    /// Denied requests by host; past a few hosts they are counted together.
    pub fn denied_hosts(&self) -> BTreeMap<String, u64> {
        self.words().denied_hosts.clone()
    }

    /// The guest's own counters by name.
    pub fn own(&self) -> BTreeMap<String, f64> {
        self.words().own.clone()
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_of_all_instances_together() {
        let counters = Counters::default();
        for (before, after, now, peak) in
            [(0, 10, 10, 10), (0, 5, 15, 15), (10, 0, 5, 15), (5, 12, 12, 15), (12, 20, 20, 20)]
        {
            counters.memory_moved(before, after);
            assert_eq!((counters.memory_bytes(), counters.memory_peak_bytes()), (now, peak));
        }
    }

    #[test]
    fn calls_of_instances_that_are_gone_stay_counted() {
        let counters = Counters::default();
        let (first, second) = (counters.open(), counters.open());
        for _ in 0..3 {
            first.count(10);
        }
        second.count(5);
        assert_eq!(counters.all_calls().called(), Called { times: 4, ticks: 35 });
        for _ in 0..2 {
            counters.close(&first);
            assert_eq!(counters.all_calls().called(), Called { times: 4, ticks: 35 });
        }
        // What was told of the first calls stands, whatever a tick is worth later.
        let told = counters.busy();
        assert_eq!(counters.busy(), told);
        second.count(1);
        assert!(counters.busy() >= told);
        assert_eq!(counters.all_calls().called(), Called { times: 5, ticks: 36 });
    }

    #[test]
    fn denied_hosts_are_bounded() {
        let counters = Counters::default();
        for host in 0..Counters::DENIED_HOSTS_MAX + 3 {
            counters.denied(format!("http://{host}"));
        }
        counters.denied("http://0".to_owned());
        let hosts = counters.denied_hosts();
        assert_eq!(hosts.len(), Counters::DENIED_HOSTS_MAX + 1);
        assert_eq!((hosts["http://0"], hosts[OTHERS]), (2, 3));
        assert_eq!(counters.requests_denied.load(Relaxed), hosts.values().sum::<u64>());
    }

    #[test]
    fn a_state_has_a_size_and_a_time() {
        let counters = Counters::default();
        assert_eq!((counters.state_bytes(), counters.saved_at()), (0, None));
        counters.checkpointed(0, 100);
        counters.checkpointed(100, 40);
        counters.checkpointed(0, 2);
        assert_eq!(counters.state_bytes(), 42);
        assert!(counters.saved_at().is_some());
    }
}
