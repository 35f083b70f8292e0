//! The thread that is the sequencer: takes what sources hand in and what people order, one at a
//! time, and keeps the clock for sources that fall silent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration as StdDuration;

use crossbeam::channel::{Receiver, Sender, bounded, select, tick, unbounded};

use crate::guest::changes::PluginChange;
use crate::guest::wasm::strikes::{Quarantine, Strikes};
use crate::kernel::machine::{Handover, Snapshot};
use crate::kernel::model::{Duration, EventTime, Labels, Now};
use crate::kernel::rule::Rule;
use crate::kernel::rule::ruleset::Ruleset;
use crate::kernel::rule::selector::Selector;
use crate::kernel::sequence::sequencer::{Arrived, SourceReport};

use super::clock::Clock;
use super::inlet::Inbound;
use super::pipeline::{Look, Outlet, Permit, Pipeline};

mod quarantines;

use quarantines::{JudgedRules, Quarantines, by_plugin};

/// How often silent sources are looked at; the watermark waits no longer than this for them.
const TICK: StdDuration = StdDuration::from_millis(100);
/// Rules whose evaluations mostly faulted in so much time are quarantined.
const FAULT_SPAN: Duration = Duration::from_secs(10);

/// What can be asked of the thread.
enum Order {
    Swap { handover: Handover, done: Sender<Receiver<StdDuration>> },
    Tap { wants: Vec<Selector>, outlet: Outlet },
    Look(Sender<Overview>),
    Forget { rule: Arc<str>, key: Labels, done: Sender<()> },
    Flush(Sender<()>),
    Settle(Sender<()>),
    Stop(Sender<Snapshot>),
}

/// How everything stands between two elements of the sequence.
#[derive(Debug, Default)]
pub struct Overview {
    pub look: Look,
    /// Rules that are held back.
    pub quarantines: BTreeMap<Arc<str>, Quarantine>,
    pub sources: Vec<SourceReport>,
    pub watermark: Option<EventTime>,
    pub series: usize,
    pub accepted: u64,
}

/// The way to the thread; cheap to clone. When the thread is gone answers are empty.
#[derive(Clone)]
pub struct Judge {
    orders: Sender<Order>,
    shards: u32,
}

impl Judge {
    pub fn start(
        pipeline: Pipeline,
        inbound: Receiver<Inbound>,
        clock: Arc<dyn Clock>,
        strikes: Arc<Strikes>,
    ) -> std::io::Result<(Judge, JoinHandle<()>)> {
        let (orders, taken) = unbounded();
        let shards = pipeline.shards();
        let (counts, counted, lifted) = (BTreeMap::new(), None, Vec::new());
        let quarantines = Quarantines::default();
        let mut work = Work { pipeline, clock, strikes, counts, counted, quarantines, lifted };
        work.hold_as_before();
        let thread = std::thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || work.run(&inbound, &taken))?;
        Ok((Judge { orders, shards }, thread))
    }

    /// Has the ruleset after `old` adopted; returns when every shard has, with the pause of each.
    /// What came of it may yet have to be told. Whatever needs no shard is done on this thread.
    pub fn swap(&self, old: Arc<Ruleset>, new: Arc<Ruleset>) -> Vec<StdDuration> {
        let handover = Handover::new(old, new, self.shards);
        let times = self.ask(|done| Order::Swap { handover, done });
        times.map(|times| times.iter().collect()).unwrap_or_default()
    }

    /// Soon `outlet` gets the samples of series that any of these selectors takes.
    pub fn tap(&self, wants: Vec<Selector>, outlet: Outlet) {
        // When the thread is gone nothing comes any more.
        let _ = self.orders.send(Order::Tap { wants, outlet });
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

    /// Tells which plugins' quarantines a swap lifted.
    pub fn settle(&self) {
        self.ask(Order::Settle);
    }

    /// Judges what was handed in, ends the shards, and gives the state to go on from.
    pub fn stop(&self) -> Option<Snapshot> {
        self.ask(Order::Stop)
    }

    fn ask<T>(&self, order: impl FnOnce(Sender<T>) -> Order) -> Option<T> {
        let (answer, answers) = bounded(1);
        self.orders.send(order(answer)).ok()?;
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
    quarantines: Quarantines,
    /// Rules that a swap brought back, and their plugins, until that is told.
    lifted: JudgedRules,
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
                    self.strikes.release_due(self.clock.now());
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
            Order::Swap { handover, done } => {
                let times = self.pipeline.swap(handover);
                // Faults of before are nothing that a new version is held to.
                self.counts.clear();
                self.count_faults();
                self.let_go_of_lifted();
                let _ = done.send(times);
            }
            Order::Tap { wants, outlet } => self.pipeline.tap(wants, outlet),
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
            Order::Settle(done) => {
                let lifted = std::mem::take(&mut self.lifted);
                self.tell_released(lifted, "it is another version");
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
            quarantines: self.quarantines.out(),
            sources: sequencer.sources(),
            watermark: (watermark != EventTime::MIN).then_some(watermark),
            series: sequencer.live_series(),
            accepted: sequencer.accepted(),
        }
    }

    /// Rules that were quarantined at the last stop are tried again soon.
    fn hold_as_before(&mut self) {
        let held = self.pipeline.look().rules.into_iter().filter(|rule| rule.quarantined);
        let rules: Vec<Arc<str>> = held.map(|rule| rule.name).collect();
        // The engine holds them already.
        self.hold(&rules, "it was at the last stop");
    }

    /// Quarantines the rules of components that died too often.
    fn watch_deaths(&mut self) {
        for plugin in self.strikes.take_out() {
            let ruleset = self.pipeline.sequencer().ruleset().clone();
            let judges = |rule: &&Arc<Rule>| rule.guest().is_some_and(|g| g.plugin == plugin);
            let own = ruleset.rules().iter().filter(judges);
            let rules: Vec<Arc<str>> = own.map(|rule| rule.name.clone()).collect();
            self.quarantine(&rules, &format!("the component {plugin} died too often"));
            self.strikes.suspend(&plugin);
        }
    }

    /// Quarantines rules over half of whose evaluations faulted, and tries them again later.
    fn watch_faults(&mut self) {
        let now = self.clock.now();
        let due = self.quarantines.take_due(now);
        for (rule, _) in &due {
            self.pipeline.step(Arrived::Quarantine { rule: rule.clone(), on: false }, None);
        }
        self.tell_released(due, "its time is over, and it is tried again");
        if self.counted.is_some_and(|counted| now.since(counted) < FAULT_SPAN) {
            return;
        }
        self.counted = Some(now);
        let mut faulty = Vec::new();
        for (rule, evaluated, faulted) in self.count_faults() {
            if faulted * 2 > evaluated {
                faulty.push(rule);
            } else {
                self.quarantines.does_well(&rule);
            }
        }
        self.quarantine(&faulty, "most of its evaluations fault");
    }

    /// Each rule's evaluations and faults since the last count.
    fn count_faults(&mut self) -> Vec<(Arc<str>, u64, u64)> {
        let mut since = Vec::new();
        for (rule, evaluations, faults) in self.pipeline.fault_counts() {
            let counts = self.counts.insert(rule.clone(), (evaluations, faults));
            let (evaluated, faulted) = counts.unwrap_or_default();
            since.push((
                rule,
                evaluations.saturating_sub(evaluated),
                faults.saturating_sub(faulted),
            ));
        }
        since
    }

    /// Takes rules out of service that are not already.
    fn quarantine(&mut self, rules: &[Arc<str>], why: &str) {
        for rule in self.hold(rules, why) {
            self.pipeline.step(Arrived::Quarantine { rule, on: true }, None);
        }
    }

    /// Notes since when rules are out of service that were not, and gives them; of one plugin's
    /// this is one change.
    fn hold(&mut self, rules: &[Arc<str>], why: &str) -> Vec<Arc<str>> {
        let (now, ruleset) = (self.clock.now(), self.pipeline.sequencer().ruleset().clone());
        let (mut held, mut fresh) = (Vec::new(), Vec::new());
        for rule in rules {
            let guest = ruleset.find(rule).and_then(|index| ruleset.rule(index).guest());
            let plugin = guest.map(|guest| guest.plugin.clone());
            let Some(quarantine) = self.quarantines.hold(rule, plugin.clone(), now) else {
                continue;
            };
            tracing::error!(%rule, backoff = %quarantine.backoff, "rule quarantined: {why}");
            held.push(((rule.clone(), quarantine), plugin));
            fresh.push(rule.clone());
        }
        for (plugin, held) in by_plugin(held) {
            let longest = held.iter().map(|(_, quarantine)| *quarantine).max_by_key(|q| q.until);
            let Some(Quarantine { until, backoff }) = longest else { continue };
            let rules = held.into_iter().map(|(rule, _)| rule).collect();
            let change = PluginChange::Quarantined { why: why.to_owned(), until, backoff, rules };
            self.strikes.changes().publish(&plugin, change);
        }
        fresh
    }

    /// Another version of a rule is not held back for what the one before did, and must be held
    /// back anew where it is no better.
    fn let_go_of_lifted(&mut self) {
        if self.quarantines.is_empty() {
            return;
        }
        let held = self.pipeline.look().rules.into_iter().filter(|rule| rule.quarantined);
        let still: BTreeSet<Arc<str>> = held.map(|rule| rule.name).collect();
        let lifted = self.quarantines.take_lifted(&still);
        for plugin in lifted.iter().filter_map(|(_, plugin)| plugin.as_ref()) {
            self.strikes.resume(plugin);
        }
        self.lifted.extend(lifted);
    }

    fn tell_released(&self, rules: JudgedRules, why: &'static str) {
        for (plugin, rules) in by_plugin(rules) {
            self.strikes.resume(&plugin);
            self.strikes.changes().publish(&plugin, PluginChange::Released { why, rules });
        }
    }
}
