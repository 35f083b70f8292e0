//! The mean of a window above a limit, for any number of rules: the smallest window rule.
//!
//! Settings: `rules`, a list of `name`, `metric`, `window`, `threshold`; and where wanted `only`,
//! `by`, `every`, `soak`, `cool`, `level`, `text`, `notify`.

use serde::Deserialize;
use watchfire_plugin::{
    Declaration, Failure, Judgement, Level, WindowDeclaration, WindowRule, Windows,
    export_window_rule, parse_duration,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    rules: Vec<RuleSettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSettings {
    name: String,
    metric: String,
    window: String,
    threshold: f64,
    #[serde(default)]
    only: String,
    by: Option<Vec<String>>,
    every: Option<String>,
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

struct WindowMean(Vec<OneRule>);

struct OneRule {
    declaration: WindowDeclaration,
    threshold: f64,
    level: Level,
}

impl WindowRule for WindowMean {
    fn configure(settings: &str) -> Result<WindowMean, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        let rules: Result<Vec<OneRule>, Failure> = settings.rules.iter().map(one_rule).collect();
        rules.map(WindowMean)
    }

    fn describe(&self) -> Vec<WindowDeclaration> {
        self.0.iter().map(|rule| rule.declaration.clone()).collect()
    }

    fn evaluate(
        &mut self,
        rule: u32,
        rows: Windows<'_>,
        out: &mut Judgement,
    ) -> Result<(), Failure> {
        let rule = &self.0[rule as usize];
        // The one name that is read.
        for (row, mean) in rows.values[0].iter().enumerate() {
            if *mean > rule.threshold {
                out.breach(row, rule.level);
            }
        }
        Ok(())
    }
}

fn one_rule(settings: &RuleSettings) -> Result<OneRule, Failure> {
    let level = Level::parse(&settings.level)?;
    let mut rule = Declaration::new(&settings.name, &settings.metric)
        .only(&settings.only)
        .levels(&[level])
        .soak(parse_duration(&settings.soak)?)
        .cool(parse_duration(&settings.cool)?)
        .notify(&settings.notify);
    if let Some(by) = &settings.by {
        rule = rule.by(by);
    }
    if let Some(text) = &settings.text {
        rule = rule.text(text);
    }
    let mut declaration =
        WindowDeclaration::new(rule, parse_duration(&settings.window)?, &["mean"]);
    if let Some(every) = &settings.every {
        declaration = declaration.every(parse_duration(every)?);
    }
    Ok(OneRule { declaration, threshold: settings.threshold, level })
}

export_window_rule!(WindowMean);
