//! What guests of every world have in common: a store, and `configure`, `save` and `restore`.

use std::sync::Arc;

use wasmtime::Store;

use super::error::LoadError;
use super::saved::SavedState;
use super::store::{GuestStore, Plugin, Stop};
use super::v0_1::{HostState, bindings, model};

/// A guest's own side of `lifecycle`.
pub trait Guest {
    fn configure(&self, store: &mut Store<HostState>, settings: &str) -> Answer<()>;
    fn save(&self, store: &mut Store<HostState>) -> Answer<Option<model::Snapshot>>;
    fn restore(&self, store: &mut Store<HostState>, state: &model::Snapshot) -> Answer<()>;
}

/// What comes of a call: a trap, the guest's own no, or what was asked for.
pub type Answer<R> = wasmtime::Result<Result<R, model::Failure>>;

/// From which instances are made.
pub trait Recipe {
    type Guest: Guest;

    fn instantiate(&self, store: &mut Store<HostState>) -> wasmtime::Result<Self::Guest>;
}

macro_rules! worlds {
    ($($module:ident $world:ident $pre:ident;)*) => {$(
        impl Guest for bindings::$module::$world {
            fn configure(&self, store: &mut Store<HostState>, settings: &str) -> Answer<()> {
                self.watchfire_plugin_lifecycle().call_configure(store, settings)
            }

            fn save(&self, store: &mut Store<HostState>) -> Answer<Option<model::Snapshot>> {
                self.watchfire_plugin_lifecycle().call_save(store)
            }

            fn restore(
                &self,
                store: &mut Store<HostState>,
                state: &model::Snapshot,
            ) -> Answer<()> {
                self.watchfire_plugin_lifecycle().call_restore(store, state)
            }
        }

        impl Recipe for bindings::$module::$pre<HostState> {
            type Guest = bindings::$module::$world;

            fn instantiate(&self, store: &mut Store<HostState>) -> wasmtime::Result<Self::Guest> {
                bindings::$module::$pre::instantiate(self, store)
            }
        }
    )*};
}

worlds! {
    rule Rule RulePre;
    window_rule WindowRule WindowRulePre;
    sink Sink SinkPre;
    sample_sink SampleSink SampleSinkPre;
    probe Probe ProbePre;
    source Source SourcePre;
}

/// A running instance.
pub struct Instance<G> {
    pub store: GuestStore,
    pub guest: G,
}

impl<G: Guest> Instance<G> {
    /// A new instance with its settings and nothing else.
    pub fn start(
        plugin: &Arc<Plugin>,
        recipe: &impl Recipe<Guest = G>,
        settings: &str,
    ) -> Result<Instance<G>, Stop> {
        let mut store = GuestStore::new(plugin);
        let guest = store.call("start", |store| recipe.instantiate(store))?;
        store.ask("configure", |store| guest.configure(store, settings))?;
        Ok(Instance { store, guest })
    }

    /// The instance that a plugin is tried with before anything runs.
    pub fn trial(
        plugin: &Arc<Plugin>,
        recipe: &impl Recipe<Guest = G>,
        settings: &str,
    ) -> Result<Instance<G>, LoadError> {
        Instance::start(plugin, recipe, settings).map_err(|stop| match stop {
            Stop::Died(words) => LoadError::Died(words),
            Stop::Refused(words) => LoadError::Settings(words),
        })
    }

    /// A new instance with the state that the last one saved; one that refuses the state begins
    /// without it. There is none while the plugin is out of service.
    pub fn resume(
        plugin: &Arc<Plugin>,
        recipe: &impl Recipe<Guest = G>,
        settings: &str,
        saved: &Arc<SavedState>,
    ) -> Result<Instance<G>, Stop> {
        Instance::resume_after(plugin, recipe, settings, saved, |_| Ok(()))
    }

    /// As [`Instance::resume`]; `tell` goes before the state, which may refer to what it says.
    pub fn resume_after(
        plugin: &Arc<Plugin>,
        recipe: &impl Recipe<Guest = G>,
        settings: &str,
        saved: &Arc<SavedState>,
        tell: impl FnOnce(&mut Instance<G>) -> Result<(), Stop>,
    ) -> Result<Instance<G>, Stop> {
        plugin.admit()?;
        let mut live = Instance::start(plugin, recipe, settings)?;
        let Some(state) = saved.get() else { return Ok(live) };
        match tell(&mut live).and_then(|()| live.restore(&state)) {
            Ok(()) => Ok(live),
            Err(stop) => {
                plugin.state_lost(&stop.words());
                plugin.counters.state_moved(state.data.len() as u64, 0);
                saved.put(None);
                Instance::start(plugin, recipe, settings)
            }
        }
    }

    /// Keeps the state of an instance whose work is done, for the next instance, the next version
    /// and the next run. When it cannot be saved the state before stays: a fault now would repeat
    /// the work.
    pub fn keep_state(&mut self, saved: &Arc<SavedState>) {
        match self.save() {
            Ok(state) => {
                let bytes = state.as_ref().map_or(0, |state| state.data.len() as u64);
                self.store.plugin().counters.checkpointed(saved.about().0, bytes);
                saved.put(state);
            }
            // After a death the next call meets the dead instance.
            Err(Stop::Died(_)) => {}
            Err(Stop::Refused(why)) => {
                self.store.plugin().warn(&format!("an older state of it is kept: {why}"));
            }
        }
    }

    pub fn save(&mut self) -> Result<Option<model::Snapshot>, Stop> {
        let saved = self.store.ask("save", |store| self.guest.save(store))?;
        self.store.within_cap(saved)
    }

    pub fn restore(&mut self, state: &model::Snapshot) -> Result<(), Stop> {
        self.store.ask("restore", |store| self.guest.restore(store, state))
    }
}
