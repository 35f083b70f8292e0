//! The kernel on threads: whoever holds the [`Pipeline`] is the sequencer; each shard has a thread
//! of its own, and one more puts their outputs into order.
//!
//! Jobs reach every shard in the order of positions, so shards need no locks and no agreement. A
//! batch's permit is dropped once every shard has judged it, which lets its source go on.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration as StdDuration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

use crate::kernel::engine::output::Output;
use crate::kernel::engine::status::{AlertReport, RuleReport};
use crate::kernel::engine::{Engine, snapshot};
use crate::kernel::machine::{self, Handover, Machine, Shards, Snapshot, Step};
use crate::kernel::merge::{Merge, Merged};
use crate::kernel::model::SourceId;
use crate::kernel::rule::selector::Selector;
use crate::kernel::sequence::Input;
use crate::kernel::sequence::sequencer::{Arrived, Sequencer};
use crate::kernel::sequence::tap::Tapped;

/// Batches that may wait for one shard; sources are bounded in bytes before that.
const JOBS_WAITING: usize = 256;

/// Anything that must stay alive until a batch is judged.
pub type Permit = Arc<dyn std::any::Any + Send + Sync>;

/// Takes what is tapped, on the sequencer's thread: it never waits.
pub type Outlet = Arc<dyn Fn(Tapped) + Send + Sync>;

pub struct Pipeline {
    sequencer: Sequencer,
    shards: ShardThreads,
    merger: Option<JoinHandle<()>>,
    progress: Arc<Progress>,
    sent: u64,
    names: Sender<(SourceId, Arc<str>)>,
    /// There while somebody carries samples out.
    outlet: Option<Outlet>,
}

/// How many elements the merger has told of.
#[derive(Default)]
struct Progress {
    told: Mutex<u64>,
    moved: Condvar,
}

struct ShardThreads {
    jobs: Vec<Sender<Job>>,
    replies: Vec<Receiver<Output>>,
    threads: Vec<JoinHandle<()>>,
}

enum Job {
    /// Its output goes to the merger.
    Run {
        step: Step,
        permit: Option<Permit>,
        taken: Option<Sender<StdDuration>>,
    },
    /// Its output comes back to the sequencer, which runs the shards in step.
    InStep(Step),
    /// Puts results that were computed in step into the shard's stream of outputs.
    Forward(Output),
    Ask(Box<dyn FnOnce(&mut Engine) + Send>),
}

/// A look at all shards at one moment.
#[derive(Debug, Default)]
pub struct Look {
    pub rules: Vec<RuleReport>,
    pub alerts: Vec<AlertReport>,
}

impl Pipeline {
    /// Starts the threads over a machine; `told` gets every element's results, in order, on the
    /// merger's thread.
    pub fn start(
        machine: Machine,
        told: impl FnMut(Merged) + Send + 'static,
    ) -> std::io::Result<Pipeline> {
        let Machine { sequencer, engines, merge } = machine;
        let mut shards = ShardThreads { jobs: vec![], replies: vec![], threads: vec![] };
        let mut outputs = Vec::new();
        for (number, engine) in engines.into_iter().enumerate() {
            let (jobs, work) = bounded(JOBS_WAITING);
            let (done, output) = unbounded();
            let (reply, replies) = unbounded();
            let thread = std::thread::Builder::new()
                .name(format!("shard-{number}"))
                .spawn(move || serve(engine, &work, &done, &reply))?;
            shards.jobs.push(jobs);
            shards.replies.push(replies);
            shards.threads.push(thread);
            outputs.push(output);
        }
        let (names, named) = unbounded();
        let progress = Arc::new(Progress::default());
        let counted = progress.clone();
        let merger = std::thread::Builder::new()
            .name("merge".into())
            .spawn(move || merge_all(merge, &outputs, &named, &counted, told))?;
        let (merger, sent, outlet) = (Some(merger), 0, None);
        Ok(Pipeline { sequencer, shards, merger, progress, sent, names, outlet })
    }

    pub fn sequencer(&self) -> &Sequencer {
        &self.sequencer
    }

    pub fn shards(&self) -> u32 {
        self.shards.jobs.len() as u32
    }

    /// How a source is called in alerts about it.
    pub fn name_source(&self, source: SourceId, name: Arc<str>) {
        // The merger ends only with the pipeline.
        let _ = self.names.send((source, name));
    }

    /// Hands a ruleset to the shards. Each of them tells how long it stood still for it; the
    /// receiver ends once all have.
    pub fn swap(&mut self, handover: Handover) -> Receiver<StdDuration> {
        let (taken, times) = unbounded();
        let inputs = self.sequencer.step(Arrived::Succession(handover.succession));
        self.sent += 1;
        let steps = Handover::steps(inputs, handover.fresh);
        for (jobs, step) in self.shards.jobs.iter().zip(steps) {
            send(jobs, Job::Run { step, permit: None, taken: Some(taken.clone()) });
        }
        times
    }

    /// From here on `outlet` gets the samples of series that any of these selectors takes.
    pub fn tap(&mut self, wants: Vec<Selector>, outlet: Outlet) {
        self.outlet = (!wants.is_empty()).then_some(outlet);
        self.sequencer.set_tap(wants);
    }

    /// Puts one thing into the sequence and hands it to the shards.
    pub fn step(&mut self, arrived: Arrived, permit: Option<Permit>) {
        let inputs = self.sequencer.step(arrived);
        if inputs.is_empty() {
            return;
        }
        self.sent += 1;
        self.hand_over(inputs, permit);
        if let Some(outlet) = &self.outlet
            && let Some(tapped) = self.sequencer.take_tapped()
        {
            outlet(tapped);
        }
    }

    fn hand_over(&mut self, inputs: Vec<Input>, permit: Option<Permit>) {
        if !self.sequencer.ruleset().records() {
            for (jobs, input) in self.shards.jobs.iter().zip(inputs) {
                let (step, permit) = (Step::Input(input), permit.clone());
                send(jobs, Job::Run { step, permit, taken: None });
            }
            return;
        }
        let outputs = machine::run(&mut self.sequencer, &mut self.shards, inputs);
        for (jobs, output) in self.shards.jobs.iter().zip(outputs) {
            send(jobs, Job::Forward(output));
        }
    }

    /// Waits until all that was handed over is judged and told.
    pub fn flush(&self) {
        let mut told = self.progress.told.lock().expect(UNPOISONED);
        while *told < self.sent {
            told = self.progress.moved.wait(told).expect(UNPOISONED);
        }
    }

    /// How rules and alerts stand, between two elements of the sequence.
    pub fn look(&self) -> Look {
        let reports = self.ask(|engine| (engine.rule_reports(), engine.alert_reports()));
        let mut look = Look::default();
        for (rules, alerts) in reports {
            if look.rules.is_empty() {
                look.rules = rules;
            } else {
                for (known, other) in look.rules.iter_mut().zip(rules) {
                    known.merge(other);
                }
            }
            look.alerts.extend(alerts);
        }
        look.alerts.sort_by(|a, b| (&a.rule, &a.key).cmp(&(&b.rule, &b.key)));
        look
    }

    /// Each rule's evaluations and faults so far, over all shards.
    pub fn fault_counts(&self) -> Vec<(Arc<str>, u64, u64)> {
        let mut sums: Vec<(Arc<str>, u64, u64)> = Vec::new();
        for counts in self.ask(Engine::fault_counts) {
            if sums.is_empty() {
                sums = counts;
                continue;
            }
            for (sum, (_, evaluations, faults)) in sums.iter_mut().zip(counts) {
                sum.1 += evaluations;
                sum.2 += faults;
            }
        }
        sums
    }

    pub fn snapshot(&self) -> Snapshot {
        let mut engine = snapshot::Snapshot::default();
        for shard in self.ask(Engine::snapshot) {
            engine.merge(shard);
        }
        Snapshot { sequencer: self.sequencer.snapshot(), engine }
    }

    /// Judges all that was handed over, then ends the threads.
    pub fn stop(mut self) {
        self.shards.jobs.clear();
        for thread in self.shards.threads.drain(..) {
            join(thread);
        }
        if let Some(merger) = self.merger.take() {
            join(merger);
        }
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&mut Engine) -> T + Copy + Send + 'static,
    ) -> Vec<T> {
        let ask = |jobs: &Sender<Job>| {
            let (answer, answers) = bounded(1);
            let job = Job::Ask(Box::new(move |engine| {
                // Whoever asked is waiting for it.
                let _ = answer.send(question(engine));
            }));
            send(jobs, job);
            answers
        };
        let answers: Vec<Receiver<T>> = self.shards.jobs.iter().map(ask).collect();
        answers.iter().filter_map(|answer| answer.recv().ok()).collect()
    }
}

impl Shards for ShardThreads {
    fn run(&mut self, steps: Vec<Step>) -> Vec<Output> {
        for (jobs, step) in self.jobs.iter().zip(steps) {
            send(jobs, Job::InStep(step));
        }
        let answer = |replies: &Receiver<Output>| replies.recv().expect(ALIVE);
        self.replies.iter().map(answer).collect()
    }
}

const UNPOISONED: &str = "a count is all that is done under this lock";
const ALIVE: &str = "a shard's thread lives as long as its pipeline, or has panicked";

fn send(jobs: &Sender<Job>, job: Job) {
    assert!(jobs.send(job).is_ok(), "{ALIVE}");
}

/// A panic in a shard is our own mistake: it is passed on.
fn join(thread: JoinHandle<()>) {
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn serve(mut engine: Engine, work: &Receiver<Job>, done: &Sender<Output>, reply: &Sender<Output>) {
    for job in work {
        match job {
            Job::Run { step, permit, taken } => {
                let begun = taken.is_some().then(Instant::now);
                let output = engine.take(step);
                drop(permit);
                if let Some((taken, begun)) = taken.zip(begun) {
                    // Whoever asked may have gone.
                    let _ = taken.send(begun.elapsed());
                }
                if done.send(output).is_err() {
                    return;
                }
            }
            Job::InStep(step) => {
                if reply.send(engine.take(step)).is_err() {
                    return;
                }
            }
            Job::Forward(output) => {
                if done.send(output).is_err() {
                    return;
                }
            }
            Job::Ask(question) => question(&mut engine),
        }
    }
}

/// Takes one output of each shard at a time: they stand in the same order on every shard.
fn merge_all(
    mut merge: Merge,
    outputs: &[Receiver<Output>],
    named: &Receiver<(SourceId, Arc<str>)>,
    progress: &Progress,
    mut told: impl FnMut(Merged),
) {
    loop {
        let mut all = Vec::with_capacity(outputs.len());
        for output in outputs {
            match output.recv() {
                Ok(output) => all.push(output),
                Err(_) => return,
            }
        }
        for (source, name) in named.try_iter() {
            merge.name_source(source, name);
        }
        told(merge.merge(all));
        *progress.told.lock().expect(UNPOISONED) += 1;
        progress.moved.notify_all();
    }
}
