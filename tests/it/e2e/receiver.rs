//! A server on this machine that takes what sinks post.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Inbox, Sender, channel};
use std::time::Duration;

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(15);

pub struct Receiver {
    pub address: SocketAddr,
    posts: Inbox<Post>,
}

/// One request.
pub struct Post {
    pub path: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Receiver {
    /// Answers every request with 200 until the test ends.
    pub fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (taken, posts) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let taken = taken.clone();
                std::thread::spawn(move || serve(stream, &taken));
            }
        });
        Receiver { address, posts }
    }

    #[track_caller]
    pub fn next(&self) -> Post {
        self.posts.recv_timeout(PATIENCE).expect("a request comes in time")
    }

    /// The next request, when it comes within [`PATIENCE`].
    pub fn poll(&self) -> Option<Post> {
        self.posts.recv_timeout(PATIENCE).ok()
    }

    /// What has come and was not looked at.
    pub fn rest(&self) -> usize {
        self.posts.try_iter().count()
    }
}

impl Post {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A connection may carry several requests; it ends with the first that is none.
fn serve(stream: TcpStream, taken: &Sender<Post>) {
    let mut answers = stream.try_clone().expect("a second handle");
    let mut requests = BufReader::new(stream);
    while let Some(post) = read(&mut requests) {
        // The test may be over.
        let _ = taken.send(post);
        if answers.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn read(requests: &mut BufReader<TcpStream>) -> Option<Post> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let header = |line: &String| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    };
    let headers: Vec<(String, String)> = lines.iter().skip(1).filter_map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    requests.read_exact(&mut body).ok()?;
    Some(Post { path, headers, body: serde_json::from_slice(&body).ok()? })
}
