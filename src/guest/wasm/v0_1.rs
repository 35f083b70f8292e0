//! `watchfire:plugin@0.1.0`: the generated bindings, and what the host offers behind them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::counters::Counters;
use super::limits::{Budget, LogLimit, MemoryLimit, cut};
use super::moment::Moment;
use crate::guest::http::{HttpError, HttpGate, HttpRequest, Part};
use crate::kernel::event::{Cause, Event, Kind};
use crate::kernel::model::{Labels, Level};

pub mod bindings;

pub use bindings::rule::watchfire::plugin::{model, rules};
pub use bindings::sample_sink::exports::watchfire::plugin::sample_delivery;
pub use bindings::sink::exports::watchfire::plugin::delivery;
pub use bindings::sink::watchfire::plugin::sending;
pub use bindings::window_rule::exports::watchfire::plugin::window_evaluator;

use bindings::rule::watchfire::plugin::host;
use bindings::sink::watchfire::plugin::http_client as http;

/// What a store holds for its guest.
pub struct HostState {
    pub plugin: Arc<str>,
    pub wasi: WasiCtx,
    pub table: ResourceTable,
    pub memory: MemoryLimit,
    pub budget: Budget,
    pub counters: Arc<Counters>,
    pub log: LogLimit,
    /// Stream time in nanoseconds.
    pub now: i64,
    /// The last line logged as an error: what a guest said before it died.
    pub last_words: String,
    /// There only while a sink delivers: at any other time nothing is sent.
    pub out: Option<Out>,
}

/// A sink's way out of a blocking thread.
#[derive(Clone)]
pub struct Out {
    pub gate: HttpGate,
    pub runtime: Handle,
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// By which the linker finds the host in a store.
pub struct HasHost;

impl HasData for HasHost {
    type Data<'a> = &'a mut HostState;
}

impl model::Host for HostState {}

impl rules::Host for HostState {}

impl sending::Host for HostState {}

impl host::Host for HostState {
    fn log(&mut self, level: host::Level, message: String, fields: Vec<(String, String)>) {
        let mut line = cut(&message, LogLimit::LINE_BYTES_MAX);
        for (name, value) in fields {
            let left = LogLimit::LINE_BYTES_MAX.saturating_sub(line.len());
            line.push_str(&cut(&format!(" {name}={value}"), left));
        }
        if matches!(level, host::Level::Error) {
            self.last_words.clone_from(&line);
        }
        let Some(left_out) = self.log.admit(Instant::now()) else {
            self.counters.log_lines_left_out.fetch_add(1, Relaxed);
            return;
        };
        let plugin = &*self.plugin;
        if left_out > 0 {
            tracing::warn!(target: "watchfire::guest", plugin, left_out, "too many log lines");
        }
        match level {
            host::Level::Trace => tracing::trace!(target: "watchfire::guest", plugin, "{line}"),
            host::Level::Debug => tracing::debug!(target: "watchfire::guest", plugin, "{line}"),
            host::Level::Info => tracing::info!(target: "watchfire::guest", plugin, "{line}"),
            host::Level::Warn => tracing::warn!(target: "watchfire::guest", plugin, "{line}"),
            host::Level::Error => tracing::error!(target: "watchfire::guest", plugin, "{line}"),
        }
    }

    fn counter_add(&mut self, name: String, delta: f64) {
        self.counters.add_own(name, delta);
    }

    fn now(&mut self) -> i64 {
        self.now
    }
}

impl http::Host for HostState {
    fn send(&mut self, request: http::Request) -> Result<http::Response, http::HttpError> {
        let Some(out) = self.out.clone() else {
            return Err(http::HttpError::Denied("only `deliver` may send".to_owned()));
        };
        let left = self.budget.wall_left();
        if left.is_zero() {
            return Err(http::HttpError::TimedOut);
        }
        self.counters.requests.fetch_add(1, Relaxed);
        let host = host_of(&request);
        let entered = Moment::now();
        let answer = out.runtime.block_on(out.gate.send(request_from(request, left)));
        self.budget.excuse(entered);
        if matches!(answer, Err(HttpError::Denied(_))) {
            self.counters.denied(host);
        }
        match answer {
            Ok(response) => Ok(http::Response {
                status: response.status,
                headers: response.headers,
                body: response.body,
            }),
            Err(error) => Err(error_to(error)),
        }
    }
}

/// Scheme, host and port that a guest asks for. Of a URL with a secret in it none of it is told:
/// whoever reads what is counted could read the secret.
fn host_of(request: &http::Request) -> String {
    let mut url = String::new();
    for part in &request.url {
        match part {
            http::Part::Text(text) => url.push_str(text),
            http::Part::Secret(_) => return "the host of a secret URL".to_owned(),
        }
    }
    let parsed = reqwest::Url::parse(&url).ok().filter(|url| url.has_host());
    parsed.map_or("no URL".to_owned(), |url| cut(&url.origin().ascii_serialization(), 256))
}

fn request_from(request: http::Request, left: Duration) -> HttpRequest {
    let parts = |parts: Vec<http::Part>| {
        parts
            .into_iter()
            .map(|part| match part {
                http::Part::Text(text) => Part::Text(text),
                http::Part::Secret(name) => Part::Secret(name),
            })
            .collect()
    };
    let wanted = request.timeout_ms.map(|millis| Duration::from_millis(u64::from(millis)));
    HttpRequest {
        method: request.method,
        url: parts(request.url),
        headers: request.headers.into_iter().map(|(name, value)| (name, parts(value))).collect(),
        body: parts(request.body),
        timeout: Some(wanted.map_or(left, |wanted| wanted.min(left))),
    }
}

fn error_to(error: HttpError) -> http::HttpError {
    match error {
        HttpError::Denied(why) => http::HttpError::Denied(why),
        HttpError::TimedOut => http::HttpError::TimedOut,
        HttpError::Unreachable(why) => http::HttpError::Unreachable(why),
        HttpError::TooLarge(cap) => http::HttpError::TooLarge(cap),
        HttpError::Invalid(why) => http::HttpError::Invalid(why),
        HttpError::Other(why) => http::HttpError::Other(why),
    }
}

pub fn level_from(level: model::Severity) -> Level {
    match level {
        model::Severity::Info => Level::Info,
        model::Severity::Warning => Level::Warning,
        model::Severity::Critical => Level::Critical,
    }
}

fn level_to(level: Level) -> model::Severity {
    match level {
        Level::Info => model::Severity::Info,
        Level::Warning => model::Severity::Warning,
        Level::Critical => model::Severity::Critical,
    }
}

pub fn labels_to(labels: &Labels) -> Vec<model::Label> {
    labels
        .iter()
        .map(|(name, value)| model::Label { name: name.to_owned(), value: value.to_owned() })
        .collect()
}

/// An event as a sink sees it.
pub fn alert(event: &Event) -> delivery::Alert {
    delivery::Alert {
        id: event.id.to_string(),
        seq: event.seq,
        rule: event.rule.to_string(),
        version: event.version.to_string(),
        kind: kind_to(event.kind),
        level: level_to(event.level),
        previous_level: event.previous_level.map(level_to),
        key: labels_to(&event.key),
        labels: labels_to(&event.labels),
        value: event.value,
        values: event
            .values
            .iter()
            .map(|(name, value)| delivery::JudgedValue { name: name.to_string(), value: *value })
            .collect(),
        window: event.window.map(|window| delivery::Bounds {
            start: window.start.nanos(),
            end: window.end.nanos(),
        }),
        at: event.at.nanos(),
        since: event.since.nanos(),
        fired_at: event.fired_at.map(|at| at.nanos()),
        resolved_at: event.resolved_at.map(|at| at.nanos()),
        cause: cause_to(event.cause),
        text: event.text.clone(),
        annotations: event
            .annotations
            .iter()
            .map(|(name, text)| model::Annotation { name: name.to_string(), text: text.clone() })
            .collect(),
        shadow: event.shadow,
        fingerprint: event.fingerprint.to_string(),
        notify: event.notify.iter().map(ToString::to_string).collect(),
    }
}

fn kind_to(kind: Kind) -> delivery::Kind {
    match kind {
        Kind::Fired => delivery::Kind::Fired,
        Kind::Changed => delivery::Kind::Changed,
        Kind::Reminded => delivery::Kind::Reminded,
        Kind::Flapping => delivery::Kind::Flapping,
        Kind::Resolved => delivery::Kind::Resolved,
        Kind::Pending => delivery::Kind::Pending,
        Kind::Cooling => delivery::Kind::Cooling,
        Kind::Cleared => delivery::Kind::Cleared,
    }
}

fn cause_to(cause: Cause) -> delivery::Cause {
    match cause {
        Cause::Breach => delivery::Cause::Breach,
        Cause::Clear => delivery::Cause::Clear,
        Cause::Level => delivery::Cause::Level,
        Cause::Reminder => delivery::Cause::Reminder,
        Cause::Flapping => delivery::Cause::Flapping,
        Cause::RuleRemoved => delivery::Cause::RuleRemoved,
        Cause::RuleChanged => delivery::Cause::RuleChanged,
        Cause::Expired => delivery::Cause::Expired,
        Cause::Forgotten => delivery::Cause::Forgotten,
        Cause::NoData => delivery::Cause::NoData,
        Cause::Absent => delivery::Cause::Absent,
        Cause::OutsideHours => delivery::Cause::OutsideHours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_with_its_call() {
        let left = Duration::from_millis(100);
        for (wanted, given) in [(None, 100), (Some(99), 99), (Some(100), 100), (Some(101), 100)] {
            let request = http::Request {
                method: "GET".into(),
                url: Vec::new(),
                headers: Vec::new(),
                body: Vec::new(),
                timeout_ms: wanted,
            };
            let timeout = request_from(request, left).timeout;
            assert_eq!(timeout, Some(Duration::from_millis(given)), "{wanted:?}");
        }
    }
}
