//! HTTP over loopback, both ends: a client for the API and a server that stands for a sink's world.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No wait in these tests is longer, however loaded the machine.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// A request or a response; names of headers are in lower case.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// `POST /hook HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub first: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn status(&self) -> u16 {
        let code = self.first.split(' ').nth(1).expect("a response has a status");
        code.parse().expect("a status is a number")
    }

    pub fn path(&self) -> &str {
        self.first.split(' ').nth(1).expect("a request has a path")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

pub fn get(to: SocketAddr, path: &str) -> Message {
    send(to, "GET", path, b"")
}

pub fn post(to: SocketAddr, path: &str, body: &[u8]) -> Message {
    send(to, "POST", path, body)
}

fn send(to: SocketAddr, method: &str, path: &str, body: &[u8]) -> Message {
    let mut stream = TcpStream::connect(to).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    stream.write_all(body).expect("it reads");
    read(&mut BufReader::new(stream)).expect("it answers")
}

/// `None` when the other end said nothing.
fn read(from: &mut BufReader<TcpStream>) -> Option<Message> {
    let mut message = Message::default();
    let line = |from: &mut BufReader<TcpStream>| {
        let mut line = String::new();
        let size = from.read_line(&mut line).ok()?;
        (size > 0).then(|| line.trim_end().to_owned())
    };
    message.first = line(from)?;
    loop {
        let header = line(from)?;
        let Some((name, value)) = header.split_once(':') else { break };
        message.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    match message.headers.get("content-length") {
        Some(length) => {
            message.body = vec![0; length.parse().ok()?];
            from.read_exact(&mut message.body).ok()?;
        }
        // Only answers of ours that stream come without; they end with the connection.
        None if message.first.starts_with("HTTP") => {
            from.read_to_end(&mut message.body).ok()?;
        }
        None => {}
    }
    Some(message)
}

/// What a server answers: status, further headers (each with its line break), body.
pub type Answer = (u16, &'static str, &'static str);

/// A server that keeps what it was sent, with what it answered.
pub struct Receiver {
    pub address: SocketAddr,
    got: Arc<Mutex<Vec<(Message, u16)>>>,
}

impl Receiver {
    /// `answer` gets each request with its number, from 0. The server lives as long as the test.
    pub fn start(answer: impl Fn(&Message, usize) -> Answer + Send + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let got: Arc<Mutex<Vec<(Message, u16)>>> = Arc::default();
        let kept = got.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                let mut reader = BufReader::new(stream);
                let Some(request) = read(&mut reader) else { continue };
                let mut kept = kept.lock().expect("no test panics with it");
                let (status, headers, body) = answer(&request, kept.len());
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} x\r\n{headers}connection: close\r\n\
                     content-length: {length}\r\n\r\n{body}"
                );
                kept.push((request, status));
                drop(kept);
                // The other end may have gone.
                let _ = reader.get_mut().write_all(answer.as_bytes());
            }
        });
        Receiver { address, got }
    }

    /// Every request so far, with the status it got.
    pub fn got(&self) -> Vec<(Message, u16)> {
        self.got.lock().expect("no test panics with it").clone()
    }
}

/// Asks until there is an answer. `what` is waited for, in words for the failure.
#[track_caller]
pub fn wait_for<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    seen_soon(ask).unwrap_or_else(|| panic!("{what}: not within {PATIENCE:?}"))
}

/// As [`wait_for`]; `None` when patience ran out.
pub fn seen_soon<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        let answer = ask();
        if answer.is_some() || begun.elapsed() > PATIENCE {
            return answer;
        }
        // Between two looks only, so that looking does not use up the machine.
        std::thread::sleep(Duration::from_millis(10));
    }
}
