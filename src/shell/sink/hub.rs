//! All sinks by name: takes new declarations, routes events, answers for the whole.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::dead_letters::file_name;
use super::status::SinkStatus;
use super::steady::Steady;
use super::worker::{Answer, Duty, Worker};
use crate::guest::grant::{Blocked, Granted};
use crate::guest::sink::{Outcome, Sink, SinkEnv};
use crate::kernel::delivery::own;
use crate::kernel::event::Event;
use crate::kernel::model::Now;

/// What the hub stands on.
#[derive(Clone, Debug)]
pub struct HubEnv {
    /// The data directory: `sinks/NAME/` is a sink's own folder, `dead-letters/` holds the logs.
    pub data: PathBuf,
    /// The wall clock's time now.
    pub started: Now,
    /// Of all jitter.
    pub seed: u64,
    /// Sinks that get what names no sink.
    pub defaults: Vec<Arc<str>>,
}

/// A sink as the configuration found it. The sink's version is a hash of all that it was made from:
/// by it the hub tells whether anything changed.
#[derive(Clone, Debug)]
pub struct Declared {
    pub sink: Sink,
    pub standing: Standing,
}

#[derive(Clone, Debug)]
pub enum Standing {
    /// Everything it asks for was granted.
    Granted { granted: Granted, settings: serde_json::Value },
    /// Something was not: what, and the line to add.
    Blocked { why: String, cure: String },
}

impl Standing {
    /// Of what asks for grants: what it got, or what it lacks.
    pub fn of(effective: Result<Granted, Blocked>, settings: serde_json::Value) -> Standing {
        match effective {
            Ok(granted) => Standing::Granted { granted, settings },
            Err(blocked) => Standing::Blocked { why: blocked.why, cure: blocked.cure },
        }
    }
}

/// What a new set of declarations did to one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Added,
    Kept,
    /// The queue went over to the new version.
    Replaced,
    /// Asks for more than it was granted; its events go to the default sinks.
    Blocked,
    /// This many events wait for its return or for a purge; with none it is forgotten.
    Removed {
        waiting: u64,
    },
}

/// Why a test event did not bring an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestError {
    Unknown {
        known: Vec<Arc<str>>,
    },
    Blocked {
        why: String,
        cure: String,
    },
    Removed,
    /// The sink got it into its queue and did not send it: why.
    Unsent {
        why: String,
    },
    /// No answer in time; the last error may tell why.
    NoAnswer {
        last_error: Option<String>,
    },
}

/// Events that did not go where they were meant to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Routed {
    /// Names in `notify` that stood for no running sink.
    pub unrouted: u64,
    /// Events that not even a default sink was there for.
    pub nowhere: u64,
}

#[derive(Debug)]
pub struct SinkHub {
    env: HubEnv,
    runtime: Handle,
    time: Steady,
    table: RwLock<Table>,
    unrouted: AtomicU64,
    nowhere: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    /// Every sink there is, running or not.
    workers: BTreeMap<Arc<str>, Arc<Worker>>,
    /// Those that take events.
    running: BTreeSet<Arc<str>>,
}

impl SinkHub {
    /// To be called within a tokio runtime; the workers run there.
    pub fn new(env: HubEnv) -> SinkHub {
        SinkHub {
            runtime: Handle::current(),
            time: Steady::from(env.started),
            env,
            table: RwLock::default(),
            unrouted: AtomicU64::new(0),
            nowhere: AtomicU64::new(0),
        }
    }

    /// Makes `declared` the sinks there are, at once; names are unique. Deliveries in flight finish
    /// with what they began.
    pub fn apply(&self, declared: Vec<Declared>) -> Vec<(Arc<str>, Change)> {
        let mut table = self.table.write().expect("nothing panics under this lock");
        let mut changes = Vec::new();
        let named: BTreeSet<Arc<str>> = declared.iter().map(|d| d.sink.name.clone()).collect();
        for declared in declared {
            changes.push((declared.sink.name.clone(), self.apply_one(&mut table, declared)));
        }
        for (name, worker) in &table.workers {
            if !named.contains(name) && worker.duty() != Duty::Removed {
                worker.remove();
                changes.push((name.clone(), Change::Removed { waiting: worker.waiting() }));
            }
        }
        table.workers.retain(|_, worker| !worker.is_spent());
        table.running.retain(|name| named.contains(name));
        changes
    }

    /// Gives an event to its sinks. Never waits. Shadow events and changes that nobody is told of
    /// go nowhere.
    pub fn publish(&self, event: &Arc<Event>) {
        if event.shadow || !event.kind.is_told() {
            return;
        }
        let table = self.table.read().expect("nothing panics under this lock");
        let (mut bound, absent): (BTreeSet<&Arc<str>>, BTreeSet<&Arc<str>>) =
            event.notify.iter().partition(|name| table.running.contains(*name));
        self.unrouted.fetch_add(absent.len() as u64, Ordering::Relaxed);
        if !absent.is_empty() || event.notify.is_empty() {
            bound.extend(self.env.defaults.iter().filter(|name| table.running.contains(*name)));
        }
        if bound.is_empty() {
            let count = self.nowhere.fetch_add(1, Ordering::Relaxed) + 1;
            // Ever more rarely: the counter tells the rest.
            if count.is_power_of_two() {
                tracing::error!(rule = %event.rule, id = %event.id, count, "no sink for an event");
            }
        }
        for name in bound {
            if let Some(worker) = table.workers.get(name) {
                worker.offer(event.clone());
            }
        }
    }

    /// Sends what waits, and returns when it is settled everywhere: delivered, dead or withheld. A
    /// caller that cannot wait for a sink that is down puts a timeout around it.
    pub async fn flush(&self) {
        let flushes: Vec<_> = self.workers().iter().map(|worker| worker.flush()).collect();
        for flush in flushes {
            // An error means that the worker is gone, and with it whatever waited.
            let _ = flush.await;
        }
    }

    /// Flushes for at most `grace`; what is left then goes to the dead letters. Afterwards the hub
    /// takes no more events.
    pub async fn stop(&self, grace: Duration) {
        let flushed = tokio::time::timeout(grace, self.flush()).await;
        if flushed.is_err() {
            tracing::warn!(?grace, "sinks did not take everything in time; see the dead letters");
        }
        let workers = {
            let mut table = self.table.write().expect("nothing panics under this lock");
            table.running.clear();
            std::mem::take(&mut table.workers)
        };
        for worker in workers.values() {
            worker.close("not delivered before the shutdown").await;
        }
    }

    /// Ends a removed sink's wait: what it holds goes to the dead letters. How many events that
    /// were; `None` when no removed sink has this name.
    pub async fn purge(&self, name: &str) -> Option<u64> {
        let worker = {
            let mut table = self.table.write().expect("nothing panics under this lock");
            let worker = table.workers.get(name)?;
            if worker.duty() != Duty::Removed {
                return None;
            }
            table.workers.remove(name)?
        };
        let waiting = worker.waiting();
        worker.close("purged").await;
        Some(waiting)
    }

    /// Sends a marked test event through a sink, the way every event goes, and tells what came back
    /// from the first attempt.
    pub async fn test(&self, name: &str, patience: Duration) -> Result<Outcome, TestError> {
        let worker = self.worker(name)?;
        match worker.duty() {
            Duty::Running => {}
            Duty::Removed => return Err(TestError::Removed),
            Duty::Blocked { why, cure } => return Err(TestError::Blocked { why, cure }),
        }
        let answer = worker.probe(Arc::new(own::test(name, self.time.now())));
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(Answer::Tried(outcome))) => Ok(outcome),
            Ok(Ok(Answer::Unsent(why))) => Err(TestError::Unsent { why }),
            Ok(Err(_)) => Err(TestError::Removed),
            Err(_) => Err(TestError::NoAnswer { last_error: worker.status(false).last_error }),
        }
    }

    /// In the order of their names; a removed sink as long as events wait for it.
    pub fn status(&self) -> Vec<SinkStatus> {
        let table = self.table.read().expect("nothing panics under this lock");
        let default = |name: &Arc<str>| self.env.defaults.contains(name);
        let shown = table.workers.iter().filter(|(_, worker)| !worker.is_spent());
        shown.map(|(name, worker)| worker.status(default(name))).collect()
    }

    pub fn routed(&self) -> Routed {
        Routed {
            unrouted: self.unrouted.load(Ordering::Relaxed),
            nowhere: self.nowhere.load(Ordering::Relaxed),
        }
    }

    /// Publishes the watchdog at once and then every `every`, which is more than zero, until the
    /// task is aborted.
    pub fn watch(self: &Arc<Self>, notify: Vec<Arc<str>>, every: Duration) -> JoinHandle<()> {
        let hub = self.clone();
        self.runtime.spawn(async move {
            let started = hub.time.now();
            let mut ticks = tokio::time::interval(every);
            // After a suspend one is due, not one for each that was missed.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for turn in 0.. {
                ticks.tick().await;
                let event = own::watchdog(started, hub.time.now(), turn);
                hub.publish(&Arc::new(Event { notify: notify.clone(), ..event }));
            }
        })
    }

    fn apply_one(&self, table: &mut Table, declared: Declared) -> Change {
        let Declared { sink, standing } = declared;
        let folder = self.env.data.join("sinks").join(file_name(&sink.name));
        let (duty, granted, settings) = match standing {
            Standing::Granted { granted, settings } => (Duty::Running, granted, settings),
            Standing::Blocked { why, cure } => {
                (Duty::Blocked { why, cure }, Granted::default(), serde_json::Value::Null)
            }
        };
        let (name, env) = (sink.name.clone(), SinkEnv { granted, folder, settings });
        let runs = duty == Duty::Running;
        if runs {
            table.running.insert(name.clone());
        } else {
            table.running.remove(&name);
        }
        let known = table.workers.get(&name);
        if known.is_some_and(|worker| worker.is(&sink, &env, &duty)) {
            return Change::Kept;
        }
        let added = known.is_none();
        match known {
            Some(worker) => worker.replace(sink, env, duty),
            None => {
                let letters = self.env.data.join("dead-letters");
                // Another seed for each, or all sinks of one receiver would come back together.
                let seed = self.env.seed ^ xxhash_rust::xxh3::xxh3_64(name.as_bytes());
                let runtime = &self.runtime;
                let worker = Worker::start(runtime, self.time, seed, &letters, sink, env, duty);
                table.workers.insert(name, Arc::new(worker));
            }
        }
        match (runs, added) {
            (false, _) => Change::Blocked,
            (true, true) => Change::Added,
            (true, false) => Change::Replaced,
        }
    }

    fn workers(&self) -> Vec<Arc<Worker>> {
        let table = self.table.read().expect("nothing panics under this lock");
        table.workers.values().cloned().collect()
    }

    fn worker(&self, name: &str) -> Result<Arc<Worker>, TestError> {
        let table = self.table.read().expect("nothing panics under this lock");
        let known = || table.workers.keys().cloned().collect();
        table.workers.get(name).cloned().ok_or_else(|| TestError::Unknown { known: known() })
    }
}
