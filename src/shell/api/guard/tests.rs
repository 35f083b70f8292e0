//! The door, request by request.

use axum::body::Body;

use super::*;

const LOOPBACK: &str = "127.0.0.1:9820";
const EVERYWHERE: &str = "0.0.0.0:9820";
const TOKEN: &str = "0123456789abcdef";

fn token_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("a temporary file takes text");
    file
}

fn guard_at(listen: &str, token: Option<&str>) -> Guard {
    let file = token.map(token_file);
    let path = file.as_ref().map(|file| file.path());
    let names = ["Watch.Example".to_owned()];
    Guard::new(listen.parse().expect(listen), &names, path).expect("a good guard")
}

fn request(uri: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).expect("a request")
}

/// The status that the door answers; 200 when it lets the request in.
fn status(guard: &Guard, uri: &str, headers: &[(&str, &str)]) -> u16 {
    use axum::response::IntoResponse;
    match guard.admit(&request(uri, headers)) {
        Ok(()) => 200,
        Err(problem) => problem.into_response().status().as_u16(),
    }
}

#[test]
fn only_our_own_names_are_answered_to() {
    for (host, at_loopback, everywhere) in [
        ("localhost:9820", 200, 200),
        ("LOCALHOST", 200, 200),
        ("a.localhost:9820", 200, 200),
        ("127.0.0.1:9820", 200, 200),
        ("127.8.9.1", 200, 200),
        ("[::1]:9820", 200, 200),
        ("[::ffff:127.0.0.1]:9820", 200, 200),
        ("watch.example", 200, 200),
        ("watch.EXAMPLE:443", 200, 200),
        ("10.0.0.5:9820", 403, 200),
        ("[fe80::1]", 403, 200),
        ("evil.example", 403, 403),
        ("localhost.evil.example", 403, 403),
        ("notlocalhost", 403, 403),
        ("127.0.0.1.evil.example", 403, 403),
        ("sub.watch.example", 403, 403),
        ("", 400, 400),
        ("a b", 400, 400),
    ] {
        let check = |guard: Guard, wanted: u16| {
            let bearer = format!("Bearer {TOKEN}");
            let got = status(&guard, "/", &[("host", host), ("authorization", &bearer)]);
            assert_eq!(got, wanted, "{host}");
        };
        check(guard_at(LOOPBACK, None), at_loopback);
        check(guard_at(EVERYWHERE, Some(TOKEN)), everywhere);
    }
}

#[test]
fn a_host_stands_once_and_a_full_url_cannot_hide_another() {
    let guard = guard_at(LOOPBACK, None);
    let own = ("host", "localhost");
    assert_eq!(status(&guard, "/", &[]), 400);
    assert_eq!(status(&guard, "/", &[own, own]), 400);
    assert_eq!(status(&guard, "http://localhost/", &[own]), 200);
    assert_eq!(status(&guard, "http://evil.example/", &[own]), 403);
}

#[test]
fn pages_of_other_sites_are_refused() {
    let guard = guard_at(LOOPBACK, None);
    for (host, origin, wanted) in [
        ("localhost:9820", "http://localhost:9820", 200),
        ("localhost:9820", "http://LocalHost:9820", 200),
        ("[::1]:9820", "http://[::1]:9820", 200),
        ("watch.example", "https://watch.example", 200),
        ("watch.example:443", "https://watch.example", 200),
        ("watch.example", "http://watch.example:80", 200),
        ("watch.example", "https://watch.example:8443", 403),
        ("localhost:9820", "http://localhost:3000", 403),
        ("localhost:9820", "http://localhost", 403),
        ("localhost:9820", "http://127.0.0.1:9820", 403),
        ("localhost:9820", "http://evil.example", 403),
        ("localhost:9820", "null", 403),
        ("localhost:9820", "", 403),
        ("localhost:9820", "ftp://localhost:9820", 403),
        ("localhost:9820", "chrome-extension://localhost:9820", 403),
    ] {
        let got = status(&guard, "/", &[("host", host), ("origin", origin)]);
        assert_eq!(got, wanted, "{origin} speaks to {host}");
    }
}

#[test]
fn with_a_token_only_probes_are_open() {
    let guard = guard_at(LOOPBACK, Some("  0123456789abcdef\n"));
    for (path, authorization, wanted) in [
        ("/-/healthy", "", 200),
        ("/-/ready", "", 200),
        ("/-/healthy/", "", 401),
        ("/health", "", 401),
        ("/metrics", "Bearer 0123456789abcdef", 200),
        ("/metrics", "bearer  0123456789abcdef ", 200),
        ("/metrics", "Bearer 0123456789abcdeF", 401),
        ("/metrics", "Bearer 0123456789abcde", 401),
        ("/metrics", "Bearer 0123456789abcdef0", 401),
        ("/metrics", "Bearer ", 401),
        ("/metrics", "Bearer", 401),
        ("/metrics", "Basic 0123456789abcdef", 401),
        ("/metrics", "0123456789abcdef", 401),
    ] {
        let headers = [("host", "localhost"), ("authorization", authorization)];
        assert_eq!(status(&guard, path, &headers), wanted, "{path} {authorization:?}");
    }
    assert_eq!(status(&guard, "/-/healthy", &[("host", "evil.example")]), 403);
}

#[test]
fn beyond_loopback_no_token_is_no_start() {
    for (listen, starts) in [
        ("127.0.0.1:9820", true),
        ("127.3.2.1:0", true),
        ("[::1]:9820", true),
        ("[::ffff:127.0.0.1]:9820", true),
        ("0.0.0.0:9820", false),
        ("[::]:9820", false),
        ("192.168.1.5:9820", false),
    ] {
        let guard = Guard::new(listen.parse().expect(listen), &[], None);
        assert_eq!(guard.is_ok(), starts, "{listen}");
        if let Err(error) = guard {
            let text = error.to_string();
            assert!(text.contains("--token-file") && text.contains(listen), "{text}");
        }
    }
}

#[test]
fn a_token_file_holds_one_long_word() {
    for (text, good) in [
        (TOKEN, true),
        ("0123456789abcdef\n", true),
        ("0123456789abcde", false),
        ("", false),
        ("\n", false),
        ("01234567 89abcdef", false),
    ] {
        let file = token_file(text);
        let guard = Guard::new(LOOPBACK.parse().expect(LOOPBACK), &[], Some(file.path()));
        assert_eq!(guard.is_ok(), good, "{text:?}");
    }
    let missing = Path::new("/nonexistent/token");
    let error = Guard::new(LOOPBACK.parse().expect(LOOPBACK), &[], Some(missing));
    let text = error.expect_err("there is no such file").to_string();
    assert!(text.contains("/nonexistent/token cannot be read"), "{text}");
}

#[test]
fn the_guard_does_not_print_its_token() {
    let text = format!("{:?}", guard_at(LOOPBACK, Some(TOKEN)));
    assert!(text.contains("***") && !text.contains(TOKEN), "{text}");
}
