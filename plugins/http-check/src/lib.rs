//! Whether web pages answer, for any number of them: the smallest probe.
//!
//! Settings: `urls`, a list of addresses; and where wanted `every` (default `"30s"`), `timeout`
//! (default `"5s"`) and `expect` (a status, default any below 400).
//!
//! Metrics, each with the label `url`: `http.up` is 1 or 0; `http.status` is there when there was
//! an answer.

use serde::Deserialize;
use watchfire_plugin::http::{HttpError, Request, text};
use watchfire_plugin::{
    Duration, Failure, Probe, Reading, Timestamp, export_probe, parse_duration,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    urls: Vec<String>,
    #[serde(default = "every")]
    every: String,
    #[serde(default = "timeout")]
    timeout: String,
    expect: Option<u16>,
}

fn every() -> String {
    "30s".to_owned()
}

fn timeout() -> String {
    "5s".to_owned()
}

struct HttpCheck {
    settings: Settings,
    every: Duration,
    timeout_ms: u32,
}

impl Probe for HttpCheck {
    fn configure(settings: &str) -> Result<HttpCheck, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        let every = parse_duration(&settings.every)?;
        let timeout_ms = u32::try_from(parse_duration(&settings.timeout)? / 1_000_000)
            .map_err(|_| Failure::settings("`timeout` is longer than a month"))?;
        Ok(HttpCheck { settings, every, timeout_ms })
    }

    fn every(&self) -> Duration {
        self.every
    }

    fn collect(&mut self, _now: Timestamp) -> Result<Vec<Reading>, Failure> {
        let mut readings = Vec::new();
        for url in &self.settings.urls {
            let mut request = Request::new("GET", vec![text(url.as_str())]);
            request.timeout_ms = Some(self.timeout_ms);
            let status = match request.send() {
                Ok(response) => Some(response.status),
                // The page may be well: it is the operator who has to act.
                Err(HttpError::Denied(why)) => return Err(Failure::new("denied", why)),
                Err(_) => None,
            };
            let expected = |status: u16| match self.settings.expect {
                Some(expected) => status == expected,
                None => status < 400,
            };
            let up = status.is_some_and(expected);
            let labels = || [("url", url.as_str())];
            readings.push(Reading::new("http.up", labels(), f64::from(u8::from(up))));
            if let Some(status) = status {
                readings.push(Reading::new("http.status", labels(), f64::from(status)));
            }
        }
        Ok(readings)
    }
}

export_probe!(HttpCheck, needs = ["http:{urls.*}"]);
