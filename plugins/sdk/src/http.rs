//! The way out of sinks and probes: requests that the host checks against the operator's grants
//! and sends.

use crate::bindings::http::watchfire::plugin::http_client;

pub use http_client::{HttpError, Part, Request, Response};

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
