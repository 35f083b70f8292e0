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
