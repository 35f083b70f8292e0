//! Posts alerts as JSON to a URL: a chat channel, an incident service, your own endpoint.
//!
//! Settings:
//! - `url`: where to; or `{ "secret": "NAME" }` with `host` beside it, where the URL is the secret
//! - `line`: one alert as text, default `"{kind} {level} {text}"`
//! - `body`: any JSON, in whose texts `{lines}` stands for all alerts (one line each), `{count}`
//!   for their number and `{key}` for the attempt's idempotency key; absent: the alerts as objects
//! - `headers`: name to text, or to `{ "secret": "NAME", "prefix": "Bearer " }`
//! - `batch`, `age`: how many alerts go into one request and how long the oldest waits
//!
//! 408, 429 and 5xx are tried again, with the server's `retry-after`; 401, 403, 404 and redirects
//! that were not followed are a wrong set-up and are tried again later; other 4xx are final.

mod body;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use watchfire_plugin::http::{Filled, Request, text};
use watchfire_plugin::{
    Alert, DeliveryError, Failure, Receipt, Sink, Terms, export_sink, parse_duration,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: Filled,
    /// Read by the host only, for the grant.
    #[serde(rename = "host")]
    _host: Option<String>,
    #[serde(default = "default_line")]
    line: String,
    body: Option<Value>,
    #[serde(default)]
    headers: BTreeMap<String, Filled>,
    batch: Option<u32>,
    age: Option<String>,
}

fn default_line() -> String {
    "{kind} {level} {text}".to_owned()
}

struct Webhook {
    settings: Settings,
    terms: Terms,
}

impl Sink for Webhook {
    fn configure(settings: &str) -> Result<Webhook, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        body::check(&settings.line)?;
        let age = settings.age.as_deref().map_or(Ok(200_000_000), parse_duration)?;
        let terms = Terms::default().batch(settings.batch.unwrap_or(20), age);
        Ok(Webhook { settings, terms })
    }

    fn describe(&self) -> Terms {
        self.terms
    }

    fn deliver(&mut self, key: &str, alerts: &[Alert]) -> Result<Vec<Receipt>, DeliveryError> {
        let body = match &self.settings.body {
            Some(template) => body::fill(template, key, &body::lines(&self.settings.line, alerts)),
            None => body::objects(key, alerts),
        };
        let mut request = Request::post_json(self.settings.url.parts(), body.to_string())
            .header("idempotency-key", vec![text(key)]);
        for (name, value) in &self.settings.headers {
            request = request.header(name, value.parts());
        }
        request.send()?.accepted()?;
        Ok(Vec::new())
    }
}

export_sink!(
    Webhook,
    needs = ["http:{url}", "http:{host}", "secret:{url.secret}", "secret:{headers.*.secret}",]
);
