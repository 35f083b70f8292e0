//! Sinks that a component carries: one store, each attempt on a blocking thread.
//!
//! An attempt is never cut short from outside: whoever drops its future leaves the guest running to
//! its own deadline on its thread, and the next attempt asks for a new instance. What takes time is
//! inside host functions, and they end by themselves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::apart::apart;
use super::attempts::{OpenGuest, not_delivered};
use super::engine::{Compiled, WasmHost};
use super::error::LoadError;
use super::instance::Instance;
use super::limits::cut;
use super::manifest::Kind;
use super::saved::SavedState;
use super::store::{Plugin, Stop, settings_text};
use super::v0_1::bindings::sink::{Sink as Bindings, SinkPre};
use super::v0_1::{self, HostState, Out, delivery, sending};
use crate::guest::http::HttpGate;
use crate::guest::sink::{Batching, Deliver, Delivery, Opener, Outcome, Rate, Retry, SinkEnv};
use crate::kernel::event::Event;
use crate::kernel::model::Duration;
use crate::kernel::rule::program::Fault;

/// Alerts in one attempt; more make one request too large for most receivers.
const BATCH_MAX: u32 = 10_000;

const ATTEMPTS_MAX: u32 = 100;

/// A loaded sink component.
pub struct SinkComponent {
    plugin: Arc<Plugin>,
    pre: SinkPre<HostState>,
    saved: Arc<SavedState>,
    /// Keeps the machine code in the host's cache.
    _code: Arc<Compiled>,
}

/// How a sink component wants to be given alerts.
#[derive(Debug)]
pub struct LoadedSink {
    pub batching: Batching,
    pub retry: Retry,
    pub rate: Option<Rate>,
    pub opener: Arc<SinkComponent>,
}

/// Makes a sink of a compiled component: links it, and asks a trial instance for its terms. It is
/// given nothing to deliver, since even a canned alert would reach somebody.
pub fn load(
    plugin: Plugin,
    code: Arc<Compiled>,
    settings: &str,
    host: &WasmHost,
) -> Result<LoadedSink, LoadError> {
    let pre = SinkPre::new(host.link(Kind::Sink, &code)?).map_err(LoadError::malformed)?;
    let saved = plugin.saved_state(host);
    let plugin = Arc::new(plugin);
    let component = SinkComponent { plugin, pre, saved, _code: code };
    let mut trial = Live::trial(&component.plugin, &component.pre, settings)?;
    let terms = trial.describe().map_err(|stop| LoadError::Died(stop.words()))?;
    let usual = Ok(Batching::default());
    let batching = terms.batching.map_or(usual, |asked| batching(asked, BATCH_MAX))?;
    let retry = terms.retrying.map_or(Ok(Retry::default()), retry)?;
    let rate = terms.rate.map(rate).transpose()?;
    component.plugin.in_service.store(true, Relaxed);
    Ok(LoadedSink { batching, retry, rate, opener: Arc::new(component) })
}

/// What a batch holds is counted in alerts or in samples.
pub fn batching(asked: sending::Batching, most: u32) -> Result<Batching, LoadError> {
    if !(1..=most).contains(&asked.max) {
        return Err(terms(format!("a batch holds 1 to {most}, not {}", asked.max)));
    }
    Ok(Batching { max: asked.max as usize, age: length(asked.age)? })
}

pub fn retry(asked: sending::Retrying) -> Result<Retry, LoadError> {
    if !(1..=ATTEMPTS_MAX).contains(&asked.attempts) {
        return Err(terms(format!("1 to {ATTEMPTS_MAX} attempts, not {}", asked.attempts)));
    }
    Ok(Retry { attempts: asked.attempts, base: length(asked.base)? })
}

fn rate(asked: delivery::Rate) -> Result<Rate, LoadError> {
    if asked.count == 0 || asked.per == 0 {
        return Err(terms("a rate needs a count and a length of time".to_owned()));
    }
    Ok(Rate { count: asked.count, per: length(asked.per)? })
}

fn length(nanos: u64) -> Result<Duration, LoadError> {
    i64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_| terms("a length of time is longer than 292 years".to_owned()))
}

/// What a sink asks for cannot be had.
pub fn terms(why: String) -> LoadError {
    LoadError::Settings(format!("its terms: {why}"))
}

impl Opener for SinkComponent {
    fn open(&self, env: &SinkEnv) -> Result<Box<dyn Deliver>, Fault> {
        let settings = settings_text(&env.settings);
        let resume = || Live::resume(&self.plugin, &self.pre, &settings, &self.saved);
        let live = apart(resume).map_err(|stop| Fault::new(stop.words()))?;
        let gate = HttpGate::new(env.granted.clone());
        Ok(Box::new(OpenSink::new(live, gate, &self.saved, &self.plugin)))
    }
}

impl fmt::Debug for SinkComponent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SinkComponent").field("plugin", &self.plugin.name).finish_non_exhaustive()
    }
}

type Live = Instance<Bindings>;

type Attempt = Result<Vec<delivery::Receipt>, sending::DeliveryError>;

impl Live {
    fn describe(&mut self) -> Result<delivery::Terms, Stop> {
        let guest = self.guest.watchfire_plugin_delivery();
        self.store.ask("describe", |store| guest.call_describe(store))
    }

    fn deliver(
        &mut self,
        key: &str,
        alerts: &[delivery::Alert],
        out: Out,
    ) -> Result<Attempt, Stop> {
        let newest = alerts.iter().map(|alert| alert.at).max().unwrap_or(0);
        self.store.set_now(newest);
        self.store.state_mut().out = Some(out);
        let guest = self.guest.watchfire_plugin_delivery();
        let attempt = self.store.call("deliver", |store| guest.call_deliver(store, key, alerts));
        self.store.state_mut().out = None;
        attempt
    }
}

type OpenSink = OpenGuest<Bindings>;

impl Deliver for OpenSink {
    fn deliver<'a>(&'a mut self, key: &'a str, events: &'a [Arc<Event>]) -> Delivery<'a> {
        let key = key.to_owned();
        let alerts: Vec<delivery::Alert> = events.iter().map(|event| v0_1::alert(event)).collect();
        let work = move |live: &mut Live, out| Ok(outcome(live.deliver(&key, &alerts, out)?));
        Box::pin(self.attempt(events.len(), work))
    }
}

fn outcome(attempt: Attempt) -> Outcome {
    match attempt {
        Ok(receipts) => {
            let references: Vec<&str> =
                receipts.iter().map(|receipt| receipt.reference.as_str()).collect();
            let note = cut(&references.join(" "), 1024);
            Outcome::Delivered { note: (!note.is_empty()).then_some(note) }
        }
        Err(error) => not_delivered(error),
    }
}
