//! One request and its redirects, hop by hop, each checked before it is sent.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderValue, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, Url};

use super::address::{LOCALHOST, PrivateAddress, is_public};
use super::compose::Prepared;
use super::{HttpError, HttpResponse, Inner};
use crate::guest::grant::{Request, STOOD_IN_FOR};

pub async fn run(
    mut request: Prepared,
    gate: &Inner,
    client: &Client,
) -> Result<HttpResponse, HttpError> {
    for _ in 0..=gate.limits.redirects {
        check(&request, gate)?;
        let response = addressed(client, &request, gate.granted.stand_in)
            .body(request.body.clone())
            .send()
            .await
            .map_err(|error| explain(error, &request, gate))?;
        match redirect(&response, &request)? {
            Some(target) => request = follow(request, response.status().as_u16(), target)?,
            None => return read(response, gate).await,
        }
    }
    Err(HttpError::Other(format!("more than {} redirects", gate.limits.redirects)))
}

/// Whether the grant takes this hop's server, and its address where the URL names one.
fn check(request: &Prepared, gate: &Inner) -> Result<(), HttpError> {
    let url = &request.url;
    let Some(host) = url.host_str() else {
        return Err(HttpError::Invalid("the URL has no host".to_owned()));
    };
    if !gate.hosts.iter().any(|pattern| pattern.takes(url)) {
        return Err(HttpError::Denied(not_granted(request, gate)));
    }
    let named = gate.hosts.iter().any(|pattern| pattern.names(host) && pattern.takes(url));
    let private = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => !is_public(address),
        // Every other name is judged by what it resolves to.
        Err(_) => host == LOCALHOST,
    };
    if !private || named || gate.granted.private_addresses {
        return Ok(());
    }
    Err(HttpError::Denied(leads_inside(request, gate)))
}

fn not_granted(request: &Prepared, gate: &Inner) -> String {
    if request.secret_url {
        let cure = gate.granted.cure(&Request::Http("HOST".into()));
        return format!("the secret URL leads to a host that is not granted; {cure}");
    }
    gate.granted.cure(&Request::Http(server(request).into()))
}

fn leads_inside(request: &Prepared, gate: &Inner) -> String {
    format!("{} leads to a private address; {}", server(request), gate.granted.cure_of_private())
}

/// The request on its way to its server, or to the one that stands in for all of them.
fn addressed(client: &Client, request: &Prepared, other: Option<SocketAddr>) -> RequestBuilder {
    let (method, mut headers) = (request.method.clone(), request.headers.clone());
    let Some(other) = other else {
        return client.request(method, request.url.clone()).headers(headers);
    };
    let mut url = request.url.clone();
    let origin = url.origin().ascii_serialization();
    let replaced = [
        url.set_scheme("http").is_ok(),
        url.set_ip_host(other.ip()).is_ok(),
        url.set_port(Some(other.port())).is_ok(),
    ];
    assert!(replaced.iter().all(|done| *done), "a checked URL is of the web and has a host");
    let origin = HeaderValue::from_str(&origin).expect("an origin is plain ASCII");
    headers.insert(STOOD_IN_FOR, origin);
    client.request(method, url).headers(headers)
}

/// Scheme, host and port for messages; not even those when a secret is part of the URL, since the
/// guest could read the secret from them.
fn server(request: &Prepared) -> String {
    if request.secret_url {
        return "the host of the secret URL".to_owned();
    }
    request.url.origin().ascii_serialization()
}

/// Where a redirect leads; `None` when the response is none.
fn redirect(response: &Response, request: &Prepared) -> Result<Option<Url>, HttpError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(target) = response.headers().get(LOCATION) else { return Ok(None) };
    let broken = || HttpError::Other(format!("{} redirects to no URL", server(request)));
    let target = target.to_str().map_err(|_| broken())?;
    let target = request.url.join(target).map_err(|_| broken())?;
    let of_the_web = matches!(target.scheme(), "http" | "https");
    if !of_the_web || !target.username().is_empty() || target.password().is_some() {
        return Err(broken());
    }
    Ok(Some(target))
}

/// The next hop: without secrets, and towards another server without credentials of any kind.
fn follow(mut request: Prepared, status: u16, target: Url) -> Result<Prepared, HttpError> {
    for name in request.secret_headers.drain(..) {
        request.headers.remove(name);
    }
    if target.origin() != request.url.origin() {
        request.headers.remove(AUTHORIZATION);
        request.headers.remove(COOKIE);
    }
    // As browsers do: 303 always and 301, 302 after a POST become a GET; 307 and 308 send again.
    let becomes_get = match status {
        303 => request.method != Method::HEAD,
        301 | 302 => request.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        request.method = Method::GET;
        request.body.clear();
        request.secret_body = false;
        request.headers.remove(CONTENT_TYPE);
    }
    if request.secret_body {
        let why = format!("{} redirects a request whose body holds a secret", server(&request));
        return Err(HttpError::Other(why));
    }
    // The server chose this URL. It may repeat our secret in it, so it stays out of messages.
    request.url = target;
    Ok(request)
}

async fn read(mut response: Response, gate: &Inner) -> Result<HttpResponse, HttpError> {
    let cap = gate.limits.body_bytes;
    let too_large = || HttpError::TooLarge(cap as u64);
    if response.content_length().is_some_and(|length| length > cap as u64) {
        return Err(too_large());
    }
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await.map_err(|error| HttpError::Other(words(error)))?;
        let Some(chunk) = chunk else { break };
        if body.len() + chunk.len() > cap {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(HttpResponse { status, headers, body })
}

fn explain(error: reqwest::Error, request: &Prepared, gate: &Inner) -> HttpError {
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(current) = cause {
        if current.downcast_ref::<PrivateAddress>().is_some() {
            return HttpError::Denied(leads_inside(request, gate));
        }
        cause = current.source();
    }
    if error.is_timeout() {
        return HttpError::TimedOut;
    }
    let unreachable = error.is_connect();
    let text = format!("{}: {}", server(request), words(error));
    if unreachable { HttpError::Unreachable(text) } else { HttpError::Other(text) }
}

/// The innermost cause, which says most and never holds the URL.
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
