//! What one look at the folders and grants changed for plugins.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Entry, Lock};
use crate::config::catalog::{ComponentInfo, Scan};
use crate::guest::changes::PluginChange;

/// What was told so far, to tell what is new.
#[derive(Default)]
pub struct Told {
    entries: BTreeMap<Key, Known>,
    /// Why files cannot be used, by file.
    refusals: BTreeMap<String, String>,
}

/// A plugin of another world is another plugin.
type Key = (Arc<str>, &'static str, bool);

struct Known {
    component: Option<Arc<ComponentInfo>>,
    lock: Option<Lock>,
}

/// The changes since the last look, in the order of names; what is gone comes first.
pub fn tell(told: &mut Told, entries: &[Entry], scan: &Scan) -> Vec<(Arc<str>, PluginChange)> {
    let mut before = std::mem::take(&mut told.entries);
    let mut fresh = Vec::new();
    for entry in entries {
        let key = (entry.name.clone(), entry.world, entry.component.is_some());
        let known = before.remove(&key);
        let mut tell = |change: PluginChange| fresh.push((entry.name.clone(), change));
        if let Some(component) = &entry.component {
            let old = known.as_ref().and_then(|known| known.component.as_deref());
            version(old, component, scan).into_iter().for_each(&mut tell);
        }
        let lock = entry.access.blocked.clone();
        let old = known.and_then(|known| known.lock);
        match &lock {
            Some(Lock { why, cure }) if old != lock => {
                tell(PluginChange::Blocked { why: why.clone(), cure: cure.clone() });
            }
            None if old.is_some() => tell(PluginChange::Unblocked),
            Some(_) | None => {}
        }
        told.entries.insert(key, Known { component: entry.component.clone(), lock });
    }
    let gone = before.into_iter().filter_map(|((name, ..), known)| {
        let digest = known.component?.digest.clone();
        Some((name, PluginChange::Removed { digest }))
    });
    gone.chain(refusals(told, scan)).chain(fresh).collect()
}

fn version(old: Option<&ComponentInfo>, new: &ComponentInfo, scan: &Scan) -> Option<PluginChange> {
    let to = new.digest.clone();
    let Some(old) = old else {
        return Some(PluginChange::Loaded { world: new.kind.name(), digest: to });
    };
    if old.version == new.version {
        return None;
    }
    let from = old.digest.clone();
    match scan.rolled_back.get(&new.file) {
        Some(why) => Some(PluginChange::RolledBack { from, to, why: why.clone() }),
        None => Some(PluginChange::Swapped { from, to }),
    }
}

/// Components that cannot be used, each told when it lies there and when the reason changes.
fn refusals(told: &mut Told, scan: &Scan) -> Vec<(Arc<str>, PluginChange)> {
    let mut refusals = BTreeMap::new();
    let mut fresh = Vec::new();
    for finding in &scan.findings {
        let Some(stem) = finding.file.strip_suffix(".wasm").filter(|_| finding.is_error()) else {
            continue;
        };
        let (file, why) = (finding.file.clone(), finding.what.clone());
        let is_back = scan.rolled_back.contains_key(file.as_str());
        let is_new = scan.changed.iter().any(|changed| changed.as_ref() == file);
        if !is_back && (is_new || told.refusals.get(&file) != Some(&why)) {
            let name = stem.rsplit('/').next().unwrap_or(stem);
            fresh.push((name.into(), PluginChange::Refused { why: why.clone() }));
        }
        refusals.insert(file, why);
    }
    told.refusals = refusals;
    fresh
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::finding::{Finding, Severity};
    use crate::guest::wasm::manifest::Kind;
    use crate::guest::wasm::{Counters, WasmLimits};
    use crate::kernel::model::Version;
    use crate::kernel::rule::ruleset::Ruleset;
    use crate::shell::plugins::Access;

    fn nothing() -> Scan {
        Scan {
            changed: Vec::new(),
            is_new: false,
            ruleset: Arc::new(Ruleset::empty()),
            sinks: Vec::new(),
            sample_sinks: Vec::new(),
            probes: Vec::new(),
            sources: Vec::new(),
            components: Vec::new(),
            rolled_back: BTreeMap::new(),
            findings: Vec::new(),
            next: None,
            held: BTreeMap::new(),
        }
    }

    fn finding(file: &str, what: &str) -> Finding {
        Finding {
            file: file.to_owned(),
            line: 0,
            column: 0,
            severity: Severity::Error,
            what: what.to_owned(),
            help: None,
            rule: None,
        }
    }

    /// `name=DIGEST`, `name=DIGEST!` where it is blocked, `name!` for a sink of a script.
    fn entry(text: &str) -> Entry {
        let (plain, lock) = match text.strip_suffix('!') {
            Some(plain) => (plain, Some(Lock { why: "it asks".into(), cure: "x".into() })),
            None => (text, None),
        };
        let (name, digest) = plain.split_once('=').unwrap_or((plain, ""));
        let component = ComponentInfo {
            name: name.into(),
            file: format!("plugins/{name}.wasm").into(),
            kind: Kind::Probe,
            built_for: "0.1.0".into(),
            bytes: 1,
            version: Version(xxhash_rust::xxh3::xxh3_64(digest.as_bytes())),
            limits: WasmLimits::default().sink,
            digest: digest.trim_end_matches('+').into(),
            manifest: None,
            counters: Arc::<Counters>::default(),
        };
        Entry {
            name: name.into(),
            world: if plain.contains('=') { "probe" } else { "sink" },
            file: component.file.clone(),
            component: plain.contains('=').then(|| component.into()),
            access: Access { blocked: lock, ..Access::default() },
        }
    }

    /// Looks one after the other: what is there, what is refused or put back, and what is told.
    fn check(looks: &[(&str, &str, &str)]) {
        let mut told = Told::default();
        for (there, news, expected) in looks {
            let entries: Vec<Entry> = there.split_whitespace().map(entry).collect();
            let mut scan = nothing();
            for piece in news.split_whitespace() {
                let (word, name) = piece.split_once(':').expect("a word and a name");
                let file = format!("plugins/{name}.wasm");
                match word {
                    "new" => scan.changed.push(file.as_str().into()),
                    "back" => drop(scan.rolled_back.insert(file.as_str().into(), "died".into())),
                    _ => {}
                }
                if word != "new" {
                    scan.findings.push(finding(&file, word));
                }
            }
            let words = tell(&mut told, &entries, &scan)
                .into_iter()
                .map(|(plugin, change)| format!("{plugin} {}", change.name()))
                .collect::<Vec<_>>();
            assert_eq!(words.join(", "), *expected, "{there} with {news}");
        }
    }

    #[test]
    fn each_change_is_told_once() {
        check(&[
            ("a=1 b=1!", "", "a loaded, b loaded, b blocked"),
            ("a=1 b=1!", "", ""),
            ("a=2 b=1", "", "a swapped, b unblocked"),
            // Other settings are another version of the same file.
            ("a=2+ b=1", "", "a swapped"),
            ("a=2+ b=1", "bad:a new:a", "a refused"),
            ("a=2+ b=1", "bad:a", ""),
            ("a=2+ b=1", "worse:a", "a refused"),
            ("a=2+ b=1", "worse:a new:a", "a refused"),
            ("a=2+ b=1", "bad:c new:c", "c refused"),
            ("a=3 b=1 s!", "", "a swapped, s blocked"),
            ("a=2+ b=1 s", "back:a new:a", "a rolled_back, s unblocked"),
            ("a=2+ b=1", "back:a", ""),
            ("b=2!", "", "a removed, b swapped, b blocked"),
            ("a=9 b=2!", "", "a loaded"),
        ]);
    }
}
