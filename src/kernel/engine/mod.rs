//! One shard's whole life: rows in, events out.
//!
//! `step` returns everything that came of its input; nothing is polled. The engine reads no clock:
//! time is the watermark in its input. Run, replay, stories and the simulator all call `step`.
//!
//! Invariants: results depend on the sequence of inputs alone, not on how rows were batched; a
//! fault in one rule or group leaves all others as they were.

mod agenda;
mod bound;
mod carry;
mod classes;
mod crowd;
mod dense;
mod due;
mod each;
mod emit;
mod figures;
mod follow;
pub mod fresh;
pub mod group;
mod guest;
mod guest_windows;
pub mod join;
mod joined;
mod latest;
mod member;
mod members;
mod orders;
pub mod output;
mod plan;
mod plugins;
mod programs;
mod quiet;
mod rebind;
mod rest;
mod run;
mod slab;
pub mod snapshot;
mod spare;
pub mod status;
mod stretch;
mod swap;
mod windowed;

use std::collections::BTreeSet;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::kernel::model::lookup::Lookup;
use crate::kernel::model::{EventTime, Series, SeriesId, SourceId};
use crate::kernel::rule::ruleset::{Binding, RuleIndex, Ruleset};
use crate::kernel::sequence::listening::Listening;
use crate::kernel::sequence::{Entry, Input, Introduction, Rows};

use bound::BoundTable;
use classes::Class;
use fresh::Runs;
use latest::LatestTable;
use output::{FaultNote, Output, Phase};
use plugins::Plugins;
use run::RuleRun;
use stretch::Stretch;

pub struct Engine {
    shard: u32,
    shards: u32,
    ruleset: Arc<Ruleset>,
    /// In the order of the ruleset.
    runs: Runs,
    plugins: Plugins,
    bound: BoundTable,
    latest: LatestTable,
    classes: Vec<Class>,
    class_of: Lookup<Vec<Binding>, u32>,
    /// `class_of` holds all classes; after a swap only once somebody asks.
    classes_known: bool,
    /// What plans of classes are made for: swaps so far.
    round: u64,
    stretch: Stretch,
    /// When each rule with anything due has its next due, in watermark time.
    agenda: BTreeSet<(EventTime, u32)>,
    agenda_at: Vec<EventTime>,
    watermark: EventTime,
    /// How far each layer of rules has come: a layer is behind its producers while they work.
    layer_marks: Vec<EventTime>,
    position: u64,
    listening: Listening,
    /// Groups from a snapshot whose series no longer belong to them are still to be ended.
    restored: bool,
}

/// What a rule needs of the engine while it works.
pub struct Context<'a> {
    pub out: &'a mut Output,
    pub plugins: &'a mut Plugins,
    pub latest: &'a mut LatestTable,
    pub listening: &'a Listening,
    /// How far the rule's layer has come.
    pub watermark: EventTime,
    /// The watermark in the sequence where the thing at hand was seen.
    pub seen: EventTime,
    pub position: u64,
    pub phase: Phase,
    pub source: Option<SourceId>,
    pub rule: RuleIndex,
}

impl Engine {
    /// Shard number `shard` of `shards`, listening since `from`.
    pub fn new(shard: u32, shards: u32, from: EventTime) -> Engine {
        Engine {
            shard,
            shards,
            ruleset: Arc::new(Ruleset::empty()),
            runs: Vec::new(),
            plugins: Plugins::default(),
            bound: BoundTable::default(),
            latest: LatestTable::default(),
            classes: Vec::new(),
            class_of: Lookup::default(),
            classes_known: true,
            round: 0,
            stretch: Stretch::default(),
            agenda: BTreeSet::new(),
            agenda_at: Vec::new(),
            watermark: EventTime::MIN,
            layer_marks: vec![EventTime::MIN],
            position: 0,
            listening: Listening::new(from),
            restored: false,
        }
    }

    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// When something is due next, by the watermark, and for which rule; `None` when only a sample
    /// can change anything.
    pub fn next_wake(&self) -> Option<(EventTime, Arc<str>)> {
        let (due, rule) = self.agenda.first()?;
        Some((*due, self.runs[*rule as usize].rule.name.clone()))
    }

    /// Takes one element of the sequence. What came of it is added to `out`.
    ///
    /// Rulesets in which rules read recorded series need their layers run in step with the other
    /// shards: for them use [`Engine::segment`] and [`Engine::cut`].
    pub fn step(&mut self, input: Input, out: &mut Output) {
        match input {
            Input::Rows(rows) => {
                self.introduce_all(&rows, out);
                let mut from = 0;
                for cut in &rows.cuts {
                    self.segment(&rows, from..cut.row, out);
                    from = cut.row;
                    for layer in 0..self.ruleset.depth() {
                        self.cut(cut.position, cut.watermark, layer, out);
                    }
                }
                self.segment(&rows, from..rows.series.len(), out);
                self.retire_all(&rows);
            }
            Input::Swap(swap) => self.swap_unprepared(swap, out),
            Input::Listening { position, source, on, at } => {
                self.listen(position, source, on.then_some(at), out);
            }
            Input::Forget { position, rule, key } => self.forget(position, &rule, &key, out),
            Input::Quarantine { position, rule, on } => {
                self.quarantine(position, &rule, on, out);
            }
        }
    }

    /// Enters the series that a batch introduces; before its rows.
    pub fn introduce_all(&mut self, rows: &Rows, out: &mut Output) {
        for introduction in &rows.introduced {
            self.introduce(introduction, out);
        }
    }

    /// Takes out the series that a batch retires; after its rows.
    pub fn retire_all(&mut self, rows: &Rows) {
        for id in &rows.retired {
            self.retire(*id);
        }
    }

    /// The watermark moves to `watermark`: all of a layer's rules that is due before it runs.
    pub fn cut(&mut self, position: u64, watermark: EventTime, layer: u8, out: &mut Output) {
        assert!(self.watermark <= watermark);
        if self.watermark == EventTime::MIN && self.listening.from == EventTime::MIN {
            // A replay listens since its first sample.
            self.listening.from = watermark;
        }
        self.watermark = watermark;
        self.layer_marks[layer as usize] = watermark;
        self.position = position;
        if std::mem::take(&mut self.restored) {
            for rule in 0..self.runs.len() as u32 {
                self.drop_strays(RuleIndex(rule), out);
            }
        }
        let due: Vec<u32> = self
            .agenda
            .iter()
            .take_while(|(due, _)| *due < watermark)
            .map(|(_, rule)| *rule)
            .filter(|rule| self.ruleset.layer(RuleIndex(*rule)) == layer)
            .collect();
        for rule in due {
            self.with_rule(rule, None, out, |run, context| {
                context.phase = Phase::Due;
                run.run_due(context);
            });
        }
    }

    /// Runs something on one rule and puts its next due on the agenda.
    fn with_rule(
        &mut self,
        rule: u32,
        source: Option<SourceId>,
        out: &mut Output,
        work: impl FnOnce(&mut RuleRun, &mut Context<'_>),
    ) {
        let run = &mut self.runs[rule as usize];
        let mut context = Context {
            out,
            plugins: &mut self.plugins,
            latest: &mut self.latest,
            listening: &self.listening,
            watermark: self.layer_marks[self.ruleset.layer(RuleIndex(rule)) as usize],
            seen: self.watermark,
            position: self.position,
            phase: Phase::Sample,
            source,
            rule: RuleIndex(rule),
        };
        work(run, &mut context);
        let due = run.next_due().map_or(EventTime::MAX, |due| due + run.delay);
        let known = &mut self.agenda_at[rule as usize];
        if due != *known {
            self.agenda.remove(&(*known, rule));
            if due != EventTime::MAX {
                self.agenda.insert((due, rule));
            }
            *known = due;
        }
    }

    /// Binds a series to rules that take it; one that is known stays bound to others.
    fn introduce(&mut self, introduction: &Introduction, out: &mut Output) {
        let Introduction { position, watermark, id, series, entries, faults } = introduction;
        for (rule, fault) in faults {
            let (rule, key) = (self.ruleset.rule(*rule).name.clone(), series.labels().clone());
            let fault = fault.clone();
            out.faults.push(FaultNote { rule, key, at: self.watermark, fault });
        }
        self.latest.name(*id, series);
        let mut bound = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(member) = self.bind((*id, series), entry, (*position, *watermark), out) {
                bound.push((entry.binding, member));
            }
        }
        if self.latest.bound(*id).is_some() {
            self.extend_bindings(*id, bound);
        } else {
            self.place(*id, bound);
        }
    }

    /// The member number of a series in one rule; `None` when the rule has no use for it.
    fn bind(
        &mut self,
        (id, series): (SeriesId, &Series),
        Entry { binding, key }: &Entry,
        (position, watermark): (u64, EventTime),
        out: &mut Output,
    ) -> Option<u32> {
        let rule = &self.ruleset.rule(binding.rule);
        if let Some(guest) = rule.guest_of_samples() {
            self.plugins.intern(&guest.plugin, id, series);
        }
        let mut member = None;
        self.with_rule(binding.rule.0, None, out, |run, context| {
            (context.position, context.seen) = (position, watermark);
            member = run.bind(context, (id, series), binding.input, key.clone());
        });
        member
    }

    /// Puts a series into the class of its bindings.
    fn place(&mut self, id: SeriesId, bound: Vec<(Binding, u32)>) {
        let bindings: Vec<Binding> = bound.iter().map(|(binding, _)| *binding).collect();
        for (place, (binding, member)) in bound.iter().enumerate() {
            self.runs[binding.rule.index()].move_to_place(*member, place);
        }
        let class = self.intern_class(bindings);
        let members: SmallVec<[u32; 4]> = bound.iter().map(|(_, member)| *member).collect();
        self.latest.enter(id, class, self.bound.enter(&members));
        for (binding, member) in bound {
            self.runs[binding.rule.index()].begin_after(member, self.latest[id].at);
        }
    }

    fn retire(&mut self, id: SeriesId) {
        let Some(latest) = self.latest.bound(id) else { return };
        let (class, home) = (&self.classes[latest.class as usize], latest.home);
        let members = self.bound.members(home, class.bindings.len());
        self.bound.leave(home, class.bindings.len());
        for (binding, member) in class.bindings.iter().zip(members) {
            if let Some(binding) = binding {
                self.runs[binding.rule.index()].unbind(&mut self.latest, member);
            }
        }
        self.latest.leave(id);
        self.plugins.forget(id);
    }
}

#[cfg(test)]
mod tests;
