//! What a guest asks for, what the operator gave, and the little that is left when both agree.
//!
//! A guest *requests* (`.needs(..)`, or the manifest section of a component); the operator *grants*
//! in the main config or in `grants.toml`, outside the watched folders. Nothing else lets a guest
//! out. Dropping a file into a folder grants nothing.

mod cure;
pub mod edit;
pub mod files;
pub mod hosts;
pub mod operator;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

pub use operator::{Blocked, Grants, GuestLimits, GuestTerms};

/// One thing a guest may be allowed to reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// `http:HOST[:PORT]` or `http:https://HOST[:PORT]`. Without a scheme both; without a port the
    /// scheme's own. `*.example.net` takes any one subdomain or more.
    Http(Arc<str>),
    /// `secret:NAME`: a value the guest can use but not see.
    Secret(Arc<str>),
    /// `file:PATTERN` in the guest's own folder; `*` never matches `/` or `..`.
    File(Arc<str>),
}

impl Request {
    pub fn parse(text: &str) -> Result<Request, String> {
        let hint =
            || format!("`{text}` is no request; write http:HOST, secret:NAME or file:PATTERN");
        let (kind, what) = text.split_once(':').ok_or_else(hint)?;
        let what = what.trim();
        if what.is_empty() {
            return Err(hint());
        }
        match kind.trim() {
            "http" => Ok(Request::Http(what.into())),
            "secret" => Ok(Request::Secret(what.into())),
            "file" => Ok(Request::File(what.into())),
            _ => Err(hint()),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Http(host) => write!(out, "http:{host}"),
            Request::Secret(name) => write!(out, "secret:{name}"),
            Request::File(pattern) => write!(out, "file:{pattern}"),
        }
    }
}

/// A value that never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(value: &str) -> Secret {
        Secret(value.into())
    }

    /// The value itself, for the one place that puts it on the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

/// A TOML key, in quotes where it needs them.
pub fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { format!("{name:?}") }
}

/// The header that tells a server in whose place it stands: scheme, host and port.
pub const STOOD_IN_FOR: &str = "watchfire-stood-in-for";

/// What one guest got: its requests that were granted, with the secrets' values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Whose it is, for messages; empty where there is no table of grants for it.
    pub guest: Arc<str>,
    /// All that the guest asked for.
    pub asked: Vec<Request>,
    /// Host patterns as in [`Request::Http`]; [`hosts::HostPattern`] reads them.
    pub http: Vec<Arc<str>>,
    /// Loopback and private addresses are refused unless this says so or the pattern names one.
    pub private_addresses: bool,
    pub secrets: BTreeMap<Arc<str>, Secret>,
    /// Patterns of file names, as [`files::takes`] reads them.
    pub files: Vec<Arc<str>>,
    /// A server on this machine that stands in for all hosts while a guest is tried. What may be
    /// asked is checked as ever; the header [`STOOD_IN_FOR`] tells it who was meant.
    pub stand_in: Option<SocketAddr>,
}

/// The SHA-256 of a component's bytes in hexadecimal, as `sha256` pins it.
pub fn digest_of(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
