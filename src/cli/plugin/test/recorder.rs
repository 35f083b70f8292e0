//! A server on this machine that stands in for all others: it answers every request alike, and
//! keeps what came.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::output::printable;
use crate::guest::grant::STOOD_IN_FOR;

/// Requests past these are answered and counted, and no longer kept.
const REQUESTS_MAX: usize = 1_000;
const HEAD_BYTES_MAX: u64 = 64 * 1024;
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What the transport adds to every request, which says nothing about the guest.
const NOT_SHOWN: [&str; 5] = ["host", "content-length", "user-agent", "accept", STOOD_IN_FOR];

/// What every request is answered with.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// One request, as it would have gone to the host that it was meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    method: String,
    url: String,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A server that runs until the program ends.
pub struct Recorder {
    pub address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    requests: Vec<Recorded>,
    left_out: u64,
}

impl Recorder {
    pub fn start(answer: &Answer) -> io::Result<Recorder> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, kept) = (listener.local_addr()?, Arc::<Mutex<Kept>>::default());
        let (keep, answer) = (kept.clone(), answer.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let (keep, answer) = (keep.clone(), answer.clone());
                // A connection that breaks off is over, whatever broke it.
                std::thread::spawn(move || serve(stream, &answer, &keep));
            }
        });
        Ok(Recorder { address, kept })
    }

    /// The requests since the last call, in the order in which they came whole.
    pub fn take(&self) -> Vec<Recorded> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut kept.requests)
    }

    /// How many requests were not kept.
    pub fn left_out(&self) -> u64 {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).left_out
    }
}

fn serve(stream: TcpStream, answer: &Answer, kept: &Mutex<Kept>) -> io::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut requests = BufReader::new(stream);
    while let Some(request) = read(&mut requests)? {
        let no_body = request.method == "HEAD";
        {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.requests.len() < REQUESTS_MAX {
                kept.requests.push(request);
            } else {
                kept.left_out += 1;
            }
        }
        let (status, length) = (answer.status, answer.body.len());
        write!(answers, "HTTP/1.1 {status} Stood-In\r\ncontent-length: {length}\r\n\r\n")?;
        if !no_body {
            answers.write_all(&answer.body)?;
        }
    }
    Ok(())
}

/// The next request of a connection, `None` when there is none.
fn read(requests: &mut BufReader<TcpStream>) -> io::Result<Option<Recorded>> {
    let mut head = requests.by_ref().take(HEAD_BYTES_MAX);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<(String, String)> = lines.filter_map(|line| header(&line)).collect();
    let of = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let length: usize = of("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    if length > BODY_BYTES_MAX {
        return Ok(None);
    }
    let mut body = vec![0; length];
    requests.read_exact(&mut body)?;
    let url = format!("{}{path}", of(STOOD_IN_FOR).map_or("", String::as_str));
    let method = method.to_owned();
    let shown = |(name, _): &(String, String)| !NOT_SHOWN.contains(&name.as_str());
    let headers = headers.into_iter().filter(shown).collect();
    Ok(Some(Recorded { method, url, headers, body }))
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// As people read it: the first line, the headers, then the body, indented.
impl fmt::Display for Recorded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} {}", printable(&self.method), printable(&self.url))?;
        for (name, value) in &self.headers {
            writeln!(out, "  {}: {}", printable(name), printable(value))?;
        }
        match std::str::from_utf8(&self.body) {
            Ok(text) => text.lines().try_for_each(|line| writeln!(out, "  {}", printable(line))),
            Err(_) => writeln!(out, "  {} bytes that are no text", self.body.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_shown_as_it_was_meant() {
        let answer = Answer { status: 503, body: b"busy".to_vec() };
        let recorder = Recorder::start(&answer).expect("a free port");
        let mut stream = TcpStream::connect(recorder.address).expect("it listens");
        let meant = format!("{STOOD_IN_FOR}: https://a.example");
        let head = format!("POST /hook?a=1 HTTP/1.1\r\nHost: x\r\nX-One: 1\r\n{meant}\r\n");
        let request = format!("{head}Content-Length: 5\r\n\r\n{{}}\n\x1b.");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut said = [0; 12];
        stream.read_exact(&mut said).expect("it answers");
        assert_eq!(&said, b"HTTP/1.1 503");
        let [came] = recorder.take().try_into().expect("one request");
        let shown = "POST https://a.example/hook?a=1\n  x-one: 1\n  {}\n  \u{fffd}.\n";
        assert_eq!(came.to_string(), shown);
        assert!(recorder.take().is_empty());
        assert_eq!(recorder.left_out(), 0);
    }
}
