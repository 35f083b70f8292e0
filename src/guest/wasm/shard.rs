//! One shard's instance of a rule component, and what it takes to make it anew.
//!
//! What a trap costs is bounded by checkpoints. An instance's state is saved after every 16,384
//! rows (or 64 times its series and groups, where that is more), and the calls since are kept in
//! order; a new instance gets the series, the saved state and those calls again, and then the call
//! that killed the old one, once. So a trap that does not come back is not seen in the verdicts at
//! all.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use super::answer::Asked;
use super::counters::Counters;
use super::judge::{Live, WindowColumns};
use super::rule::RuleComponent;
use super::store::Stop;
use super::v0_1::{model, rules};
use crate::guest::changes;
use crate::kernel::model::{EventTime, Labels, Series, SeriesId};
use crate::kernel::rule::program::{Fault, GuestRows, GuestVerdicts, RuleInstance, WindowRows};

/// Rows between two checkpoints, where there are few series.
const CHECKPOINT_ROWS: usize = 16_384;

/// Rows between two checkpoints for each series and group: to save one costs the guest some 50 ns,
/// so the rows bear less than one of them each.
const CHECKPOINT_ROWS_A_SERIES: usize = 64;

/// A cap on the rows kept for a new instance, 20 bytes each.
const KEPT_ROWS_MAX: usize = 262_144;

/// Calls between two checkpoints, so that small batches do not pile up.
const CHECKPOINT_CALLS: usize = 1_024;

/// One shard's instance, and what it takes to make it anew.
pub struct ShardInstance {
    component: RuleComponent,
    /// `None` after a trap, until the next call.
    live: Option<Live>,
    known: Known,
    /// The state at the last checkpoint.
    saved: Option<model::Snapshot>,
    kept: Kept,
    /// Columns of calls that need not be kept any more, to be filled again.
    spare: Vec<GuestRows>,
}

/// What was announced to the guest.
#[derive(Default)]
struct Known {
    /// Of components that judge samples.
    series: BTreeMap<u32, Series>,
    /// Of components that judge windows: by rule, then group.
    groups: BTreeMap<u32, BTreeMap<u32, Labels>>,
}

impl Known {
    fn announce(&self, live: &mut Live) -> Result<(), Stop> {
        if !self.series.is_empty() {
            live.intern(&self.series)?;
        }
        for (rule, groups) in &self.groups {
            live.intern_groups(*rule, groups)?;
        }
        Ok(())
    }

    fn has_group(&self, rule: u32, group: u32) -> bool {
        self.groups.get(&rule).is_some_and(|groups| groups.contains_key(&group))
    }

    fn len(&self) -> usize {
        self.series.len() + self.groups.values().map(BTreeMap::len).sum::<usize>()
    }
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
    Evaluate { rule: u32, rows: GuestRows },
    Tick { rule: u32, now: i64 },
    Windows { rule: u32, groups: Vec<u32>, ends: Vec<i64>, values: Vec<Vec<f64>> },
}

impl Call {
    fn make(&self, live: &mut Live) -> Result<rules::Judgement, Stop> {
        match self {
            Call::Evaluate { rule, rows } => live.evaluate(*rule, rows),
            Call::Tick { rule, now } => live.tick(*rule, *now),
            Call::Windows { rule, groups, ends, values } => {
                live.evaluate_windows(*rule, WindowColumns { groups, ends, values })
            }
        }
    }

    fn rule(&self) -> u32 {
        match self {
            Call::Evaluate { rule, .. } | Call::Tick { rule, .. } | Call::Windows { rule, .. } => {
                *rule
            }
        }
    }

    fn rows(&self) -> usize {
        match self {
            Call::Evaluate { rows, .. } => rows.series.len(),
            Call::Tick { .. } => 0,
            Call::Windows { groups, .. } => groups.len(),
        }
    }

    /// The call without rows of series or groups that the guest was told to forget since.
    fn retain(&mut self, known: &Known) {
        match self {
            Call::Evaluate { rows: GuestRows { series, at, value }, .. } => {
                let kept: Vec<bool> =
                    series.iter().map(|id| known.series.contains_key(id)).collect();
                keep(series, &kept);
                keep(at, &kept);
                keep(value, &kept);
            }
            Call::Windows { rule, groups, ends, values } => {
                let kept: Vec<bool> =
                    groups.iter().map(|group| known.has_group(*rule, *group)).collect();
                keep(groups, &kept);
                keep(ends, &kept);
                values.iter_mut().for_each(|column| keep(column, &kept));
            }
            Call::Tick { .. } => {}
        }
    }
}

/// Leaves the rows of a column that are marked.
fn keep<T>(column: &mut Vec<T>, kept: &[bool]) {
    let mut rows = kept.iter();
    column.retain(|_| rows.next().copied().unwrap_or(false));
}

impl ShardInstance {
    pub fn new(component: RuleComponent, live: Live) -> ShardInstance {
        let (known, kept, spare) = (Known::default(), Kept::default(), Vec::new());
        ShardInstance { component, live: Some(live), known, saved: None, kept, spare }
    }

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
                    if retried {
                        self.component.died_again();
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
                self.known.announce(&mut live)?;
                Ok(live)
            }
        }
    }

    fn relive(&mut self) -> Result<Live, Stop> {
        let mut live = self.component.start()?;
        self.known.announce(&mut live)?;
        if let Some(saved) = &self.saved {
            live.restore(saved)?;
        }
        for call in &mut self.kept.calls {
            call.retain(&self.known);
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
        self.set_saved(None);
        self.kept = Kept::default();
        self.component.plugin().state_lost(why);
    }

    fn set_saved(&mut self, saved: Option<model::Snapshot>) {
        let bytes = |saved: &Option<model::Snapshot>| {
            saved.as_ref().map_or(0, |state| state.data.len() as u64)
        };
        self.plugin_counters().state_moved(bytes(&self.saved), bytes(&saved));
        self.saved = saved;
    }

    fn plugin_counters(&self) -> &Counters {
        &self.component.plugin().counters
    }

    /// Tells a live instance something that a new one learns as it is made.
    fn tell(&mut self, word: impl FnOnce(&mut Live) -> Result<(), Stop>) -> Result<(), Stop> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let told = word(live);
        if told.is_err() {
            self.live = None;
        }
        told
    }

    fn judge(&mut self, call: Call, out: &mut GuestVerdicts) -> Result<(), Stop> {
        let (rule, rows) = (call.rule(), call.rows());
        self.plugin_counters().batches.fetch_add(1, Relaxed);
        self.plugin_counters().rows.fetch_add(rows as u64, Relaxed);
        let answer = self.with(|live| call.make(live));
        // A call that was refused may have changed the guest all the same; one that killed it
        // twice is left out.
        if !matches!(answer, Err(Stop::Died(_))) {
            self.keep(call);
        }
        let asked = if rows > 0 { Asked::Rows(rows) } else { Asked::Series(&self.known.series) };
        self.component.accept(rule, answer?, &asked, out)
    }

    /// Remembers a call, and takes a checkpoint when enough have gathered.
    fn keep(&mut self, call: Call) {
        if self.kept.given_up {
            return;
        }
        self.kept.rows += call.rows();
        self.kept.calls.push(call);
        let wanted = CHECKPOINT_ROWS_A_SERIES * self.known.len();
        let due = wanted.clamp(CHECKPOINT_ROWS, KEPT_ROWS_MAX);
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
        self.set_saved(saved);
        self.plugin_counters().saved(changes::now());
        self.spare.clear();
        for call in std::mem::take(&mut self.kept).calls {
            if let Call::Evaluate { mut rows, .. } = call {
                rows.clear();
                self.spare.push(rows);
            }
        }
    }
}

fn fault(stop: Stop) -> Fault {
    Fault::new(stop.words())
}

impl Drop for ShardInstance {
    fn drop(&mut self) {
        self.set_saved(None);
    }
}

impl RuleInstance for ShardInstance {
    fn intern(&mut self, added: &[(SeriesId, Series)]) -> Result<(), Fault> {
        let added: BTreeMap<u32, Series> =
            added.iter().map(|(id, series)| (id.0, series.clone())).collect();
        self.known.series.extend(added.clone());
        self.tell(|live| live.intern(&added)).map_err(fault)
    }

    fn forget(&mut self, removed: &[SeriesId]) {
        let removed: Vec<u32> = removed.iter().map(|id| id.0).collect();
        for id in &removed {
            self.known.series.remove(id);
        }
        // A guest that dies of it is counted and made anew without the series.
        let _ = self.tell(|live| live.forget(&removed));
    }

    fn spare_rows(&mut self) -> GuestRows {
        self.spare.pop().unwrap_or_default()
    }

    fn evaluate(
        &mut self,
        rule: u32,
        rows: GuestRows,
        out: &mut GuestVerdicts,
    ) -> Result<(), Fault> {
        if rows.series.is_empty() {
            return Ok(());
        }
        self.judge(Call::Evaluate { rule, rows }, out).map_err(fault)
    }

    fn tick(&mut self, rule: u32, now: EventTime, out: &mut GuestVerdicts) -> Result<(), Fault> {
        self.judge(Call::Tick { rule, now: now.nanos() }, out).map_err(fault)
    }

    fn intern_groups(&mut self, rule: u32, added: &[(u32, Labels)]) -> Result<(), Fault> {
        let added: BTreeMap<u32, Labels> = added.iter().cloned().collect();
        self.known.groups.entry(rule).or_default().extend(added.clone());
        self.tell(|live| live.intern_groups(rule, &added)).map_err(fault)
    }

    fn forget_groups(&mut self, rule: u32, removed: &[u32]) {
        if let Some(groups) = self.known.groups.get_mut(&rule) {
            removed.iter().for_each(|group| drop(groups.remove(group)));
        }
        let _ = self.tell(|live| live.forget_groups(rule, removed));
    }

    fn evaluate_windows(
        &mut self,
        rule: u32,
        windows: &WindowRows<'_>,
        out: &mut GuestVerdicts,
    ) -> Result<(), Fault> {
        if windows.groups.is_empty() {
            return Ok(());
        }
        let call = Call::Windows {
            rule,
            groups: windows.groups.to_vec(),
            ends: windows.ends.iter().map(|end| end.nanos()).collect(),
            values: windows.values.iter().map(|column| column.to_vec()).collect(),
        };
        self.judge(call, out).map_err(fault)
    }

    fn save(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let saved = self.with(Live::save).map_err(|stop| {
            let words = stop.clone().words();
            self.component.plugin().tell_lost(&format!("it could not be saved: {words}"));
            fault(stop)
        })?;
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
                self.component.plugin().state_lost(&stop.clone().words());
                Err(fault(stop))
            }
        };
        self.checkpoint(restored.is_ok().then_some(state));
        restored
    }
}
