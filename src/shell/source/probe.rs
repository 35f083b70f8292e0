//! One probe at work: asked on its period, and what it gives handed in.
//!
//! One task serves a probe for as long as it is declared, so a new version takes the place of the
//! old between two measurements and the source goes on. A measurement is never cut short: the next
//! one is left out while it runs.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::guest::probe::{Collect, Failed, Probe, READINGS_MAX, Reading};
use crate::guest::sink::SinkEnv;
use crate::kernel::model::Refusal;
use crate::kernel::rule::program::Fault;
use crate::shell::clock::Clock;
use crate::shell::inlet::{Inlet, Stopped};

use super::readings::Slots;
use super::running::passed_on;

/// What a reading is charged in the budget, near enough.
const READING_BYTES: usize = 128;

/// A probe that may run, with what it is granted.
#[derive(Clone, Debug)]
pub struct Spec {
    pub probe: Probe,
    pub env: SinkEnv,
}

impl Spec {
    /// Whether nothing changed that it was made from.
    pub fn is_like(&self, other: &Spec) -> bool {
        self.probe.version == other.probe.version
            && self.env.granted == other.env.granted
            && self.env.settings == other.env.settings
    }
}

/// What a probe has done so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    pub measured: u64,
    pub failed: u64,
    pub readings: u64,
    /// Past what one measurement may have.
    pub left_out: u64,
    pub last_error: Option<String>,
}

pub struct Work {
    pub inlet: Inlet,
    pub clock: Arc<dyn Clock>,
    /// `None` ends the task.
    pub specs: watch::Receiver<Option<Arc<Spec>>>,
    pub counts: Arc<Mutex<Counts>>,
    /// In `0.0..1.0`: where in its period the first measurement lies.
    pub phase: f64,
}

impl Work {
    pub async fn run(mut self) {
        self.inlet.listening(true);
        while let Some(spec) = self.present() {
            if self.serve(&spec).await.is_err() {
                break;
            }
        }
        self.inlet.listening(false);
    }

    fn present(&mut self) -> Option<Arc<Spec>> {
        self.specs.borrow_and_update().clone()
    }

    /// Measures until another version comes.
    async fn serve(&mut self, spec: &Arc<Spec>) -> Result<(), Stopped> {
        let period = spec.probe.every.to_std();
        let mut ticks = interval_at(Instant::now() + period.mul_f64(self.phase), period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // Slots that are announced anew mean something else from then on.
        let (mut instance, mut slots) = (None, Slots::default());
        loop {
            tokio::select! {
                biased;
                changed = self.specs.changed() => return changed.map_err(|_| Stopped),
                _ = ticks.tick() => {}
            }
            match self.measure(spec, &mut instance).await {
                Ok(readings) => self.hand_in(&mut slots, readings).await?,
                Err(fault) => self.failed(spec, &fault),
            }
        }
    }

    async fn measure(
        &self,
        spec: &Arc<Spec>,
        instance: &mut Option<Box<dyn Collect>>,
    ) -> Result<Vec<Reading>, Fault> {
        let mut open = match instance.take() {
            Some(open) => open,
            None => opened(spec.clone()).await?,
        };
        match open.collect(self.clock.now()).await {
            Ok(readings) => {
                *instance = Some(open);
                Ok(readings)
            }
            Err(Failed { fault, over }) => {
                *instance = (!over).then_some(open);
                Err(fault)
            }
        }
    }

    async fn hand_in(&self, slots: &mut Slots, mut readings: Vec<Reading>) -> Result<(), Stopped> {
        let left_out = readings.len().saturating_sub(READINGS_MAX);
        readings.truncate(READINGS_MAX);
        self.count(|counts| {
            counts.measured += 1;
            counts.readings += readings.len() as u64;
            counts.left_out += left_out as u64;
        });
        let permit = self.inlet.reserve(READING_BYTES * readings.len()).await?;
        let mut batch = slots.begin();
        for Reading { metric, labels, at, value } in readings {
            let series = (metric.as_str(), labels);
            slots.push(&mut batch, self.inlet.limits(), series, at, value);
        }
        batch.refused.add(Refusal::Shed, left_out as u64);
        (batch.arrival, batch.bytes) = (Some(self.clock.now()), permit.bytes());
        self.inlet.deliver(batch, permit)
    }

    fn failed(&self, spec: &Spec, fault: &Fault) {
        let mut failed = 0;
        self.count(|counts| {
            counts.failed += 1;
            counts.last_error = Some(fault.to_string());
            failed = counts.failed;
        });
        // Ever more rarely: the counter tells the rest.
        if failed.is_power_of_two() {
            tracing::warn!(probe = %spec.probe.name, failed, "no measurement: {fault}");
        }
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().expect("nothing panics under this lock"));
    }
}

async fn opened(spec: Arc<Spec>) -> Result<Box<dyn Collect>, Fault> {
    let open = move || {
        let folder = &spec.env.folder;
        std::fs::create_dir_all(folder)
            .map_err(|error| Fault::new(format!("cannot make {}: {error}", folder.display())))?;
        spec.probe.opener.open(&spec.env)
    };
    let opened = passed_on(tokio::task::spawn_blocking(open).await);
    opened.unwrap_or_else(|| Err(Fault::new("the runtime is stopping")))
}

/// A share of a period from a hash of a name, so that probes do not all measure at once and each
/// does so at the same place after a restart.
pub fn phase_of(name: &str) -> f64 {
    let hash = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
    (hash >> 11) as f64 / (1u64 << 53) as f64
}
