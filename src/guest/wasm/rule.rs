//! Rules that a component judges: what it declares, and which of its answers are taken. How an
//! instance is kept alive on a shard is in [`super::shard`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::answer::{Asked, check};
use super::declared::{self, Common, Levels};
use super::engine::Compiled;
use super::error::LoadError;
use super::judge::{JudgingRecipe, Live, WindowColumns};
use super::limits::cut;
use super::shard::ShardInstance;
use super::store::{Plugin, Stop};
use super::v0_1::{level_from, rules};
use crate::kernel::model::{Labels, Series, Version};
use crate::kernel::rule::program::{
    Fault, GuestRows, GuestVerdict, GuestVerdicts, RuleInstance, RulePlugin,
};
use crate::kernel::rule::selector::NamePattern;
use crate::kernel::rule::{Rule, Shape};

/// What a verdict may say.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// A loaded rule component: a recipe shared by all shards, and cheap to clone.
#[derive(Clone)]
pub struct RuleComponent {
    plugin: Arc<Plugin>,
    recipe: JudgingRecipe,
    /// JSON.
    settings: Arc<str>,
    digest: u64,
    /// By rule number.
    levels: Arc<[Levels]>,
    /// Keeps the machine code in the host's cache.
    _code: Arc<Compiled>,
}

/// What became of a rule component.
pub struct LoadedRules {
    pub rules: Vec<Rule>,
    pub plugin: Arc<RuleComponent>,
}

/// Makes rules of a linked component: starts a trial instance, takes its declarations and tries it
/// on a canned batch.
pub fn load(
    plugin: Plugin,
    code: Arc<Compiled>,
    recipe: JudgingRecipe,
    settings: &str,
    version: Version,
) -> Result<LoadedRules, LoadError> {
    let mut component = RuleComponent {
        plugin: Arc::new(plugin),
        recipe,
        settings: settings.into(),
        digest: version.0,
        levels: Arc::default(),
        _code: code,
    };
    let mut trial = Live::trial(&component.plugin, &component.recipe, settings)?;
    let declarations = trial.describe().map_err(died)?;
    let common = Common { plugin: &component.plugin.name.clone(), version };
    let (rules, levels) = declared::rules(declarations, &common)?;
    component.levels = levels.into();
    match component.recipe {
        JudgingRecipe::Samples(_) => try_samples(&mut trial, &component, &rules)?,
        JudgingRecipe::Windows(_) => try_windows(&mut trial, &component, &rules)?,
    }
    trial.save().map_err(died)?;
    component.plugin.in_service.store(true, Relaxed);
    Ok(LoadedRules { rules, plugin: Arc::new(component) })
}

fn died(stop: Stop) -> LoadError {
    match stop {
        Stop::Died(words) => LoadError::Died(words),
        Stop::Refused(words) => LoadError::Trial(words),
    }
}

/// When the canned rows happen.
const TRIAL_AT: i64 = 1_700_000_000_000_000_000;

/// Two rows for each rule and a tick: whoever dies of these would die of any batch.
fn try_samples(
    live: &mut Live,
    component: &RuleComponent,
    rules: &[Rule],
) -> Result<(), LoadError> {
    let canned = |(rule, row): (&Rule, &str)| {
        let (NamePattern::Exact(metric) | NamePattern::Glob(metric)) =
            &rule.inputs[0].selector.metric;
        Series::new(metric, [("trial", row)])
    };
    let rows = rules.iter().flat_map(|rule| [(rule, "0"), (rule, "1")]);
    let known: BTreeMap<u32, Series> = (0..).zip(rows.map(canned)).collect();
    live.intern(&known).map_err(died)?;
    for rule in 0..rules.len() as u32 {
        let series = vec![2 * rule, 2 * rule + 1];
        let rows = GuestRows { series, at: vec![TRIAL_AT; 2], value: vec![0.0, 1.0] };
        let answer = live.evaluate(rule, &rows).map_err(died)?;
        let asked = Asked::Rows(2);
        component.accept(rule, answer, &asked, &mut GuestVerdicts::default()).map_err(died)?;
        let answer = live.tick(rule, TRIAL_AT + 1).map_err(died)?;
        let asked = Asked::Series(&known);
        component.accept(rule, answer, &asked, &mut GuestVerdicts::default()).map_err(died)?;
    }
    let all: Vec<u32> = known.into_keys().collect();
    live.forget(&all).map_err(died)
}

/// Two windows for each rule; for the last samples of a group one at a time, as they come.
fn try_windows(
    live: &mut Live,
    component: &RuleComponent,
    rules: &[Rule],
) -> Result<(), LoadError> {
    for (number, rule) in rules.iter().enumerate() {
        let number = number as u32;
        let reads = rule.guest_of_windows().map_or(0, |guest| guest.reads.len());
        let key = |row: &str| Labels::new([("trial", row)]);
        let known = BTreeMap::from([(0, key("0")), (1, key("1"))]);
        live.intern_groups(number, &known).map_err(died)?;
        let at_once = if matches!(rule.shape, Shape::Count { .. }) { 1 } else { 2 };
        for rows in [(0, 0.0), (1, 1.0)].chunks(at_once) {
            let groups: Vec<u32> = rows.iter().map(|(group, _)| *group).collect();
            let values = vec![rows.iter().map(|(_, value)| *value).collect(); reads];
            let ends = vec![TRIAL_AT; rows.len()];
            let columns = WindowColumns { groups: &groups, ends: &ends, values: &values };
            let answer = live.evaluate_windows(number, columns).map_err(died)?;
            let asked = Asked::Rows(rows.len());
            let mut out = GuestVerdicts::default();
            component.accept(number, answer, &asked, &mut out).map_err(died)?;
        }
        live.forget_groups(number, &[0, 1]).map_err(died)?;
    }
    Ok(())
}

impl RuleComponent {
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// A new instance died of the batch that the one before died of.
    pub fn died_again(&self) {
        self.plugin.strikes.died_again(&self.plugin.name);
    }

    /// A new instance with its settings and nothing else.
    pub fn start(&self) -> Result<Live, Stop> {
        Live::start(&self.plugin, &self.recipe, &self.settings)
    }

    /// Takes an answer over when it keeps its promises.
    pub fn accept(
        &self,
        rule: u32,
        answer: rules::Judgement,
        asked: &Asked<'_>,
        out: &mut GuestVerdicts,
    ) -> Result<(), Stop> {
        let checked = check(&answer, asked, &self.levels[rule as usize]);
        if let Err(why) = checked {
            self.plugin.counters.faults.fetch_add(1, Relaxed);
            return Err(Stop::Refused(format!("`{}` broke a promise: {why}", self.plugin.name)));
        }
        self.plugin.counters.verdicts.fetch_add(answer.verdicts.len() as u64, Relaxed);
        out.breaches.extend(answer.verdicts.into_iter().map(|verdict| GuestVerdict {
            row: verdict.row,
            level: level_from(verdict.level),
            value: verdict.value.filter(|value| value.is_finite()),
            message: verdict.message.map(|message| cut(&message, MESSAGE_BYTES_MAX)),
        }));
        out.hold.extend(answer.hold);
        Ok(())
    }
}

impl RulePlugin for RuleComponent {
    fn name(&self) -> &str {
        &self.plugin.name
    }

    fn digest(&self) -> u64 {
        self.digest
    }

    fn instance(&self) -> Result<Box<dyn RuleInstance>, Fault> {
        let live = self.start().map_err(|stop| Fault::new(stop.words()))?;
        Ok(Box::new(ShardInstance::new(self.clone(), live)))
    }
}

impl fmt::Debug for RuleComponent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RuleComponent").field("plugin", &self.plugin.name).finish_non_exhaustive()
    }
}
