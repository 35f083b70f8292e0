//! From a guest's pieces to a request: secrets filled in, everything checked, nothing sent.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::{HttpError, HttpRequest, Inner, Part};
use crate::guest::grant::Request;

/// Headers that decide where a request goes or how it is framed, which is not the guest's to say.
const OURS: [&str; 10] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "proxy-authorization",
    "proxy-connection",
];

const METHODS: [Method; 6] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD];

/// A request that may be sent to its first host.
pub struct Prepared {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    /// Names of the headers that hold a secret.
    pub secret_headers: Vec<HeaderName>,
    pub body: Vec<u8>,
    pub secret_body: bool,
    /// Whether the URL holds a secret; then no message names its host.
    pub secret_url: bool,
}

pub fn prepare(request: &HttpRequest, gate: &Inner) -> Result<Prepared, HttpError> {
    let method = METHODS
        .into_iter()
        .find(|method| method.as_str() == request.method)
        .ok_or_else(|| HttpError::Invalid(format!("no method `{}`", cut(&request.method))))?;
    let (url, secret_url) = fill(&request.url, gate)?;
    if url.len() > gate.limits.url_bytes {
        return Err(HttpError::Invalid("the URL is too long".to_owned()));
    }
    let url = Url::parse(&url).map_err(|error| HttpError::Invalid(format!("the URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(HttpError::Invalid("the URL is not one of http or https".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let why = "the URL holds a user or password; write an `authorization` header";
        return Err(HttpError::Invalid(why.to_owned()));
    }
    if request.headers.len() > gate.limits.headers {
        return Err(HttpError::Invalid("too many headers".to_owned()));
    }
    let (mut headers, mut secret_headers) = (HeaderMap::new(), Vec::new());
    for (name, value) in &request.headers {
        let (name, value, secret) = header(name, value, gate)?;
        if secret {
            secret_headers.push(name.clone());
        }
        headers.append(name, value);
    }
    let (body, secret_body) = fill(&request.body, gate)?;
    let body = body.into_bytes();
    Ok(Prepared { method, url, headers, secret_headers, body, secret_body, secret_url })
}

fn header(
    name: &str,
    value: &[Part],
    gate: &Inner,
) -> Result<(HeaderName, HeaderValue, bool), HttpError> {
    let known = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| HttpError::Invalid(format!("no header name `{}`", cut(name))))?;
    if OURS.contains(&known.as_str()) {
        return Err(HttpError::Invalid(format!("the header `{known}` is the host's to set")));
    }
    let (value, secret) = fill(value, gate)?;
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| HttpError::Invalid(format!("the value of `{known}` is not plain text")))?;
    value.set_sensitive(secret);
    Ok((known, value, secret))
}

/// The pieces put together, and whether a secret is among them.
fn fill(parts: &[Part], gate: &Inner) -> Result<(String, bool), HttpError> {
    let (mut text, mut secret) = (String::new(), false);
    for part in parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Secret(name) => {
                let value = gate.granted.secrets.get(name.as_str()).ok_or_else(|| {
                    let request = Request::Secret(cut(name).into());
                    HttpError::Denied(gate.granted.cure(&request))
                })?;
                text.push_str(value.expose());
                secret = true;
            }
        }
    }
    Ok((text, secret))
}

/// The start of a text that the guest made up.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
