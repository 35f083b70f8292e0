//! One file of the rule and plugin folders: what of it is live, what waits, what was before.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::guest::finding::{Finding, Severity};
use crate::guest::grant::{GuestTerms, digest_of};
use crate::guest::probe::Probe;
use crate::guest::sample_sink::SampleSink;
use crate::guest::sink::Sink;
use crate::guest::source::GuestSource;
use crate::guest::{rhai, wasm};
use crate::kernel::model::{Now, Version};
use crate::kernel::rule::Rule;
use crate::kernel::rule::program::RulePlugin;

/// A file as it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// As shown to people: folder and name.
    pub path: Arc<str>,
    pub bytes: Arc<[u8]>,
    /// Settings from the sidecar `NAME.toml`, for components.
    pub settings: serde_json::Value,
    /// What a grant says of it, for components.
    pub terms: GuestTerms,
}

impl Found {
    /// The name of what it holds if it is a component: that of the file.
    pub fn name(&self) -> &str {
        Path::new(self.path.as_ref()).file_stem().and_then(OsStr::to_str).unwrap_or_default()
    }

    /// Of its text and its settings.
    pub(super) fn hash(&self) -> u64 {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(&self.bytes);
        hasher.update(self.settings.to_string().as_bytes());
        hasher.digest()
    }
}

/// Why a folder could not be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlisted {
    /// "it cannot be read (permission denied)".
    pub why: String,
    /// There is no such folder, which is well until it has held files.
    pub is_missing: bool,
}

#[derive(Default)]
pub struct File {
    pub folder: Arc<str>,
    pub hash: u64,
    /// What it imported when it was read.
    pub imports: rhai::Imports,
    pub terms: GuestTerms,
    /// What the engine runs of it.
    pub good: Option<Good>,
    /// What its present text gave, while it is not live.
    pub fresh: Option<Good>,
    /// What the engine ran before, to go back to when a new version dies.
    pub before: Option<Good>,
    pub findings: Vec<Finding>,
    /// Why the fresh text cannot stand beside the other files.
    pub conflict: Option<Finding>,
    pub missing_since: Option<Now>,
    /// Rules that its text no longer has, and since when: they may come back, as files do.
    pub lingering: Vec<(Arc<Rule>, Now)>,
}

#[derive(Clone, Default)]
pub struct Good {
    pub rules: Vec<Arc<Rule>>,
    pub plugins: Vec<Arc<dyn RulePlugin>>,
    pub sinks: Vec<LiveSink>,
    pub sample_sinks: Vec<LiveSampleSink>,
    pub probes: Vec<LiveProbe>,
    pub sources: Vec<LiveSource>,
    pub component: Option<Arc<ComponentInfo>>,
}

/// What there is to show of a component, whatever it declares.
#[derive(Clone, Debug)]
pub struct ComponentInfo {
    /// That of the file.
    pub name: Arc<str>,
    pub file: Arc<str>,
    /// The world.
    pub kind: wasm::manifest::Kind,
    /// The version of the interface that it was built for.
    pub built_for: String,
    /// Of the file.
    pub bytes: u64,
    /// A hash of bytes, settings and limits of its own.
    pub version: Version,
    pub limits: wasm::Limits,
    /// SHA-256 of the bytes in hexadecimal.
    pub digest: String,
    /// What it says of itself.
    pub manifest: Option<wasm::manifest::Manifest>,
    pub counters: Arc<wasm::Counters>,
}

/// A sink as a file declares it.
#[derive(Clone, Debug)]
pub struct LiveSink {
    pub sink: Sink,
    /// SHA-256 of the component's bytes, which a grant may pin.
    pub digest: Option<String>,
    pub settings: serde_json::Value,
}

/// A probe as a file declares it; the fields are those of [`LiveSink`].
#[derive(Clone, Debug)]
pub struct LiveProbe {
    pub probe: Probe,
    pub digest: Option<String>,
    pub settings: serde_json::Value,
}

/// A sink of samples as a component declares it; the fields are those of [`LiveSink`].
#[derive(Clone, Debug)]
pub struct LiveSampleSink {
    pub sink: SampleSink,
    pub digest: Option<String>,
    pub settings: serde_json::Value,
}

/// A source whose format a component reads.
#[derive(Clone, Debug)]
pub struct LiveSource {
    pub source: GuestSource,
    pub digest: Option<String>,
    pub settings: serde_json::Value,
}

impl LiveSink {
    /// From a script, which has neither a digest nor settings.
    pub fn plain(sink: Sink) -> LiveSink {
        LiveSink { sink, digest: None, settings: serde_json::Value::Null }
    }
}

impl LiveProbe {
    /// From a script, which has neither a digest nor settings.
    pub fn plain(probe: Probe) -> LiveProbe {
        LiveProbe { probe, digest: None, settings: serde_json::Value::Null }
    }
}

impl File {
    /// Notes which of its rules linger, and since when.
    pub fn let_linger(&mut self, lingering: &[Arc<Rule>], now: Now) {
        let lingers = |rule: &Rule| lingering.iter().any(|other| other.name == rule.name);
        self.lingering.retain(|(rule, _)| lingers(rule));
        let known: BTreeSet<Arc<str>> = self.lingering.iter().map(|l| l.0.name.clone()).collect();
        let before = self.good.iter().flat_map(|good| &good.rules);
        let cut = before.filter(|rule| lingers(rule) && !known.contains(&rule.name));
        self.lingering.extend(cut.map(|rule| (rule.clone(), now)).collect::<Vec<_>>());
    }

    /// Keeps the version before, unless it is the one that died.
    pub fn go_live(&mut self, good: Good) {
        let replaced = self.good.replace(good);
        if self.fresh.is_some() && self.conflict.is_none() {
            self.before = replaced.filter(|good| good.is_component() && !good.died_new());
        }
    }

    /// Takes up the version before again where the present one died within its first batches, and
    /// gives why.
    pub fn roll_back(&mut self, path: &str) -> Option<String> {
        let died = self.good.as_ref().filter(|good| good.died_new())?;
        let death = died.component.as_ref().and_then(|component| component.counters.last_death());
        let before = self.before.take()?;
        let why = format!(
            "the new version died within its first {} batches, so the one before it is back: {}",
            wasm::strikes::NEW_BATCHES,
            death.unwrap_or_default()
        );
        self.findings = vec![about(path, &why, Some("correct it and put it here again"))];
        self.fresh = Some(before);
        Some(why)
    }

    /// Whether it was read with these libraries. One that was not looked at has not changed.
    pub fn knows(&self, libraries: &rhai::Imports) -> bool {
        self.imports.iter().all(|(path, read)| libraries.get(path).is_none_or(|now| now == read))
    }

    /// Whether a grant says of it what it said when it was read. Another pin that takes or refuses
    /// it as the one before did changes nothing.
    pub fn is_held_as_before(&mut self, found: &Found) -> bool {
        let before = std::mem::replace(&mut self.terms, found.terms.clone());
        before.limits == found.terms.limits
            && (before.sha256 == found.terms.sha256 || {
                let digest = digest_of(&found.bytes);
                before.take(&digest) == found.terms.take(&digest)
            })
    }

    pub fn all_findings(&self) -> Vec<Finding> {
        self.findings.iter().chain(&self.conflict).cloned().collect()
    }
}

impl Good {
    /// Of a component that was loaded from this file.
    pub fn of_component(found: &Found, loaded: wasm::Loaded) -> Good {
        let component = ComponentInfo {
            name: found.name().into(),
            file: found.path.clone(),
            kind: loaded.kind,
            built_for: loaded.built_for,
            bytes: found.bytes.len() as u64,
            version: loaded.version,
            limits: loaded.limits,
            digest: loaded.digest.clone(),
            manifest: loaded.manifest,
            counters: loaded.counters,
        };
        let mut good = Good { component: Some(component.into()), ..Good::default() };
        let (digest, settings) = (Some(loaded.digest), found.settings.clone());
        match loaded.component {
            wasm::Component::Rules { rules, plugin } => {
                good.rules = rules.into_iter().map(Arc::new).collect();
                good.plugins.push(plugin);
            }
            wasm::Component::Sink(sink) => good.sinks.push(LiveSink { sink, digest, settings }),
            wasm::Component::SampleSink(sink) => {
                good.sample_sinks.push(LiveSampleSink { sink, digest, settings });
            }
            wasm::Component::Probe(probe) => {
                good.probes.push(LiveProbe { probe, digest, settings });
            }
            wasm::Component::Source(source) => {
                good.sources.push(LiveSource { source, digest, settings });
            }
        }
        good
    }

    /// Leaves out what is declared elsewhere.
    pub fn give_way(&mut self, taken: &BTreeSet<(char, Arc<str>)>) {
        let free = |kind, name: &str| !taken.contains(&(kind, name.into()));
        self.rules.retain(|rule| free('r', &rule.name));
        self.sinks.retain(|sink| free('s', &sink.sink.name));
        self.sample_sinks.retain(|sink| free('s', &sink.sink.name));
        self.probes.retain(|probe| free('b', &probe.probe.name));
        self.sources.retain(|source| free('q', &source.source.name));
        self.plugins.retain(|plugin| free('p', plugin.name()));
    }

    pub fn is_component(&self) -> bool {
        self.component.is_some()
    }

    /// An instance died within the first batches.
    pub fn died_new(&self) -> bool {
        let died = |component: &Arc<ComponentInfo>| component.counters.died_new.load(Relaxed);
        self.component.as_ref().is_some_and(died)
    }
}

/// What a file declares: rules, sinks and components have names of their own.
pub fn names_of(good: &Good) -> Vec<(char, Arc<str>)> {
    let rules = good.rules.iter().map(|rule| ('r', rule.name.clone()));
    let sinks = good.sinks.iter().map(|sink| ('s', sink.sink.name.clone()));
    let sample_sinks = good.sample_sinks.iter().map(|sink| ('s', sink.sink.name.clone()));
    let plugins = good.plugins.iter().map(|plugin| ('p', Arc::from(plugin.name())));
    let sources = good.sources.iter().map(|source| ('q', source.source.name.clone()));
    let probes = good.probes.iter().map(|probe| ('b', probe.probe.name.clone()));
    let sinks = sinks.chain(sample_sinks);
    rules.chain(sinks).chain(plugins).chain(probes).chain(sources).collect()
}

/// A remark on a file as a whole.
pub fn about(path: &str, what: &str, help: Option<&str>) -> Finding {
    Finding {
        file: path.to_owned(),
        line: 0,
        column: 0,
        severity: Severity::Error,
        what: what.to_owned(),
        help: help.map(str::to_owned),
        rule: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::grant::GuestLimits;

    #[test]
    fn a_grant_changes_a_file_where_it_says_another_thing_of_it() {
        let bytes: Arc<[u8]> = (*b"component").into();
        let own = digest_of(&bytes);
        let mut file = File::default();
        for (sha256, memory_mib, is_as_before) in [
            (None, None, true),
            (Some(own.clone()), None, true),
            (Some(own.to_uppercase()), None, true),
            (Some("00".into()), None, false),
            (Some("11".into()), None, true),
            (Some(own), None, false),
            (None, Some(32), false),
            (None, Some(32), true),
            (None, None, false),
        ] {
            let terms =
                GuestTerms { limits: GuestLimits { memory_mib, ..Default::default() }, sha256 };
            let found = Found {
                path: "plugins/a.wasm".into(),
                bytes: bytes.clone(),
                settings: serde_json::Value::Null,
                terms,
            };
            assert_eq!(file.is_held_as_before(&found), is_as_before, "{:?}", found.terms);
        }
    }
}
