//! The way out of sinks and probes: requests that the host checks against the operator's grants
//! and sends.

use serde::Deserialize;

use crate::bindings::http::watchfire::plugin::http_client;
use crate::sink::DeliveryError;

pub use http_client::{HttpError, Part, Request, Response};

/// Of an answer's body, what a message quotes.
const QUOTED_BYTES: usize = 200;

impl Request {
    /// A request without headers and body, with the host's own time cap.
    pub fn new(method: &str, url: Vec<Part>) -> Request {
        Request {
            method: method.to_owned(),
            url,
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: None,
        }
    }

    /// A `POST` of JSON.
    pub fn post_json(url: Vec<Part>, body: impl Into<String>) -> Request {
        let json = vec![text("application/json")];
        let mut request = Request::new("POST", url).header("content-type", json);
        request.body = vec![text(body)];
        request
    }

    pub fn header(mut self, name: &str, value: Vec<Part>) -> Request {
        self.headers.push((name.to_owned(), value));
        self
    }

    /// Sends it and waits for the whole answer.
    pub fn send(&self) -> Result<Response, HttpError> {
        http_client::send(self)
    }
}

/// A piece that is just text.
pub fn text(text: impl Into<String>) -> Part {
    Part::Text(text.into())
}

/// A value that the host fills in and the guest never sees.
pub fn secret(name: &str) -> Part {
    Part::Secret(name.to_owned())
}

impl Response {
    /// What the answer means for a delivery: done, to be tried again, wrongly set up, or never to
    /// be taken. 408, 429 and 5xx are tried again, with the server's `retry-after`; 401, 403, 404
    /// and redirects that were not followed are a wrong set-up; other 4xx are final.
    pub fn accepted(&self) -> Result<(), DeliveryError> {
        match self.status {
            200..=299 => Ok(()),
            408 | 429 | 500..=599 => Err(DeliveryError::Retry(self.retry_after())),
            300..=399 | 401 | 403 | 404 => Err(DeliveryError::Misconfigured(self.words())),
            _ => Err(DeliveryError::Rejected(self.words())),
        }
    }

    fn words(&self) -> String {
        let start = &self.body[..self.body.len().min(QUOTED_BYTES)];
        let start = String::from_utf8_lossy(start);
        format!("the server answered {}: {}", self.status, start.trim())
    }

    /// In milliseconds; only the form in seconds is read, since a guest has no wall clock.
    fn retry_after(&self) -> Option<u32> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == "retry-after")?;
        value.trim().parse::<u32>().ok()?.checked_mul(1_000)
    }
}

/// What a request that was not answered means for a delivery.
impl From<HttpError> for DeliveryError {
    fn from(error: HttpError) -> DeliveryError {
        match error {
            HttpError::Denied(why) | HttpError::Invalid(why) => DeliveryError::Misconfigured(why),
            HttpError::TimedOut => DeliveryError::Other("the server took too long".to_owned()),
            HttpError::Unreachable(why) | HttpError::Other(why) => DeliveryError::Other(why),
            HttpError::TooLarge(cap) => {
                DeliveryError::Other(format!("the server's answer is larger than {cap} bytes"))
            }
        }
    }
}

/// A setting that is written out, or that only the host knows: a text, or
/// `{ "secret": "NAME", "prefix": "Bearer " }`, of which the prefix may be left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Filled {
    Text(String),
    Secret {
        secret: String,
        #[serde(default)]
        prefix: String,
    },
}

impl Filled {
    pub fn parts(&self) -> Vec<Part> {
        match self {
            Filled::Text(written) => vec![text(written)],
            Filled::Secret { secret: name, prefix } if prefix.is_empty() => vec![secret(name)],
            Filled::Secret { secret: name, prefix } => vec![text(prefix), secret(name)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_becomes_of_the_delivery() {
        let misconfigured =
            |status| Err(DeliveryError::Misconfigured(format!("the server answered {status}: no")));
        let retry = |after| Err(DeliveryError::Retry(after));
        for (status, after, expected) in [
            (204, None, Ok(())),
            (302, None, misconfigured(302)),
            (401, None, misconfigured(401)),
            (404, None, misconfigured(404)),
            (422, None, Err(DeliveryError::Rejected("the server answered 422: no".into()))),
            (429, Some("7"), retry(Some(7_000))),
            (503, Some("Wed, 21 Oct 2015 07:28:00 GMT"), retry(None)),
            (500, Some("4294968"), retry(None)),
        ] {
            let headers = after.map(|after| ("retry-after".to_owned(), after.to_owned()));
            let (headers, body) = (headers.into_iter().collect(), b" no\n".to_vec());
            let accepted = Response { status, headers, body }.accepted();
            assert_eq!(format!("{accepted:?}"), format!("{expected:?}"));
        }
    }
}
