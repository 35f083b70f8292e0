//! `reading(..)`: the values that probes in Rhai give.

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, Map};

use crate::guest::probe::Reading;

/// What only probes can say.
pub fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Reading>("reading");
    engine.register_fn("reading", |metric: ImmutableString, value: Dynamic| {
        reading(&metric, &Map::new(), &value)
    });
    engine.register_fn("reading", |metric: ImmutableString, labels: Map, value: Dynamic| {
        reading(&metric, &labels, &value)
    });
}

fn reading(metric: &str, labels: &Map, value: &Dynamic) -> Result<Reading, Box<EvalAltResult>> {
    let number = value.as_float().or_else(|_| value.as_int().map(|whole| whole as f64));
    let value = number.map_err(|kind| format!("the value of a reading is a number, not {kind}"))?;
    let label = |(name, value): (&_, &Dynamic)| (ToString::to_string(name), value.to_string());
    let labels = labels.iter().map(label).collect();
    Ok(Reading { metric: metric.to_owned(), labels, at: None, value })
}
