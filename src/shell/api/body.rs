//! Reading a request's body within its limits: bytes, bytes of all bodies together, and time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::Shared;
use super::problem::{Problem, Trouble};

/// Bytes of bodies in memory, all requests together.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    max: usize,
}

/// A body, and its share of the budget until it is dropped.
#[derive(Debug)]
pub struct Held {
    pub bytes: Vec<u8>,
    _share: Share,
}

#[derive(Debug)]
struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub fn new(max: usize) -> Budget {
        Budget { used: AtomicUsize::new(0), max }
    }
}

impl Share {
    /// False when the budget has no room; the share is then as it was.
    fn grow(&mut self, bytes: usize) -> bool {
        let used = self.budget.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if used > self.budget.max {
            self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes += bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads the whole body.
pub async fn read(api: &Shared, body: Body) -> Result<Held, Problem> {
    let timeout = api.options.body_timeout;
    tokio::time::timeout(timeout, collect(api, body)).await.unwrap_or_else(|_| {
        let detail = format!("The body did not come within {} s.", timeout.as_secs());
        Err(Problem::new(Trouble::Timeout, detail, "Send it in smaller parts."))
    })
}

/// Reads a small JSON object. The content type must say so: a foreign page cannot send it without
/// asking first, and a slip such as a form is told at once.
pub async fn read_json<T: DeserializeOwned>(api: &Shared, request: Request) -> Result<T, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.map(essence).as_deref() != Some("application/json") {
        let hint = "Send `content-type: application/json`.";
        return Err(Problem::new(Trouble::Unsupported, "The body has to be JSON.", hint));
    }
    let held = read(api, request.into_body()).await?;
    serde_json::from_slice(&held.bytes).map_err(|error| {
        let detail = format!("The body is not the JSON that is expected here: {error}.");
        Problem::new(Trouble::BadRequest, detail, "GET / shows what each path takes.")
    })
}

/// A content type without its parameters, in lower case.
pub fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

async fn collect(api: &Shared, body: Body) -> Result<Held, Problem> {
    let mut bytes = Vec::new();
    let mut share = Share { budget: api.bodies.clone(), bytes: 0 };
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            let detail = format!("The body broke off or is not valid gzip: {error}.");
            Problem::new(Trouble::BadRequest, detail, "Send it again.")
        })?;
        let max = api.options.body_bytes_max;
        if bytes.len() + chunk.len() > max {
            let detail = format!("A body may have {max} bytes, unpacked.");
            let hint = "Send it in parts, or raise limits.batch_bytes_max and in_flight_bytes_max.";
            return Err(Problem::new(Trouble::TooLarge, detail, hint));
        }
        if !share.grow(chunk.len()) {
            let detail = "Too many bodies are being read at once.";
            return Err(Problem::new(Trouble::Full, detail, "Send it again a little later.")
                .retry_after(Duration::from_secs(1)));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Held { bytes, _share: share })
}
