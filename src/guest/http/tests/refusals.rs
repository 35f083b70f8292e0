//! Ways around the address check, each of them closed: odd spellings, redirects, resolvers.

use std::collections::VecDeque;

use super::super::address::{Found, Lookup};
use super::*;

/// A resolver that a test controls: every name has these answers, one after the other.
#[derive(Debug, Default)]
struct Resolver {
    answers: Mutex<VecDeque<Vec<&'static str>>>,
    asked: Mutex<Vec<String>>,
}

impl Resolver {
    fn new(answers: &[&[&'static str]]) -> Arc<Resolver> {
        let answers = answers.iter().map(|answer| answer.to_vec()).collect();
        Arc::new(Resolver { answers: Mutex::new(answers), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics while it holds the lock").clone()
    }
}

impl Lookup for Resolver {
    fn addresses(&self, host: String) -> Found {
        self.asked.lock().expect("no test panics while it holds the lock").push(host);
        let mut answers = self.answers.lock().expect("no test panics while it holds the lock");
        let answer = answers.pop_front().expect("no more questions than answers");
        let address = |text: &str| SocketAddr::new(text.parse().expect("an address"), 0);
        Box::pin(async move { Ok(answer.into_iter().map(address).collect()) })
    }
}

/// A gate of the guest `chat`, which asked for everything.
fn gate(http: &[&str], resolver: &Arc<Resolver>) -> HttpGate {
    let asked = vec![Request::Http("*".into())];
    let granted = Granted { guest: "chat".into(), asked, ..granted(http, &[]) };
    HttpGate::looking_up(granted, HttpLimits::default(), resolver.clone())
}

#[tokio::test]
async fn no_spelling_of_a_private_address_gets_past_a_wildcard() {
    let server = Server::start(|_| reply("200 OK", "", "")).await;
    let port = server.address.port();
    let gate = gate(&[&format!("*:{port}"), "*"], &Resolver::new(&[]));
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.0x1",
        "127.0.0.01",
        "127%2e0%2e0%2e1",
        "127。0。0。1",
        "１２７.0.0.1",
        "⑫7.0.0.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::127.0.0.1]",
        "[::7f00:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::127.0.0.1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "localhost",
        "LOCALHOST",
        "loc%61lhost",
        "ⓛocalhost",
    ] {
        let url = format!("http://{host}:{port}/");
        let error = gate.send(get(&url)).await.expect_err(&url);
        let HttpError::Denied(why) = &error else { panic!("{url}: {error}") };
        let cure = "leads to a private address; grant the address itself, or set \
                    `private_addresses = true` under `[grants.chat]`";
        assert!(why.ends_with(cure), "{url}: {why}");
    }
    for url in [
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://example.net@127.0.0.1/",
        "http://a:b@example.net/",
        "http://127.0.0.256/",
        "http://1.2.3.4.5/",
        "http:///",
        "file:///etc/passwd",
        "ftp://example.net/",
        "gopher://127.0.0.1:6379/",
        "data:,a",
    ] {
        let error = gate.send(get(url)).await.expect_err(url);
        assert!(matches!(&error, HttpError::Invalid(_)), "{url}: {error}");
    }
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn a_backslash_or_at_sign_does_not_make_a_granted_host_of_another() {
    let gate = gate(&["example.net"], &Resolver::new(&[]));
    for (url, host) in [
        ("http://evil.org\\@example.net/", "evil.org"),
        ("http://evil.org/@example.net/", "evil.org"),
        ("http://evil.org#@example.net/", "evil.org"),
        ("http://evil.org?.example.net/", "evil.org"),
        ("http://example.net.evil.org/", "example.net.evil.org"),
        ("http://example.net./", "example.net."),
        ("http://exаmple.net/", "xn--exmple-4nf.net"),
    ] {
        let error = gate.send(get(url)).await.expect_err(url);
        let cure =
            format!("grant it in grants.toml: `http = [\"http://{host}\"]` under `[grants.chat]`");
        assert_eq!(error, HttpError::Denied(cure), "{url}");
    }
}

#[tokio::test]
async fn the_name_of_this_machine_opens_the_port_it_was_granted_with_and_no_other() {
    let server = Server::start(|_| reply("200 OK", "", "")).await;
    let port = server.address.port();
    let resolver = Resolver::new(&[]);
    let gate = gate(&["localhost:1", &format!("*:{port}")], &resolver);
    let error = gate.send(get(&format!("http://localhost:{port}/"))).await.expect_err("denied");
    assert!(matches!(&error, HttpError::Denied(why) if why.contains("private")), "{error}");
    assert_eq!((server.seen().len(), resolver.asked().len()), (0, 0));
}

#[tokio::test]
async fn a_name_that_leads_inside_is_denied_however_it_answers() {
    let server = Server::start(|_| reply("200 OK", "", "")).await;
    let port = server.address.port();
    let answers: [&[&str]; 4] =
        [&["127.0.0.1"], &["::1", "127.0.0.1", "10.0.0.1"], &["::ffff:127.0.0.1"], &["0.0.0.0"]];
    let resolver = Resolver::new(&answers);
    // The operator wrote the very name; where it leads is another matter.
    let gate = gate(&[&format!("hook.example.net:{port}")], &resolver);
    for _ in answers {
        let url = format!("http://hook.example.net:{port}/");
        let error = gate.send(get(&url)).await.expect_err("inside");
        let why = format!(
            "http://hook.example.net:{port} leads to a private address; grant the address itself, \
             or set `private_addresses = true` under `[grants.chat]`"
        );
        assert_eq!(error, HttpError::Denied(why));
    }
    assert_eq!((server.seen().len(), resolver.asked().len()), (0, answers.len()));
}

/// Two servers at the same port of two of this machine's addresses.
async fn twins(answer: fn(&str) -> String) -> (Server, Server) {
    loop {
        let first = Server::start(answer).await;
        let other = SocketAddr::new([127, 0, 0, 2].into(), first.address.port());
        if let Ok(second) = Server::at(other, answer).await {
            return (first, second);
        }
    }
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_checked() {
    let (first, second) = twins(|_| reply("200 OK", "connection: close\r\n", "")).await;
    let url = format!("http://rebound.example.net:{}/", first.address.port());
    // Whoever looked the name up again to connect would land at the other one.
    let resolver = Resolver::new(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let asked = vec![Request::Http("*".into())];
    let any = format!("*:{}", first.address.port());
    let inside = Granted { asked, private_addresses: true, ..granted(&[&any], &[]) };
    let gate = HttpGate::looking_up(inside, HttpLimits::default(), resolver.clone());
    gate.send(get(&url)).await.expect("granted");
    assert_eq!((first.seen().len(), second.seen().len()), (0, 1));
    assert_eq!(resolver.asked(), ["rebound.example.net"], "looked up once");
    gate.send(get(&url)).await.expect("granted");
    assert_eq!((first.seen().len(), second.seen().len()), (1, 1));
}

#[tokio::test]
async fn no_redirect_leads_inside() {
    let inside = Server::start(|_| reply("200 OK", "", "secrets")).await;
    let port = inside.address.port();
    for (location, says) in [
        (format!("http://127.0.0.1:{port}/"), "private address"),
        (format!("//127.0.0.1:{port}/"), "private address"),
        (format!("http://localhost:{port}/"), "private address"),
        (format!("http://0x7f.1:{port}/"), "private address"),
        (format!("http://[::ffff:127.0.0.1]:{port}/"), "private address"),
        (format!("http://inside.example.net:{port}/"), "private address"),
        (format!("http://127.0.0.1:{port}@example.net/"), "redirects to no URL"),
        ("file:///etc/passwd".to_owned(), "redirects to no URL"),
        ("http://[fe80::1%25eth0]/".to_owned(), "redirects to no URL"),
        ("https://other.example.net:8443/".to_owned(), "https://other.example.net:8443"),
    ] {
        let head = format!("location: {location}\r\n");
        let outside = Server::start(move |_| reply("302 Found", &head, "")).await;
        let hosts = [outside.address.to_string(), format!("*:{port}"), "*".to_owned()];
        let gate = gate(&hosts.each_ref().map(String::as_str), &Resolver::new(&[&["127.0.0.1"]]));
        let error = gate.send(get(&outside.url("/"))).await.expect_err(&location);
        assert!(error.to_string().contains(says), "{location}: {error}");
        assert_eq!(outside.seen().len(), 1, "{location}");
    }
    assert_eq!(inside.seen().len(), 0);
}

#[tokio::test]
async fn a_redirect_that_repeats_a_secret_tells_it_to_nobody() {
    let server = Server::start(|_| {
        reply("302 Found", "location: https://s3cret-token.example.net:8443/\r\n", "")
    })
    .await;
    let gate = HttpGate::new(granted(&[&server.address.to_string()], &[("TOKEN", "S3cret-Token")]));
    let mut request = get(&server.url("/"));
    request.headers.push(("x-token".into(), vec![secret("TOKEN")]));
    let error = gate.send(request).await.expect_err("not granted").to_string();
    assert!(error.contains("https://***.example.net:8443"), "{error}");
}
