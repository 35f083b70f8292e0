//! The one door to the network for guests: allow-list, address checks, secrets, caps.

use std::sync::Arc;
use std::time::Duration;

use super::grant::Granted;

/// A piece of a header, URL or body. A secret is filled in by the host, only towards a host that
/// the guest's grant names, and never printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// By name.
    Secret(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct HttpRequest {
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE`, `HEAD`.
    pub method: String,
    pub url: Vec<Part>,
    pub headers: Vec<(String, Vec<Part>)>,
    pub body: Vec<Part>,
    /// Connect to last byte; the gate's own cap applies when longer or absent.
    pub timeout: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// Not granted; the text says what to grant.
    Denied(String),
    TimedOut,
    Unreachable(String),
    /// The response's body passed the cap, in bytes.
    TooLarge(u64),
    Invalid(String),
    Other(String),
}

/// A guest's way out, with one connection pool.
#[derive(Clone, Debug)]
pub struct HttpGate {
    granted: Arc<Granted>,
}

impl HttpGate {
    pub fn new(granted: Granted) -> HttpGate {
        HttpGate { granted: Arc::new(granted) }
    }

    pub fn granted(&self) -> &Granted {
        &self.granted
    }

    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        Err(HttpError::Other(format!("{} is not sent yet", request.method)))
    }
}
