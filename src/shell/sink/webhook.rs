//! The webhook sink: an HTTP request for each attempt.
//!
//! Without a body of its own it posts `{"alerts":[event, ..]}`. A body that speaks of one event
//! (`{{ text }}`) makes one request for each. Every request carries an `Idempotency-Key`, the same
//! for the same events, unless the settings give that header a value of their own.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::file::version_of;
use super::template::Template;
use crate::guest::grant::Request;
use crate::guest::http::{HttpError, HttpGate, HttpRequest, HttpResponse, Part};
use crate::guest::sink::{Batching, Deliver, Delivery, Opener, Outcome, Retry, Sink, SinkEnv};
use crate::kernel::delivery::attempt::key_of;
use crate::kernel::delivery::own;
use crate::kernel::event::Event;
use crate::kernel::model::{Duration, Now, Version};
use crate::kernel::rule::Origin;
use crate::kernel::rule::program::Fault;

/// As written in the settings; see `template.rs` for what `{{ .. }}` may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    pub url: String,
    /// `POST` when not given.
    pub method: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
    pub timeout: Option<std::time::Duration>,
}

/// A checked webhook.
#[derive(Clone, Debug)]
pub struct Webhook {
    version: Version,
    recipe: Arc<Recipe>,
}

#[derive(Debug)]
struct Recipe {
    method: String,
    url: Template,
    headers: Vec<(String, Template)>,
    body: Template,
    timeout: Option<std::time::Duration>,
}

/// Characters of a receiver's answer that are kept in a note or an error.
const SAID_MAX: usize = 200;

const METHODS: [&str; 3] = ["POST", "PUT", "PATCH"];

impl Webhook {
    /// The error says in words what is wrong with the settings.
    pub fn new(settings: &WebhookSettings) -> Result<Webhook, String> {
        let method = settings.method.as_deref().unwrap_or("POST").to_uppercase();
        if !METHODS.contains(&method.as_str()) {
            return Err(format!("a webhook cannot {method}; use one of {}", METHODS.join(", ")));
        }
        let mut headers = Vec::new();
        for (name, value) in &settings.headers {
            let value = Template::line(value).map_err(|why| format!("header `{name}`: {why}"))?;
            headers.push((name.clone(), value));
        }
        let header = |name: &str| {
            settings.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        let is_json = header("content-type").is_none_or(|(_, value)| value.contains("json"));
        if header("content-type").is_none() {
            headers.push(("content-type".to_owned(), Template::line("application/json")?));
        }
        let body = match &settings.body {
            Some(text) => Template::body(text).map_err(|why| format!("body: {why}"))?,
            None => Template::all_alerts(),
        };
        if is_json {
            check_json(&body)?;
        }
        let url = Template::line(&settings.url).map_err(|why| format!("url: {why}"))?;
        let recipe = Recipe { method, url, headers, body, timeout: settings.timeout };
        Ok(Webhook { version: version_of(settings), recipe: Arc::new(recipe) })
    }

    pub fn declare(self, name: &str, origin: Origin) -> Sink {
        let mut needs: Vec<Request> = self.host().map(Request::Http).into_iter().collect();
        needs.extend(self.secrets().into_iter().map(|secret| Request::Secret(secret.into())));
        Sink {
            name: name.into(),
            version: self.version,
            origin,
            kind: "webhook",
            batching: self.batching(),
            retry: Retry::default(),
            rate: None,
            needs,
            opener: Arc::new(self),
        }
    }

    /// `SCHEME://HOST[:PORT]` of its address; `None` when a secret is part of that.
    fn host(&self) -> Option<Arc<str>> {
        let parts = self.recipe.url.fill(&[]);
        let Some(Part::Text(text)) = parts.first() else { return None };
        let start = text.find("://")? + 3;
        let end = match text[start..].find(['/', '?', '#']) {
            Some(end) => start + end,
            None if parts.len() == 1 => text.len(),
            None => return None,
        };
        Some(text[..end].into())
    }

    /// The names of the secrets it uses, each once.
    fn secrets(&self) -> Vec<&str> {
        let Recipe { url, headers, body, .. } = &*self.recipe;
        let templates = [url, body].into_iter().chain(headers.iter().map(|(_, value)| value));
        let mut names: Vec<&str> = templates.flat_map(Template::secrets).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// A body that speaks of one event is sent for one event at a time, so that a failure repeats
    /// only what failed.
    fn batching(&self) -> Batching {
        if self.recipe.body.is_per_event() {
            Batching { max: 1, age: Duration::ZERO }
        } else {
            Batching::default()
        }
    }
}

/// A body that is meant to be JSON must be so when it is filled in.
fn check_json(body: &Template) -> Result<(), String> {
    let sample = Arc::new(own::test("sample", Now::from_nanos(0)));
    let text = body.fill(&[sample]).into_iter().map(|part| match part {
        Part::Text(text) => text,
        Part::Secret(_) => "secret".to_owned(),
    });
    let text: String = text.collect();
    serde_json::from_str::<serde::de::IgnoredAny>(&text).map(|_| ()).map_err(|error| {
        format!(
            "body: not JSON when filled in ({error}): {text}; set a content-type if it need not"
        )
    })
}

impl Opener for Webhook {
    fn open(&self, env: &SinkEnv) -> Result<Box<dyn Deliver>, Fault> {
        Ok(Box::new(Open::new(self.recipe.clone(), HttpGate::new(env.granted.clone()))))
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

/// The way out, so that the tests can stand at its end.
trait Door: Send + Sync {
    fn send(&self, request: HttpRequest) -> Answer<'_>;
}

impl Door for HttpGate {
    fn send(&self, request: HttpRequest) -> Answer<'_> {
        Box::pin(HttpGate::send(self, request))
    }
}

struct Open<D> {
    recipe: Arc<Recipe>,
    door: D,
    /// Of the attempt with this key, so many requests went well: not sent again on a retry.
    done: (String, usize),
}

impl<D: Door> Open<D> {
    fn new(recipe: Arc<Recipe>, door: D) -> Open<D> {
        Open { recipe, door, done: (String::new(), 0) }
    }

    async fn send_all(&mut self, key: &str, events: &[Arc<Event>]) -> Outcome {
        if !self.recipe.body.is_per_event() {
            return self.send(key, events).await;
        }
        if self.done.0 != key {
            self.done = (key.to_owned(), 0);
        }
        let mut outcome = Outcome::Delivered { note: None };
        for event in &events[self.done.1.min(events.len())..] {
            let one = std::slice::from_ref(event);
            outcome = self.send(&key_of(one), one).await;
            if !matches!(outcome, Outcome::Delivered { .. }) {
                break;
            }
            self.done.1 += 1;
        }
        outcome
    }

    async fn send(&self, key: &str, events: &[Arc<Event>]) -> Outcome {
        let Recipe { method, url, headers, body, timeout } = &*self.recipe;
        let mut filled: Vec<(String, Vec<Part>)> =
            headers.iter().map(|(name, value)| (name.clone(), value.fill(events))).collect();
        if !filled.iter().any(|(name, _)| name.eq_ignore_ascii_case("idempotency-key")) {
            filled.push(("idempotency-key".to_owned(), vec![Part::Text(key.to_owned())]));
        }
        let request = HttpRequest {
            method: method.clone(),
            url: url.fill(events),
            headers: filled,
            body: body.fill(events),
            timeout: *timeout,
        };
        outcome_of(self.door.send(request).await)
    }
}

impl<D: Door> Deliver for Open<D> {
    fn deliver<'a>(&'a mut self, key: &'a str, events: &'a [Arc<Event>]) -> Delivery<'a> {
        Box::pin(self.send_all(key, events))
    }
}

/// 2xx is delivered. What may go better later (408, 429, 5xx, no connection) is tried again; the
/// rest is rejected, because the same request would be answered the same.
fn outcome_of(answer: Result<HttpResponse, HttpError>) -> Outcome {
    let retry = |why: String| Outcome::Retry { after: None, why };
    match answer {
        Ok(response) => match response.status {
            200..=299 => Outcome::Delivered { note: said(&response) },
            408 | 429 | 500..=599 => {
                Outcome::Retry { after: retry_after(&response), why: refusal(&response) }
            }
            _ => Outcome::Rejected { why: refusal(&response) },
        },
        Err(HttpError::TimedOut) => retry("no answer in time".to_owned()),
        Err(HttpError::Unreachable(why) | HttpError::Other(why)) => retry(why),
        Err(HttpError::Denied(why) | HttpError::Invalid(why)) => Outcome::Rejected { why },
        // The events most likely arrived; sending them again would only double them.
        Err(HttpError::TooLarge(cap)) => Outcome::Rejected {
            why: format!("the answer passes {cap} bytes, so whether it was taken is not known"),
        },
    }
}

fn refusal(response: &HttpResponse) -> String {
    match said(response) {
        Some(said) => format!("status {}: {said}", response.status),
        None => format!("status {}", response.status),
    }
}

/// The start of the answer's body, on one line.
fn said(response: &HttpResponse) -> Option<String> {
    let head = &response.body[..response.body.len().min(4 * SAID_MAX)];
    let text = String::from_utf8_lossy(head);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(SAID_MAX).collect();
    (!line.is_empty()).then_some(line)
}

/// `Retry-After` in seconds, or as a date that is measured against the answer's own `Date`: the
/// receiver's clock need not agree with ours.
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let header = |name: &str| {
        let found = response.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let after = header("retry-after")?;
    if let Ok(seconds) = after.parse::<u32>() {
        return Some(Duration::from_secs(i64::from(seconds)));
    }
    let date = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|at| at.timestamp());
    let seconds = date(after)?.as_second() - date(header("date")?)?.as_second();
    Some(Duration::from_secs(seconds.max(0)))
}

#[cfg(test)]
mod tests;
