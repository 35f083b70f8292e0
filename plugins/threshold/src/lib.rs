//! A value above a limit: the smallest rule there is, to copy from.
//!
//! Settings: `name`, `metric`, `limit`; and where wanted `only`, `by`, `soak`, `level`, `text`.

use serde::Deserialize;
use watchfire_plugin::{
    Columns, Declaration, Failure, Judgement, Level, Rule, export_rule, parse_duration,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: String,
    metric: String,
    limit: f64,
    #[serde(default)]
    only: String,
    by: Option<Vec<String>>,
    #[serde(default = "at_once")]
    soak: String,
    #[serde(default = "at_once")]
    cool: String,
    #[serde(default = "warning")]
    level: String,
    text: Option<String>,
    #[serde(default)]
    notify: Vec<String>,
}

fn at_once() -> String {
    "0s".to_owned()
}

fn warning() -> String {
    "warning".to_owned()
}

struct Threshold {
    declaration: Declaration,
    limit: f64,
    level: Level,
}

impl Rule for Threshold {
    fn configure(settings: &str) -> Result<Threshold, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        let level = Level::parse(&settings.level)?;
        let mut declaration = Declaration::new(&settings.name, &settings.metric)
            .only(&settings.only)
            .levels(&[level])
            .soak(parse_duration(&settings.soak)?)
            .cool(parse_duration(&settings.cool)?)
            .notify(settings.notify);
        if let Some(text) = &settings.text {
            declaration = declaration.text(text);
        }
        if let Some(by) = settings.by {
            declaration = declaration.by(by);
        }
        Ok(Threshold { declaration, limit: settings.limit, level })
    }

    fn describe(&self) -> Vec<Declaration> {
        vec![self.declaration.clone()]
    }

    fn evaluate(
        &mut self,
        _rule: u32,
        rows: Columns<'_>,
        out: &mut Judgement,
    ) -> Result<(), Failure> {
        for (row, value) in rows.value.iter().enumerate() {
            if *value > self.limit {
                out.breach(row, self.level);
            }
        }
        Ok(())
    }
}

export_rule!(Threshold);
