//! One engine for all components: its clock, its linkers, and the code it compiled.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use wasmtime::component::{Component, InstancePre, Linker, Resource};
use wasmtime::{Config, Engine, EngineWeak};

use super::error::LoadError;
use super::limits::{Limits, WasmLimits};
use super::manifest::Kind;
use super::v0_1::{self, HasHost, HostState};
use crate::guest::grant::GuestLimits;

/// How often a running guest is looked at; deadlines are this coarse.
pub const TICK: Duration = Duration::from_millis(10);

/// Everything that components share. Made once; [`load`] may be called from any thread that may
/// block.
///
/// [`load`]: super::load
pub struct WasmHost {
    engine: Engine,
    linkers: BTreeMap<Kind, Linker<HostState>>,
    limits: WasmLimits,
    /// By guest, from the grants.
    own_limits: Mutex<BTreeMap<String, GuestLimits>>,
    /// By SHA-256 of the bytes. Code lives as long as a plugin that runs it, so a reload of
    /// unchanged bytes compiles nothing.
    compiled: Mutex<BTreeMap<String, Weak<Compiled>>>,
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
        // The same events on every machine: these are what processors do differently.
        config.cranelift_nan_canonicalization(true);
        config.relaxed_simd_deterministic(true);
        let words = |error: wasmtime::Error| format!("no WebAssembly engine: {error:#}");
        let engine = Engine::new(&config).map_err(words)?;
        start_clock(engine.weak()).map_err(|error| format!("no clock thread: {error}"))?;
        let mut linkers = BTreeMap::new();
        for kind in Kind::ALL {
            linkers.insert(kind, linker(&engine, kind).map_err(words)?);
        }
        let (own_limits, compiled) = (Mutex::default(), Mutex::default());
        Ok(WasmHost { engine, linkers, limits, own_limits, compiled })
    }

    /// Sets the limits that grants give to single guests; they hold for what is loaded from now on.
    pub fn set_own_limits(&self, limits: BTreeMap<String, GuestLimits>) {
        *self.own_limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
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

    pub(super) fn limits(&self, guest: &str, kind: Kind) -> Limits {
        let own = self.own_limits.lock().unwrap_or_else(PoisonError::into_inner);
        let common = match kind {
            Kind::Rule | Kind::WindowRule => self.limits.rule,
            Kind::Sink => self.limits.sink,
        };
        common.with(own.get(guest).copied().unwrap_or_default())
    }

    /// Compiles a component, one at a time: a big one takes seconds of a core, and the shards have
    /// better uses for the others.
    pub(super) fn compile(&self, bytes: &[u8]) -> Result<Arc<Compiled>, LoadError> {
        let digest = crate::guest::grant::digest_of(bytes);
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.retain(|_, code| code.strong_count() > 0);
        if let Some(code) = compiled.get(&digest).and_then(Weak::upgrade) {
            return Ok(code);
        }
        let component =
            Component::from_binary(&self.engine, bytes).map_err(LoadError::malformed)?;
        let code = Arc::new(Compiled { component, digest: digest.clone() });
        compiled.insert(digest, Arc::downgrade(&code));
        Ok(code)
    }
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
    use v0_1::bindings::{rule, sink, window_rule};
    let mut linker = base_linker(engine)?;
    let offered = &mut linker;
    match kind {
        Kind::Rule => rule::Rule::add_to_linker::<_, HasHost>(offered, |state| state)?,
        Kind::WindowRule => {
            window_rule::WindowRule::add_to_linker::<_, HasHost>(offered, |state| state)?;
        }
        Kind::Sink => sink::Sink::add_to_linker::<_, HasHost>(offered, |state| state)?,
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
