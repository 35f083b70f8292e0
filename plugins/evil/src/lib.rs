//! A rule that misbehaves on demand, for the host's own tests. It ships with nothing.
//!
//! It counts the samples of each series and breaches on every row with the count as the value, so a
//! test can see whether state outlived an instance. Settings: `act` is what it does wrong, `in` the
//! call it does it in; with `value` only when a row holds that value; with `fresh` only in an
//! instance that was never restored; `metric` is what it judges, `load` where it is not given.

mod acts;

use serde::Deserialize;
use watchfire_plugin::{
    Columns, Declaration, Failure, Judgement, Level, Rule, Series, SeriesId, SeriesTable, Snapshot,
    Timestamp, export_rule,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    act: Act,
    #[serde(default, rename = "in")]
    call: Call,
    value: Option<f64>,
    #[serde(default)]
    fresh: bool,
    #[serde(default = "default_metric")]
    metric: String,
}

fn default_metric() -> String {
    "load".to_owned()
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Act {
    #[default]
    Behave,
    /// Nothing wrong either: breaches on every second row of a series, so that each count is told.
    Alternate,
    Spin,
    Allocate,
    Recurse,
    Panic,
    Sleep,
    Fail,
    /// A verdict for a row that was not asked about.
    Storm,
    /// One row in breach and held.
    Twice,
    WrongLevel,
    HugeMessage,
    HugeState,
    LogFlood,
    NoRules,
    BadMetric,
    SameName,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Call {
    Configure,
    Describe,
    Intern,
    Forget,
    #[default]
    Evaluate,
    Tick,
    Save,
    Restore,
}

struct Evil {
    settings: Settings,
    restored: bool,
    /// A row held the value.
    grown: bool,
    counts: SeriesTable<u64>,
    newest: Vec<SeriesId>,
}

impl Rule for Evil {
    fn configure(settings: &str) -> Result<Evil, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        let counts = SeriesTable::default();
        let mut evil = Evil { settings, restored: false, grown: false, counts, newest: Vec::new() };
        evil.misbehave(Call::Configure)?;
        Ok(evil)
    }

    fn describe(&self) -> Vec<Declaration> {
        let rule = Declaration::new("evil", &self.settings.metric);
        if self.settings.call != Call::Describe {
            return vec![rule];
        }
        match self.settings.act {
            Act::NoRules => Vec::new(),
            Act::BadMetric => vec![Declaration::new("evil", "")],
            Act::SameName => vec![rule.clone(), rule],
            _ => {
                // Only a trap is left to choose here, and that does not come back.
                let _ = act(self.settings.act);
                vec![rule]
            }
        }
    }

    fn intern(&mut self, added: Vec<Series>) {
        let _ = self.misbehave(Call::Intern);
        self.counts.intern(added);
    }

    fn forget(&mut self, removed: &[SeriesId]) {
        let _ = self.misbehave(Call::Forget);
        self.counts.forget(removed);
    }

    fn evaluate(
        &mut self,
        _rule: u32,
        rows: Columns<'_>,
        out: &mut Judgement,
    ) -> Result<(), Failure> {
        self.newest = rows.series.to_vec();
        for row in 0..rows.rows() {
            let Some(count) = self.counts.get_mut(rows.series[row]) else {
                out.hold(row);
                continue;
            };
            *count += 1;
            if self.settings.act == Act::Alternate && *count % 2 == 0 {
                continue;
            }
            let count = *count as f64;
            out.breach(row, Level::Warning);
            out.verdicts.last_mut().expect("just pushed").value = Some(count);
        }
        let wanted = self.settings.value.is_none_or(|value| rows.value.contains(&value));
        self.grown |= wanted;
        if wanted { self.spoil(Call::Evaluate, rows.rows(), out) } else { Ok(()) }
    }

    fn tick(&mut self, _rule: u32, _now: Timestamp, out: &mut Judgement) -> Result<(), Failure> {
        let behaves = self.settings.act == Act::Alternate;
        for id in self.newest.iter().filter(|_| !behaves) {
            out.breach(*id as usize, Level::Warning);
        }
        self.spoil(Call::Tick, 4_000_000_000, out)
    }

    fn save(&mut self) -> Option<Snapshot> {
        if self.settings.act == Act::HugeState && (self.settings.value.is_none() || self.grown) {
            return Some(Snapshot { version: 1, data: vec![7; 6 << 20] });
        }
        let _ = self.misbehave(Call::Save);
        let data = self.counts.save(|count, out| out.extend_from_slice(&count.to_le_bytes()));
        Some(Snapshot { version: 1, data })
    }

    fn restore(&mut self, state: Snapshot) -> Result<(), Failure> {
        self.misbehave(Call::Restore)?;
        self.restored = true;
        let read = |bytes: &[u8]| Some(u64::from_le_bytes(bytes.try_into().ok()?));
        self.counts.restore(&state.data, read).ok_or_else(|| Failure::new("state", "unreadable"))
    }
}

impl Evil {
    fn misbehave(&mut self, call: Call) -> Result<(), Failure> {
        let wanted = self.settings.call == call && !(self.settings.fresh && self.restored);
        if wanted { act(self.settings.act) } else { Ok(()) }
    }

    fn spoil(&mut self, call: Call, rows: usize, out: &mut Judgement) -> Result<(), Failure> {
        if self.settings.call == call {
            match self.settings.act {
                Act::Storm => (0..100_000).for_each(|more| out.breach(rows + more, Level::Info)),
                Act::Twice => out.hold.extend(out.verdicts.first().map(|verdict| verdict.row)),
                Act::WrongLevel => out.verdicts.iter_mut().for_each(|v| v.level = Level::Critical),
                Act::HugeMessage => {
                    for verdict in &mut out.verdicts {
                        verdict.message = Some("a".repeat(9 << 20));
                    }
                }
                _ => {}
            }
        }
        self.misbehave(call)
    }
}

fn act(act: Act) -> Result<(), Failure> {
    match act {
        Act::Spin => acts::spin(),
        Act::Allocate => acts::allocate(),
        Act::Recurse => acts::recurse(),
        Act::Panic => panic!("out of spite"),
        Act::Sleep => acts::sleep(),
        Act::Fail => return Err(Failure::new("data", "does not like these rows")),
        Act::LogFlood => acts::log_flood(),
        _ => {}
    }
    Ok(())
}

export_rule!(Evil);
