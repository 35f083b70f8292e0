//! Rules that a component judges: one instance for each shard, called on the shard's thread.
//!
//! What a trap costs is bounded by checkpoints. An instance's state is saved after every 16,384
//! rows (or four times its series, where that is more), and the calls since are kept in order; a
//! new instance gets the series, the saved state and those calls again, and then the call that
//! killed the old one, once. So a trap that does not come back is not seen in the verdicts at all.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::declared::{self, Common, Levels};
use super::engine::{Compiled, WasmHost};
use super::error::LoadError;
use super::limits::{Counters, cut};
use super::manifest::Kind;
use super::store::{GuestStore, Plugin, Stop};
use super::v0_1::rule::{Rule as Bindings, RulePre};
use super::v0_1::{HostState, evaluator, level_from, model};
use crate::kernel::model::{EventTime, Series, SeriesId, Version};
use crate::kernel::rule::Rule;
use crate::kernel::rule::program::{Fault, GuestVerdict, GuestVerdicts, RuleInstance, RulePlugin};

/// Rows between two checkpoints, where there are few series.
const CHECKPOINT_ROWS: usize = 16_384;

/// A cap on the rows kept for a new instance, 20 bytes each.
const KEPT_ROWS_MAX: usize = 262_144;

/// Calls between two checkpoints, so that small batches do not pile up.
const CHECKPOINT_CALLS: usize = 1_024;

/// Series announced in one call; a new instance may have to learn of a million.
const INTERN_MAX: usize = 4_096;

/// What a verdict may say.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// A loaded rule component: a recipe shared by all shards.
pub struct RuleComponent {
    plugin: Arc<Plugin>,
    pre: RulePre<HostState>,
    /// JSON.
    settings: String,
    digest: u64,
    /// By rule number.
    levels: Vec<Levels>,
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
        settings: settings.to_owned(),
        digest: version.0,
        levels: Vec::new(),
        _code: code,
    };
    let mut trial = component.start().map_err(|stop| match stop {
        Stop::Died(words) => LoadError::Died(words),
        Stop::Refused(words) => LoadError::Settings(words),
    })?;
    let declarations = trial.describe().map_err(died)?;
    let common = Common { plugin: &component.plugin.name.clone(), version };
    let (rules, levels) = declared::rules(declarations, &common)?;
    component.levels = levels;
    let plugin = Arc::new(component);
    try_out(&mut trial, &plugin, &rules)?;
    Ok(LoadedRules { rules, plugin })
}

fn died(stop: Stop) -> LoadError {
    match stop {
        Stop::Died(words) => LoadError::Died(words),
        Stop::Refused(words) => LoadError::Trial(words),
    }
}

/// Two rows for each rule, a tick and a save: whoever dies of these would die of any batch.
fn try_out(live: &mut Live, plugin: &Arc<RuleComponent>, rules: &[Rule]) -> Result<(), LoadError> {
    const AT: i64 = 1_700_000_000_000_000_000;
    let series = [Series::new("trial", [("row", "0")]), Series::new("trial", [("row", "1")])];
    let known: BTreeMap<u32, Series> = (0..).zip(series).collect();
    live.intern(&known).map_err(died)?;
    for rule in 0..rules.len() as u32 {
        let columns = Columns { series: &[0, 1], at: &[AT, AT], value: &[0.0, 1.0] };
        let answer = live.evaluate(rule, columns).map_err(died)?;
        let asked = Asked::Rows(2);
        plugin.accept(rule, answer, &asked, &mut GuestVerdicts::default()).map_err(died)?;
        let answer = live.tick(rule, AT + 1).map_err(died)?;
        let asked = Asked::Series(&known);
        plugin.accept(rule, answer, &asked, &mut GuestVerdicts::default()).map_err(died)?;
    }
    live.forget(&[0, 1]).map_err(died)?;
    live.save().map_err(died)?;
    Ok(())
}

impl RuleComponent {
    /// A new instance with its settings and nothing else.
    fn start(&self) -> Result<Live, Stop> {
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
    fn accept(
        &self,
        rule: u32,
        answer: evaluator::Judgement,
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
enum Asked<'a> {
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

fn check(answer: &evaluator::Judgement, asked: &Asked<'_>, levels: &Levels) -> Result<(), String> {
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
        let shared = RuleComponent {
            plugin: self.plugin.clone(),
            pre: self.pre.clone(),
            settings: self.settings.clone(),
            digest: self.digest,
            levels: self.levels.clone(),
            _code: self._code.clone(),
        };
        let live = shared.start().map_err(|stop| Fault::new(stop.words()))?;
        Ok(Box::new(ShardInstance {
            component: shared,
            live: Some(live),
            series: BTreeMap::new(),
            saved: None,
            kept: Kept::default(),
        }))
    }
}

impl fmt::Debug for RuleComponent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RuleComponent").field("plugin", &self.plugin.name).finish_non_exhaustive()
    }
}

/// A running instance.
struct Live {
    store: GuestStore,
    guest: Bindings,
}

#[derive(Clone, Copy)]
struct Columns<'a> {
    series: &'a [u32],
    at: &'a [i64],
    value: &'a [f64],
}

impl Live {
    fn describe(&mut self) -> Result<Vec<evaluator::Declaration>, Stop> {
        let guest = self.guest.watchfire_plugin_evaluator();
        self.store.ask("describe", |store| guest.call_describe(store))
    }

    fn intern(&mut self, added: &BTreeMap<u32, Series>) -> Result<(), Stop> {
        let all: Vec<model::Series> =
            added.iter().map(|(id, series)| announce(*id, series)).collect();
        let guest = self.guest.watchfire_plugin_evaluator();
        for part in all.chunks(INTERN_MAX) {
            self.store.call("intern", |store| guest.call_intern(store, part))?;
        }
        Ok(())
    }

    fn forget(&mut self, removed: &[u32]) -> Result<(), Stop> {
        let guest = self.guest.watchfire_plugin_evaluator();
        self.store.call("forget", |store| guest.call_forget(store, removed))
    }

    fn evaluate(&mut self, rule: u32, columns: Columns<'_>) -> Result<evaluator::Judgement, Stop> {
        let guest = self.guest.watchfire_plugin_evaluator();
        let Columns { series, at, value } = columns;
        self.store.ask("evaluate", |store| guest.call_evaluate(store, rule, series, at, value))
    }

    fn tick(&mut self, rule: u32, now: i64) -> Result<evaluator::Judgement, Stop> {
        self.store.set_now(now);
        let guest = self.guest.watchfire_plugin_evaluator();
        self.store.ask("tick", |store| guest.call_tick(store, rule, now))
    }

    fn save(&mut self) -> Result<Option<model::Snapshot>, Stop> {
        let guest = self.guest.watchfire_plugin_lifecycle();
        let saved = self.store.ask("save", |store| guest.call_save(store))?;
        let cap = self.store.limits().state_bytes;
        match saved {
            Some(state) if state.data.len() > cap => {
                let size = state.data.len();
                Err(Stop::Refused(format!("its state of {size} bytes is more than {cap}")))
            }
            saved => Ok(saved),
        }
    }

    fn restore(&mut self, state: &model::Snapshot) -> Result<(), Stop> {
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

/// One shard's instance, and what it takes to make it anew.
struct ShardInstance {
    component: RuleComponent,
    /// `None` after a trap, until the next call.
    live: Option<Live>,
    /// Every series the guest knows, by number.
    series: BTreeMap<u32, Series>,
    /// The state at the last checkpoint.
    saved: Option<model::Snapshot>,
    kept: Kept,
}

/// The calls since the last checkpoint, in order.
#[derive(Default)]
struct Kept {
    calls: Vec<Call>,
    rows: usize,
    /// The guest's state cannot be saved any more: a new instance begins without it.
    given_up: bool,
}

enum Call {
    Evaluate { rule: u32, series: Vec<u32>, at: Vec<i64>, value: Vec<f64> },
    Tick { rule: u32, now: i64 },
}

impl Call {
    fn make(&self, live: &mut Live) -> Result<evaluator::Judgement, Stop> {
        match self {
            Call::Evaluate { rule, series, at, value } => {
                live.evaluate(*rule, Columns { series, at, value })
            }
            Call::Tick { rule, now } => live.tick(*rule, *now),
        }
    }

    fn rule(&self) -> u32 {
        match self {
            Call::Evaluate { rule, .. } | Call::Tick { rule, .. } => *rule,
        }
    }

    fn rows(&self) -> usize {
        match self {
            Call::Evaluate { series, .. } => series.len(),
            Call::Tick { .. } => 0,
        }
    }

    /// The call without rows of series that the guest was told to forget since.
    fn retain(&mut self, known: &BTreeMap<u32, Series>) {
        let Call::Evaluate { series, at, value, .. } = self else { return };
        if series.iter().all(|id| known.contains_key(id)) {
            return;
        }
        let keep: Vec<bool> = series.iter().map(|id| known.contains_key(id)).collect();
        let mut at_row = keep.iter();
        series.retain(|_| *at_row.next().expect("columns have equal lengths"));
        let mut at_row = keep.iter();
        at.retain(|_| *at_row.next().expect("columns have equal lengths"));
        let mut at_row = keep.iter();
        value.retain(|_| *at_row.next().expect("columns have equal lengths"));
    }
}

impl ShardInstance {
    /// Runs `work` on a live instance; after a trap once more on a new one.
    fn with<R>(&mut self, mut work: impl FnMut(&mut Live) -> Result<R, Stop>) -> Result<R, Stop> {
        let mut retried = false;
        loop {
            let mut live = match self.live.take() {
                Some(live) => live,
                None => self.revive()?,
            };
            match work(&mut live) {
                Err(Stop::Died(words)) => {
                    drop(live);
                    tracing::warn!(target: "guest", plugin = self.component.name(), "{words}");
                    if retried {
                        return Err(Stop::Died(words));
                    }
                    retried = true;
                }
                answer => {
                    self.live = Some(live);
                    return answer;
                }
            }
        }
    }

    /// A new instance where the old one was: series, state, and the calls since the checkpoint.
    fn revive(&mut self) -> Result<Live, Stop> {
        match self.relive() {
            Ok(live) => Ok(live),
            Err(stop) => {
                self.state_lost(&stop.words());
                let mut live = self.component.start()?;
                live.intern(&self.series)?;
                Ok(live)
            }
        }
    }

    fn relive(&mut self) -> Result<Live, Stop> {
        let mut live = self.component.start()?;
        live.intern(&self.series)?;
        if let Some(saved) = &self.saved {
            live.restore(saved)?;
        }
        for call in &mut self.kept.calls {
            call.retain(&self.series);
            // What the guest said to it then counts; here only its state matters.
            match call.make(&mut live) {
                Ok(_) | Err(Stop::Refused(_)) => {}
                Err(died) => return Err(died),
            }
        }
        if self.kept.given_up {
            self.plugin_counters().states_lost.fetch_add(1, Relaxed);
        }
        Ok(live)
    }

    fn state_lost(&mut self, why: &str) {
        self.saved = None;
        self.kept = Kept::default();
        self.plugin_counters().states_lost.fetch_add(1, Relaxed);
        let plugin = self.component.name();
        tracing::warn!(target: "guest", plugin, "its state is lost: {why}");
    }

    fn plugin_counters(&self) -> &Counters {
        &self.component.plugin.counters
    }

    fn judge(&mut self, call: Call, out: &mut GuestVerdicts) -> Result<(), Stop> {
        let (rule, rows) = (call.rule(), call.rows());
        self.plugin_counters().rows.fetch_add(rows as u64, Relaxed);
        let answer = self.with(|live| call.make(live));
        // A call that was refused may have changed the guest all the same; one that killed it
        // twice is left out.
        if !matches!(answer, Err(Stop::Died(_))) {
            self.keep(call);
        }
        let asked = if rows > 0 { Asked::Rows(rows) } else { Asked::Series(&self.series) };
        self.component.accept(rule, answer?, &asked, out)
    }

    /// Remembers a call, and takes a checkpoint when enough have gathered.
    fn keep(&mut self, call: Call) {
        if self.kept.given_up {
            return;
        }
        self.kept.rows += call.rows();
        self.kept.calls.push(call);
        let due = CHECKPOINT_ROWS.max(4 * self.series.len()).min(KEPT_ROWS_MAX);
        if self.kept.rows < due && self.kept.calls.len() < CHECKPOINT_CALLS {
            return;
        }
        let Some(live) = &mut self.live else { return };
        match live.save() {
            Ok(saved) => self.checkpoint(saved),
            Err(stop) => {
                if matches!(stop, Stop::Died(_)) {
                    self.live = None;
                }
                self.state_lost(&stop.words());
                self.kept.given_up = true;
            }
        }
    }

    fn checkpoint(&mut self, saved: Option<model::Snapshot>) {
        self.saved = saved;
        self.kept = Kept::default();
    }
}

fn fault(stop: Stop) -> Fault {
    Fault::new(stop.words())
}

impl RuleInstance for ShardInstance {
    fn intern(&mut self, added: &[(SeriesId, Series)]) -> Result<(), Fault> {
        let added: BTreeMap<u32, Series> =
            added.iter().map(|(id, series)| (id.0, series.clone())).collect();
        self.series.extend(added.clone());
        // A new instance learns of every series as it is made.
        let Some(live) = &mut self.live else { return Ok(()) };
        match live.intern(&added) {
            Ok(()) => Ok(()),
            Err(stop) => {
                self.live = None;
                Err(fault(stop))
            }
        }
    }

    fn forget(&mut self, removed: &[SeriesId]) -> Result<(), Fault> {
        let removed: Vec<u32> = removed.iter().map(|id| id.0).collect();
        for id in &removed {
            self.series.remove(id);
        }
        let Some(live) = &mut self.live else { return Ok(()) };
        match live.forget(&removed) {
            Ok(()) => Ok(()),
            Err(stop) => {
                self.live = None;
                Err(fault(stop))
            }
        }
    }

    fn evaluate(
        &mut self,
        rule: u32,
        series: &[SeriesId],
        at: &[EventTime],
        value: &[f64],
        out: &mut GuestVerdicts,
    ) -> Result<(), Fault> {
        if series.is_empty() {
            return Ok(());
        }
        let call = Call::Evaluate {
            rule,
            series: series.iter().map(|id| id.0).collect(),
            at: at.iter().map(|at| at.nanos()).collect(),
            value: value.to_vec(),
        };
        self.judge(call, out).map_err(fault)
    }

    fn tick(&mut self, rule: u32, now: EventTime, out: &mut GuestVerdicts) -> Result<(), Fault> {
        self.judge(Call::Tick { rule, now: now.nanos() }, out).map_err(fault)
    }

    fn save(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let saved = self.with(Live::save).map_err(fault)?;
        self.checkpoint(saved.clone());
        Ok(saved.map(|state| [&state.version.to_le_bytes(), state.data.as_slice()].concat()))
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), Fault> {
        let Some((version, data)) = state.split_first_chunk::<4>() else {
            return Err(Fault::new("the saved state is cut off"));
        };
        let state = model::Snapshot { version: u32::from_le_bytes(*version), data: data.to_vec() };
        let restored = match self.with(|live| live.restore(&state)) {
            Ok(()) => Ok(()),
            Err(stop) => {
                // Half of it may have been taken over.
                self.live = None;
                Err(fault(stop))
            }
        };
        self.checkpoint(restored.is_ok().then_some(state));
        restored
    }
}
