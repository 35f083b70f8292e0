//! Who may speak to the API.
//!
//! On loopback everyone on the machine may, but no web page: a browser sends `Origin` with what a
//! foreign page asks for, and a page that made its own name point at us (DNS rebinding) sends that
//! name as `Host`. Elsewhere a token is needed as well.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap};
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::problem::{Problem, Trouble};

/// What probes may ask without a token.
const OPEN_PATHS: [&str; 2] = ["/-/healthy", "/-/ready"];

/// The rules at the door.
#[derive(Debug)]
pub struct Guard {
    /// Lower case, without port.
    names: Vec<String>,
    /// Bound to more than loopback: then addresses in `Host` are fine too. Rebinding needs a name,
    /// and a program in a container cannot know the address it is reached by.
    beyond_loopback: bool,
    token: Option<TokenDigest>,
}

/// The digest of the secret: comparing digests tells nothing about where two secrets differ.
#[derive(Clone, Copy, PartialEq, Eq)]
struct TokenDigest([u8; 32]);

#[derive(Debug, PartialEq)]
pub enum GuardError {
    NeedsToken { listen: SocketAddr },
    TokenFile { path: PathBuf, why: String },
}

impl Guard {
    pub fn new(
        listen: SocketAddr,
        names: &[String],
        token_file: Option<&Path>,
    ) -> Result<Guard, GuardError> {
        let beyond_loopback = !listen.ip().to_canonical().is_loopback();
        let token = token_file.map(read_token).transpose()?;
        if beyond_loopback && token.is_none() {
            return Err(GuardError::NeedsToken { listen });
        }
        let names = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Ok(Guard { names, beyond_loopback, token })
    }

    fn admit(&self, request: &Request) -> Result<(), Problem> {
        let host = self.check_host(request)?;
        check_origin(request.headers(), &host)?;
        if OPEN_PATHS.contains(&request.uri().path()) {
            return Ok(());
        }
        self.check_token(request.headers())
    }

    fn check_host(&self, request: &Request) -> Result<Authority, Problem> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            let detail = "The request needs one `host` header.";
            return Err(Problem::new(Trouble::BadRequest, detail, "Send `host: localhost`."));
        };
        let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        let Some(host) = host else {
            let detail = "The `host` header is not a name or an address.";
            return Err(Problem::new(Trouble::BadRequest, detail, "Send `host: localhost`."));
        };
        // A full URL in the request line outranks the header, so it has to pass as well.
        for authority in request.uri().authority().into_iter().chain([&host]) {
            if !self.knows(authority.host()) {
                let detail = format!("`{}` is no name of this server.", authority.host());
                let hint = "Ask for localhost or 127.0.0.1, or add the name to `names` under \
                            [listen] in the settings.";
                return Err(Problem::new(Trouble::Forbidden, detail, hint));
            }
        }
        Ok(host)
    }

    fn knows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return self.beyond_loopback || address.to_canonical().is_loopback();
        }
        host == "localhost" || host.ends_with(".localhost") || self.names.contains(&host)
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(wanted) = self.token else { return Ok(()) };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let hint = "Send `authorization: Bearer TOKEN` with the text of the token file.";
        let Some((scheme, token)) = given.and_then(|given| given.split_once(' ')) else {
            return Err(Problem::new(Trouble::Unauthorized, "No token was sent.", hint));
        };
        if scheme.eq_ignore_ascii_case("bearer") && TokenDigest::of(token.trim()) == wanted {
            return Ok(());
        }
        let detail = "The token is not the one of this server.";
        Err(Problem::new(Trouble::Unauthorized, detail, hint))
    }
}

impl TokenDigest {
    fn of(token: &str) -> TokenDigest {
        TokenDigest(Sha256::digest(token.as_bytes()).into())
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl fmt::Display for GuardError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuardError::NeedsToken { listen } => write!(
                out,
                "{listen} can be reached from other machines, so a token is needed: give \
                 --token-file FILE, or listen on 127.0.0.1:{}",
                listen.port()
            ),
            GuardError::TokenFile { path, why } => {
                write!(out, "the token file {} {why}", path.display())
            }
        }
    }
}

impl std::error::Error for GuardError {}

/// The layer that asks the guard before anything else looks at a request.
pub async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    guard.admit(&request)?;
    Ok(next.run(request).await)
}

/// A browser sends `Origin` with all but plain navigation; ours is `http(s)://` and our `Host`.
/// TLS may end at a proxy in front of us, so both schemes are ours.
fn check_origin(headers: &HeaderMap, host: &Authority) -> Result<(), Problem> {
    for origin in headers.get_all(header::ORIGIN) {
        let own = origin.to_str().is_ok_and(|origin| is_own_origin(origin, host));
        if !own {
            let detail = "A page of another site may not speak to this server.";
            let hint = "Open the page that this server itself serves, or use a client that is \
                        not a browser.";
            return Err(Problem::new(Trouble::Forbidden, detail, hint));
        }
    }
    Ok(())
}

fn is_own_origin(origin: &str, host: &Authority) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default_port);
    authority.host().eq_ignore_ascii_case(host.host()) && port(&authority) == port(host)
}

/// 16 characters are the least that nobody guesses over a network.
const TOKEN_LENGTH_MIN: usize = 16;

fn read_token(path: &Path) -> Result<TokenDigest, GuardError> {
    let broken = |why: String| GuardError::TokenFile { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path)
        .map_err(|error| broken(format!("cannot be read: {error}")))?;
    let token = text.trim();
    if token.len() < TOKEN_LENGTH_MIN || token.contains(char::is_whitespace) {
        let why = "does not hold one word of at least 16 characters; make one with \
                   `openssl rand -hex 32`";
        return Err(broken(why.to_owned()));
    }
    Ok(TokenDigest::of(token))
}

#[cfg(test)]
mod tests;
