//! From the bytes of a file to rules or a sink.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::apart::apart;
use super::counters::Counters;
use super::engine::{Compiled, WasmHost};
use super::error::LoadError;
use super::inspect::{Inspected, inspect};
use super::judge::JudgingRecipe;
use super::limits::{Limits, LogLimit};
use super::manifest::{Kind, Manifest};
use super::store::{Plugin, settings_text};
use super::{probe, rule, sample_sink, sink, source};
use crate::guest::grant::{GuestLimits, GuestTerms, Request, digest_of, key};
use crate::guest::probe::Probe;
use crate::guest::sample_sink::SampleSink;
use crate::guest::sink::Sink;
use crate::guest::source::GuestSource;
use crate::kernel::model::Version;
use crate::kernel::rule::program::RulePlugin;
use crate::kernel::rule::{Origin, Rule};

/// What a component turned out to be.
#[derive(Debug)]
pub struct Loaded {
    pub component: Component,
    /// Its world.
    pub kind: Kind,
    /// The version of the interface that it was built for, "0.1.0".
    pub built_for: String,
    /// What it says about itself.
    pub manifest: Option<Manifest>,
    /// SHA-256 of the bytes in hexadecimal, as grants pin it.
    pub digest: String,
    /// A hash of bytes, settings and limits of its own.
    pub version: Version,
    pub limits: Limits,
    pub counters: Arc<Counters>,
}

/// What it declares, by its world.
#[derive(Debug)]
pub enum Component {
    /// Rules whose judge is `plugin`.
    Rules {
        rules: Vec<Rule>,
        plugin: Arc<dyn RulePlugin>,
    },
    Sink(Sink),
    SampleSink(SampleSink),
    Probe(Probe),
    Source(GuestSource),
}

/// Reads, compiles and tries a component. `name` is the plugin's name: that of the file, or an
/// alias under which the same bytes are loaded with other settings. `terms` are what a grant says
/// of that name: limits of its own, and the one file that may go under it.
///
/// Compiling takes some 70 ms of CPU for 100 KB, so this is for a background thread. Grants are
/// otherwise not looked at here: a sink's `needs` say what it asks for, and whoever opens it must
/// have them granted. A file that is pinned is refused here only if it declares rules: nobody opens
/// those, while whoever opens another kind can say that it is blocked.
pub fn load(
    name: &str,
    bytes: &[u8],
    settings: &Value,
    terms: &GuestTerms,
    host: &WasmHost,
) -> Result<Loaded, LoadError> {
    apart(|| load_here(name, bytes, settings, terms, host))
}

fn load_here(
    name: &str,
    bytes: &[u8],
    settings: &Value,
    terms: &GuestTerms,
    host: &WasmHost,
) -> Result<Loaded, LoadError> {
    let Inspected { kind, built_for, manifest } = inspect(bytes)?;
    let limits = host.limits(kind).with(terms.limits);
    if bytes.len() > limits.file_bytes {
        return Err(LoadError::TooBig { bytes: bytes.len(), cap: limits.file_bytes });
    }
    if kind.judges() && terms.sha256.is_some() {
        let digest = digest_of(bytes);
        if !terms.take(&digest) {
            return Err(LoadError::Pinned { name: key(name), digest });
        }
    }
    let needs = requests(kind, manifest.as_ref(), settings)?;
    let settings = settings_text(settings);
    let version = version_of(bytes, &settings, terms.limits);
    let code = host.compile(bytes)?;
    let (digest, counters) = (code.digest.clone(), Arc::<Counters>::default());
    let plugin = Plugin {
        name: name.into(),
        kind,
        engine: host.engine().clone(),
        limits,
        counters: counters.clone(),
        digest: digest.clone(),
        log: Mutex::new(LogLimit::new(LogLimit::HOST_LINES, Instant::now())),
        strikes: host.strikes().clone(),
        in_service: AtomicBool::new(false),
        lost: Mutex::default(),
    };
    let making = Making { name, version, needs, settings: &settings, code, host };
    let component = making.of_kind(kind, plugin)?;
    host.strikes().forgive(name);
    Ok(Loaded { component, kind, built_for, manifest, digest, version, limits, counters })
}

/// What every world's part is made of.
struct Making<'a> {
    name: &'a str,
    version: Version,
    needs: Vec<Request>,
    settings: &'a str,
    code: Arc<Compiled>,
    host: &'a WasmHost,
}

impl Making<'_> {
    fn of_kind(self, kind: Kind, plugin: Plugin) -> Result<Component, LoadError> {
        let Making { name, version, needs, settings, code, host } = self;
        let origin = Origin { file: format!("{name}.wasm").into(), line: 1 };
        let (own, kind_name): (Arc<str>, _) = (name.into(), "wasm");
        Ok(match kind {
            Kind::Rule => {
                let recipe = JudgingRecipe::of_samples(&code, host)?;
                judging(rule::load(plugin, code, recipe, settings, version)?)
            }
            Kind::WindowRule => {
                let recipe = JudgingRecipe::of_windows(&code, host)?;
                judging(rule::load(plugin, code, recipe, settings, version)?)
            }
            Kind::Sink => {
                let sink::LoadedSink { batching, retry, rate, opener } =
                    sink::load(plugin, code, settings, host)?;
                let (name, kind) = (own, kind_name);
                Component::Sink(Sink {
                    name,
                    version,
                    origin,
                    kind,
                    batching,
                    retry,
                    rate,
                    needs,
                    opener,
                })
            }
            Kind::SampleSink => {
                let sample_sink::LoadedSampleSink { wants, batching, retry, opener } =
                    sample_sink::load(plugin, code, settings, host)?;
                let name = own;
                Component::SampleSink(SampleSink {
                    name,
                    version,
                    origin,
                    wants,
                    batching,
                    retry,
                    needs,
                    opener,
                })
            }
            Kind::Probe => {
                let (every, opener) = probe::load(plugin, code, settings, host)?;
                let (name, kind) = (own, kind_name);
                Component::Probe(Probe { name, version, origin, kind, every, needs, opener })
            }
            Kind::Source => {
                let source::LoadedSource { content_types, lateness, opener } =
                    source::load(plugin, code, settings, host)?;
                let name = own;
                Component::Source(GuestSource {
                    name,
                    version,
                    origin,
                    content_types,
                    lateness,
                    opener,
                })
            }
        })
    }
}

fn judging(loaded: rule::LoadedRules) -> Component {
    Component::Rules { rules: loaded.rules, plugin: loaded.plugin }
}

fn requests(
    kind: Kind,
    manifest: Option<&Manifest>,
    settings: &Value,
) -> Result<Vec<Request>, LoadError> {
    let Some(manifest) = manifest else { return Ok(Vec::new()) };
    let requests = manifest.requests(settings).map_err(LoadError::Manifest)?;
    match requests.first() {
        Some(request) if !kind.sends() => {
            let world = kind.name();
            Err(LoadError::Manifest(format!(
                "a {world} reaches nothing, and it asks for {request}"
            )))
        }
        Some(_) | None => Ok(requests),
    }
}

/// A hash of all that the plugin is made of.
fn version_of(bytes: &[u8], settings: &str, own: GuestLimits) -> Version {
    let mut text = xxh3_64(bytes).to_le_bytes().to_vec();
    text.extend_from_slice(settings.as_bytes());
    for (name, limit) in [(b'm', own.memory_mib), (b'c', own.call_ms), (b'w', own.wall_ms)] {
        if let Some(limit) = limit {
            text.push(name);
            text.extend_from_slice(&limit.to_le_bytes());
        }
    }
    Version(xxh3_64(&text))
}
