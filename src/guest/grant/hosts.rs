//! Patterns of scheme, host and port: `chat.example.net`, `https://*.example.net:8443`, `*`.

use std::fmt;

use reqwest::Url;

/// Which servers a request may go to. A pattern has no path: what may be reached is a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    text: String,
    /// `None` takes both.
    scheme: Option<Scheme>,
    host: HostPart,
    /// `None` is the scheme's own: 80 or 443.
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPart {
    Any,
    /// As the URL standard writes it: lower case, Punycode, addresses in their short form.
    Exact(String),
    /// Every name that ends in `.` and this.
    Under(String),
}

impl HostPattern {
    /// Reads `[http://|https://]HOST[:PORT]`; HOST may be `*`, or begin with `*.`.
    pub fn parse(text: &str) -> Result<HostPattern, String> {
        let hint = || {
            format!("`{text}` is no host pattern; write HOST, HOST:PORT, https://HOST or *.DOMAIN")
        };
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(Scheme::Http), rest),
            Some(("https", rest)) => (Some(Scheme::Https), rest),
            Some(_) => return Err(hint()),
            None => (None, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (name, port) = split_port(rest).ok_or_else(hint)?;
        let host = match name.strip_prefix("*.") {
            _ if name == "*" => HostPart::Any,
            Some(domain) => HostPart::Under(canonical(domain).ok_or_else(hint)?),
            None => HostPart::Exact(canonical(name).ok_or_else(hint)?),
        };
        Ok(HostPattern { text: text.to_owned(), scheme, host, port })
    }

    /// Whether a request may go to this URL's server.
    pub fn takes(&self, url: &Url) -> bool {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return false,
        };
        let Some(host) = url.host_str() else { return false };
        self.scheme.is_none_or(|wanted| wanted == scheme)
            && url.port_or_known_default() == Some(self.port_for(scheme))
            && self.host.takes(host)
    }

    /// Whether every server that `other` takes is taken by this pattern too.
    pub fn contains(&self, other: &HostPattern) -> bool {
        let schemes = [Scheme::Http, Scheme::Https];
        let has = |pattern: &HostPattern, scheme| pattern.scheme.is_none_or(|own| own == scheme);
        let mut asked = schemes.into_iter().filter(|scheme| has(other, *scheme));
        self.host.contains(&other.host)
            && asked
                .all(|scheme| has(self, scheme) && self.port_for(scheme) == other.port_for(scheme))
    }

    /// Whether the pattern names this very host, as a private address or `localhost` must be.
    pub fn names(&self, host: &str) -> bool {
        matches!(&self.host, HostPart::Exact(own) if own == host)
    }

    fn port_for(&self, scheme: Scheme) -> u16 {
        self.port.unwrap_or(match scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        })
    }
}

/// A host as the URL standard writes it.
fn canonical(name: &str) -> Option<String> {
    let plain = |c: char| c.is_alphanumeric() || "-._:[]".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    let url = Url::parse(&format!("http://{name}/")).ok()?;
    // A colon that is not part of a bracketed address would have been read as a port.
    (url.port().is_none() && (name.starts_with('[') || !name.contains(':')))
        .then(|| url.host_str().map(str::to_owned))?
}

/// `name:80` or `[::1]:80` in two; a bare IPv6 address needs its brackets.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let after_address = text.rfind(']').map_or(0, |bracket| bracket + 1);
    match text[after_address..].rfind(':') {
        Some(colon) => {
            let at = after_address + colon;
            let port: u16 = text[at + 1..].parse().ok()?;
            (port > 0).then_some((&text[..at], Some(port)))
        }
        None => Some((text, None)),
    }
}

impl HostPart {
    fn takes(&self, host: &str) -> bool {
        match self {
            HostPart::Any => true,
            HostPart::Exact(own) => own == host,
            HostPart::Under(domain) => {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
        }
    }

    fn contains(&self, other: &HostPart) -> bool {
        match (self, other) {
            (HostPart::Any, _) => true,
            (_, HostPart::Any) => false,
            (own, HostPart::Exact(host)) => own.takes(host),
            (HostPart::Exact(_), HostPart::Under(_)) => false,
            (HostPart::Under(own), HostPart::Under(domain)) => own == domain || self.takes(domain),
        }
    }
}

/// As it was written.
impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).expect(text)
    }

    #[test]
    fn a_pattern_takes_scheme_host_and_port() {
        for (written, url, takes) in [
            ("chat.example.net", "https://chat.example.net/hook", true),
            ("chat.example.net", "http://chat.example.net/hook", true),
            ("chat.example.net", "https://chat.example.net:8443/", false),
            ("chat.example.net:8443", "https://chat.example.net:8443/", true),
            ("chat.example.net:443", "https://chat.example.net/", true),
            ("chat.example.net:443", "http://chat.example.net/", false),
            ("https://chat.example.net", "http://chat.example.net/", false),
            ("Chat.Example.NET", "https://CHAT.example.net/", true),
            ("chat.example.net", "https://chat.example.net.evil.org/", false),
            ("chat.example.net", "https://chat.example.net@evil.org/", false),
            ("*.example.net", "https://a.example.net/", true),
            ("*.example.net", "https://a.b.example.net/", true),
            ("*.example.net", "https://example.net/", false),
            ("*.example.net", "https://badexample.net/", false),
            ("*", "https://anything.org/", true),
            ("*", "https://anything.org:444/", false),
            ("*:444", "https://anything.org:444/", true),
            ("127.0.0.1:80", "http://0x7f.1/", true),
            ("[::1]:9000", "http://[0:0::1]:9000/", true),
            ("chat.example.net", "ftp://chat.example.net/", false),
        ] {
            let url = Url::parse(url).expect(url);
            assert_eq!(pattern(written).takes(&url), takes, "{written} {url}");
        }
    }

    #[test]
    fn a_wider_pattern_contains_a_narrower_one() {
        for (wide, narrow, contains) in [
            ("*", "https://chat.example.net", true),
            ("*", "chat.example.net:8443", false),
            ("chat.example.net", "https://chat.example.net", true),
            ("https://chat.example.net", "chat.example.net", false),
            ("https://chat.example.net", "https://chat.example.net:443", true),
            ("*.example.net", "*.eu.example.net", true),
            ("*.eu.example.net", "*.example.net", false),
            ("*.example.net", "chat.example.net", true),
            ("chat.example.net", "*", false),
        ] {
            assert_eq!(pattern(wide).contains(&pattern(narrow)), contains, "{wide} {narrow}");
        }
    }

    fn any_pattern() -> impl Strategy<Value = String> {
        ("(|http://|https://)", "(\\*|(\\*\\.)?(a\\.)?(b\\.)?c)", "(|:80|:443|:9)")
            .prop_map(|(scheme, host, port)| format!("{scheme}{host}{port}"))
    }

    proptest! {
        #[test]
        fn a_container_takes_all_that_the_contained_takes(
            wide in any_pattern(),
            narrow in any_pattern(),
            scheme in "(http|https)",
            host in "(a\\.)?(b\\.)?c",
            port in "(|:80|:443|:9)",
        ) {
            let url = Url::parse(&format!("{scheme}://{host}{port}/")).expect("well-formed");
            let (wide, narrow) = (pattern(&wide), pattern(&narrow));
            if wide.contains(&narrow) && narrow.takes(&url) {
                prop_assert!(wide.takes(&url), "{} {} {}", wide, narrow, url);
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "ftp://a",
            "https://",
            "a/b",
            "https://a/path",
            "a:b",
            "a:0",
            "a:70000",
            "a b",
            "*.",
            "**",
            "*x",
            "user@a",
            "a?b",
            "::1",
            "https://*.*",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
