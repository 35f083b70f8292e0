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
use watchfire_plugin::http::{HttpError, Part, Request, Response, secret, text};
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

/// A text that is written in the settings, or one that only the host knows.
#[derive(Deserialize)]
#[serde(untagged)]
enum Filled {
    Text(String),
    Secret {
        secret: String,
        #[serde(default)]
        prefix: String,
    },
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
        match request.send() {
            Ok(response) => judge(&response),
            Err(error) => Err(explain(error)),
        }
    }
}

impl Filled {
    fn parts(&self) -> Vec<Part> {
        match self {
            Filled::Text(written) => vec![text(written)],
            Filled::Secret { secret: name, prefix } if prefix.is_empty() => vec![secret(name)],
            Filled::Secret { secret: name, prefix } => vec![text(prefix), secret(name)],
        }
    }
}

fn judge(response: &Response) -> Result<(), DeliveryError> {
    let said = || {
        let start = String::from_utf8_lossy(&response.body[..response.body.len().min(200)]);
        format!("the server answered {}: {}", response.status, start.trim())
    };
    match response.status {
        200..=299 => Ok(()),
        408 | 429 | 500..=599 => Err(DeliveryError::Retry(retry_after(response))),
        300..=399 | 401 | 403 | 404 => Err(DeliveryError::Misconfigured(said())),
        _ => Err(DeliveryError::Rejected(said())),
    }
}

/// In milliseconds; only the form in seconds is read, since a guest has no wall clock.
fn retry_after(response: &Response) -> Option<u32> {
    let (_, value) = response.headers.iter().find(|(name, _)| name == "retry-after")?;
    value.trim().parse::<u32>().ok()?.checked_mul(1_000)
}

fn explain(error: HttpError) -> DeliveryError {
    match error {
        HttpError::Denied(why) | HttpError::Invalid(why) => DeliveryError::Misconfigured(why),
        HttpError::TimedOut => DeliveryError::Other("the server took too long".to_owned()),
        HttpError::Unreachable(why) | HttpError::Other(why) => DeliveryError::Other(why),
        HttpError::TooLarge(cap) => {
            DeliveryError::Other(format!("the server's answer is larger than {cap} bytes"))
        }
    }
}

export_sample_sink!(Forward, needs = ["http:{url}", "secret:{headers.*.secret}"]);
