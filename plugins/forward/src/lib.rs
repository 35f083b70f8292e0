//! Posts samples to another store: as JSON lines, which another Watchfire takes at `/ingest`, or as
//! InfluxDB's line protocol, which many stores take.
//!
//! Settings:
//! - `url`: where to
//! - `format`: `"json"`, the default, or `"influx"`
//! - `metrics`: names or globs, `["cpu.*", "mem.used_pct"]`; all when left out
//! - `only`: label matchers, `"env=prod, host=~web.*"`
//! - `headers`: name to text, or to `{ "secret": "NAME", "prefix": "Bearer " }`
//! - `batch`, `age`: how many samples go into one request and how long the oldest waits
//!
//! 408, 429 and 5xx are tried again, with the server's `retry-after`; 401, 403, 404 and redirects
//! are a wrong set-up and are tried again later; other 4xx are final.

mod lines;

use std::collections::BTreeMap;

use serde::Deserialize;
use watchfire_plugin::http::{Filled, Request, text};
use watchfire_plugin::sample_sink::Selection;
use watchfire_plugin::{
    Columns, DeliveryError, Failure, SampleSink, SampleTerms, Series, SeriesId, SeriesTable,
    export_sample_sink, parse_duration,
};

use lines::Format;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: String,
    #[serde(default)]
    format: Format,
    #[serde(default = "all_metrics")]
    metrics: Vec<String>,
    #[serde(default)]
    only: String,
    #[serde(default)]
    headers: BTreeMap<String, Filled>,
    batch: Option<u32>,
    age: Option<String>,
}

fn all_metrics() -> Vec<String> {
    vec!["*".to_owned()]
}

struct Forward {
    settings: Settings,
    terms: SampleTerms,
    /// What a line begins with, written once for each series.
    heads: SeriesTable<Option<String>>,
}

impl SampleSink for Forward {
    fn configure(settings: &str) -> Result<Forward, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        let wants = settings
            .metrics
            .iter()
            .map(|metric| Selection { metric: metric.clone(), only: settings.only.clone() });
        let mut terms = SampleTerms { wants: wants.collect(), batching: None, retrying: None };
        if settings.batch.is_some() || settings.age.is_some() {
            let age = settings.age.as_deref().map_or(Ok(1_000_000_000), parse_duration)?;
            terms = terms.batch(settings.batch.unwrap_or(4_096), age);
        }
        Ok(Forward { settings, terms, heads: SeriesTable::default() })
    }

    fn describe(&self) -> SampleTerms {
        self.terms.clone()
    }

    fn intern(&mut self, added: Vec<Series>) {
        self.heads.intern(added);
    }

    fn forget(&mut self, removed: &[SeriesId]) {
        self.heads.forget(removed);
    }

    fn deliver(&mut self, key: &str, rows: Columns<'_>) -> Result<(), DeliveryError> {
        let format = self.settings.format;
        let mut body = String::with_capacity(rows.rows() * 96);
        for row in 0..rows.rows() {
            let id = rows.series[row];
            let known = self.heads.get_mut(id).is_some_and(|head| head.is_some());
            if !known {
                let head = self.heads.series(id).map(|series| format.head(series));
                let Some(place) = self.heads.get_mut(id) else { continue };
                *place = head;
            }
            if let Some(Some(head)) = self.heads.get_mut(id) {
                format.line(head, rows.at[row], rows.value[row], &mut body);
            }
        }
        let mut request = Request::new("POST", vec![text(&self.settings.url)])
            .header("content-type", vec![text(format.content_type())])
            .header("idempotency-key", vec![text(key)]);
        request.body = vec![text(body)];
        for (name, value) in &self.settings.headers {
            request = request.header(name, value.parts());
        }
        request.send()?.accepted()
    }
}

export_sample_sink!(Forward, needs = ["http:{url}", "secret:{headers.*.secret}"]);
