//! Sources that a component decodes: one store, each payload a call on the caller's own thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::Value;

use super::apart::apart;
use super::engine::{Compiled, WasmHost};
use super::error::LoadError;
use super::instance::Instance;
use super::limits::cut;
use super::manifest::Kind;
use super::probe::reading;
use super::saved::SavedState;
use super::store::{Plugin, Stop, settings_text};
use super::v0_1::HostState;
use super::v0_1::bindings::source::{Source as Bindings, SourcePre};
use crate::guest::probe::Failed;
use crate::guest::source::{DecodePayload, Decoded, SourceOpener};
use crate::kernel::model::{Duration, Now};
use crate::kernel::rule::program::Fault;

/// Of a defect's text.
const WHAT_BYTES_MAX: usize = 256;

/// A loaded source component.
pub struct SourceComponent {
    plugin: Arc<Plugin>,
    pre: SourcePre<HostState>,
    saved: Arc<SavedState>,
    /// Keeps the machine code in the host's cache.
    _code: Arc<Compiled>,
}

/// What a source component takes, and what opens it.
pub struct LoadedSource {
    pub content_types: Vec<String>,
    pub lateness: Option<Duration>,
    pub opener: Arc<SourceComponent>,
}

type Live = Instance<Bindings>;

/// Makes a source of a compiled component: links it, asks a trial instance what it takes, and tries
/// it on nothing at all.
pub fn load(
    plugin: Plugin,
    code: Arc<Compiled>,
    settings: &str,
    host: &WasmHost,
) -> Result<LoadedSource, LoadError> {
    let pre = SourcePre::new(host.link(Kind::Source, &code)?).map_err(LoadError::malformed)?;
    let saved = plugin.saved_state(host);
    let component = SourceComponent { plugin: Arc::new(plugin), pre, saved, _code: code };
    let mut trial = Live::trial(&component.plugin, &component.pre, settings)?;
    let guest = trial.guest.watchfire_plugin_decoder();
    let intake = trial
        .store
        .ask("describe", |store| guest.call_describe(store))
        .map_err(|stop| LoadError::Died(stop.words()))?;
    let lateness = intake
        .lateness
        .map(i64::try_from)
        .transpose()
        .map_err(|_| LoadError::Settings("its lateness is longer than 292 years".to_owned()))?;
    let types = intake.content_types.iter().map(|kind| kind.trim().to_ascii_lowercase());
    let content_types: Vec<String> = types.collect();
    let kind = content_types.first().map_or("application/octet-stream", String::as_str);
    match trial.store.ask("decode", |store| guest.call_decode(store, kind, &[])) {
        // An empty payload may well be wrong; only dying of it is.
        Ok(_) | Err(Stop::Refused(_)) => {}
        Err(Stop::Died(words)) => return Err(LoadError::Died(words)),
    }
    component.plugin.in_service.store(true, Relaxed);
    let lateness = lateness.map(Duration::from_nanos);
    Ok(LoadedSource { content_types, lateness, opener: Arc::new(component) })
}

impl SourceOpener for SourceComponent {
    fn open(&self, settings: &Value) -> Result<Box<dyn DecodePayload>, Fault> {
        let settings = settings_text(settings);
        let resume = || Live::resume(&self.plugin, &self.pre, &settings, &self.saved);
        let live = apart(resume).map_err(|stop| Fault::new(stop.words()))?;
        Ok(Box::new(OpenSource { live, saved: self.saved.clone(), plugin: self.plugin.clone() }))
    }

    fn held_until(&self, now: Now) -> Option<Now> {
        self.plugin.strikes.may_open(&self.plugin.name, now).err().map(|held| held.until)
    }
}

impl fmt::Debug for SourceComponent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.plugin.name;
        out.debug_struct("SourceComponent").field("plugin", name).finish_non_exhaustive()
    }
}

/// An open source.
struct OpenSource {
    live: Live,
    saved: Arc<SavedState>,
    plugin: Arc<Plugin>,
}

impl DecodePayload for OpenSource {
    fn decode(&mut self, content_type: &str, payload: &[u8], now: Now) -> Result<Decoded, Failed> {
        self.plugin.counters.batches.fetch_add(1, Relaxed);
        let answer = apart(|| decode(&mut self.live, content_type, payload, now));
        let decoded = answer.map_err(|stop| {
            let over = matches!(stop, Stop::Died(_));
            Failed { fault: Fault::new(stop.words()), over }
        })?;
        self.plugin.counters.rows.fetch_add(decoded.readings.len() as u64, Relaxed);
        apart(|| self.live.keep_state(&self.saved));
        Ok(decoded)
    }
}

fn decode(live: &mut Live, kind: &str, payload: &[u8], now: Now) -> Result<Decoded, Stop> {
    live.store.set_now(now.nanos());
    let guest = live.guest.watchfire_plugin_decoder();
    let decoded = live.store.ask("decode", |store| guest.call_decode(store, kind, payload))?;
    let defects = decoded.defects.into_iter();
    Ok(Decoded {
        readings: decoded.readings.into_iter().map(reading).collect(),
        defects: defects.map(|it| (it.offset, cut(&it.what, WHAT_BYTES_MAX))).collect(),
    })
}
