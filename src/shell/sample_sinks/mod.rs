//! Sinks of samples at work: each gets the accepted samples that it wants, in their order.
//!
//! The sequencer's thread puts what it tapped into each sink's inbox and goes on; a task for each
//! sink chooses, queues and delivers. Never makes the sequencer or a shard wait: past a bound
//! samples are refused and counted. Never decides what is sent when (`kernel::delivery` does).
//!
//! Invariants:
//! - A sink gets no sample twice but by a repeated attempt, under the same key, and none out of
//!   order.
//! - Which series a number stands for is never lost, though samples may be.
//! - A change of a sink is a message in its inbox: what was accepted before goes before it.

mod actor;
mod inbox;
pub mod status;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::config::settings::Settings;
use crate::guest::grant::Granted;
use crate::guest::sample_sink::SampleSink;
use crate::guest::sink::{Batching, SinkEnv};
use crate::kernel::delivery::SamplePolicy;
use crate::kernel::model::Now;
use crate::kernel::rule::selector::Selector;
use crate::kernel::sequence::tap::Tapped;

use super::sink::Standing;
use super::sink::dead_letters::file_name;
use super::sink::steady::Steady;
use status::{Duty, SampleSinkStatus};
use worker::Worker;

/// How long a removed sink may take to deliver what it was given.
const REMOVAL_GRACE: Duration = Duration::from_secs(10);

/// What the hub stands on.
#[derive(Clone, Debug)]
pub struct SampleHubEnv {
    /// The data directory: `sinks/NAME/` is a sink's own folder.
    pub data: PathBuf,
    /// The wall clock's time now.
    pub started: Now,
    /// Of sinks that name none.
    pub batching: Batching,
    /// For each sink.
    pub rows_max: usize,
    pub bytes_max: usize,
}

/// A sink as the configuration found it.
#[derive(Clone, Debug)]
pub struct DeclaredSampleSink {
    pub sink: SampleSink,
    pub standing: Standing,
}

pub struct SampleHub {
    env: SampleHubEnv,
    runtime: Handle,
    time: Steady,
    workers: RwLock<BTreeMap<Arc<str>, Arc<Worker>>>,
}

impl SampleHubEnv {
    pub fn of(settings: &Settings, started: Now) -> SampleHubEnv {
        let samples = &settings.sinks.samples;
        SampleHubEnv {
            data: settings.paths.data.clone(),
            started,
            batching: Batching { max: samples.batch_rows, age: samples.batch_age },
            rows_max: samples.queue_rows_max,
            bytes_max: samples.queue_bytes_max,
        }
    }
}

impl SampleHub {
    /// To be called within a tokio runtime; the sinks' tasks run there.
    pub fn new(env: SampleHubEnv) -> SampleHub {
        let (runtime, time) = (Handle::current(), Steady::from(env.started));
        SampleHub { env, runtime, time, workers: RwLock::default() }
    }

    /// Makes `declared` the sinks there are. When anything changed: all that running sinks want
    /// now, for the tap to be set anew. A removed sink delivers what it has, within a time.
    pub fn apply(&self, declared: Vec<DeclaredSampleSink>) -> Option<Vec<Selector>> {
        let mut workers = self.write();
        let named: BTreeSet<Arc<str>> = declared.iter().map(|d| d.sink.name.clone()).collect();
        let gone: Vec<Arc<str>> =
            workers.keys().filter(|name| !named.contains(*name)).cloned().collect();
        let mut changed = !gone.is_empty();
        for name in gone {
            if let Some(worker) = workers.remove(&name) {
                tracing::info!("sample sink {name} is removed");
                self.runtime.spawn(async move { worker.close(REMOVAL_GRACE).await });
            }
        }
        for declared in declared {
            changed |= self.apply_one(&mut workers, declared);
        }
        let running = workers.values().filter(|worker| worker.is_running());
        changed.then(|| running.flat_map(|worker| worker.wants()).collect())
    }

    /// Gives samples to all sinks. Never waits.
    pub fn offer(&self, tapped: Tapped) {
        let tapped = Arc::new(tapped);
        self.read().values().for_each(|worker| worker.offer(&tapped));
    }

    /// Delivers what waits, and returns when all of it is settled. A caller that cannot wait for a
    /// sink that is down puts a timeout around it.
    pub async fn flush(&self) {
        let flushes: Vec<_> = self.read().values().map(|worker| worker.flush()).collect();
        for flush in flushes {
            // An error means that the sink is gone, and with it whatever waited.
            let _ = flush.await;
        }
    }

    /// Flushes for at most `grace`; what is left then is counted and lost.
    pub async fn stop(&self, grace: Duration) {
        let workers = std::mem::take(&mut *self.write());
        let ends = workers
            .into_values()
            .map(|worker| self.runtime.spawn(async move { worker.close(grace).await }));
        for end in ends.collect::<Vec<_>>() {
            let _ = end.await;
        }
    }

    /// In the order of their names.
    pub fn status(&self) -> Vec<SampleSinkStatus> {
        self.read().values().map(|worker| worker.status()).collect()
    }

    /// Whether anything is another than before.
    fn apply_one(
        &self,
        workers: &mut BTreeMap<Arc<str>, Arc<Worker>>,
        DeclaredSampleSink { sink, standing }: DeclaredSampleSink,
    ) -> bool {
        let folder = self.env.data.join("sinks").join(file_name(&sink.name));
        let (duty, granted, settings) = match standing {
            Standing::Granted { granted, settings } => (Duty::Running, granted, settings),
            Standing::Blocked { why, cure } => {
                (Duty::Blocked { why, cure }, Granted::default(), serde_json::Value::Null)
            }
        };
        let (name, env) = (sink.name.clone(), SinkEnv { granted, folder, settings });
        let known = workers.get(&name);
        if known.is_some_and(|worker| worker.is(&sink, &env, &duty)) {
            return false;
        }
        match &duty {
            Duty::Running if known.is_some() => {
                tracing::info!("sample sink {name} runs in its new version");
            }
            Duty::Running => tracing::info!("sample sink {name} runs"),
            // It is told where all plugins are.
            Duty::Blocked { .. } => {}
        }
        let policy = self.policy_of(&sink);
        match known {
            Some(worker) => worker.replace(sink, env, duty, policy),
            None => {
                let started = self.env.started.nanos().unsigned_abs();
                let seed = started ^ xxhash_rust::xxh3::xxh3_64(name.as_bytes());
                let worker = Worker::new(sink, env, duty, policy);
                worker.start(&self.runtime, self.time, seed);
                workers.insert(name, Arc::new(worker));
            }
        }
        true
    }

    fn policy_of(&self, sink: &SampleSink) -> SamplePolicy {
        SamplePolicy {
            batching: sink.batching.unwrap_or(self.env.batching),
            retry: sink.retry,
            rows_max: self.env.rows_max,
            bytes_max: self.env.bytes_max,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Arc<str>, Arc<Worker>>> {
        self.workers.read().expect(UNPOISONED)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Arc<str>, Arc<Worker>>> {
        self.workers.write().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "nothing panics under this lock";
