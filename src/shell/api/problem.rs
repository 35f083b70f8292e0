//! Every error of the API: RFC 9457 problem details, with a hint on what to try next.
//!
//! A handler returns a [`Problem`]; [`finish`], the outermost layer, knows the request and prints
//! it. The same layer turns what the router itself refuses (404, 405) into problems.

use axum::Json;
use axum::extract::Request;
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::commands::CommandError;

/// One refused request.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    /// Names the kind of problem for programs.
    slug: &'static str,
    title: &'static str,
    detail: String,
    hint: String,
    retry_after_secs: Option<u64>,
    more: Map<String, Value>,
}

impl Problem {
    fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Problem {
        let (detail, hint) = (String::new(), String::new());
        let (retry_after_secs, more) = (None, Map::new());
        let parts = Parts { status, slug, title, detail, hint, retry_after_secs, more };
        Problem(Box::new(parts))
    }

    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad-request", "The request cannot be read")
            .detail(detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", "The request comes from elsewhere")
            .detail(detail)
    }

    pub fn unauthorized(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "A token is needed").detail(detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing").detail(detail)
    }

    pub fn method_not_allowed(method: &Method) -> Problem {
        let title = "The method does not fit the path";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", title)
            .detail(format!("{method} is not answered here."))
            .hint("The header `allow` lists what is.")
    }

    pub fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "conflict", "Not as things stand").detail(detail)
    }

    pub fn timeout(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "The body came too slowly")
            .detail(detail)
    }

    pub fn too_large(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large")
            .detail(detail)
    }

    pub fn unsupported(detail: impl Into<String>) -> Problem {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Problem::new(status, "unsupported", "The body is in a form that is not read here")
            .detail(detail)
    }

    /// Understood, done as far as possible, and not all of it was good.
    pub fn unprocessable(detail: impl Into<String>) -> Problem {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Problem::new(status, "unprocessable", "Not all of it could be used").detail(detail)
    }

    pub fn full(detail: impl Into<String>, retry_after: std::time::Duration) -> Problem {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "full", "Too much at once")
            .detail(detail)
            .retry_after(retry_after)
    }

    pub fn internal(detail: impl Into<String>) -> Problem {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, "internal", "Watchfire failed at it").detail(detail)
    }

    /// The other side of a sink did not do its part.
    pub fn bad_gateway(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_GATEWAY, "sink-failed", "The sink did not deliver")
            .detail(detail)
    }

    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not now").detail(detail)
    }

    fn detail(mut self, detail: impl Into<String>) -> Problem {
        self.0.detail = detail.into();
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.0.hint = hint.into();
        self
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
        let mut body = parts.more;
        for (name, value) in [
            ("type", json!(format!("urn:watchfire:problem:{}", parts.slug))),
            ("title", json!(parts.title)),
            ("status", json!(parts.status.as_u16())),
            ("detail", json!(parts.detail)),
            ("instance", json!(uri.path())),
            ("hint", json!(parts.hint)),
        ] {
            body.insert(name.to_owned(), value);
        }
        let mut response = (parts.status, Json(body)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = parts.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if parts.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The status line, and the problem itself for [`finish`] to print.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Problem {
        match error {
            CommandError::NotFound { what, hint } => Problem::not_found(what).hint(hint),
            CommandError::Refused { why, hint } => Problem::conflict(why).hint(hint),
            CommandError::Failed { why, hint } => Problem::internal(why).hint(hint),
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
