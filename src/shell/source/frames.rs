//! A stream of payloads that each come after their length.
//!
//! Such a stream has no place to begin again: a length that cannot be is a defect, and ends the
//! connection.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt};
use tracing::debug;

use crate::kernel::model::Defect;
use crate::shell::inlet::Stopped;

use super::Take;
use super::feed::{pass, when_ready};
use super::running::Stop;

/// Of one payload, unless a batch may hold less.
const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Memory for a payload is taken as its bytes come, not as its length claims.
const STEP_BYTES: usize = 64 * 1024;

/// Reads until the stream ends, fails or shall stop. What was begun then is a defect.
pub(super) async fn read_frames<T: Take>(
    mut stream: impl AsyncRead + Unpin,
    feed: &T,
    mut stop: Stop,
) -> Result<(), Stopped> {
    let max = FRAME_BYTES_MAX.min(feed.inlet().limits().batch_bytes_max);
    let mut payload = Vec::new();
    loop {
        payload.clear();
        let read = tokio::select! {
            biased;
            () = stop.asked() => Ok(Frame::Cut),
            read = when_ready(feed, read_frame(&mut stream, &mut payload, max)) => read,
        };
        let defect = |what: String| {
            feed.inlet().defect(feed.now(), Defect::new(0, what, &payload));
        };
        match read {
            Ok(Frame::Whole) => pass(feed, &payload).await?,
            Ok(Frame::TooLong(length)) => {
                defect(format!("a payload of {length} bytes is longer than {max}"));
                return Ok(());
            }
            Ok(Frame::Cut) => {
                if !payload.is_empty() {
                    defect("the connection ended within a payload".to_owned());
                }
                return Ok(());
            }
            Err(error) => {
                debug!(source = &**feed.inlet().name(), "connection lost: {error}");
                return Ok(());
            }
        }
    }
}

enum Frame {
    Whole,
    TooLong(usize),
    /// The stream ended; within a payload when there are bytes of one.
    Cut,
}

async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    payload: &mut Vec<u8>,
    max: usize,
) -> io::Result<Frame> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Frame::Cut),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > max {
        return Ok(Frame::TooLong(length));
    }
    while payload.len() < length {
        let step = (length - payload.len()).min(STEP_BYTES);
        let count = (&mut *stream).take(step as u64).read_to_end(payload).await?;
        if count < step {
            return Ok(Frame::Cut);
        }
    }
    Ok(Frame::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of a stream of these bytes: payloads, and how it ended.
    async fn check(bytes: &[u8], expected: &[&str]) {
        let (mut stream, mut payload, mut out) = (bytes, Vec::new(), Vec::new());
        loop {
            payload.clear();
            match read_frame(&mut stream, &mut payload, 5).await.expect("bytes can be read") {
                Frame::Whole => out.push(String::from_utf8_lossy(&payload).into_owned()),
                Frame::TooLong(length) => {
                    out.push(format!("too long: {length}"));
                    break;
                }
                Frame::Cut => {
                    out.push(format!("cut: {}", String::from_utf8_lossy(&payload)));
                    break;
                }
            }
        }
        assert_eq!(out, expected);
    }

    #[tokio::test]
    async fn payloads_come_after_their_length_and_may_be_as_long_as_the_limit() {
        check(b"", &["cut: "]).await;
        check(b"\0\0\0\x02ab\0\0\0\x00\0\0\0\x05abcde", &["ab", "", "abcde", "cut: "]).await;
        check(b"\0\0\0\x06abcdef", &["too long: 6"]).await;
        check(b"\0\0\0\x03ab", &["cut: ab"]).await;
        check(b"\0\0", &["cut: "]).await;
        check(b"GET / HTTP/1.1", &["too long: 1195725856"]).await;
    }
}
