//! Probes that a component carries: one store, each measurement on a blocking thread.
//!
//! As with sinks no call is cut short from outside, and what takes time is inside host functions,
//! which end by themselves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::runtime::Handle;

use super::apart::apart;
use super::engine::{Compiled, WasmHost};
use super::error::LoadError;
use super::instance::Instance;
use super::manifest::Kind;
use super::saved::SavedState;
use super::store::{Plugin, Stop, settings_text};
use super::v0_1::bindings::probe::{Probe as Bindings, ProbePre};
use super::v0_1::{HostState, Out, model};
use crate::guest::http::HttpGate;
use crate::guest::probe::{Collect, Collected, EVERY, Failed, ProbeOpener, Reading};
use crate::guest::sink::SinkEnv;
use crate::kernel::model::{Duration, EventTime, Now};
use crate::kernel::rule::program::Fault;

/// A loaded probe component.
pub struct ProbeComponent {
    plugin: Arc<Plugin>,
    pre: ProbePre<HostState>,
    saved: Arc<SavedState>,
    /// Keeps the machine code in the host's cache.
    _code: Arc<Compiled>,
}

type Live = Instance<Bindings>;

/// Makes a probe of a compiled component: links it, and asks a trial instance for its period. It
/// measures nothing: it may not be granted yet what it needs.
pub fn load(
    plugin: Plugin,
    code: Arc<Compiled>,
    settings: &str,
    host: &WasmHost,
) -> Result<(Duration, Arc<ProbeComponent>), LoadError> {
    let pre = ProbePre::new(host.link(Kind::Probe, &code)?).map_err(LoadError::malformed)?;
    let saved = plugin.saved_state(host);
    let component = ProbeComponent { plugin: Arc::new(plugin), pre, saved, _code: code };
    let mut trial = Live::trial(&component.plugin, &component.pre, settings)?;
    let guest = &trial.guest;
    let schedule = trial
        .store
        .ask("describe", |store| guest.watchfire_plugin_collector().call_describe(store))
        .map_err(|stop| LoadError::Died(stop.words()))?;
    let every = i64::try_from(schedule.every).map_or(Duration::MAX, Duration::from_nanos);
    if every < EVERY.0 || every > EVERY.1 {
        let (shortest, longest) = EVERY;
        let why = format!("its period: {every} is not within {shortest} and {longest}");
        return Err(LoadError::Settings(why));
    }
    component.plugin.in_service.store(true, Relaxed);
    Ok((every, Arc::new(component)))
}

impl ProbeOpener for ProbeComponent {
    fn open(&self, env: &SinkEnv) -> Result<Box<dyn Collect>, Fault> {
        let settings = settings_text(&env.settings);
        let resume = || Live::resume(&self.plugin, &self.pre, &settings, &self.saved);
        let live = apart(resume).map_err(|stop| Fault::new(stop.words()))?;
        let (gate, saved) = (HttpGate::new(env.granted.clone()), self.saved.clone());
        Ok(Box::new(OpenProbe { live: Some(live), gate, saved, plugin: self.plugin.clone() }))
    }
}

impl fmt::Debug for ProbeComponent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ProbeComponent")
            .field("plugin", &self.plugin.name)
            .finish_non_exhaustive()
    }
}

/// An open probe.
struct OpenProbe {
    /// `None` while a measurement runs, and after one that died or was abandoned.
    live: Option<Live>,
    gate: HttpGate,
    saved: Arc<SavedState>,
    plugin: Arc<Plugin>,
}

impl Collect for OpenProbe {
    fn collect(&mut self, now: Now) -> Collected<'_> {
        Box::pin(async move {
            let failed = |what: String, over| Failed { fault: Fault::new(what), over };
            let Some(mut live) = self.live.take() else {
                return Err(failed("the instance did not outlive a measurement".to_owned(), true));
            };
            self.plugin.counters.batches.fetch_add(1, Relaxed);
            let out = Out { gate: self.gate.clone(), runtime: Handle::current() };
            let saved = self.saved.clone();
            let work = move || {
                let answer = measure(&mut live, now, out, &saved);
                (live, answer)
            };
            match tokio::task::spawn_blocking(work).await {
                Ok((_, Err(Stop::Died(words)))) => Err(failed(words, true)),
                Ok((live, answer)) => {
                    self.live = Some(live);
                    let readings = answer.map_err(|stop| failed(stop.words(), false))?;
                    self.plugin.counters.rows.fetch_add(readings.len() as u64, Relaxed);
                    Ok(readings)
                }
                Err(error) => Err(failed(format!("the measurement's thread: {error}"), true)),
            }
        })
    }
}

fn measure(
    live: &mut Live,
    now: Now,
    out: Out,
    saved: &Arc<SavedState>,
) -> Result<Vec<Reading>, Stop> {
    live.store.set_now(now.nanos());
    live.store.state_mut().out = Some(out);
    let guest = &live.guest;
    let readings = live.store.ask("collect", |store| {
        guest.watchfire_plugin_collector().call_collect(store, now.nanos())
    });
    live.store.state_mut().out = None;
    let readings = readings?;
    live.keep_state(saved);
    Ok(readings.into_iter().map(reading).collect())
}

/// A reading as guests give it.
pub fn reading(reading: model::Reading) -> Reading {
    let labels = reading.labels.into_iter().map(|label| (label.name, label.value)).collect();
    let at = reading.at.map(EventTime::from_nanos);
    Reading { metric: reading.metric, labels, at, value: reading.value }
}
