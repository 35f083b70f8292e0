//! One shard's instances of the components that judge samples and windows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kernel::model::{EventTime, Labels, Series, SeriesId};
use crate::kernel::rule::program::{
    Fault, GuestRows, GuestVerdicts, RuleInstance, RulePlugin, WindowRows,
};

#[derive(Default)]
pub struct Plugins(Vec<PluginRun>);

struct PluginRun {
    recipe: Arc<dyn RulePlugin>,
    instance: Result<Box<dyn RuleInstance>, Fault>,
    interned: BTreeMap<SeriesId, Series>,
    /// Series to intern before the next call.
    waiting: Vec<(SeriesId, Series)>,
    /// By rule and group number, whether the guest knows the group.
    groups: Vec<Vec<bool>>,
    /// What the version before it left behind, until every rule's groups are known.
    left: Option<Result<Option<Vec<u8>>, Fault>>,
}

impl Plugins {
    /// Takes over a ruleset's components. One with an unchanged digest goes on as it is; a changed
    /// one knows the series of the old version and waits for its state: see [`Plugins::inherit`].
    pub fn adopt(&mut self, recipes: &[Arc<dyn RulePlugin>]) {
        let mut old = std::mem::take(&mut self.0);
        for recipe in recipes {
            let known = old.iter().position(|run| run.recipe.name() == recipe.name());
            let run = match known.map(|at| old.swap_remove(at)) {
                Some(run) if run.recipe.digest() == recipe.digest() => run,
                Some(run) => run.replaced(recipe),
                None => PluginRun::new(recipe.clone()),
            };
            self.0.push(run);
        }
    }

    /// Components that [`Plugins::adopt`] replaced and that have not inherited yet.
    pub fn heirs(&self) -> Vec<String> {
        let heirs = self.0.iter().filter(|run| run.left.is_some());
        heirs.map(|run| run.recipe.name().to_owned()).collect()
    }

    /// Carries a replaced component's state over, once its groups are announced; gives why it was
    /// lost if it was.
    pub fn inherit(&mut self, plugin: &str) -> Option<String> {
        let left = self.find(plugin)?.left.take()?;
        let restored = left.and_then(|state| match state {
            Some(state) => self.restore(plugin, &state),
            None => Ok(()),
        });
        restored.err().map(|fault| fault.to_string())
    }

    pub fn intern(&mut self, plugin: &str, id: SeriesId, series: &Series) {
        if let Some(run) = self.find(plugin)
            && run.interned.insert(id, series.clone()).is_none()
        {
            run.waiting.push((id, series.clone()));
        }
    }

    pub fn forget(&mut self, id: SeriesId) {
        for run in &mut self.0 {
            run.waiting.retain(|(waiting, _)| *waiting != id);
            if run.interned.remove(&id).is_some()
                && let Ok(instance) = &mut run.instance
            {
                instance.forget(&[id]);
            }
        }
    }

    /// Announces those of a rule's groups that the guest does not know yet.
    pub fn announce(
        &mut self,
        plugin: &str,
        rule: u32,
        groups: &[u32],
        key_of: impl Fn(u32) -> Labels,
    ) -> Result<(), Fault> {
        let Some(run) = self.find(plugin) else { return Ok(()) };
        let known = run.groups_of(rule);
        let mut added = Vec::new();
        for group in groups {
            let at = *group as usize;
            if known.len() <= at {
                known.resize(at + 1, false);
            }
            if !std::mem::replace(&mut known[at], true) {
                added.push((*group, key_of(*group)));
            }
        }
        if added.is_empty() {
            return Ok(());
        }
        self.ready(plugin)?.intern_groups(rule, &added)
    }

    /// The group is gone; its number may come to mean another.
    pub fn forget_group(&mut self, plugin: &str, rule: u32, group: u32) {
        let Some(run) = self.find(plugin) else { return };
        let known = run.groups_of(rule).get_mut(group as usize).map(std::mem::take);
        if known == Some(true)
            && let Ok(instance) = &mut run.instance
        {
            instance.forget_groups(rule, &[group]);
        }
    }

    pub fn evaluate_windows(
        &mut self,
        plugin: &str,
        rule: u32,
        windows: &WindowRows<'_>,
        out: &mut GuestVerdicts,
    ) -> Result<(), Fault> {
        self.ready(plugin)?.evaluate_windows(rule, windows, out)
    }

    /// Empty columns for [`Plugins::evaluate`].
    pub fn spare_rows(&mut self, plugin: &str) -> GuestRows {
        let run = self.find(plugin);
        let instance = run.and_then(|run| run.instance.as_mut().ok());
        instance.map(|instance| instance.spare_rows()).unwrap_or_default()
    }

    pub fn evaluate(
        &mut self,
        plugin: &str,
        rule: u32,
        rows: GuestRows,
        out: &mut GuestVerdicts,
    ) -> Result<(), Fault> {
        self.ready(plugin)?.evaluate(rule, rows, out)
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

    /// Restores a state once all series and groups are interned; a refusal means a cold start.
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
        let (interned, waiting, groups) = (BTreeMap::new(), Vec::new(), Vec::new());
        PluginRun { recipe, instance, interned, waiting, groups, left: None }
    }

    /// The new version with this one's series, and what this one leaves it.
    fn replaced(mut self, recipe: &Arc<dyn RulePlugin>) -> PluginRun {
        let mut next = PluginRun::new(recipe.clone());
        let instance = self.instance.as_mut().map_err(|fault| fault.clone());
        next.left = Some(instance.and_then(|instance| instance.save()));
        next.waiting = self.interned.iter().map(|(id, series)| (*id, series.clone())).collect();
        next.interned = self.interned;
        next
    }

    fn groups_of(&mut self, rule: u32) -> &mut Vec<bool> {
        let rule = rule as usize;
        if self.groups.len() <= rule {
            self.groups.resize_with(rule + 1, Vec::new);
        }
        &mut self.groups[rule]
    }
}
