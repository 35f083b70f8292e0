//! Calls into a guest that judges: samples or windows, one kind of instance for both.

use std::collections::BTreeMap;

use wasmtime::Store;

use super::engine::{Compiled, WasmHost};
use super::error::LoadError;
use super::instance::{Answer, Guest, Instance, Recipe};
use super::manifest::Kind;
use super::store::Stop;
use super::v0_1::bindings::{rule, window_rule};
use super::v0_1::{HostState, labels_to, model, rules, window_evaluator};
use crate::kernel::model::{Labels, Series};
use crate::kernel::rule::program::GuestRows;

/// Series or groups announced in one call; a new instance may have to learn of a million.
const INTERN_MAX: usize = 4_096;

/// A guest of the world `rule` or `window-rule`.
pub enum Judging {
    Samples(rule::Rule),
    Windows(window_rule::WindowRule),
}

/// What [`Judging`] guests are made from.
#[derive(Clone)]
pub enum JudgingRecipe {
    Samples(rule::RulePre<HostState>),
    Windows(window_rule::WindowRulePre<HostState>),
}

impl JudgingRecipe {
    /// Links a component of the world `rule`.
    pub fn of_samples(code: &Compiled, host: &WasmHost) -> Result<JudgingRecipe, LoadError> {
        let pre = host.link(Kind::Rule, code)?;
        rule::RulePre::new(pre).map(JudgingRecipe::Samples).map_err(LoadError::malformed)
    }

    /// Links a component of the world `window-rule`.
    pub fn of_windows(code: &Compiled, host: &WasmHost) -> Result<JudgingRecipe, LoadError> {
        let pre = host.link(Kind::WindowRule, code)?;
        window_rule::WindowRulePre::new(pre)
            .map(JudgingRecipe::Windows)
            .map_err(LoadError::malformed)
    }
}

impl Recipe for JudgingRecipe {
    type Guest = Judging;

    fn instantiate(&self, store: &mut Store<HostState>) -> wasmtime::Result<Judging> {
        match self {
            JudgingRecipe::Samples(pre) => Recipe::instantiate(pre, store).map(Judging::Samples),
            JudgingRecipe::Windows(pre) => Recipe::instantiate(pre, store).map(Judging::Windows),
        }
    }
}

impl Guest for Judging {
    fn configure(&self, store: &mut Store<HostState>, settings: &str) -> Answer<()> {
        match self {
            Judging::Samples(guest) => guest.configure(store, settings),
            Judging::Windows(guest) => guest.configure(store, settings),
        }
    }

    fn save(&self, store: &mut Store<HostState>) -> Answer<Option<model::Snapshot>> {
        match self {
            Judging::Samples(guest) => guest.save(store),
            Judging::Windows(guest) => guest.save(store),
        }
    }

    fn restore(&self, store: &mut Store<HostState>, state: &model::Snapshot) -> Answer<()> {
        match self {
            Judging::Samples(guest) => guest.restore(store, state),
            Judging::Windows(guest) => guest.restore(store, state),
        }
    }
}

/// What a component declares.
pub enum Declarations {
    Samples(Vec<rules::Declaration>),
    Windows(Vec<window_evaluator::WindowDeclaration>),
}

/// A running instance.
pub type Live = Instance<Judging>;

/// Windows of one rule.
#[derive(Clone, Copy)]
pub struct WindowColumns<'a> {
    pub groups: &'a [u32],
    pub ends: &'a [i64],
    pub values: &'a [Vec<f64>],
}

impl Instance<Judging> {
    pub fn describe(&mut self) -> Result<Declarations, Stop> {
        let guest = &self.guest;
        self.store.ask("describe", |store| {
            Ok(match guest {
                Judging::Samples(guest) => guest
                    .watchfire_plugin_evaluator()
                    .call_describe(store)?
                    .map(Declarations::Samples),
                Judging::Windows(guest) => guest
                    .watchfire_plugin_window_evaluator()
                    .call_describe(store)?
                    .map(Declarations::Windows),
            })
        })
    }

    pub fn intern(&mut self, added: &BTreeMap<u32, Series>) -> Result<(), Stop> {
        let all: Vec<model::Series> =
            added.iter().map(|(id, series)| announce(*id, series)).collect();
        let guest = samples(&self.guest)?.watchfire_plugin_evaluator();
        for part in all.chunks(INTERN_MAX) {
            self.store.call("intern", |store| guest.call_intern(store, part))?;
        }
        Ok(())
    }

    pub fn forget(&mut self, removed: &[u32]) -> Result<(), Stop> {
        let guest = samples(&self.guest)?.watchfire_plugin_evaluator();
        self.store.call("forget", |store| guest.call_forget(store, removed))
    }

    pub fn evaluate(&mut self, rule: u32, rows: &GuestRows) -> Result<rules::Judgement, Stop> {
        let guest = samples(&self.guest)?.watchfire_plugin_evaluator();
        let GuestRows { series, at, value } = rows;
        self.store.ask("evaluate", |store| guest.call_evaluate(store, rule, series, at, value))
    }

    pub fn tick(&mut self, rule: u32, now: i64) -> Result<rules::Judgement, Stop> {
        self.store.set_now(now);
        let guest = samples(&self.guest)?.watchfire_plugin_evaluator();
        self.store.ask("tick", |store| guest.call_tick(store, rule, now))
    }

    pub fn intern_groups(&mut self, rule: u32, added: &BTreeMap<u32, Labels>) -> Result<(), Stop> {
        let group =
            |(id, key): (&u32, &Labels)| window_evaluator::Group { id: *id, key: labels_to(key) };
        let all: Vec<window_evaluator::Group> = added.iter().map(group).collect();
        let guest = windows(&self.guest)?.watchfire_plugin_window_evaluator();
        for part in all.chunks(INTERN_MAX) {
            self.store.call("intern", |store| guest.call_intern(store, rule, part))?;
        }
        Ok(())
    }

    pub fn forget_groups(&mut self, rule: u32, removed: &[u32]) -> Result<(), Stop> {
        let guest = windows(&self.guest)?.watchfire_plugin_window_evaluator();
        self.store.call("forget", |store| guest.call_forget(store, rule, removed))
    }

    pub fn evaluate_windows(
        &mut self,
        rule: u32,
        columns: WindowColumns<'_>,
    ) -> Result<rules::Judgement, Stop> {
        let WindowColumns { groups, ends, values } = columns;
        self.store.set_now(ends.iter().copied().max().unwrap_or(0));
        let guest = windows(&self.guest)?.watchfire_plugin_window_evaluator();
        self.store.ask("evaluate-windows", |store| {
            guest.call_evaluate_windows(store, rule, groups, ends, values)
        })
    }
}

/// Rules are declared by the component itself, so the engine asks for no other kind.
fn samples(guest: &Judging) -> Result<&rule::Rule, Stop> {
    match guest {
        Judging::Samples(guest) => Ok(guest),
        Judging::Windows(_) => Err(Stop::Refused("this component judges windows".to_owned())),
    }
}

fn windows(guest: &Judging) -> Result<&window_rule::WindowRule, Stop> {
    match guest {
        Judging::Windows(guest) => Ok(guest),
        Judging::Samples(_) => Err(Stop::Refused("this component judges samples".to_owned())),
    }
}

/// A series as guests see it.
pub fn announce(id: u32, series: &Series) -> model::Series {
    let label = |(name, value): (&str, &str)| model::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let labels = series.pairs().map(label).collect();
    model::Series { id, metric: series.name().to_owned(), labels }
}
