//! Rules: what one declares and how it judges columns of samples.

use crate::bindings::rule::exports::watchfire::plugin::evaluator;
use crate::bindings::rule::watchfire::plugin::rules;
use crate::{
    Annotation, Duration, Failure, Held, Label, Level, Series, SeriesId, Snapshot, Timestamp,
};

pub use rules::{Declaration, Flapping, OnNoData, Verdict};

/// A component that judges samples. The host runs one instance for each of its shards, so state
/// must be kept by series or by group of a rule.
pub trait Rule: Sized + 'static {
    /// Takes the operator's settings, a JSON object.
    fn configure(settings: &str) -> Result<Self, Failure>;

    /// The rules it holds; the place in the list is the number that `evaluate` gets.
    fn describe(&self) -> Vec<Declaration>;

    /// Announces series before their first row.
    fn intern(&mut self, _added: Vec<Series>) {}

    /// These series will not come again unless announced anew.
    fn forget(&mut self, _removed: &[SeriesId]) {}

    /// Judges rows of rule number `rule`: one that is neither breached nor held is clear.
    fn evaluate(
        &mut self,
        rule: u32,
        rows: Columns<'_>,
        out: &mut Judgement,
    ) -> Result<(), Failure>;

    /// Stream time has come to `now`. Rows are series numbers here; a series that is not listed
    /// keeps its verdict.
    fn tick(&mut self, _rule: u32, _now: Timestamp, _out: &mut Judgement) -> Result<(), Failure> {
        Ok(())
    }

    /// The state worth carrying over to a new instance.
    fn save(&mut self) -> Option<Snapshot> {
        None
    }

    /// Takes over saved state; a failure means a cold start.
    fn restore(&mut self, _state: Snapshot) -> Result<(), Failure> {
        Err(Failure::new("state", "this rule keeps no state"))
    }
}

/// Samples of one rule in the order they came: columns of equal length.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    pub series: &'a [SeriesId],
    pub at: &'a [Timestamp],
    pub value: &'a [f64],
}

impl Columns<'_> {
    pub fn rows(&self) -> usize {
        self.series.len()
    }
}

/// What was decided. List a row once at most.
#[derive(Debug, Default)]
pub struct Judgement {
    pub verdicts: Vec<Verdict>,
    pub hold: Vec<u32>,
}

impl Judgement {
    /// The row is in breach, with the sample's own value.
    pub fn breach(&mut self, row: usize, level: Level) {
        self.verdicts.push(Verdict { row: row as u32, level, value: None, message: None });
    }

    /// The row is in breach; `message` becomes the alert's text.
    pub fn breach_because(&mut self, row: usize, level: Level, message: String) {
        let message = Some(message);
        self.verdicts.push(Verdict { row: row as u32, level, value: None, message });
    }

    /// No verdict on the row: its group stays as it is.
    pub fn hold(&mut self, row: usize) {
        self.hold.push(row as u32);
    }
}

impl From<Judgement> for rules::Judgement {
    fn from(out: Judgement) -> rules::Judgement {
        rules::Judgement { verdicts: out.verdicts, hold: out.hold }
    }
}

/// A rule that takes all series of a metric, each its own group, and fires a warning at once.
impl Declaration {
    pub fn new(name: &str, metric: &str) -> Declaration {
        Declaration {
            name: name.to_owned(),
            metric: metric.to_owned(),
            only: String::new(),
            by: None,
            levels: vec![Level::Warning],
            soak: 0,
            cool: 0,
            repeat: None,
            expire: None,
            forget: None,
            on_no_data: OnNoData::Hold,
            flapping: None,
            during: None,
            labels: Vec::new(),
            annotations: Vec::new(),
            notify: Vec::new(),
            shadow: false,
        }
    }

    /// Label matchers: `env=prod, tier!=test`.
    pub fn only(mut self, matchers: &str) -> Declaration {
        self.only = matchers.to_owned();
        self
    }

    /// Labels whose values make a group.
    pub fn by<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Declaration {
        self.by = Some(labels.into_iter().map(Into::into).collect());
        self
    }

    /// The levels that verdicts may have.
    pub fn levels(mut self, levels: &[Level]) -> Declaration {
        self.levels = levels.to_vec();
        self
    }

    /// How long a breach must last to fire.
    pub fn soak(mut self, soak: Duration) -> Declaration {
        self.soak = soak;
        self
    }

    /// How long clear must last to resolve.
    pub fn cool(mut self, cool: Duration) -> Declaration {
        self.cool = cool;
        self
    }

    /// An attribute of every alert.
    pub fn label(mut self, name: &str, value: &str) -> Declaration {
        self.labels.push(Label { name: name.to_owned(), value: value.to_owned() });
        self
    }

    /// The alert's sentence: `{value}`, `{labels.NAME}` and others are filled in by the host.
    pub fn text(mut self, text: &str) -> Declaration {
        self.annotations.push(Annotation { name: "text".to_owned(), text: text.to_owned() });
        self
    }

    /// Sinks by name.
    pub fn notify<S: Into<String>>(mut self, sinks: impl IntoIterator<Item = S>) -> Declaration {
        self.notify = sinks.into_iter().map(Into::into).collect();
        self
    }
}

adapter!(Rule);

impl<T: Rule + Held> evaluator::Guest for Adapter<T> {
    fn describe() -> Result<Vec<Declaration>, Failure> {
        Ok(T::held(|rule| rule.describe()))
    }

    fn intern(added: Vec<Series>) {
        T::held(|rule| rule.intern(added));
    }

    fn forget(removed: Vec<SeriesId>) {
        T::held(|rule| rule.forget(&removed));
    }

    fn evaluate(
        rule: u32,
        series: Vec<SeriesId>,
        at: Vec<Timestamp>,
        value: Vec<f64>,
    ) -> Result<rules::Judgement, Failure> {
        let rows = Columns { series: &series, at: &at, value: &value };
        let mut out = Judgement::default();
        T::held(|held| held.evaluate(rule, rows, &mut out))?;
        Ok(out.into())
    }

    fn tick(rule: u32, now: Timestamp) -> Result<rules::Judgement, Failure> {
        let mut out = Judgement::default();
        T::held(|held| held.tick(rule, now, &mut out))?;
        Ok(out.into())
    }
}

/// Makes a component of a [`Rule`]. Once in a crate.
#[macro_export]
macro_rules! export_rule {
    ($rule:ty) => {
        $crate::export_world!($rule, rule, "rule", []);
    };
}
