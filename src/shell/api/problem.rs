//! Every error of the API: RFC 9457 problem details, with a hint on what to try next.
//!
//! A handler returns a [`Problem`]; [`finish`], the outermost layer, knows the request and prints
//! it. The same layer turns what the router itself refuses (404, 405) into problems.

use axum::Json;
use axum::extract::Request;
use axum::http::header::{self, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::commands::CommandError;

/// One refused request.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

/// The kinds of problem there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Timeout,
    Conflict,
    TooLarge,
    Unsupported,
    /// Understood, done as far as possible, and not all of it was good.
    Unprocessable,
    Full,
    Internal,
    SinkFailed,
    Unavailable,
}

#[derive(Clone, Debug)]
struct Parts {
    trouble: Trouble,
    detail: String,
    hint: String,
    retry_after_secs: Option<u64>,
    more: Map<String, Value>,
}

impl Trouble {
    /// Its status, the name that programs know it by, and its title.
    fn face(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as Code;
        match self {
            Trouble::BadRequest => (Code::BAD_REQUEST, "bad-request", "It cannot be read"),
            Trouble::Unauthorized => (Code::UNAUTHORIZED, "unauthorized", "A token is needed"),
            Trouble::Forbidden => (Code::FORBIDDEN, "forbidden", "It comes from elsewhere"),
            Trouble::NotFound => (Code::NOT_FOUND, "not-found", "There is no such thing"),
            Trouble::MethodNotAllowed => {
                (Code::METHOD_NOT_ALLOWED, "method-not-allowed", "The method does not fit the path")
            }
            Trouble::Timeout => (Code::REQUEST_TIMEOUT, "timeout", "The body came too slowly"),
            Trouble::Conflict => (Code::CONFLICT, "conflict", "Not as things stand"),
            Trouble::TooLarge => (Code::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Trouble::Unsupported => {
                (Code::UNSUPPORTED_MEDIA_TYPE, "unsupported", "The body has an unknown form")
            }
            Trouble::Unprocessable => {
                (Code::UNPROCESSABLE_ENTITY, "unprocessable", "Not all of it could be used")
            }
            Trouble::Full => (Code::TOO_MANY_REQUESTS, "full", "Too much at once"),
            Trouble::Internal => {
                (Code::INTERNAL_SERVER_ERROR, "internal", "Watchfire failed at it")
            }
            Trouble::SinkFailed => (Code::BAD_GATEWAY, "sink-failed", "The sink did not deliver"),
            Trouble::Unavailable => (Code::SERVICE_UNAVAILABLE, "unavailable", "Not now"),
        }
    }
}

impl Problem {
    /// What is wrong with this request, and the next thing to try.
    pub fn new(trouble: Trouble, detail: impl Into<String>, hint: impl Into<String>) -> Problem {
        let (detail, hint) = (detail.into(), hint.into());
        let (retry_after_secs, more) = (None, Map::new());
        Problem(Box::new(Parts { trouble, detail, hint, retry_after_secs, more }))
    }

    /// Whole seconds on the wire, rounded up and at least one.
    pub fn retry_after(mut self, after: std::time::Duration) -> Problem {
        self.0.retry_after_secs = Some((after.as_millis().div_ceil(1_000) as u64).max(1));
        self
    }

    /// A further member of the JSON object.
    pub fn with(mut self, name: &str, value: Value) -> Problem {
        self.0.more.insert(name.to_owned(), value);
        self
    }

    fn print(self, uri: &Uri) -> Response {
        let parts = *self.0;
        let (status, slug, title) = parts.trouble.face();
        let mut body = parts.more;
        for (name, value) in [
            ("type", json!(format!("urn:watchfire:problem:{}", slug))),
            ("title", json!(title)),
            ("status", json!(status.as_u16())),
            ("detail", json!(parts.detail)),
            ("instance", json!(uri.path())),
            ("hint", json!(parts.hint)),
        ] {
            body.insert(name.to_owned(), value);
        }
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = parts.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The status line, and the problem itself for [`finish`] to print.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.trouble.face().0.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Problem {
        match error {
            CommandError::NotFound { what, hint } => Problem::new(Trouble::NotFound, what, hint),
            CommandError::Refused { why, hint } => Problem::new(Trouble::Conflict, why, hint),
            CommandError::Failed { why, hint } => Problem::new(Trouble::Internal, why, hint),
        }
    }
}

/// Prints problems, and adds the headers that every answer has.
pub async fn finish(request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.print(&uri);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    let headers = response.headers_mut();
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
