//! All probes by name: takes new declarations, starts and ends what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::guest::probe::Probe;
use crate::guest::sink::SinkEnv;

use super::inlet::SourceKind;
use super::sink::Standing;
use super::sink::dead_letters::file_name;
use super::source::Surroundings;
use super::source::probe::{Counts, Spec, Work, phase_of};

/// A probe as the configuration found it.
#[derive(Clone, Debug)]
pub struct DeclaredProbe {
    pub probe: Probe,
    pub standing: Standing,
}

/// How one probe stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeStatus {
    pub name: Arc<str>,
    pub kind: &'static str,
    /// Why it does not run, and the line to add.
    pub blocked: Option<(String, String)>,
    pub counts: Counts,
}

pub struct ProbeHub {
    around: Surroundings,
    data: PathBuf,
    runtime: Handle,
    probes: Mutex<BTreeMap<Arc<str>, Slot>>,
}

/// A probe's place. Its task lives on while it is blocked or removed, waiting for what comes, so
/// that a source's name is never opened twice.
struct Slot {
    kind: &'static str,
    blocked: Option<(String, String)>,
    specs: watch::Sender<Option<Arc<Spec>>>,
    counts: Arc<Mutex<Counts>>,
    task: Option<JoinHandle<()>>,
}

impl ProbeHub {
    /// To be called within a tokio runtime; the probes run there. `data` is the data directory:
    /// `probes/NAME/` is a probe's own folder.
    pub fn new(around: Surroundings, data: PathBuf) -> ProbeHub {
        ProbeHub { around, data, runtime: Handle::current(), probes: Mutex::default() }
    }

    /// Makes `declared` the probes there are. Measurements in flight finish; one that ends is
    /// waited for, since its source's name may be opened again at once.
    pub fn apply(&self, declared: Vec<DeclaredProbe>) {
        let mut probes = self.probes();
        let named: BTreeSet<Arc<str>> = declared.iter().map(|d| d.probe.name.clone()).collect();
        let gone: Vec<Arc<str>> =
            probes.keys().filter(|name| !named.contains(*name)).cloned().collect();
        for name in gone {
            if let Some(slot) = probes.remove(&name) {
                self.end(slot);
                tracing::info!("probe {name} is removed");
            }
        }
        for DeclaredProbe { probe, standing } in declared {
            match standing {
                Standing::Granted { granted, settings } => {
                    let folder = self.data.join("probes").join(file_name(&probe.name));
                    let env = SinkEnv { granted, folder, settings };
                    self.run(&mut probes, Spec { probe, env });
                }
                Standing::Blocked { why, cure } => self.block(&mut probes, &probe, (why, cure)),
            }
        }
    }

    /// Ends all of them, each after the measurement that runs.
    pub fn stop(&self) {
        let probes = std::mem::take(&mut *self.probes());
        for slot in probes.values() {
            let _ = slot.specs.send(None);
        }
        for (_, slot) in probes {
            self.end(slot);
        }
    }

    /// In the order of their names.
    pub fn status(&self) -> Vec<ProbeStatus> {
        let status = |(name, slot): (&Arc<str>, &Slot)| ProbeStatus {
            name: name.clone(),
            kind: slot.kind,
            blocked: slot.blocked.clone(),
            counts: slot.counts.lock().expect(UNPOISONED).clone(),
        };
        self.probes().iter().map(status).collect()
    }

    fn run(&self, probes: &mut BTreeMap<Arc<str>, Slot>, spec: Spec) {
        let name = spec.probe.name.clone();
        if let Some(slot) = probes.get(&name).filter(|slot| slot.task.is_some()) {
            if !slot.specs.borrow().as_ref().is_some_and(|known| known.is_like(&spec)) {
                slot.specs.send_replace(Some(Arc::new(spec)));
                tracing::info!("probe {name} runs in its new version");
            }
            return;
        }
        let kind = spec.probe.kind;
        let inlet = self.around.gate.open(&format!("probe:{name}"), SourceKind::Probe, None);
        let (specs, present) = watch::channel(Some(Arc::new(spec)));
        let counts: Arc<Mutex<Counts>> = Arc::default();
        let work = Work {
            inlet,
            clock: self.around.clock.clone(),
            specs: present,
            counts: counts.clone(),
            phase: phase_of(&name),
        };
        let task = Some(self.runtime.spawn(work.run()));
        tracing::info!("probe {name} runs");
        probes.insert(name, Slot { kind, blocked: None, specs, counts, task });
    }

    fn block(
        &self,
        probes: &mut BTreeMap<Arc<str>, Slot>,
        probe: &Probe,
        (why, cure): (String, String),
    ) {
        let name = &probe.name;
        let blocked = Some((why, cure));
        if probes.get(name).is_some_and(|slot| slot.blocked == blocked) {
            return;
        }
        if let Some(slot) = probes.remove(name) {
            self.end(slot);
        }
        let (specs, _) = watch::channel(None);
        let (kind, counts) = (probe.kind, Arc::default());
        probes.insert(name.clone(), Slot { kind, blocked, specs, counts, task: None });
    }

    /// Waits for the task's end; a measurement ends by its own deadlines.
    fn end(&self, slot: Slot) {
        let _ = slot.specs.send(None);
        if let Some(task) = slot.task {
            let _ = self.runtime.block_on(task);
        }
    }

    fn probes(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Slot>> {
        self.probes.lock().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "nothing panics under this lock";
