//! The one door to the network for guests: allow-list, address checks, secrets, caps.
//!
//! Every hop is checked alike: the URL's scheme, host and port against the grant, then the address
//! that the name resolves to, and the connection goes to the address that was checked. Redirects
//! are followed here and not by the client, so that each is a new request to check.
//!
//! Invariants: no text that leaves this module holds a secret, not even one that a server sends
//! back as it was, or a URL that one was part of; no
//! proxy from the environment is used, since it would resolve names in our stead.

mod address;
mod compose;
mod exchange;
mod redact;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use self::address::{Guard, Lookup, SystemLookup};
use super::grant::Granted;
use super::grant::hosts::HostPattern;

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
    /// Names in lower case.
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

/// Caps of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connect to last byte, over all redirects.
    pub total: Duration,
    pub connect: Duration,
    /// Of a response's body.
    pub body_bytes: usize,
    pub redirects: usize,
    /// Of a request: headers, and bytes of the URL.
    pub headers: usize,
    pub url_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        HttpLimits {
            total: Duration::from_secs(10),
            connect: Duration::from_secs(3),
            body_bytes: 1024 * 1024,
            redirects: 5,
            headers: 64,
            url_bytes: 8 * 1024,
        }
    }
}

/// A guest's way out, with one connection pool.
#[derive(Clone, Debug)]
pub struct HttpGate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    granted: Granted,
    hosts: Vec<HostPattern>,
    limits: HttpLimits,
    lookup: Arc<dyn Lookup>,
    /// Made on first use: it reads the machine's root certificates, and most guests send nothing.
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl HttpGate {
    pub fn new(granted: Granted) -> HttpGate {
        HttpGate::with_limits(granted, HttpLimits::default())
    }

    pub fn with_limits(granted: Granted, limits: HttpLimits) -> HttpGate {
        HttpGate::looking_up(granted, limits, Arc::new(SystemLookup))
    }

    fn looking_up(granted: Granted, limits: HttpLimits, lookup: Arc<dyn Lookup>) -> HttpGate {
        // Patterns were checked when the grant was read; one that cannot be read takes no host.
        let hosts = granted.http.iter().filter_map(|text| HostPattern::parse(text).ok()).collect();
        let client = OnceLock::new();
        HttpGate { inner: Arc::new(Inner { granted, hosts, limits, lookup, client }) }
    }

    pub fn granted(&self) -> &Granted {
        &self.inner.granted
    }

    /// Sends one request and gives the whole answer, whatever its status.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let cap = self.inner.limits.total;
        let total = request.timeout.map_or(cap, |wanted| wanted.min(cap));
        let prepared = compose::prepare(&request, &self.inner)?;
        let client = self.inner.client()?;
        let run = exchange::run(prepared, &self.inner, client);
        let answer = tokio::time::timeout(total, run).await.unwrap_or(Err(HttpError::TimedOut));
        redact::redacted(answer, &self.inner.granted)
    }
}

impl Inner {
    fn guard(&self) -> Guard {
        Guard::new(&self.granted, &self.hosts, self.lookup.clone())
    }

    fn client(&self) -> Result<&reqwest::Client, HttpError> {
        let client = self.client.get_or_init(|| {
            // Fails when a provider is there already, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
            reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(self.limits.connect)
                .dns_resolver(Arc::new(self.guard()))
                .user_agent(concat!("watchfire/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| format!("no HTTP client: {}", error.without_url()))
        });
        client.as_ref().map_err(|error| HttpError::Other(error.clone()))
    }
}

impl std::fmt::Display for HttpError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HttpError::Denied(why) => write!(out, "denied: {why}"),
            HttpError::TimedOut => out.write_str("timed out"),
            HttpError::Unreachable(why) => write!(out, "unreachable: {why}"),
            HttpError::TooLarge(cap) => write!(out, "the answer is larger than {cap} bytes"),
            HttpError::Invalid(why) => write!(out, "not a request: {why}"),
            HttpError::Other(why) => out.write_str(why),
        }
    }
}

#[cfg(test)]
pub(in crate::guest) mod tests;
