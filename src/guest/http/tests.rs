//! The gate against servers on this machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::guest::grant::{Request, Secret};

mod refusals;

/// A server that answers every request with what `answer` makes of it, and keeps the requests.
pub(in crate::guest) struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Server {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Server::at(any, answer).await.expect("a free port")
    }

    /// At this very address, unless somebody has it.
    pub async fn at(
        address: SocketAddr,
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> std::io::Result<Server> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (answer, log, count) = (Arc::new(answer), seen.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Relaxed);
                tokio::spawn(serve(stream, answer.clone(), log.clone()));
            }
        });
        Ok(Server { address, connections, seen })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no test panics while it holds the lock").clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Arc<impl Fn(&str) -> String>,
    log: Arc<Mutex<Vec<String>>>,
) {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 4096];
        let Ok(count) = stream.read(&mut bytes).await else { return };
        if count == 0 {
            return;
        }
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        let Some(head) = text.find("\r\n\r\n") else { continue };
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        if text.len() < head + 4 + length {
            continue;
        }
        let request = std::mem::take(&mut text);
        let reply = answer(&request);
        log.lock().expect("no test panics while it holds the lock").push(request);
        // An empty reply is a server that never answers.
        if !reply.is_empty() && stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

pub(in crate::guest) fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

pub(in crate::guest) fn granted(http: &[&str], secrets: &[(&str, &str)]) -> Granted {
    let secrets: BTreeMap<_, _> =
        secrets.iter().map(|(name, value)| (Arc::from(*name), Secret::new(value))).collect();
    let http = http.iter().map(|host| Arc::from(*host)).collect();
    Granted { http, secrets, ..Granted::default() }
}

fn get(url: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".into(),
        url: vec![Part::Text(url.into())],
        headers: Vec::new(),
        body: Vec::new(),
        timeout: None,
    }
}

fn post(url: &str, body: Vec<Part>) -> HttpRequest {
    HttpRequest { method: "POST".into(), body, ..get(url) }
}

fn secret(name: &str) -> Part {
    Part::Secret(name.into())
}

#[tokio::test]
async fn a_granted_request_is_sent_with_its_secrets_over_one_connection() {
    let server = Server::start(|_| reply("200 OK", "x-told: yes\r\n", "thanks")).await;
    let host = server.address.to_string();
    let gate = HttpGate::new(granted(&[&host], &[("TOKEN", "s3cret")]));
    let mut request =
        post(&server.url("/hook"), vec![Part::Text("{\"k\":".into()), secret("TOKEN")]);
    request
        .headers
        .push(("Authorization".into(), vec![Part::Text("Bearer ".into()), secret("TOKEN")]));
    gate.send(request.clone()).await.expect("granted");
    let answer = gate.send(request).await.expect("granted");
    assert_eq!(server.connections.load(Relaxed), 1);
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"thanks".as_slice()));
    assert!(answer.headers.contains(&("x-told".into(), "yes".into())));
    let seen = server.seen();
    assert!(seen[0].starts_with("POST /hook HTTP/1.1"), "{}", seen[0]);
    assert!(seen[0].contains("authorization: Bearer s3cret"), "{}", seen[0]);
    assert!(seen[0].ends_with("{\"k\":s3cret"), "{}", seen[0]);
}

#[tokio::test]
async fn a_stand_in_gets_what_is_granted_and_nothing_else() {
    let server = Server::start(|_| reply("200 OK", "", "")).await;
    let own = granted(&["https://chat.example.net"], &[]);
    let gate = HttpGate::new(Granted { stand_in: Some(server.address), ..own });
    gate.send(post("https://chat.example.net/hook?a=1", vec![])).await.expect("granted");
    let other = gate.send(post("https://other.example.net/", vec![])).await;
    assert!(matches!(other, Err(HttpError::Denied(_))), "{other:?}");
    let seen = server.seen();
    let [seen] = seen.as_slice() else { panic!("one request: {seen:?}") };
    assert!(seen.starts_with("POST /hook?a=1 HTTP/1.1"), "{seen}");
    assert!(seen.contains("watchfire-stood-in-for: https://chat.example.net\r\n"), "{seen}");
}

#[tokio::test]
async fn what_is_not_granted_is_denied_with_the_line_to_add() {
    let server = Server::start(|_| reply("200 OK", "", "")).await;
    let (host, port) = (server.address.to_string(), server.address.port());
    let check = async |http: &[&str], url: &str, says: &str| {
        let error = HttpGate::new(granted(http, &[])).send(get(url)).await.expect_err(url);
        let HttpError::Denied(why) = &error else { panic!("{url}: {error}") };
        assert!(why.contains(says), "{url}: {why}");
    };
    let line = format!("grant it: `http = [\"http://{host}\"]` under `[grants.NAME]`");
    check(&[], &server.url("/"), &line).await;
    check(&["127.0.0.1:1"], &server.url("/"), &line).await;
    check(&[&format!("https://{host}")], &server.url("/"), &line).await;
    // A wildcard never opens this machine or its network.
    let any = format!("*:{port}");
    check(&[&any], &server.url("/"), "private address").await;
    check(&[&any], &format!("http://[::ffff:127.0.0.1]:{port}/"), "private address").await;
    check(&[&any], &format!("http://localhost:{port}/"), "private address").await;
    check(&[&any], &format!("http://2130706433:{port}/"), "private address").await;
    check(&["*"], "http://169.254.169.254/latest/meta-data/", "private address").await;
    assert_eq!(server.seen().len(), 0);
    let mut request = get(&server.url("/"));
    request.headers.push(("x-token".into(), vec![secret("TOKEN")]));
    let error = HttpGate::new(granted(&[&host], &[])).send(request).await.expect_err("no secret");
    let line = "`secrets = [\"TOKEN\"]` under `[grants.NAME]`, and `TOKEN = { env = \"TOKEN\" }`";
    assert!(matches!(&error, HttpError::Denied(why) if why.contains(line)), "{error}");
}

#[tokio::test]
async fn private_addresses_open_by_name_or_by_flag() {
    let server = Server::start(|_| reply("200 OK", "", "")).await;
    let port = server.address.port();
    let localhost = format!("localhost:{port}");
    let url = format!("http://localhost:{port}/");
    assert!(HttpGate::new(granted(&[&localhost], &[])).send(get(&url)).await.is_ok());
    let any = format!("*:{port}");
    let wide = Granted { private_addresses: true, ..granted(&[&any], &[]) };
    assert!(HttpGate::new(wide).send(get(&url)).await.is_ok());
}

#[tokio::test]
async fn a_redirect_is_a_new_request_to_check_and_carries_no_secret() {
    let end = Server::start(|_| reply("200 OK", "", "end")).await;
    let target = end.url("/end");
    let start = Server::start(move |request| {
        let status = if request.contains("/again") { "307 Again" } else { "302 Found" };
        reply(status, &format!("location: {target}\r\n"), "")
    })
    .await;
    let (from, to) = (start.address.to_string(), end.address.to_string());
    let mut request = post(&start.url("/"), vec![Part::Text("body".into())]);
    request.headers.push(("x-token".into(), vec![secret("TOKEN")]));
    request.headers.push(("authorization".into(), vec![Part::Text("Basic abc".into())]));

    let narrow = HttpGate::new(granted(&[&from], &[("TOKEN", "s3cret")]));
    let error = narrow.send(request.clone()).await.expect_err("another port");
    let line = format!("`http = [\"http://{to}\"]`");
    assert!(matches!(&error, HttpError::Denied(why) if why.contains(&line)), "{error}");
    assert_eq!(end.seen().len(), 0);

    let wide = HttpGate::new(granted(&[&from, &to], &[("TOKEN", "s3cret")]));
    assert_eq!(wide.send(request.clone()).await.expect("both granted").body, b"end");
    let seen = end.seen().remove(0);
    assert!(seen.starts_with("GET /end"), "{seen}");
    assert!(!seen.contains("s3cret") && !seen.contains("Basic"), "{seen}");

    // 307 sends the body again, so a secret in it ends the journey.
    request.url = vec![Part::Text(start.url("/again"))];
    assert!(wide.send(request.clone()).await.is_ok());
    assert!(end.seen()[1].ends_with("body"));
    request.body.push(secret("TOKEN"));
    let error = wide.send(request).await.expect_err("a secret in the body");
    assert!(matches!(&error, HttpError::Other(why) if why.contains("holds a secret")), "{error}");
    assert_eq!(end.seen().len(), 2);
}

#[tokio::test]
async fn redirects_end() {
    let server = Server::start(|_| reply("302 Found", "location: /round\r\n", "")).await;
    let gate = HttpGate::new(granted(&[&server.address.to_string()], &[]));
    let error = gate.send(get(&server.url("/"))).await.expect_err("a circle");
    assert_eq!(error, HttpError::Other("more than 5 redirects".into()));
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_slow_server_times_out_and_the_gate_goes_on() {
    let server = Server::start(|request| {
        if request.contains("/slow") { String::new() } else { reply("200 OK", "", "") }
    })
    .await;
    let gate = HttpGate::new(granted(&[&server.address.to_string()], &[]));
    let slow =
        HttpRequest { timeout: Some(Duration::from_millis(30)), ..get(&server.url("/slow")) };
    assert_eq!(gate.send(slow).await, Err(HttpError::TimedOut));
    assert!(gate.send(get(&server.url("/quick"))).await.is_ok());
}

#[tokio::test]
async fn a_body_past_the_cap_is_refused() {
    let server = Server::start(|request| {
        let body = "a".repeat(if request.contains("/over") { 101 } else { 100 });
        if request.contains("chunked") {
            let size = body.len();
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            return format!("{head}{size:x}\r\n{body}\r\n0\r\n\r\n");
        }
        reply("200 OK", "", &body)
    })
    .await;
    let limits = HttpLimits { body_bytes: 100, ..HttpLimits::default() };
    let gate = HttpGate::with_limits(granted(&[&server.address.to_string()], &[]), limits);
    for path in ["/at", "/at?chunked"] {
        assert_eq!(gate.send(get(&server.url(path))).await.expect(path).body.len(), 100);
    }
    for path in ["/over", "/over?chunked"] {
        assert_eq!(
            gate.send(get(&server.url(path))).await,
            Err(HttpError::TooLarge(100)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn no_error_holds_a_secret_or_the_url_it_is_part_of() {
    let secrets = [("URL", "http://127.0.0.1:1/s3cret"), ("TOKEN", "s3cret\n")];
    let gate = HttpGate::new(granted(&["127.0.0.1:1"], &secrets));
    let denied = HttpGate::new(granted(&["127.0.0.1:2"], &secrets));
    let by_url = HttpRequest { url: vec![secret("URL")], ..get("") };
    let bad_url = HttpRequest { url: vec![secret("TOKEN")], ..get("") };
    let mut bad_header = get("http://127.0.0.1:1/");
    bad_header.headers.push(("x".into(), vec![secret("TOKEN")]));
    for (gate, request) in
        [(&gate, by_url.clone()), (&denied, by_url), (&gate, bad_url), (&gate, bad_header)]
    {
        let error = gate.send(request).await.expect_err("none can be sent");
        let text = format!("{error} {error:?} {gate:?}");
        assert!(!text.contains("s3cret"), "{text}");
    }
    let plain = gate.send(get("http://127.0.0.1:1/path?q=private")).await.expect_err("closed");
    assert!(matches!(&plain, HttpError::Unreachable(why) if why.contains("http://127.0.0.1:1")));
    assert!(!plain.to_string().contains("private"), "{plain}");
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let gate = HttpGate::new(granted(&["*"], &[]));
    let check = async |request: HttpRequest, says: &str| {
        let error = gate.send(request).await.expect_err(says);
        assert!(matches!(&error, HttpError::Invalid(why) if why.contains(says)), "{error}");
    };
    let url = "http://example.net/";
    check(HttpRequest { method: "CONNECT".into(), ..get(url) }, "no method").await;
    check(get("no url"), "the URL").await;
    check(get("http://user:pass@example.net/"), "user or password").await;
    check(get(&format!("{url}{}", "a".repeat(9000))), "too long").await;
    let with = |name: &str, value: &str| HttpRequest {
        headers: vec![(name.into(), vec![Part::Text(value.into())])],
        ..get(url)
    };
    check(with("Host", "evil.org"), "the host's to set").await;
    check(with("x", "a\r\nb: c"), "not plain text").await;
    check(with("a b", ""), "no header name").await;
}

#[tokio::test]
async fn https_speaks_tls() {
    // The server looks at how the hello begins, and hangs up.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let first_bytes = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("one connection");
        let mut bytes = [0; 2];
        stream.read_exact(&mut bytes).await.expect("a hello");
        bytes
    });
    let gate = HttpGate::new(granted(&[&format!("https://{address}")], &[]));
    let error = gate.send(get(&format!("https://{address}/"))).await.expect_err("no TLS there");
    assert!(matches!(error, HttpError::Unreachable(_) | HttpError::Other(_)), "{error}");
    // A TLS record of the handshake, version 3.x.
    assert_eq!(first_bytes.await.expect("the server ran"), [0x16, 0x03]);
}
