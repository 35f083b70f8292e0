//! What the rule and plugin folders hold: every file's last good version, and the set that all of
//! them make together.
//!
//! Pure bookkeeping over file contents that the caller read: the same code serves a running
//! instance, `check`, `test` and `replay`. A file with errors keeps its last good version; the
//! other files still go live; a name that two files declare rejects both changes.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::guest::finding::Finding;
use crate::guest::rhai;
use crate::guest::wasm::{self, WasmHost};
use crate::kernel::model::{Duration, Now};
use crate::kernel::rule::ruleset::{Conflict, Ruleset};
use crate::kernel::rule::{Judge, Rule};
pub use file::{ComponentInfo, Found, LiveProbe, LiveSampleSink, LiveSink, LiveSource, Unlisted};
use file::{File, Good, about, names_of};

/// Of a folder that is held at its last good state.
const STAY: &str = "its last rules stay live";

/// One folder's files, or why they could not be listed.
#[derive(Clone, Debug)]
pub struct Folder {
    pub path: Arc<str>,
    pub files: Result<Vec<Found>, Unlisted>,
    /// What its scripts import, as it is now; see [`Catalog::imports`].
    pub libraries: rhai::Imports,
}

/// The folders' files as they were last taken.
pub struct Catalog {
    remove_after: Duration,
    wasm: Arc<WasmHost>,
    scripts: BTreeMap<Arc<str>, rhai::Host>,
    files: BTreeMap<Arc<str>, File>,
    /// Folders that held files and are missing, unreadable or empty now, and why.
    held: BTreeMap<Arc<str>, String>,
}

/// What reading one file gave: what is good of it, what it imported, and what is wrong.
type Read = (Option<Good>, rhai::Imports, Vec<Finding>);

/// What a scan came to.
pub struct Scan {
    /// Files whose text is new, or that went away.
    pub changed: Vec<Arc<str>>,
    /// Whether the set of rules or sinks is another one than before.
    pub is_new: bool,
    pub ruleset: Arc<Ruleset>,
    pub sinks: Vec<LiveSink>,
    pub sample_sinks: Vec<LiveSampleSink>,
    pub probes: Vec<LiveProbe>,
    pub sources: Vec<LiveSource>,
    pub components: Vec<Arc<ComponentInfo>>,
    /// Components whose version before was put back by this look, by file, and why.
    pub rolled_back: BTreeMap<Arc<str>, String>,
    /// Of all files, those that kept their last good version included.
    pub findings: Vec<Finding>,
    /// When a missing file's rules will count as removed.
    pub next: Option<Now>,
    /// Why folders are held at their last good state, by folder.
    pub held: BTreeMap<Arc<str>, String>,
}

impl Catalog {
    pub fn new(remove_after: Duration, wasm: Arc<WasmHost>) -> Catalog {
        Catalog {
            remove_after,
            wasm,
            scripts: BTreeMap::new(),
            files: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// How often components died of late.
    pub fn strikes(&self) -> &Arc<wasm::strikes::Strikes> {
        self.wasm.strikes()
    }

    /// Takes the folders as they are now. `accept_empty` takes a missing or empty folder at its
    /// word. An error is a conflict among good files that no file's change brought about.
    pub fn scan(&mut self, folders: &[Folder], now: Now, accept_empty: bool) -> Scan {
        let mut changed = Vec::new();
        self.held.clear();
        for folder in folders {
            self.scan_folder(folder, now, accept_empty, &mut changed);
        }
        let before = self.names();
        let rolled_back = self.roll_back();
        changed.extend(rolled_back.keys().cloned());
        let removed = self.drop_missing(now, accept_empty);
        self.drop_lingering(now);
        let ruleset = self.settle(now);
        let is_new = !changed.is_empty() || !removed.is_empty() || before != self.names();
        changed.extend(removed);
        changed.sort();
        changed.dedup();
        let missing = self.files.values().filter_map(|file| file.missing_since);
        let lingering = self.files.values().flat_map(|file| file.lingering.iter().map(|l| l.1));
        let next = missing.chain(lingering).min().map(|since| since + self.remove_after);
        Scan {
            changed,
            is_new,
            ruleset: Arc::new(ruleset),
            sinks: self.live().flat_map(|good| good.sinks.clone()).collect(),
            sample_sinks: self.live().flat_map(|good| good.sample_sinks.clone()).collect(),
            probes: self.live().flat_map(|good| good.probes.clone()).collect(),
            sources: self.live().flat_map(|good| good.sources.clone()).collect(),
            components: self.live().filter_map(|good| good.component.clone()).collect(),
            rolled_back,
            findings: self.files.values().flat_map(File::all_findings).collect(),
            next,
            held: self.held.clone(),
        }
    }

    /// Whether some file is gone and its rules may still come back.
    pub fn has_missing(&self) -> bool {
        let may_return = |file: &File| file.missing_since.is_some() || !file.lingering.is_empty();
        self.files.values().any(may_return)
    }

    /// The libraries that a folder's scripts asked for, whose present state the next look needs.
    pub fn imports(&self, folder: &str) -> BTreeSet<String> {
        let mine = self.files.values().filter(|file| file.folder.as_ref() == folder);
        mine.flat_map(|file| file.imports.keys().cloned()).collect()
    }

    fn scan_folder(
        &mut self,
        folder: &Folder,
        now: Now,
        accept_empty: bool,
        changed: &mut Vec<Arc<str>>,
    ) {
        let known: Vec<Arc<str>> = self.files_of(&folder.path);
        let files = match &folder.files {
            Ok(files) if !files.is_empty() || known.is_empty() || accept_empty => files.as_slice(),
            Ok(_) => {
                let until = "until files return or `watchfire rules accept-empty`";
                self.held.insert(folder.path.clone(), format!("it is empty; {STAY} {until}"));
                return;
            }
            Err(error) if error.is_missing && (accept_empty || known.is_empty()) => &[],
            Err(error) => {
                let then = if known.is_empty() { "no rule of it is live" } else { STAY };
                self.held.insert(folder.path.clone(), format!("{}; {then}", error.why));
                return;
            }
        };
        let present: BTreeSet<&Arc<str>> = files.iter().map(|found| &found.path).collect();
        for path in &known {
            let file = self.files.get_mut(path).expect("known files are in the map");
            if present.contains(path) {
                file.missing_since = None;
            } else {
                file.missing_since.get_or_insert(now);
            }
        }
        for found in files {
            let hash = found.hash();
            let file = self.files.entry(found.path.clone()).or_default();
            let is_held_as_before = file.is_held_as_before(found);
            if is_held_as_before && file.hash == hash && file.knows(&folder.libraries) {
                continue;
            }
            self.load(&folder.path, found, hash);
            changed.push(found.path.clone());
        }
    }

    fn load(&mut self, folder: &Arc<str>, found: &Found, hash: u64) {
        let (fresh, imports, findings) = if found.path.ends_with(".wasm") {
            self.load_component(found)
        } else {
            self.load_script(folder, found)
        };
        let file = self.files.entry(found.path.clone()).or_default();
        file.folder = folder.clone();
        (file.hash, file.imports, file.fresh, file.findings) = (hash, imports, fresh, findings);
    }

    fn load_script(&mut self, folder: &Arc<str>, found: &Found) -> Read {
        let Ok(text) = std::str::from_utf8(&found.bytes) else {
            return unread(about(&found.path, "the file is not UTF-8 text", None));
        };
        let host = self
            .scripts
            .entry(folder.clone())
            .or_insert_with(|| rhai::Host::new(Path::new(folder.as_ref())));
        let loaded = rhai::load(&found.path, text, host);
        let good = loaded.is_good().then(|| Good {
            rules: loaded.rules.into_iter().map(Arc::new).collect(),
            sinks: loaded.sinks.into_iter().map(LiveSink::plain).collect(),
            probes: loaded.probes.into_iter().map(LiveProbe::plain).collect(),
            ..Good::default()
        });
        (good, loaded.imports, loaded.findings)
    }

    fn load_component(&self, found: &Found) -> Read {
        let Found { bytes, settings, terms, .. } = found;
        match wasm::load(found.name(), bytes, settings, terms, &self.wasm) {
            Ok(loaded) => {
                let good = Good::of_component(found, loaded);
                (Some(good), rhai::Imports::new(), Vec::new())
            }
            Err(error) => unread(about(&found.path, &error.to_string(), None)),
        }
    }

    /// Puts the version before back where a new one died within its first batches. The file is not
    /// read again until it changes.
    fn roll_back(&mut self) -> BTreeMap<Arc<str>, String> {
        let mut back = BTreeMap::new();
        for (path, file) in &mut self.files {
            if let Some(why) = file.roll_back(path) {
                for plugin in file.fresh.iter().flat_map(|good| &good.plugins) {
                    self.wasm.strikes().forgive(plugin.name());
                }
                back.insert(path.clone(), why);
            }
        }
        back
    }

    /// Forgets files that have been missing for long enough.
    fn drop_missing(&mut self, now: Now, at_once: bool) -> Vec<Arc<str>> {
        let patience = self.remove_after;
        let gone = |file: &File| {
            file.missing_since.is_some_and(|since| at_once || now.since(since) >= patience)
        };
        let removed: Vec<Arc<str>> = self
            .files
            .iter()
            .filter(|(_, file)| gone(file))
            .map(|(path, _)| path.clone())
            .collect();
        self.files.retain(|_, file| !gone(file));
        removed
    }

    /// Lets fresh texts in as far as they go with each other and with the rest; one that does not
    /// is tried again at the next scan.
    fn settle(&mut self, now: Now) -> Ruleset {
        self.files.values_mut().for_each(|file| file.conflict = None);
        let mut rejected: BTreeSet<Arc<str>> = BTreeSet::new();
        loop {
            let proposal = self.proposal(&rejected);
            let mut lingering = self.lingering(&proposal);
            let clash = self.clash(&proposal, &rejected);
            let (files, what) = match clash {
                Some(clash) => clash,
                None => match self.try_set(&proposal, &lingering).or_else(|_| {
                    // What was cut out is not worth refusing what is there.
                    lingering.clear();
                    self.try_set(&proposal, &[])
                }) {
                    Ok(ruleset) => {
                        self.adopt(proposal, &lingering, now);
                        return ruleset;
                    }
                    Err(conflict) => {
                        let all = self.files.keys().filter(|path| self.is_open(path, &rejected));
                        (all.cloned().collect(), conflict.to_string())
                    }
                },
            };
            assert!(!files.is_empty(), "the last good versions go together: {what}");
            for path in files {
                if let Some(file) = self.files.get_mut(&path) {
                    let help = "the last good version stays live; rename one of them";
                    file.conflict = Some(about(&path, &what, Some(help)));
                }
                rejected.insert(path);
            }
        }
    }

    /// For each file what it would contribute. A missing file's names are free for another file at
    /// once, so what is declared elsewhere is left out of it.
    fn proposal(&self, rejected: &BTreeSet<Arc<str>>) -> BTreeMap<Arc<str>, Good> {
        let mut proposal = BTreeMap::new();
        let mut taken: BTreeSet<(char, Arc<str>)> = BTreeSet::new();
        for (path, file) in &self.files {
            let fresh = file.fresh.as_ref().filter(|_| !rejected.contains(path));
            let Some(good) = fresh.or(file.good.as_ref()) else { continue };
            if file.missing_since.is_none() {
                taken.extend(names_of(good));
                proposal.insert(path.clone(), good.clone());
            }
        }
        for (path, file) in &self.files {
            if let Some(good) = file.good.as_ref().filter(|_| file.missing_since.is_some()) {
                let mut good = good.clone();
                good.give_way(&taken);
                proposal.insert(path.clone(), good);
            }
        }
        proposal
    }

    /// Two files that declare one name: the changed ones among them are rejected.
    fn clash(
        &self,
        proposal: &BTreeMap<Arc<str>, Good>,
        rejected: &BTreeSet<Arc<str>>,
    ) -> Option<(Vec<Arc<str>>, String)> {
        let mut owners: BTreeMap<(char, Arc<str>), Arc<str>> = BTreeMap::new();
        for (path, good) in proposal {
            for name in names_of(good) {
                let Some(other) = owners.insert(name.clone(), path.clone()) else { continue };
                let kind = match name.0 {
                    'r' => "rule",
                    's' => "sink",
                    'b' => "probe",
                    'q' => "source",
                    _ => "component",
                };
                let what = format!("{kind} `{}` is declared in {other} and in {path}", name.1);
                let is_open = |path: &&Arc<str>| self.is_open(path, rejected);
                let files = [&other, path].into_iter().filter(is_open).cloned().collect();
                return Some((files, what));
            }
        }
        None
    }

    /// Whether the file's fresh text is still in the running.
    fn is_open(&self, path: &Arc<str>, rejected: &BTreeSet<Arc<str>>) -> bool {
        self.files[path].fresh.is_some() && !rejected.contains(path)
    }

    fn try_set(
        &self,
        proposal: &BTreeMap<Arc<str>, Good>,
        lingering: &[Arc<Rule>],
    ) -> Result<Ruleset, Conflict> {
        let rules = proposal.values().flat_map(|good| &good.rules);
        let rules = rules.chain(lingering).cloned().collect();
        let plugins = proposal.values().flat_map(|good| good.plugins.clone()).collect();
        Ruleset::new(rules, plugins)
    }

    /// Rules that were cut out of files a short while ago, or are with this proposal. A component's
    /// rules go with it at once: nothing else could judge them.
    fn lingering(&self, proposal: &BTreeMap<Arc<str>, Good>) -> Vec<Arc<Rule>> {
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        taken.extend(proposal.values().flat_map(|good| &good.rules).map(|rule| rule.name.as_ref()));
        let mut lingering = Vec::new();
        for file in self.files.values() {
            let before = file.good.iter().flat_map(|good| &good.rules);
            for rule in before.chain(file.lingering.iter().map(|(rule, _)| rule)) {
                let guest = matches!(rule.judge, Judge::Guest(_));
                if !guest && taken.insert(&rule.name) {
                    lingering.push(rule.clone());
                }
            }
        }
        lingering
    }

    fn adopt(&mut self, proposal: BTreeMap<Arc<str>, Good>, lingering: &[Arc<Rule>], now: Now) {
        for (path, good) in proposal {
            if let Some(file) = self.files.get_mut(&path) {
                file.let_linger(lingering, now);
                file.go_live(good);
                if file.conflict.is_none() {
                    file.fresh = None;
                }
            }
        }
    }

    /// Rules that were cut out of a file long enough ago are gone.
    fn drop_lingering(&mut self, now: Now) {
        let patience = self.remove_after;
        for file in self.files.values_mut() {
            file.lingering.retain(|(_, since)| now.since(*since) < patience);
        }
    }

    fn live(&self) -> impl Iterator<Item = &Good> {
        self.files.values().filter_map(|file| file.good.as_ref())
    }

    fn names(&self) -> BTreeSet<(char, Arc<str>)> {
        let lingering = self.files.values().flat_map(|file| &file.lingering);
        let lingering = lingering.map(|(rule, _)| ('r', rule.name.clone()));
        self.live().flat_map(names_of).chain(lingering).collect()
    }

    fn files_of(&self, folder: &str) -> Vec<Arc<str>> {
        let mine = self.files.iter().filter(|(_, file)| file.folder.as_ref() == folder);
        mine.map(|(path, _)| path.clone()).collect()
    }
}

fn unread(finding: Finding) -> Read {
    (None, rhai::Imports::new(), vec![finding])
}

#[cfg(test)]
mod tests;
