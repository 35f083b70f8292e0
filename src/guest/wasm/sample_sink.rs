//! Sinks of samples that a component carries: one store, each attempt on a blocking thread.
//!
//! As with sinks of alerts no call is cut short from outside, and what takes time is inside host
//! functions, which end by themselves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::apart::apart;
use super::attempts::{OpenGuest, not_delivered};
use super::declared::selector;
use super::engine::{Compiled, WasmHost};
use super::error::LoadError;
use super::instance::Instance;
use super::manifest::Kind;
use super::saved::SavedState;
use super::sink::{batching, retry, terms};
use super::store::{Plugin, Stop, settings_text};
use super::v0_1::bindings::sample_sink::{SampleSink as Bindings, SampleSinkPre};
use super::v0_1::{HostState, Out, labels_to, model, sample_delivery};
use crate::guest::http::HttpGate;
use crate::guest::sample_sink::{
    DeliverSamples, Named, OpenedSamples, SampleAttempt, SampleDelivery, SampleOpener,
};
use crate::guest::sink::{Batching, Outcome, Retry, SinkEnv};
use crate::kernel::rule::program::Fault;
use crate::kernel::rule::selector::Selector;

/// Rows in one attempt, as the interface says.
const BATCH_MAX: u32 = 65_536;
/// As the interface says.
const WANTS_MAX: usize = 64;
/// Series announced in one call: a million in one list would not fit a guest's memory.
const ANNOUNCED_MAX: usize = 4_096;

/// A loaded component.
pub struct SampleSinkComponent {
    plugin: Arc<Plugin>,
    pre: SampleSinkPre<HostState>,
    saved: Arc<SavedState>,
    /// Keeps the machine code in the host's cache.
    _code: Arc<Compiled>,
}

/// What a component wants to be given, and how.
#[derive(Debug)]
pub struct LoadedSampleSink {
    pub wants: Vec<Selector>,
    pub batching: Option<Batching>,
    pub retry: Retry,
    pub opener: Arc<SampleSinkComponent>,
}

/// Makes a sink of a compiled component: links it, and asks a trial instance for its terms. It is
/// given nothing to deliver, since even a canned sample would reach somebody.
pub fn load(
    plugin: Plugin,
    code: Arc<Compiled>,
    settings: &str,
    host: &WasmHost,
) -> Result<LoadedSampleSink, LoadError> {
    let pre =
        SampleSinkPre::new(host.link(Kind::SampleSink, &code)?).map_err(LoadError::malformed)?;
    let saved = plugin.saved_state(host);
    let component = SampleSinkComponent { plugin: Arc::new(plugin), pre, saved, _code: code };
    let mut trial = Live::trial(&component.plugin, &component.pre, settings)?;
    let asked = trial.describe().map_err(|stop| LoadError::Died(stop.words()))?;
    let wants = wants(&asked.wants)?;
    let batching = asked.batching.map(|asked| batching(asked, BATCH_MAX)).transpose()?;
    let retry = asked.retrying.map_or(Ok(Retry::default()), retry)?;
    component.plugin.in_service.store(true, Relaxed);
    Ok(LoadedSampleSink { wants, batching, retry, opener: Arc::new(component) })
}

fn wants(asked: &[sample_delivery::Selection]) -> Result<Vec<Selector>, LoadError> {
    if !(1..=WANTS_MAX).contains(&asked.len()) {
        return Err(terms(format!("it wants 1 to {WANTS_MAX} selections, not {}", asked.len())));
    }
    asked.iter().map(|asked| selector(&asked.metric, &asked.only).map_err(terms)).collect()
}

impl SampleOpener for SampleSinkComponent {
    fn open(&self, env: &SinkEnv, known: &[Named]) -> Result<OpenedSamples, Fault> {
        let settings = settings_text(&env.settings);
        let (live, announced) =
            apart(|| self.resume(&settings, known)).map_err(|stop| Fault::new(stop.words()))?;
        let gate = HttpGate::new(env.granted.clone());
        let sink = OpenSampleSink::new(live, gate, &self.saved, &self.plugin);
        Ok(OpenedSamples { sink: Box::new(sink), announced })
    }
}

impl SampleSinkComponent {
    /// A new instance with the state that the last one saved, and whether it was told `known`:
    /// without state there is nothing that refers to them.
    fn resume(&self, settings: &str, known: &[Named]) -> Result<(Live, bool), Stop> {
        let stateless = self.saved.get().is_none();
        let mut told = !stateless;
        let live = Live::resume_after(&self.plugin, &self.pre, settings, &self.saved, |live| {
            live.intern(known)
        })?;
        // One that refused the state was made anew, and told nothing.
        told &= self.saved.get().is_some();
        Ok((live, told))
    }
}

impl fmt::Debug for SampleSinkComponent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.plugin.name;
        out.debug_struct("SampleSinkComponent").field("plugin", name).finish_non_exhaustive()
    }
}

type Live = Instance<Bindings>;

impl Live {
    fn describe(&mut self) -> Result<sample_delivery::SampleTerms, Stop> {
        let guest = self.guest.watchfire_plugin_sample_delivery();
        self.store.ask("describe", |store| guest.call_describe(store))
    }

    fn intern(&mut self, added: &[Named]) -> Result<(), Stop> {
        let guest = self.guest.watchfire_plugin_sample_delivery();
        for part in added.chunks(ANNOUNCED_MAX) {
            let part: Vec<model::Series> = part.iter().map(series).collect();
            self.store.call("intern", |store| guest.call_intern(store, &part))?;
        }
        Ok(())
    }

    fn deliver(
        &mut self,
        attempt: &SampleAttempt,
        out: Out,
    ) -> Result<Result<(), sample_delivery::DeliveryError>, Stop> {
        let batch = &attempt.batch;
        let at: Vec<i64> = batch.at.iter().map(|at| at.nanos()).collect();
        self.store.set_now(at.iter().copied().max().unwrap_or(0));
        if !attempt.removed.is_empty() {
            let guest = self.guest.watchfire_plugin_sample_delivery();
            let removed = &attempt.removed;
            self.store.call("forget", |store| guest.call_forget(store, removed))?;
        }
        self.intern(&attempt.added)?;
        self.store.state_mut().out = Some(out);
        let guest = self.guest.watchfire_plugin_sample_delivery();
        let outcome = self.store.call("deliver-samples", |store| {
            guest.call_deliver_samples(store, &batch.key, &batch.series, &at, &batch.value)
        });
        self.store.state_mut().out = None;
        outcome
    }
}

fn series((id, series): &Named) -> model::Series {
    let (metric, labels) = (series.name().to_owned(), labels_to(series.labels()));
    model::Series { id: *id, metric, labels }
}

type OpenSampleSink = OpenGuest<Bindings>;

impl DeliverSamples for OpenSampleSink {
    fn deliver(&mut self, attempt: SampleAttempt) -> SampleDelivery<'_> {
        let rows = attempt.batch.rows();
        Box::pin(self.attempt(rows, move |live: &mut Live, out| {
            let answer = live.deliver(&attempt, out)?;
            Ok(answer.map_or_else(not_delivered, |()| Outcome::Delivered { note: None }))
        }))
    }
}
