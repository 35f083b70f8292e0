//! A rule built against the interface 0.1.0 as it was published: `wit/` here is that text and is
//! never edited. While the host says that it speaks 0.1, this guest must load and judge.
//!
//! It does without the SDK, which moves with the host. A value above 1 is a warning.

wit_bindgen::generate!({ path: "wit", world: "rule" });

use exports::watchfire::plugin::{evaluator, lifecycle};
use watchfire::plugin::host;
use watchfire::plugin::model::{Failure, Series, Severity, Snapshot};
use watchfire::plugin::rules::{Declaration, Judgement, OnNoData, Verdict};

struct Compat;

impl lifecycle::Guest for Compat {
    fn configure(_settings: String) -> Result<(), Failure> {
        host::log(host::Level::Debug, "configured", &[]);
        Ok(())
    }

    fn save() -> Result<Option<Snapshot>, Failure> {
        Ok(Some(Snapshot { version: 1, data: vec![1, 2, 3] }))
    }

    fn restore(state: Snapshot) -> Result<(), Failure> {
        match state.data.as_slice() {
            [1, 2, 3] => Ok(()),
            _ => Err(Failure { code: "state".into(), message: "these are other bytes".into() }),
        }
    }
}

impl evaluator::Guest for Compat {
    fn describe() -> Result<Vec<Declaration>, Failure> {
        Ok(vec![Declaration {
            name: "compat".into(),
            metric: "load".into(),
            only: String::new(),
            by: None,
            levels: vec![Severity::Warning],
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
        }])
    }

    fn intern(_added: Vec<Series>) {}

    fn forget(_removed: Vec<u32>) {}

    fn evaluate(
        _rule: u32,
        _series: Vec<u32>,
        _at: Vec<i64>,
        value: Vec<f64>,
    ) -> Result<Judgement, Failure> {
        host::counter_add("rows", value.len() as f64);
        let rows = (0..).zip(value).filter(|(_, value)| *value > 1.0);
        let verdict =
            |(row, _)| Verdict { row, level: Severity::Warning, value: None, message: None };
        Ok(Judgement { verdicts: rows.map(verdict).collect(), hold: Vec::new() })
    }

    fn tick(_rule: u32, _now: i64) -> Result<Judgement, Failure> {
        Ok(Judgement { verdicts: Vec::new(), hold: Vec::new() })
    }
}

export!(Compat);
