//! The port, its limits, and the stop.

use std::sync::mpsc::sync_channel;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// Sends bytes as they are and reads to the end of the connection.
async fn raw(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("the server reads");
    read_all(stream).await
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the server ends the connection in order");
    answer
}

const HEALTHY: &str = "GET /-/healthy HTTP/1.1\r\nhost: localhost\r\n";

#[tokio::test]
async fn the_guard_stands_before_every_path() {
    let world = World::start().await;
    for path in ["/", "/-/healthy", "/metrics", "/api/v1/events", "/no/such/path"] {
        let foreign =
            format!("GET {path} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n");
        let answer = raw(world.api.address(), &foreign).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{path}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    let page = [("origin", "http://evil.example")];
    let answer = world.post("/ingest", &page, "a").await;
    answer.problem(403, "/ingest");
    assert!(world.app.bodies.lock().expect("a test").is_empty());
}

#[tokio::test]
async fn a_token_is_asked_for() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "0123456789abcdef").expect("a temporary file takes text");
    let path = file.path().to_owned();
    let world = World::start_with(|options| {
        options.listen = "0.0.0.0:0".parse().expect("an address");
        options.token_file = Some(path);
    })
    .await;
    let url = format!("http://127.0.0.1:{}/metrics", world.api.address().port());
    let answer = send(world.client.get(&url)).await;
    answer.problem(401, "/metrics");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    let answer = send(world.client.get(&url).bearer_auth("0123456789abcdef")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn what_keeps_it_from_starting_names_a_cure() {
    let world = World::start().await;
    let start = async |listen: SocketAddr| {
        let options = ApiOptions::new(listen, &Limits::default());
        let (app, bus) = (world.app.clone(), world.bus.clone());
        Api::start(options, app.clone(), app, bus).await.expect_err("it must not start").to_string()
    };
    let error = start(world.api.address()).await;
    assert!(error.contains("in use") && error.contains("--listen"), "{error}");
    let error = start("0.0.0.0:0".parse().expect("an address")).await;
    assert!(error.contains("--token-file"), "{error}");
    // A documentation address, which no machine has.
    let mut options =
        ApiOptions::new("203.0.113.1:0".parse().expect("an address"), &Limits::default());
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "0123456789abcdef").expect("a temporary file takes text");
    options.token_file = Some(file.path().to_owned());
    let (app, bus) = (world.app.clone(), world.bus.clone());
    let error = Api::start(options, app.clone(), app, bus).await.expect_err("not our address");
    assert!(error.to_string().starts_with("cannot listen on 203.0.113.1:0"), "{error}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_headers_is_cut_off() {
    let timeout = Duration::from_millis(300);
    let world = World::start_with(|options| options.header_timeout = timeout).await;
    let (address, whole) = (world.api.address(), format!("{HEALTHY}\r\n"));
    let (silent, slow, idle) =
        tokio::join!(raw(address, ""), raw(address, HEALTHY), raw(address, &whole));
    assert!(!silent.contains("200") && !slow.contains("200"), "{silent} {slow}");
    assert!(idle.contains("200 OK") && idle.ends_with("ok\n"), "{idle}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_problem() {
    let timeout = Duration::from_millis(20);
    let world = World::start_with(|options| options.body_timeout = timeout).await;
    let head = "POST /ingest HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc";
    let answer = raw(world.api.address(), head).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(world.app.bodies.lock().expect("a test").is_empty());
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let world = World::start().await;
    let long = format!("{HEALTHY}x: {}", "y".repeat(66_000));
    let mut stream = TcpStream::connect(world.api.address()).await.expect("a connection");
    stream.write_all(long.as_bytes()).await.expect("the buffers of a loopback connection hold it");
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 431");
}

#[tokio::test]
async fn past_the_connection_limit_the_next_one_waits() {
    let world = World::start_with(|options| options.connections_max = 1).await;
    let mut first = TcpStream::connect(world.api.address()).await.expect("a connection");
    first.write_all(format!("{HEALTHY}\r\n").as_bytes()).await.expect("the server reads");
    let mut start = [0; 12];
    first.read_exact(&mut start).await.expect("an answer");
    let mut second = TcpStream::connect(world.api.address()).await.expect("the backlog takes it");
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    second.write_all(request.as_bytes()).await.expect("the backlog holds it");
    drop(first);
    let page = read_all(second).await;
    assert!(page.contains("\nwatchfire_http_connections 1\n"), "{page}");
    assert!(page.contains("\nwatchfire_http_connections_full_total 2\n"), "{page}");
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_takes_no_new_ones() {
    let world = World::start().await;
    let address = world.api.address();
    let (began, ingest_began) = sync_channel(1);
    let (let_go, go) = sync_channel(1);
    *world.app.gate.lock().expect("a test") = Some((began, go));
    let request = world.client.post(world.url("/ingest")).body("a");
    let request = tokio::spawn(async move { send(request).await });
    let waiting = tokio::task::spawn_blocking(move || ingest_began.recv());
    waiting.await.expect("no panic").expect("the ingest began");
    let stop = tokio::spawn(world.api.stop());
    // Refused at last: the listener is closed before the stop waits for anything.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let_go.send(()).expect("the ingest waits");
    assert_eq!(request.await.expect("no panic").status, 200);
    stop.await.expect("no panic");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_those_that_never_finish() {
    let world = World::start_with(|options| options.stop_grace = Duration::from_millis(1)).await;
    let mut stream = TcpStream::connect(world.api.address()).await.expect("a connection");
    let head = "POST /ingest HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc";
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    world.api.stop().await;
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "cut off without an answer");
}
