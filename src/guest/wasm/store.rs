//! A store with its limits, and the one way to call into it.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, StoreContextMut, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx};

use super::counters::{Counters, Tally};
use super::engine::WasmHost;
use super::limits::{Budget, Limits, LogLimit, MemoryLimit, TICK, cut};
use super::manifest::Kind;
use super::saved::SavedState;
use super::strikes::{Death, NEW_BATCHES, Strikes};
use super::tail::Tail;
use super::v0_1::{HostState, model};
use crate::guest::changes::{self, PluginChange};

/// What all stores of one plugin share.
#[derive(Debug)]
pub struct Plugin {
    pub name: Arc<str>,
    pub kind: Kind,
    pub engine: Engine,
    pub limits: Limits,
    pub counters: Arc<Counters>,
    /// SHA-256 of the bytes, in hexadecimal.
    pub digest: String,
    /// Of the host's own lines about this plugin.
    pub log: Mutex<LogLimit>,
    pub strikes: Arc<Strikes>,
    /// Loaded and perhaps at work; before that a death only keeps it from being loaded.
    pub in_service: AtomicBool,
    /// Why its state was lost last, and when that was told.
    pub lost: Mutex<Option<(String, Instant)>>,
}

/// Every shard's instance loses its state for the same reason at the same moment: told once.
const LOST_AGAIN: Duration = Duration::from_secs(10);

impl Plugin {
    /// The place where its instances and versions hand their state on.
    pub fn saved_state(&self, host: &WasmHost) -> Arc<SavedState> {
        host.saved_state(&self.name, self.kind, &self.counters)
    }

    /// Whether it may be opened now: not while it is out of service.
    pub fn admit(&self) -> Result<(), Stop> {
        self.strikes.may_open(&self.name, changes::now()).map_err(|held| {
            let until = held.until.as_arrival();
            Stop::Refused(format!(
                "`{}` is quarantined until {until}: it died too often",
                self.name
            ))
        })
    }

    /// An instance began without what the one before it had saved.
    pub fn state_lost(&self, why: &str) {
        self.counters.states_lost.fetch_add(1, Relaxed);
        self.tell_lost(why);
    }

    /// Tells that a state is lost, or will be at the next start of an instance.
    pub fn tell_lost(&self, why: &str) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let again = |(before, at): &(String, Instant)| before == why && at.elapsed() < LOST_AGAIN;
        if !lost.as_ref().is_some_and(again) {
            *lost = Some((why.to_owned(), Instant::now()));
            let change = PluginChange::StateLost { why: why.to_owned() };
            self.strikes.changes().publish(&self.name, change);
        }
    }

    /// An instance died of a trap, named by `trap`.
    fn died(&self, trap: &str, report: &str) {
        self.counters.died(trap, report);
        if !self.in_service.load(Relaxed) {
            return self.warn(report);
        }
        let new = self.counters.batches.load(Relaxed) <= NEW_BATCHES;
        if new {
            self.counters.died_new.store(true, Relaxed);
        }
        let judges = self.kind.judges();
        let death = Death { plugin: &self.name, judges, trap, report, new };
        if !self.strikes.died(&death, Instant::now()) {
            self.warn(report);
        }
    }

    /// Writes to the log about this plugin, once in a second at most: one that dies on every batch
    /// must not fill the disk. Its counters tell the rest.
    pub fn warn(&self, words: &str) {
        let admitted =
            self.log.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        match admitted {
            Some(left_out) => {
                let plugin = &*self.name;
                tracing::warn!(target: "watchfire::guest", plugin, left_out, "{words}");
            }
            None => {
                self.counters.log_lines_left_out.fetch_add(1, Relaxed);
            }
        }
    }
}

/// How a call ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A trap or a missed deadline: the store is poisoned and must go.
    Died(String),
    /// The guest said no, or broke a promise; it can be called again.
    Refused(String),
}

impl Stop {
    pub fn words(self) -> String {
        match self {
            Stop::Died(words) | Stop::Refused(words) => words,
        }
    }
}

/// One instance's store.
pub struct GuestStore {
    store: Store<HostState>,
    plugin: Arc<Plugin>,
    tail: Tail,
    now: StreamClock,
    /// Epoch ticks until a call is looked at: a division too dear to make for each of them.
    call_ticks: u64,
    /// Of its memory, as the plugin's counters have it.
    counted_bytes: u64,
    tally: Arc<Tally>,
}

impl Drop for GuestStore {
    fn drop(&mut self) {
        self.plugin.counters.memory_moved(self.counted_bytes, 0);
        self.plugin.counters.close(&self.tally);
    }
}

impl GuestStore {
    pub fn new(plugin: &Arc<Plugin>) -> GuestStore {
        let (tail, now) = (Tail::default(), StreamClock::default());
        let state = HostState {
            plugin: plugin.name.clone(),
            wasi: empty_wasi(&tail, &now),
            table: ResourceTable::new(),
            memory: MemoryLimit::new(plugin.limits.memory_bytes),
            budget: Budget::new(&plugin.limits),
            counters: plugin.counters.clone(),
            log: LogLimit::new(LogLimit::GUEST_LINES, Instant::now()),
            now: 0,
            last_words: String::new(),
            out: None,
        };
        let mut store = Store::new(&plugin.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(plugin.limits.hostcall_bytes);
        store.epoch_deadline_callback(past_deadline);
        let call_ticks = ticks(store.data().budget.first_look());
        let (plugin, tally) = (plugin.clone(), plugin.counters.open());
        GuestStore { store, plugin, tail, now, call_ticks, counted_bytes: 0, tally }
    }

    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    pub fn state_mut(&mut self) -> &mut HostState {
        self.store.data_mut()
    }

    /// Refuses saved state that is too large to keep.
    pub fn within_cap(
        &self,
        saved: Option<model::Snapshot>,
    ) -> Result<Option<model::Snapshot>, Stop> {
        let cap = self.plugin.limits.state_bytes;
        match saved {
            Some(state) if state.data.len() > cap => {
                self.plugin.counters.faults.fetch_add(1, Relaxed);
                let size = state.data.len();
                Err(Stop::Refused(format!("its state of {size} bytes is more than {cap}")))
            }
            saved => Ok(saved),
        }
    }

    /// Moves stream time, as the guest sees it.
    pub fn set_now(&mut self, nanos: i64) {
        self.store.data_mut().now = nanos;
        self.now.0.store(nanos, Relaxed);
    }

    /// Makes one call, named `what` in messages, within the plugin's time. After
    /// [`Stop::Died`] the store must not be used again.
    pub fn call<R>(
        &mut self,
        what: &str,
        run: impl FnOnce(&mut Store<HostState>) -> wasmtime::Result<R>,
    ) -> Result<R, Stop> {
        let counters = &self.plugin.counters;
        let state = self.store.data_mut();
        let denied = state.memory.denied;
        state.budget.restart();
        self.store.set_epoch_deadline(self.call_ticks);
        let answer = run(&mut self.store);
        let state = self.store.data();
        self.tally.count(state.budget.used());
        let bytes = state.memory.bytes() as u64;
        counters.memory_moved(std::mem::replace(&mut self.counted_bytes, bytes), bytes);
        // Most calls are denied nothing, and every atomic step is felt.
        let denied = state.memory.denied - denied;
        if denied > 0 {
            counters.growths_denied.fetch_add(denied, Relaxed);
        }
        answer.map_err(|error| {
            let report = self.report(what, &error, denied > 0);
            self.plugin.died(&trap_name(&error), &report);
            Stop::Died(report)
        })
    }

    /// As [`GuestStore::call`], for a function that can also say no.
    pub fn ask<R>(
        &mut self,
        what: &str,
        run: impl FnOnce(&mut Store<HostState>) -> wasmtime::Result<Result<R, model::Failure>>,
    ) -> Result<R, Stop> {
        self.call(what, run)?.map_err(|failure| {
            self.plugin.counters.faults.fetch_add(1, Relaxed);
            let (code, message) = (cut(&failure.code, 64), cut(&failure.message, 512));
            Stop::Refused(format!("{what} failed ({code}): {message}"))
        })
    }

    /// How it died: the cause, what it said last, and which file it was.
    fn report(&self, what: &str, error: &wasmtime::Error, out_of_memory: bool) -> String {
        let limits = &self.plugin.limits;
        let cause = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => format!("ran past its {:?}", limits.call),
            Some(_) if out_of_memory => {
                format!("wanted more than its {} MiB", limits.memory_bytes >> 20)
            }
            Some(Trap::UnreachableCodeReached) => "panicked".to_owned(),
            Some(trap) => trap.to_string(),
            None => cut(&format!("{:#}", error.root_cause()), 512),
        };
        let mut report = format!("`{}` died in {what}: {cause}", self.plugin.name);
        if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
            // Names are there unless the guest was stripped.
            let names: Vec<&str> =
                trace.frames().iter().filter_map(|frame| frame.func_name()).take(3).collect();
            if !names.is_empty() {
                report.push_str(&cut(&format!(" in {}", names.join(" < ")), 256));
            }
        }
        let said = match &self.store.data().last_words {
            words if words.is_empty() => cut(self.tail.text().trim(), 512),
            words => cut(words, 512),
        };
        if !said.is_empty() {
            report.push_str(&format!(" (it said: {said})"));
        }
        report.push_str(&format!(" [{}]", &self.plugin.digest[..12]));
        report
    }
}

/// What ended an instance, in one word: wasmtime's own name of the trap (`interrupt` is a missed
/// deadline), or `host` when a function of ours refused to go on.
fn trap_name(error: &wasmtime::Error) -> String {
    let Some(trap) = error.downcast_ref::<Trap>() else { return "host".to_owned() };
    let mut name = String::new();
    for letter in format!("{trap:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// Settings as a guest gets them: a JSON object, empty when there are none.
pub fn settings_text(settings: &serde_json::Value) -> String {
    match settings {
        serde_json::Value::Null => "{}".to_owned(),
        given => given.to_string(),
    }
}

/// Epoch ticks that surely cover a length of time.
fn ticks(length: Duration) -> u64 {
    length.as_nanos().div_ceil(TICK.as_nanos()) as u64 + 1
}

/// The epoch moves while a host function waits, too; so the guest's own time is what counts.
fn past_deadline(mut store: StoreContextMut<'_, HostState>) -> wasmtime::Result<UpdateDeadline> {
    let left = store.data_mut().budget.left();
    if left.is_zero() {
        return Err(Trap::Interrupt.into());
    }
    Ok(UpdateDeadline::Continue(ticks(left)))
}

/// No files, environment or sockets; clocks that show stream time, and chance that is not one, so
/// that a replay gives what the live run gave.
fn empty_wasi(tail: &Tail, now: &StreamClock) -> WasiCtx {
    let fixed = || Deterministic::new(vec![0x57, 0x61, 0x74, 0x63, 0x68]);
    WasiCtx::builder()
        .stdout(tail.clone())
        .stderr(tail.clone())
        .wall_clock(now.clone())
        .monotonic_clock(now.clone())
        .secure_random(fixed())
        .insecure_random(fixed())
        .insecure_random_seed(0x5761_7463_6866_6972)
        .allow_tcp(false)
        .allow_udp(false)
        .build()
}

#[derive(Clone, Debug, Default)]
struct StreamClock(Arc<AtomicI64>);

impl StreamClock {
    fn nanos(&self) -> u64 {
        self.0.load(Relaxed).max(0) as u64
    }
}

impl HostWallClock for StreamClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }
}

impl HostMonotonicClock for StreamClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        self.nanos()
    }
}
