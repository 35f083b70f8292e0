//! The rules of the performance work T1 in a component: ten thresholds, one a metric.
//!
//! One component with many rules, as a plugin that replaces a rule file would have. Settings:
//! `metrics`, each of which names its rule too; `limit`, `soak`.

use serde::Deserialize;
use watchfire_plugin::{
    Columns, Declaration, Failure, Judgement, Level, Rule, export_rule, parse_duration,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    metrics: Vec<String>,
    limit: f64,
    soak: String,
}

struct Thresholds {
    declarations: Vec<Declaration>,
    limit: f64,
}

impl Rule for Thresholds {
    fn configure(settings: &str) -> Result<Thresholds, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        let soak = parse_duration(&settings.soak)?;
        let declared = |metric: &String| {
            let declaration = Declaration::new(metric, metric).by(["host"]);
            declaration.levels(&[Level::Critical]).soak(soak)
        };
        let declarations = settings.metrics.iter().map(declared).collect();
        Ok(Thresholds { declarations, limit: settings.limit })
    }

    fn describe(&self) -> Vec<Declaration> {
        self.declarations.clone()
    }

    fn evaluate(
        &mut self,
        _rule: u32,
        rows: Columns<'_>,
        out: &mut Judgement,
    ) -> Result<(), Failure> {
        for (row, value) in rows.value.iter().enumerate() {
            if *value > self.limit {
                out.breach(row, Level::Critical);
            }
        }
        Ok(())
    }
}

export_rule!(Thresholds);
