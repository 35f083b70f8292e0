//! The whole kernel on one thread: sequencer, shards and merge.
//!
//! Stories, tests and the simulator run on it; the live pipeline runs the same parts on threads of
//! their own. It also holds the one description of how layers of rules are run in step.

use std::sync::Arc;

use crate::kernel::engine::fresh::Fresh;
use crate::kernel::engine::output::Output;
use crate::kernel::engine::{Engine, snapshot};
use crate::kernel::merge::{self, Merge, Merged};
use crate::kernel::model::{EventTime, Limits};
use crate::kernel::rule::ruleset::Ruleset;
use crate::kernel::rule::succession::Succession;
use crate::kernel::sequence::sequencer::{self, Arrived, Sequencer};
use crate::kernel::sequence::{Cut, Input, Rows, Swap};

pub struct Machine {
    pub sequencer: Sequencer,
    pub engines: Vec<Engine>,
    pub merge: Merge,
}

/// Everything a restart needs.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Snapshot {
    pub sequencer: sequencer::Snapshot,
    pub engine: snapshot::Snapshot,
}

/// A ruleset that is ready to be adopted: nothing is left to do but what needs the shards.
#[derive(Debug)]
pub struct Handover {
    pub succession: Arc<Succession>,
    /// One for each shard.
    pub fresh: Vec<Fresh>,
}

/// How a caller runs its shards: on this thread, or on others.
pub trait Shards {
    /// Runs a step on every shard and gives their outputs, in the order of shards.
    fn run(&mut self, steps: Vec<Step>) -> Vec<Output>;
}

/// What one shard is asked to do.
#[derive(Debug)]
pub enum Step {
    Input(Input),
    /// As the input alone, where what the shard needs for it was made before.
    Swap(Swap, Fresh),
    /// Series that a batch introduces.
    Introduce(Arc<Rows>),
    Segment {
        rows: Arc<Rows>,
        from: usize,
        to: usize,
    },
    Cut {
        cut: Cut,
        layer: u8,
    },
    Retire(Arc<Rows>),
}

impl Handover {
    /// From the ruleset at hand to the next one. Takes as long as it takes, on any thread.
    pub fn new(old: Arc<Ruleset>, new: Arc<Ruleset>, shards: u32) -> Handover {
        let succession = Arc::new(Succession::new(old, new));
        let fresh = (0..shards).map(|_| Fresh::new(&succession)).collect();
        Handover { succession, fresh }
    }

    /// What each shard is asked to do, given what the sequencer says to each.
    pub fn steps(inputs: Vec<Input>, fresh: Vec<Fresh>) -> Vec<Step> {
        let step = |(input, fresh)| match input {
            Input::Swap(swap) => Step::Swap(swap, fresh),
            Input::Rows(_)
            | Input::Listening { .. }
            | Input::Forget { .. }
            | Input::Quarantine { .. } => Step::Input(input),
        };
        inputs.into_iter().zip(fresh).map(step).collect()
    }
}

impl Machine {
    /// Shards that have listened since `from`, with no rules yet.
    pub fn new(limits: Limits, shards: u32, from: EventTime) -> Machine {
        let ruleset = Arc::new(Ruleset::empty());
        Machine {
            sequencer: Sequencer::new(limits, shards, ruleset),
            engines: (0..shards).map(|shard| Engine::new(shard, shards, from)).collect(),
            merge: Merge::default(),
        }
    }

    pub fn step(&mut self, arrived: Arrived) -> Merged {
        let inputs = self.sequencer.step(arrived);
        if inputs.is_empty() {
            return Merged::default();
        }
        let outputs = run(&mut self.sequencer, &mut self.engines, inputs);
        self.merge.merge(outputs)
    }

    pub fn snapshot(&mut self) -> Snapshot {
        let mut engine = snapshot::Snapshot::default();
        for shard in &mut self.engines {
            engine.merge(shard.snapshot());
        }
        Snapshot { sequencer: self.sequencer.snapshot(), engine }
    }

    /// A machine that goes on where the snapshot was taken, listening since `from`.
    pub fn restored(
        limits: Limits,
        shards: u32,
        ruleset: Arc<Ruleset>,
        snapshot: Snapshot,
        from: EventTime,
    ) -> Machine {
        let mut machine = Machine::new(limits, shards, from);
        machine.sequencer =
            Sequencer::new(machine.sequencer.limits().clone(), shards, ruleset.clone());
        let mut outputs = Vec::new();
        for engine in &mut machine.engines {
            let mut out = Output::default();
            engine.adopt_first(ruleset.clone(), &mut out);
            engine.restore(&snapshot.engine, from, &mut out);
            outputs.push(out);
        }
        let introduced = machine.sequencer.restore(snapshot.sequencer, from);
        for ((engine, input), out) in machine.engines.iter_mut().zip(introduced).zip(&mut outputs) {
            engine.step(input, out);
            engine.restore_plugins(&snapshot.engine);
        }
        // What stood before was told before.
        machine.merge.merge(outputs);
        machine
    }
}

/// Runs one element of the sequence on all shards; gives their outputs in the order of shards.
pub fn run(sequencer: &mut Sequencer, shards: &mut impl Shards, inputs: Vec<Input>) -> Vec<Output> {
    if !sequencer.ruleset().records() {
        return shards.run(inputs.into_iter().map(Step::Input).collect());
    }
    let mut rows = Vec::with_capacity(inputs.len());
    let mut steps = Vec::new();
    for input in inputs {
        match input {
            Input::Rows(part) => rows.push(Arc::new(part)),
            Input::Swap(_)
            | Input::Listening { .. }
            | Input::Forget { .. }
            | Input::Quarantine { .. } => steps.push(Step::Input(input)),
        }
    }
    if rows.is_empty() {
        return shards.run(steps);
    }
    run_layers(sequencer, shards, &rows)
}

/// Rules that read recorded series wait for the rules that make them: at each watermark step layer
/// d + 1 runs after all shards finished layer d, and what layer d recorded is handed over between.
fn run_layers(
    sequencer: &mut Sequencer,
    shards: &mut impl Shards,
    rows: &[Arc<Rows>],
) -> Vec<Output> {
    let mut all: Vec<Output> = rows.iter().map(|_| Output::default()).collect();
    let each = |make: &dyn Fn(usize) -> Step| (0..rows.len()).map(make).collect::<Vec<Step>>();
    absorb(&mut all, shards.run(each(&|shard| Step::Introduce(rows[shard].clone()))));
    let cuts = rows[0].cuts.len();
    for at in 0..=cuts {
        let from = |shard: usize| at.checked_sub(1).map_or(0, |at| rows[shard].cuts[at].row);
        let to =
            |shard: usize| rows[shard].cuts.get(at).map_or(rows[shard].series.len(), |cut| cut.row);
        let segment = |shard: usize| Step::Segment {
            rows: rows[shard].clone(),
            from: from(shard),
            to: to(shard),
        };
        absorb(&mut all, shards.run(each(&segment)));
        let Some(cut) = rows[0].cuts.get(at).copied() else { break };
        for layer in 0..sequencer.ruleset().depth() {
            absorb(&mut all, shards.run(each(&|_| Step::Cut { cut, layer })));
            hand_over(sequencer, shards, &mut all, cut);
        }
    }
    sequencer.keep_recorded(merge::derived(Vec::new(), &mut all));
    absorb(&mut all, shards.run(each(&|shard| Step::Retire(rows[shard].clone()))));
    all
}

/// Gives the samples that were recorded so far to the rules that read them; what those record
/// without a window follows at once.
fn hand_over(sequencer: &mut Sequencer, shards: &mut impl Shards, all: &mut [Output], cut: Cut) {
    for _ in 0..sequencer.ruleset().depth() {
        let derived = merge::derived(sequencer.take_recorded(), all);
        if derived.is_empty() {
            return;
        }
        let rows: Vec<Arc<Rows>> =
            sequencer.derive(cut, derived).into_iter().map(Arc::new).collect();
        let introduce = rows.iter().map(|rows| Step::Introduce(rows.clone()));
        absorb(all, shards.run(introduce.collect()));
        let segments = rows.iter().map(|rows| {
            let (from, to) = (0, rows.series.len());
            Step::Segment { rows: rows.clone(), from, to }
        });
        absorb(all, shards.run(segments.collect()));
    }
}

fn absorb(all: &mut [Output], more: Vec<Output>) {
    for (mine, output) in all.iter_mut().zip(more) {
        mine.events.extend(output.events);
        mine.derived.extend(output.derived);
        mine.signals.extend(output.signals);
        mine.faults.extend(output.faults);
        mine.disputes.extend(output.disputes);
        mine.adopted = output.adopted.or(mine.adopted.take());
        mine.discarded.append(output.discarded);
    }
}

impl Shards for Vec<Engine> {
    fn run(&mut self, steps: Vec<Step>) -> Vec<Output> {
        self.iter_mut().zip(steps).map(|(engine, step)| engine.take(step)).collect()
    }
}

impl Engine {
    /// Does one thing that was asked of this shard.
    pub fn take(&mut self, step: Step) -> Output {
        let mut out = Output::default();
        match step {
            Step::Input(input) => self.step(input, &mut out),
            Step::Swap(swap, fresh) => self.swap(swap, fresh, &mut out),
            Step::Introduce(rows) => self.introduce_all(&rows, &mut out),
            Step::Segment { rows, from, to } => self.segment(&rows, from..to, &mut out),
            Step::Cut { cut, layer } => {
                self.cut(cut.position, cut.watermark, layer, &mut out);
            }
            Step::Retire(rows) => self.retire_all(&rows),
        }
        out
    }
}
