//! Hot reload: watches the folders, looks at what changed, and hands whole sets over.
//!
//! Watches folders and never single files. Any notice but an access, SIGHUP, a command or the poll
//! means: wait until the folders are quiet, list them, let the catalog compare contents. One thread
//! does all of it, so two reloads never overlap.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration as StdDuration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::config::catalog::{Catalog, Scan, Unlisted};
use crate::config::settings::{Reload, ReloadMode};
use crate::guest::finding::{Finding, Severity};
use crate::guest::grant::Grants;
use crate::kernel::engine::output::{Adoption, Carried as Kept};
use crate::kernel::rule::ruleset::Ruleset;

use super::api::{FileReport, ReloadOutcome, ReloadReport, ReloadTrigger};
use super::board::Adopted;
use super::clock::Clock;
use super::folders;
use super::judge::Judge;
use super::metrics::Buckets;
use super::plugins::{Entry, Told};
use super::sink::SinkHub;
use super::watch::Watch;

mod granting;
mod log;
mod pauses;
mod places;
mod report;
mod wishes;

use pauses::Pauses;
pub use places::{Guests, Places};
use wishes::{Gathered, Wish, look_at};

/// Reports that are kept.
const REPORTS_MAX: usize = 100;

/// What is live, as pages show it.
#[derive(Clone, Default)]
pub struct Live {
    pub ruleset: Option<Arc<Ruleset>>,
    pub reports: VecDeque<ReloadReport>,
    pub findings: Vec<Finding>,
    /// Folders whose last good state is held, and why.
    pub held: BTreeMap<Arc<str>, String>,
    pub failures: u64,
    pub reloads: u64,
    /// Sinks that rules name and that do not run.
    pub missing_sinks: Vec<(Arc<str>, Arc<str>)>,
    pub grants_error: Option<String>,
    pub plugins: Vec<Entry>,
}

/// The way to the reloading thread.
#[derive(Clone)]
pub struct Reloader {
    wishes: Sender<Wish>,
    live: Arc<Mutex<Live>>,
    pauses: Arc<Pauses>,
}

impl Reloader {
    pub fn live(&self) -> Live {
        self.live.lock().expect(UNPOISONED).clone()
    }

    /// How long shards stood still, in seconds, over all reloads.
    pub fn pauses(&self) -> Buckets {
        self.pauses.read()
    }

    /// Looks at the folders, without waiting for what comes of it.
    pub fn nudge(&self) {
        look_at(&self.wishes, ReloadTrigger::Signal)();
    }

    /// Looks at the folders now; `None` when we are stopping.
    pub fn reload(&self) -> Option<ReloadReport> {
        self.ask(|answer| Wish::Look(ReloadTrigger::Command, Some(answer)))
    }

    pub fn accept_empty(&self) -> Option<ReloadReport> {
        self.ask(Wish::AcceptEmpty)
    }

    pub fn stop(&self) {
        // It may have ended already.
        let _ = self.wishes.send(Wish::Stop);
    }

    fn ask(&self, wish: impl FnOnce(Sender<ReloadReport>) -> Wish) -> Option<ReloadReport> {
        let (answer, answers) = bounded(1);
        self.wishes.send(wish(answer)).ok()?;
        answers.recv().ok()
    }
}

const UNPOISONED: &str = "nothing panics under this lock";

/// The first look, before anything runs: its ruleset is what the engine begins with.
pub struct Prepared {
    work: Work,
    pub ruleset: Arc<Ruleset>,
    scan: Scan,
    grants: Grants,
    begun: Instant,
}

struct Work {
    places: Places,
    settings: Reload,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    /// The grants that could be read last, for limits and pins.
    grants: Grants,
    told: Told,
    live: Arc<Mutex<Live>>,
    pauses: Arc<Pauses>,
    ids: u64,
}

/// Two, since beside the grants only one name counts.
struct Watches {
    folders: Watch,
    grants: Watch,
}

struct Running {
    work: Work,
    judge: Judge,
    hub: Arc<SinkHub>,
    guests: Guests,
    adoptions: Receiver<Adopted>,
    /// What the shards judge by.
    ruleset: Arc<Ruleset>,
}

pub fn prepare(
    places: Places,
    settings: Reload,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
) -> Prepared {
    let begun = Instant::now();
    let live = Arc::new(Mutex::new(Live::default()));
    let (grants, told, pauses, ids) =
        (places.own_grants.clone(), Told::default(), Arc::default(), 0);
    let mut work = Work { places, settings, catalog, clock, grants, told, live, pauses, ids };
    let (scan, grants) = work.scan(false);
    Prepared { work, ruleset: scan.ruleset.clone(), scan, grants, begun }
}

impl Prepared {
    /// Takes the first look's sinks into the hub and goes on watching.
    pub fn start(
        self,
        judge: Judge,
        hub: Arc<SinkHub>,
        guests: Guests,
        adoptions: Receiver<Adopted>,
    ) -> std::io::Result<(Reloader, JoinHandle<()>)> {
        let Prepared { work, ruleset, scan, grants, begun } = self;
        let (live, pauses) = (work.live.clone(), work.pauses.clone());
        let mut running = Running { work, judge, hub, guests, adoptions, ruleset };
        running.first(&scan, grants, begun);
        let (wishes, wished) = unbounded();
        let watch = running.watch(&wishes);
        let look = look_at(&wishes, ReloadTrigger::Death);
        running.work.catalog.strikes().on_new_version_died(look);
        let thread = std::thread::Builder::new()
            .name("reload".into())
            .spawn(move || running.run(&wished, watch))?;
        Ok((Reloader { wishes, live, pauses }, thread))
    }
}

impl Running {
    fn first(&mut self, scan: &Scan, grants: Grants, begun: Instant) {
        let added =
            self.ruleset.rules().iter().map(|rule| (rule.name.clone(), Kept::Added)).collect();
        self.apply(scan, grants);
        let pause = StdDuration::ZERO;
        self.report(scan, ReloadTrigger::Start, Adoption { rules: added }, begun, pause);
    }

    fn run(mut self, wished: &Receiver<Wish>, mut watch: Option<Watches>) {
        let home = BTreeSet::from([folders::home(&self.work.places.grants).to_owned()]);
        loop {
            if let Some(watch) = &mut watch {
                watch.folders.set(self.folders());
                watch.grants.set(home.clone());
            }
            let poll = self.until_next_look();
            let first = wished.recv_timeout(poll);
            let begun = Instant::now();
            let gathered = match first {
                Ok(Wish::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(wish) => Gathered::until_quiet(wish, wished, self.work.settings.quiet.to_std()),
                Err(RecvTimeoutError::Timeout) => Gathered::of(ReloadTrigger::Poll),
            };
            let report = self.look(gathered.trigger, gathered.accept, begun);
            for answer in gathered.waiting {
                // Whoever asked may have gone.
                let _ = answer.send(report.clone());
            }
            if gathered.stop {
                return;
            }
        }
    }

    /// Until the poll, or until a missing file counts as removed.
    fn until_next_look(&self) -> StdDuration {
        let poll = self.work.settings.poll.to_std();
        if self.work.catalog.has_missing() { poll.min(StdDuration::from_millis(250)) } else { poll }
    }

    fn look(&mut self, trigger: ReloadTrigger, accept: bool, begun: Instant) -> ReloadReport {
        let (scan, grants) = self.work.scan(accept);
        let mut pause = StdDuration::ZERO;
        let mut adoption = Adoption::default();
        if scan.ruleset.version() != self.ruleset.version() || scan.is_new {
            let old = std::mem::replace(&mut self.ruleset, scan.ruleset.clone());
            let pauses = self.judge.swap(old, scan.ruleset.clone());
            pause = self.work.pauses.observe(&pauses);
            // Nothing more is told when we are stopping. What is out of use is dropped here.
            (adoption, _) = self.adoptions.recv().unwrap_or_default();
        }
        let changes = self.apply(&scan, grants);
        log::sinks(&changes);
        self.report(&scan, trigger, adoption, begun, pause)
    }

    fn report(
        &mut self,
        scan: &Scan,
        trigger: ReloadTrigger,
        adoption: Adoption,
        begun: Instant,
        pause: StdDuration,
    ) -> ReloadReport {
        let mut findings: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
        for finding in &scan.findings {
            findings.entry(&finding.file).or_default().push(finding);
        }
        let is_news = |file: &str| scan.changed.iter().any(|changed| changed.as_ref() == file);
        let bad = scan.findings.iter().any(|f| f.severity == Severity::Error && is_news(&f.file));
        let outcome = match (bad, adoption.rules.iter().any(|(_, kept)| *kept != Kept::Unchanged)) {
            (false, _) if !scan.is_new => ReloadOutcome::Unchanged,
            (false, _) => ReloadOutcome::Adopted,
            (true, true) => ReloadOutcome::Partial,
            (true, false) => ReloadOutcome::Failed,
        };
        let files = scan.changed.iter().map(|file| FileReport {
            file: file.clone(),
            findings: findings
                .get(file.as_ref())
                .map(|found| found.iter().map(|f| report::of_finding(f)).collect())
                .unwrap_or_default(),
        });
        let report = ReloadReport {
            id: self.work.ids + 1,
            at: self.work.clock.now(),
            trigger,
            outcome,
            version: scan.ruleset.version(),
            files: files.collect(),
            rules: adoption.rules.into_iter().filter_map(report::of_rule).collect(),
            duration: report::length(begun.elapsed()),
            pause: report::length(pause),
        };
        let unchanged = outcome == ReloadOutcome::Unchanged;
        let mut live = self.work.live.lock().expect(UNPOISONED);
        live.ruleset = Some(scan.ruleset.clone());
        let held = std::mem::replace(&mut live.held, scan.held.clone());
        live.missing_sinks = report::missing_sinks(&scan.ruleset, &self.hub);
        live.failures += u64::from(bad);
        if !unchanged {
            self.work.ids += 1;
            live.reloads += 1;
            live.reports.push_back(report.clone());
            if live.reports.len() > REPORTS_MAX {
                live.reports.pop_front();
            }
        }
        live.findings = scan.findings.clone();
        drop(live);
        log::held(&held, &scan.held);
        if !unchanged {
            log::report(scan, &report);
        }
        report
    }

    /// The system's notices, unless only the poll is wanted or notices cannot be had.
    fn watch(&self, wishes: &Sender<Wish>) -> Option<Watches> {
        if self.work.settings.mode == ReloadMode::Poll {
            return None;
        }
        let watch = |name| {
            let look = look_at(wishes, ReloadTrigger::Watch);
            Watch::new(name, move |paths| {
                tracing::debug!(?paths, "changed");
                look();
            })
        };
        // All kinds of files lie beside the grants, our own log perhaps among them.
        let name = self.work.places.grants.file_name().map(OsString::from);
        let watches =
            watch(None).and_then(|folders| watch(name).map(|grants| Watches { folders, grants }));
        watches
            .inspect_err(|error| tracing::warn!(%error, "no notices of changes; only polled"))
            .ok()
    }

    /// Where rules, plugins and the libraries of both lie.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let mut folders = BTreeSet::new();
        for folder in [&self.work.places.rules, &self.work.places.plugins] {
            let imports = self.work.catalog.imports(&folders::shown(folder));
            let parent = |file: &String| folder.join(file).parent().map(PathBuf::from);
            folders.extend(imports.iter().filter_map(parent));
            folders.insert(folder.clone());
        }
        folders
    }
}

impl Work {
    /// Looks at the grants and the folders as they are now.
    fn scan(&mut self, accept_empty: bool) -> (Scan, Grants) {
        let grants = self.grants();
        let folders = [&self.places.rules, &self.places.plugins].map(|path| {
            let mut folder = folders::read(path, &self.catalog.imports(&folders::shown(path)));
            for found in folder.files.iter_mut().flatten() {
                found.terms = self.grants.terms(found.name());
            }
            if let Some(why) = self.places.refused(path) {
                folder.files = Err(Unlisted { why, is_missing: false });
            }
            folder
        });
        (self.catalog.scan(&folders, self.clock.now(), accept_empty), grants)
    }
}
