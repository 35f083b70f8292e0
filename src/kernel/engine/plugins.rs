//! One shard's instances of the components that judge raw samples.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kernel::model::{EventTime, Series, SeriesId};
use crate::kernel::rule::program::{Fault, GuestVerdicts, RuleInstance, RulePlugin};

#[derive(Default)]
pub struct Plugins(Vec<PluginRun>);

struct PluginRun {
    recipe: Arc<dyn RulePlugin>,
    instance: Result<Box<dyn RuleInstance>, Fault>,
    interned: BTreeMap<SeriesId, Series>,
    /// Series to intern before the next call.
    waiting: Vec<(SeriesId, Series)>,
}

impl Plugins {
    /// Takes over a ruleset's components. One with an unchanged digest goes on as it is; of a
    /// changed one the state is carried over when the new version takes it.
    pub fn adopt(&mut self, recipes: &[Arc<dyn RulePlugin>]) -> Vec<(String, Option<String>)> {
        let mut report = Vec::new();
        let mut old = std::mem::take(&mut self.0);
        for recipe in recipes {
            let known = old.iter().position(|run| run.recipe.name() == recipe.name());
            let run = match known.map(|at| old.swap_remove(at)) {
                Some(run) if run.recipe.digest() == recipe.digest() => run,
                Some(run) => {
                    let (run, lost) = run.replaced(recipe);
                    report.push((recipe.name().to_owned(), lost));
                    run
                }
                None => PluginRun::new(recipe.clone()),
            };
            self.0.push(run);
        }
        report
    }

    pub fn intern(&mut self, plugin: &str, id: SeriesId, series: &Series) {
        if let Some(run) = self.find(plugin)
            && run.interned.insert(id, series.clone()).is_none()
        {
            run.waiting.push((id, series.clone()));
        }
    }

    /// A failure shows at the next call; the guest keeps what it knows of a series until then.
    pub fn forget(&mut self, id: SeriesId) {
        for run in &mut self.0 {
            run.waiting.retain(|(waiting, _)| *waiting != id);
            if run.interned.remove(&id).is_some()
                && let Ok(instance) = &mut run.instance
                && let Err(fault) = instance.forget(&[id])
            {
                run.instance = Err(fault);
            }
        }
    }

    pub fn evaluate(
        &mut self,
        plugin: &str,
        rule: u32,
        rows: (&[SeriesId], &[EventTime], &[f64]),
        out: &mut GuestVerdicts,
    ) -> Result<(), Fault> {
        self.ready(plugin)?.evaluate(rule, rows.0, rows.1, rows.2, out)
    }

    pub fn tick(
        &mut self,
        plugin: &str,
        rule: u32,
        now: EventTime,
        out: &mut GuestVerdicts,
    ) -> Result<(), Fault> {
        self.ready(plugin)?.tick(rule, now, out)
    }

    /// Each component's name and saved state.
    pub fn save(&mut self) -> Vec<(String, Vec<u8>)> {
        let mut saved = Vec::new();
        for run in &mut self.0 {
            if let Ok(instance) = &mut run.instance
                && let Ok(Some(state)) = instance.save()
            {
                saved.push((run.recipe.name().to_owned(), state));
            }
        }
        saved
    }

    /// Restores a state once all series are interned; a refusal means a cold start.
    pub fn restore(&mut self, plugin: &str, state: &[u8]) -> Result<(), Fault> {
        self.ready(plugin)?.restore(state)
    }

    fn find(&mut self, plugin: &str) -> Option<&mut PluginRun> {
        self.0.iter_mut().find(|run| run.recipe.name() == plugin)
    }

    /// The instance with all waiting series interned.
    fn ready(&mut self, plugin: &str) -> Result<&mut Box<dyn RuleInstance>, Fault> {
        let missing = || Fault::new("the component is not loaded");
        let run = self.find(plugin).ok_or_else(missing)?;
        let instance = run.instance.as_mut().map_err(|fault| fault.clone())?;
        if !run.waiting.is_empty() {
            instance.intern(&std::mem::take(&mut run.waiting))?;
        }
        Ok(instance)
    }
}

impl PluginRun {
    fn new(recipe: Arc<dyn RulePlugin>) -> PluginRun {
        let instance = recipe.instance();
        PluginRun { recipe, instance, interned: BTreeMap::new(), waiting: Vec::new() }
    }

    /// The new version with this one's series and, if both agree, its state; else why it was lost.
    fn replaced(mut self, recipe: &Arc<dyn RulePlugin>) -> (PluginRun, Option<String>) {
        let mut next = PluginRun::new(recipe.clone());
        let lost = self.hand_over(&mut next).err().map(|fault| fault.to_string());
        (next, lost)
    }

    fn hand_over(&mut self, next: &mut PluginRun) -> Result<(), Fault> {
        next.interned = std::mem::take(&mut self.interned);
        let all: Vec<(SeriesId, Series)> =
            next.interned.iter().map(|(id, series)| (*id, series.clone())).collect();
        let instance = next.instance.as_mut().map_err(|fault| fault.clone())?;
        instance.intern(&all)?;
        let state = self.instance.as_mut().map_err(|fault| fault.clone())?.save()?;
        match state {
            Some(state) => instance.restore(&state),
            None => Ok(()),
        }
    }
}
