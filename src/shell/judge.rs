//! The thread that is the sequencer: takes what sources hand in and what people order, one at a
//! time, and keeps the clock for sources that fall silent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration as StdDuration;

use crossbeam::channel::{Receiver, Sender, bounded, select, tick, unbounded};

use crate::guest::wasm::strikes::Strikes;
use crate::kernel::machine::Snapshot;
use crate::kernel::model::{Duration, EventTime, Labels, Now};
use crate::kernel::rule::ruleset::Ruleset;
use crate::kernel::sequence::sequencer::{Arrived, SourceReport};

use super::clock::Clock;
use super::inlet::Inbound;
use super::pipeline::{Look, Permit, Pipeline};

/// How often silent sources are looked at; the watermark waits no longer than this for them.
const TICK: StdDuration = StdDuration::from_millis(100);
/// Rules whose evaluations mostly faulted in so much time are quarantined.
const FAULT_SPAN: Duration = Duration::from_secs(10);
const QUARANTINE_MIN: Duration = Duration::from_secs(1);
const QUARANTINE_MAX: Duration = Duration::from_secs(300);

/// What can be asked of the thread.
enum Order {
    Swap { ruleset: Arc<Ruleset>, done: Sender<Vec<StdDuration>> },
    Look(Sender<Overview>),
    Forget { rule: Arc<str>, key: Labels, done: Sender<()> },
    Flush(Sender<()>),
    Stop(Sender<Snapshot>),
}

/// How everything stands between two elements of the sequence.
#[derive(Debug, Default)]
pub struct Overview {
    pub look: Look,
    pub sources: Vec<SourceReport>,
    pub watermark: Option<EventTime>,
    pub series: usize,
    pub accepted: u64,
}

/// The way to the thread; cheap to clone. When the thread is gone answers are empty.
#[derive(Clone)]
pub struct Judge(Sender<Order>);

impl Judge {
    pub fn start(
        pipeline: Pipeline,
        inbound: Receiver<Inbound>,
        clock: Arc<dyn Clock>,
        strikes: Arc<Strikes>,
    ) -> std::io::Result<(Judge, JoinHandle<()>)> {
        let (orders, taken) = unbounded();
        let quarantined = held_before(&pipeline, clock.now());
        let (counts, counted) = (BTreeMap::new(), None);
        let work = Work { pipeline, clock, strikes, counts, counted, quarantined };
        let thread = std::thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || work.run(&inbound, &taken))?;
        Ok((Judge(orders), thread))
    }

    /// Adopts a ruleset; returns when every shard has, with the pause of each.
    pub fn swap(&self, ruleset: Arc<Ruleset>) -> Vec<StdDuration> {
        self.ask(|done| Order::Swap { ruleset, done }).unwrap_or_default()
    }

    pub fn look(&self) -> Overview {
        self.ask(Order::Look).unwrap_or_default()
    }

    pub fn forget(&self, rule: &str, key: &Labels) {
        let (rule, key) = (rule.into(), key.clone());
        self.ask(|done| Order::Forget { rule, key, done });
    }

    /// Returns when all that was handed in before is judged and told.
    pub fn flush(&self) {
        self.ask(Order::Flush);
    }

    /// Judges what was handed in, ends the shards, and gives the state to go on from.
    pub fn stop(&self) -> Option<Snapshot> {
        self.ask(Order::Stop)
    }

    fn ask<T>(&self, order: impl FnOnce(Sender<T>) -> Order) -> Option<T> {
        let (answer, answers) = bounded(1);
        self.0.send(order(answer)).ok()?;
        answers.recv().ok()
    }
}

struct Work {
    pipeline: Pipeline,
    clock: Arc<dyn Clock>,
    strikes: Arc<Strikes>,
    /// Evaluations and faults of each rule at the last count.
    counts: BTreeMap<Arc<str>, (u64, u64)>,
    counted: Option<Now>,
    quarantined: BTreeMap<Arc<str>, Quarantine>,
}

struct Quarantine {
    backoff: Duration,
    /// `None` while it is tried again.
    until: Option<Now>,
}

/// Rules that were quarantined at the last stop are tried again soon.
fn held_before(pipeline: &Pipeline, now: Now) -> BTreeMap<Arc<str>, Quarantine> {
    let held = |backoff| Quarantine { backoff, until: Some(now + backoff) };
    let rules = pipeline.look().rules.into_iter().filter(|rule| rule.quarantined);
    rules.map(|rule| (rule.name, held(QUARANTINE_MIN))).collect()
}

impl Work {
    fn run(mut self, inbound: &Receiver<Inbound>, orders: &Receiver<Order>) {
        let ticks = tick(TICK);
        loop {
            select! {
                recv(inbound) -> message => match message {
                    Ok(message) => self.take(message),
                    // Every source is gone; orders still come.
                    Err(_) => std::thread::sleep(TICK),
                },
                recv(orders) -> order => match order {
                    Ok(Order::Stop(done)) => return self.stop(inbound, &done),
                    Ok(order) => self.obey(order, inbound),
                    Err(_) => return,
                },
                recv(ticks) -> _ => {
                    self.pipeline.step(Arrived::Tick(self.clock.now()), None);
                    self.watch_deaths();
                    self.watch_faults();
                }
            }
        }
    }

    fn take(&mut self, message: Inbound) {
        match message {
            Inbound::Opened { source, name, lateness, .. } => {
                self.pipeline.name_source(source, name);
                self.pipeline.step(Arrived::Opened { source, lateness }, None);
            }
            Inbound::Batch { source, batch, permit } => {
                let permit: Permit = Arc::new(permit);
                self.pipeline.step(Arrived::Batch { source, batch }, Some(permit));
            }
            Inbound::Listening { source, on } => {
                let now = Some(self.clock.now());
                self.pipeline.step(Arrived::Listening { source, on, now }, None);
            }
            Inbound::Closed { source } => {
                self.pipeline.step(Arrived::Closed { source }, None);
            }
        }
    }

    /// Answers go to whoever waits; one that went away is no matter.
    fn obey(&mut self, order: Order, inbound: &Receiver<Inbound>) {
        match order {
            Order::Swap { ruleset, done } => {
                let pauses = self.pipeline.step_and_wait(Arrived::Swap(ruleset));
                // A rule whose file was edited is judged again; the engine knows which.
                self.counts.clear();
                self.pipeline.flush();
                self.forget_lifted();
                let _ = done.send(pauses);
            }
            Order::Look(done) => {
                let _ = done.send(self.overview());
            }
            Order::Forget { rule, key, done } => {
                self.pipeline.step(Arrived::Forget { rule, key }, None);
                self.pipeline.flush();
                let _ = done.send(());
            }
            Order::Flush(done) => {
                inbound.try_iter().for_each(|message| self.take(message));
                self.pipeline.flush();
                let _ = done.send(());
            }
            Order::Stop(_) => unreachable!("the loop ends with it"),
        }
    }

    fn stop(mut self, inbound: &Receiver<Inbound>, done: &Sender<Snapshot>) {
        inbound.try_iter().for_each(|message| self.take(message));
        self.pipeline.flush();
        let snapshot = self.pipeline.snapshot();
        self.pipeline.stop();
        let _ = done.send(snapshot);
    }

    fn overview(&self) -> Overview {
        let sequencer = self.pipeline.sequencer();
        let watermark = sequencer.watermark();
        Overview {
            look: self.pipeline.look(),
            sources: sequencer.sources(),
            watermark: (watermark != EventTime::MIN).then_some(watermark),
            series: sequencer.live_series(),
            accepted: sequencer.accepted(),
        }
    }

    /// Another version of a rule is not held back for what the one before did, and must be held
    /// back anew where it is no better.
    fn forget_lifted(&mut self) {
        if self.quarantined.is_empty() {
            return;
        }
        let rules = self.pipeline.look().rules;
        let held_back =
            |name: &str| rules.iter().any(|rule| rule.quarantined && *rule.name == *name);
        self.quarantined.retain(|rule, held| held.until.is_none() || held_back(rule));
    }

    /// Quarantines the rules of components that died too often.
    fn watch_deaths(&mut self) {
        let out = self.strikes.take_out();
        if out.is_empty() {
            return;
        }
        let now = self.clock.now();
        let ruleset = self.pipeline.sequencer().ruleset().clone();
        for rule in ruleset.rules() {
            let guest = rule.guest().filter(|guest| out.contains(&guest.plugin));
            if let Some(guest) = guest {
                let why = format!("the component {} died too often", guest.plugin);
                self.quarantine(rule.name.clone(), now, &why);
            }
        }
    }

    /// Quarantines rules over half of whose evaluations faulted, and tries them again later.
    fn watch_faults(&mut self) {
        let now = self.clock.now();
        let due: Vec<Arc<str>> = self
            .quarantined
            .iter()
            .filter(|(_, held)| held.until.is_some_and(|until| until <= now))
            .map(|(rule, _)| rule.clone())
            .collect();
        for rule in due {
            if let Some(held) = self.quarantined.get_mut(&rule) {
                held.until = None;
            }
            self.pipeline.step(Arrived::Quarantine { rule, on: false }, None);
        }
        if self.counted.is_some_and(|counted| now.since(counted) < FAULT_SPAN) {
            return;
        }
        self.counted = Some(now);
        for (rule, evaluations, faults) in self.pipeline.fault_counts() {
            let (evaluated, faulted) =
                self.counts.insert(rule.clone(), (evaluations, faults)).unwrap_or_default();
            let (evaluated, faulted) =
                (evaluations.saturating_sub(evaluated), faults.saturating_sub(faulted));
            if faulted * 2 > evaluated {
                self.quarantine(rule, now, "most of its evaluations fault");
            } else if self.quarantined.get(&rule).is_some_and(|held| held.until.is_none()) {
                self.quarantined.remove(&rule);
            }
        }
    }

    fn quarantine(&mut self, rule: Arc<str>, now: Now, why: &str) {
        let held = self.quarantined.get(&rule);
        if held.is_some_and(|held| held.until.is_some()) {
            return;
        }
        let known = held.map(|held| held.backoff * 2);
        let backoff = known.unwrap_or(QUARANTINE_MIN).min(QUARANTINE_MAX);
        tracing::error!(%rule, %backoff, "rule quarantined: {why}");
        let held = Quarantine { backoff, until: Some(now + backoff) };
        self.quarantined.insert(rule.clone(), held);
        self.pipeline.step(Arrived::Quarantine { rule, on: true }, None);
    }
}
