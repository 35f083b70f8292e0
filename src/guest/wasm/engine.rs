//! One engine for all components: its clock, its linkers, and the code it compiled.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::ScopedJoinHandle;

use wasmtime::component::{Component, InstancePre, Linker, Resource};
use wasmtime::{Config, Engine, EngineWeak};

use super::cache::Cache;
use super::counters::Counters;
use super::error::LoadError;
use super::limits::{Limits, TICK, WasmLimits};
use super::manifest::Kind;
use super::saved::{SavedState, SavedStates};
use super::strikes::Strikes;
use super::v0_1::{self, HasHost, HostState};
use crate::guest::changes::Changes;

/// Everything that components share. Made once; [`load`] may be called from any thread that may
/// block.
///
/// [`load`]: super::load
pub struct WasmHost {
    engine: Engine,
    linkers: BTreeMap<Kind, Linker<HostState>>,
    limits: WasmLimits,
    strikes: Arc<Strikes>,
    saved: SavedStates,
    /// By SHA-256 of the bytes. Code lives as long as a plugin that runs it, so a reload of
    /// unchanged bytes compiles nothing.
    compiled: Mutex<BTreeMap<String, Weak<Compiled>>>,
    /// Of earlier runs.
    cache: OnceLock<Cache>,
}

/// A component's machine code.
pub struct Compiled {
    pub component: Component,
    /// SHA-256 of the bytes, in hexadecimal.
    pub digest: String,
}

impl WasmHost {
    /// Starts the engine and its clock thread; the error is the machine's (no memory, no thread).
    pub fn new(limits: WasmLimits) -> Result<WasmHost, String> {
        let mut config = Config::new();
        config.wasm_component_model(true);
        config.epoch_interruption(true);
        // The same events on every machine: this is what processors do differently. The bits of a
        // NaN are another such thing, and stay as they are: see decision 22.
        config.relaxed_simd_deterministic(true);
        let words = |error: wasmtime::Error| format!("no WebAssembly engine: {error:#}");
        let engine = Engine::new(&config).map_err(words)?;
        start_clock(engine.weak()).map_err(|error| format!("no clock thread: {error}"))?;
        let mut linkers = BTreeMap::new();
        for kind in Kind::ALL {
            linkers.insert(kind, linker(&engine, kind).map_err(words)?);
        }
        Ok(WasmHost {
            engine,
            linkers,
            limits,
            strikes: Arc::default(),
            saved: SavedStates::default(),
            compiled: Mutex::default(),
            cache: OnceLock::new(),
        })
    }

    /// Keeps compiled code in this folder from now on, which must be nobody else's. Without one,
    /// or where it cannot be had, everything is compiled at each start.
    pub fn keep_compiled_in(&self, folder: &Path) -> io::Result<()> {
        let cache = Cache::open(folder)?;
        // A second folder is of no use: what is compiled is in the first.
        let _ = self.cache.set(cache);
        Ok(())
    }

    /// How often plugins died of late.
    pub fn strikes(&self) -> &Arc<Strikes> {
        &self.strikes
    }

    /// Where everything that happens to plugins is told.
    pub fn changes(&self) -> &Arc<Changes> {
        self.strikes.changes()
    }

    /// Keeps what sinks, probes and sources save in this folder from now on, which must be nobody
    /// else's. Without one their state ends with the program.
    pub fn keep_states_in(&self, folder: &Path) {
        if let Err(error) = self.saved.keep_in(folder) {
            let folder = folder.display();
            tracing::warn!(%folder, %error, "states of plugins are not kept");
        }
    }

    /// Writes the states that wait to be written.
    pub fn flush_states(&self) {
        self.saved.flush();
    }

    /// The place where instances and versions of one plugin hand their state on.
    pub(super) fn saved_state(
        &self,
        plugin: &str,
        kind: Kind,
        counters: &Counters,
    ) -> Arc<SavedState> {
        let state = self.saved.of(plugin, kind, self.changes());
        let (bytes, at) = state.about();
        counters.state_moved(0, bytes);
        if let Some(at) = at {
            counters.saved(at);
        }
        state
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Checks a component's imports against what its world has, once for all of its instances.
    pub(super) fn link(
        &self,
        kind: Kind,
        code: &Compiled,
    ) -> Result<InstancePre<HostState>, LoadError> {
        self.linkers[&kind].instantiate_pre(&code.component).map_err(LoadError::malformed)
    }

    /// The limits of guests of a kind that have none of their own.
    pub(super) fn limits(&self, kind: Kind) -> Limits {
        match kind {
            Kind::Rule | Kind::WindowRule => self.limits.rule,
            Kind::Sink | Kind::SampleSink | Kind::Probe | Kind::Source => self.limits.sink,
        }
    }

    /// Compiles a component, one at a time and on a thread of low priority: a big one takes seconds
    /// of a core, and the shards have better uses for it.
    pub(super) fn compile(&self, bytes: &[u8]) -> Result<Arc<Compiled>, LoadError> {
        let digest = crate::guest::grant::digest_of(bytes);
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.retain(|_, code| code.strong_count() > 0);
        if let Some(code) = compiled.get(&digest).and_then(Weak::upgrade) {
            return Ok(code);
        }
        let component = match self.cache.get().and_then(|cache| cache.get(&self.engine, &digest)) {
            Some(component) => component,
            None => self.compile_anew(bytes, &digest)?,
        };
        let code = Arc::new(Compiled { component, digest: digest.clone() });
        compiled.insert(digest, Arc::downgrade(&code));
        Ok(code)
    }
}

impl WasmHost {
    fn compile_anew(&self, bytes: &[u8], digest: &str) -> Result<Component, LoadError> {
        let compile = || {
            yield_to_others();
            Component::from_binary(&self.engine, bytes)
        };
        let component = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("wasm-compile".to_owned());
            match thread.spawn_scoped(scope, compile).map(ScopedJoinHandle::join) {
                Ok(Ok(compiled)) => compiled.map_err(LoadError::malformed),
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(error) => Err(LoadError::Malformed(format!("no thread to compile: {error}"))),
            }
        })?;
        if let Some(Err(error)) =
            self.cache.get().map(|cache| cache.put(&self.engine, digest, &component))
        {
            tracing::warn!(%error, "a compiled plugin cannot be kept");
        }
        Ok(component)
    }
}

/// Puts this thread behind all others: samples are judged meanwhile.
fn yield_to_others() {
    // A thread's own matter on Linux only. Where it cannot be had, compiling is just not slower.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(10);
}

impl fmt::Debug for WasmHost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("WasmHost").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Compiled").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// The only thread that moves the epoch, since one move is seen by every store. It ends with the
/// engine.
fn start_clock(engine: EngineWeak) -> std::io::Result<()> {
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new().name("wasm-clock".to_owned()).spawn(tick).map(|_| ())
}

fn linker(engine: &Engine, kind: Kind) -> wasmtime::Result<Linker<HostState>> {
    use v0_1::bindings::{probe, rule, sample_sink, sink, source, window_rule};
    let mut linker = base_linker(engine)?;
    let offered = &mut linker;
    match kind {
        Kind::Rule => rule::Rule::add_to_linker::<_, HasHost>(offered, |state| state)?,
        Kind::WindowRule => {
            window_rule::WindowRule::add_to_linker::<_, HasHost>(offered, |state| state)?;
        }
        Kind::Sink => sink::Sink::add_to_linker::<_, HasHost>(offered, |state| state)?,
        Kind::SampleSink => {
            sample_sink::SampleSink::add_to_linker::<_, HasHost>(offered, |state| state)?;
        }
        Kind::Probe => probe::Probe::add_to_linker::<_, HasHost>(offered, |state| state)?,
        Kind::Source => source::Source::add_to_linker::<_, HasHost>(offered, |state| state)?,
    }
    Ok(linker)
}

/// WASI is there because language runtimes import it, and is empty. Waiting is taken out of it
/// altogether: a sleeping guest would hold its thread, where no deadline reaches.
fn base_linker(engine: &Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    linker.allow_shadowing(true);
    let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
    type Pollable = Resource<wasmtime_wasi::p2::DynPollable>;
    poll.func_wrap("[method]pollable.block", |_, (_,): (Pollable,)| -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg(NO_WAITING))
    })?;
    poll.func_wrap("poll", |_, (_,): (Vec<Pollable>,)| -> wasmtime::Result<(Vec<u32>,)> {
        Err(wasmtime::Error::msg(NO_WAITING))
    })?;
    linker.allow_shadowing(false);
    Ok(linker)
}

/// What a guest that sleeps is stopped with.
pub const NO_WAITING: &str = "a guest may not wait or sleep";
