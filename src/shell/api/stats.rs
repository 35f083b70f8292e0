//! What the API counts about itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use super::Shared;
use crate::shell::metrics::{Exposition, Histogram};

#[derive(Debug)]
pub struct Stats {
    /// By method and status; both are closed sets, so this cannot grow without end.
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    /// To the first byte of the answer.
    durations: Histogram,
    pub connections: AtomicU64,
    /// Times that the last free connection was taken, so that the next one had to wait.
    pub connections_full: AtomicU64,
    pub accept_errors: AtomicU64,
}

impl Stats {
    pub fn new() -> Stats {
        Stats {
            requests: Mutex::default(),
            durations: Histogram::new(Histogram::SECONDS),
            connections: AtomicU64::new(0),
            connections_full: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
        }
    }

    pub fn write(&self, streams: u64, out: &mut Exposition) {
        let family = out.counter("watchfire_http_requests_total", "Requests answered.");
        for ((method, status), count) in self.requests.lock().expect("counting is safe").iter() {
            family.count(&[("method", method), ("code", &status.to_string())], *count);
        }
        out.histogram("watchfire_http_request_duration_seconds", "Time to an answer's first byte.")
            .buckets(&[], self.durations.read());
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        out.gauge("watchfire_http_connections", "Open connections.")
            .count(&[], read(&self.connections));
        out.gauge("watchfire_http_event_streams", "Open event streams.").count(&[], streams);
        out.counter("watchfire_http_connections_full_total", "Times all connections were taken.")
            .count(&[], read(&self.connections_full));
        out.counter("watchfire_http_accept_errors_total", "Connections the system failed to give.")
            .count(&[], read(&self.accept_errors));
    }
}

/// The layer that counts every answer.
pub async fn count(State(api): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (method, start) = (method_name(request.method()), Instant::now());
    let response = next.run(request).await;
    api.stats.durations.observe(start.elapsed());
    let mut requests = api.stats.requests.lock().expect("counting is safe");
    *requests.entry((method, response.status().as_u16())).or_default() += 1;
    drop(requests);
    response
}

/// Clients may invent methods; those count as one.
fn method_name(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
    known.into_iter().find(|name| *name == method.as_str()).unwrap_or("other")
}
