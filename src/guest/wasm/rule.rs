//! Rules that a component judges: what it declares, how an instance starts, and which of its
//! answers are taken. How an instance is kept alive on a shard is in [`super::shard`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::declared::{self, Common, Levels};
use super::engine::{Compiled, WasmHost};
use super::error::LoadError;
use super::limits::{Counters, cut};
use super::manifest::Kind;
use super::shard::ShardInstance;
use super::store::{GuestStore, Plugin, Stop};
use super::v0_1::bindings::rule::{Rule as Bindings, RulePre};
use super::v0_1::{HostState, level_from, model, rules};
use crate::kernel::model::{Series, Version};
use crate::kernel::rule::Rule;
use crate::kernel::rule::program::{Fault, GuestVerdict, GuestVerdicts, RuleInstance, RulePlugin};
use crate::kernel::rule::selector::NamePattern;

/// Series announced in one call; a new instance may have to learn of a million.
const INTERN_MAX: usize = 4_096;

/// What a verdict may say.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// A loaded rule component: a recipe shared by all shards, and cheap to clone.
#[derive(Clone)]
pub struct RuleComponent {
    plugin: Arc<Plugin>,
    pre: RulePre<HostState>,
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

/// Makes rules of a compiled component: links it, starts a trial instance, takes its declarations
/// and tries it on a canned batch.
pub fn load(
    plugin: Plugin,
    code: Arc<Compiled>,
    settings: &str,
    version: Version,
    host: &WasmHost,
) -> Result<LoadedRules, LoadError> {
    let refuse = |error: wasmtime::Error| LoadError::Malformed(format!("{error:#}"));
    let pre = host.linker(Kind::Rule).instantiate_pre(&code.component).map_err(refuse)?;
    let mut component = RuleComponent {
        plugin: Arc::new(plugin),
        pre: RulePre::new(pre).map_err(refuse)?,
        settings: settings.into(),
        digest: version.0,
        levels: Arc::default(),
        _code: code,
    };
    let mut trial = component.start().map_err(|stop| match stop {
        Stop::Died(words) => LoadError::Died(words),
        Stop::Refused(words) => LoadError::Settings(words),
    })?;
    let declarations = trial.describe().map_err(died)?;
    let common = Common { plugin: &component.plugin.name.clone(), version };
    let (rules, levels) = declared::rules(declarations, &common)?;
    component.levels = levels.into();
    try_out(&mut trial, &component, &rules)?;
    Ok(LoadedRules { rules, plugin: Arc::new(component) })
}

fn died(stop: Stop) -> LoadError {
    match stop {
        Stop::Died(words) => LoadError::Died(words),
        Stop::Refused(words) => LoadError::Trial(words),
    }
}

/// Two rows for each rule, a tick and a save: whoever dies of these would die of any batch.
fn try_out(live: &mut Live, component: &RuleComponent, rules: &[Rule]) -> Result<(), LoadError> {
    const AT: i64 = 1_700_000_000_000_000_000;
    let canned = |(rule, row): (&Rule, &str)| {
        let (NamePattern::Exact(metric) | NamePattern::Glob(metric)) =
            &rule.inputs[0].selector.metric;
        Series::new(metric, [("trial", row)])
    };
    let rows = rules.iter().flat_map(|rule| [(rule, "0"), (rule, "1")]);
    let known: BTreeMap<u32, Series> = (0..).zip(rows.map(canned)).collect();
    live.intern(&known).map_err(died)?;
    for rule in 0..rules.len() as u32 {
        let series = [2 * rule, 2 * rule + 1];
        let columns = Columns { series: &series, at: &[AT, AT], value: &[0.0, 1.0] };
        let answer = live.evaluate(rule, columns).map_err(died)?;
        let asked = Asked::Rows(2);
        component.accept(rule, answer, &asked, &mut GuestVerdicts::default()).map_err(died)?;
        let answer = live.tick(rule, AT + 1).map_err(died)?;
        let asked = Asked::Series(&known);
        component.accept(rule, answer, &asked, &mut GuestVerdicts::default()).map_err(died)?;
    }
    let all: Vec<u32> = known.into_keys().collect();
    live.forget(&all).map_err(died)?;
    live.save().map_err(died)?;
    Ok(())
}

impl RuleComponent {
    pub fn counters(&self) -> &Counters {
        &self.plugin.counters
    }

    pub fn warn(&self, words: &str) {
        self.plugin.warn(words);
    }

    /// A new instance with its settings and nothing else.
    pub fn start(&self) -> Result<Live, Stop> {
        let mut store = GuestStore::new(&self.plugin);
        let guest = store.call("start", |store| self.pre.instantiate(store))?;
        let mut live = Live { store, guest };
        let (guest, settings) = (&live.guest, &self.settings);
        live.store.ask("configure", |store| {
            guest.watchfire_plugin_lifecycle().call_configure(store, settings)
        })?;
        Ok(live)
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

/// What rows of an answer may name.
pub enum Asked<'a> {
    /// Rows of the columns, so many.
    Rows(usize),
    Series(&'a BTreeMap<u32, Series>),
}

impl Asked<'_> {
    fn has(&self, row: u32) -> bool {
        match self {
            Asked::Rows(rows) => (row as usize) < *rows,
            Asked::Series(known) => known.contains_key(&row),
        }
    }

    fn count(&self) -> usize {
        match self {
            Asked::Rows(rows) => *rows,
            Asked::Series(known) => known.len(),
        }
    }
}

fn check(answer: &rules::Judgement, asked: &Asked<'_>, levels: &Levels) -> Result<(), String> {
    let listed = answer.verdicts.len() + answer.hold.len();
    if listed > asked.count() {
        return Err(format!("{listed} rows were listed of {}", asked.count()));
    }
    let mut rows: Vec<u32> = answer.verdicts.iter().map(|verdict| verdict.row).collect();
    rows.extend(&answer.hold);
    if let Some(row) = rows.iter().find(|row| !asked.has(**row)) {
        return Err(format!("row {row} was not asked about"));
    }
    // Guests list rows in order; then this is one pass.
    rows.sort_unstable();
    if let Some(pair) = rows.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("row {} was listed twice", pair[0]));
    }
    let level = answer.verdicts.iter().map(|verdict| level_from(verdict.level));
    match level.into_iter().find(|level| !levels[level.index()]) {
        Some(level) => Err(format!("a verdict has the level {level}, which was not declared")),
        None => Ok(()),
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

/// A running instance.
pub struct Live {
    store: GuestStore,
    guest: Bindings,
}

#[derive(Clone, Copy)]
pub struct Columns<'a> {
    pub series: &'a [u32],
    pub at: &'a [i64],
    pub value: &'a [f64],
}

impl Live {
    fn describe(&mut self) -> Result<Vec<rules::Declaration>, Stop> {
        let guest = self.guest.watchfire_plugin_evaluator();
        self.store.ask("describe", |store| guest.call_describe(store))
    }

    pub fn intern(&mut self, added: &BTreeMap<u32, Series>) -> Result<(), Stop> {
        let all: Vec<model::Series> =
            added.iter().map(|(id, series)| announce(*id, series)).collect();
        let guest = self.guest.watchfire_plugin_evaluator();
        for part in all.chunks(INTERN_MAX) {
            self.store.call("intern", |store| guest.call_intern(store, part))?;
        }
        Ok(())
    }

    pub fn forget(&mut self, removed: &[u32]) -> Result<(), Stop> {
        let guest = self.guest.watchfire_plugin_evaluator();
        self.store.call("forget", |store| guest.call_forget(store, removed))
    }

    pub fn evaluate(&mut self, rule: u32, columns: Columns<'_>) -> Result<rules::Judgement, Stop> {
        let guest = self.guest.watchfire_plugin_evaluator();
        let Columns { series, at, value } = columns;
        self.store.ask("evaluate", |store| guest.call_evaluate(store, rule, series, at, value))
    }

    pub fn tick(&mut self, rule: u32, now: i64) -> Result<rules::Judgement, Stop> {
        self.store.set_now(now);
        let guest = self.guest.watchfire_plugin_evaluator();
        self.store.ask("tick", |store| guest.call_tick(store, rule, now))
    }

    pub fn save(&mut self) -> Result<Option<model::Snapshot>, Stop> {
        let guest = self.guest.watchfire_plugin_lifecycle();
        let saved = self.store.ask("save", |store| guest.call_save(store))?;
        self.store.within_cap(saved)
    }

    pub fn restore(&mut self, state: &model::Snapshot) -> Result<(), Stop> {
        let guest = self.guest.watchfire_plugin_lifecycle();
        self.store.ask("restore", |store| guest.call_restore(store, state))
    }
}

fn announce(id: u32, series: &Series) -> model::Series {
    let label = |(name, value): (&str, &str)| model::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let labels = series.pairs().map(label).collect();
    model::Series { id, metric: series.name().to_owned(), labels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_that_was_asked_about_is_listed_once_at_a_declared_level() {
        use model::Severity::{Critical, Warning};
        let three_rows = Asked::Rows(3);
        let series = BTreeMap::from([(7, Series::new("a", [("b", "c")]))]);
        let one_series = Asked::Series(&series);
        for (asked, verdicts, hold, says) in [
            (&three_rows, &[(0, Warning), (2, Warning)][..], &[1][..], None),
            (&three_rows, &[], &[], None),
            (&three_rows, &[(3, Warning)], &[], Some("row 3 was not asked about")),
            (&three_rows, &[], &[3], Some("row 3 was not asked about")),
            (&three_rows, &[(1, Warning), (1, Warning)], &[], Some("row 1 was listed twice")),
            (&three_rows, &[(1, Warning)], &[2, 1], Some("row 1 was listed twice")),
            (&three_rows, &[(0, Warning)], &[0, 1, 2], Some("4 rows were listed of 3")),
            (
                &three_rows,
                &[(0, Critical)],
                &[],
                Some("a verdict has the level critical, which was not declared"),
            ),
            (&one_series, &[(7, Warning)], &[], None),
            (&one_series, &[(0, Warning)], &[], Some("row 0 was not asked about")),
        ] {
            let verdict = |(row, level)| rules::Verdict { row, level, value: None, message: None };
            let verdicts = verdicts.iter().copied().map(verdict).collect();
            let answer = rules::Judgement { verdicts, hold: hold.to_vec() };
            let checked = check(&answer, asked, &[false, true, false]);
            assert_eq!(checked.err().as_deref(), says);
        }
    }
}
