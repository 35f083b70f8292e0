//! Lines over TCP: StatsD, JSON lines, Influx, whatever format says all in each line. CSV does not:
//! all connections share a decoder, and each would need its own header.
//!
//! A full budget stops the reading, the kernel's buffers fill, and the sender waits. A line cut by
//! the end of a read waits for its rest; one past its limit is a defect and only itself is lost.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::kernel::model::{Defect, Duration as Lateness};
use crate::shell::inlet::{SourceKind, Stopped};

use super::feed::{pass, when_ready};
use super::frames::read_frames;
use super::line_buffer::LineBuffer;
use super::running::{Stop, passed_on};
use super::{Decode, Feed, Running, StartError, Surroundings, Take};

#[derive(Clone, Debug)]
pub struct LinesTcp {
    pub name: Arc<str>,
    /// [`SourceKind::StatsdTcp`] or [`SourceKind::LinesTcp`].
    pub kind: SourceKind,
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where `listen` was set, for messages: `[sources.statsd] tcp`.
    pub setting: String,
    /// `None`: the default for what it turns out to send.
    pub lateness: Option<Lateness>,
    pub framing: Framing,
    /// Further connections are closed at once. A connection costs 8 to 72 KiB.
    pub connections_max: usize,
}

/// How a stream is cut into payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Whole lines, as many as one read brought.
    Lines,
    /// Each payload comes after its length in bytes, four bytes with the highest first.
    Length,
}

/// Enough for a fleet's agents; at [`LinesTcp::connections_max`]'s largest cost, 72 MiB.
pub const CONNECTIONS_MAX: usize = 1024;

/// How long to leave `accept` alone when it fails: the cause (no more file handles) lasts longer
/// than a connection takes to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection may be silent for as long as it likes, but after this its other end must answer, or
/// senders that vanished would in time hold all of [`LinesTcp::connections_max`].
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);

/// Must be called within a tokio runtime.
pub fn start<D: Decode>(
    around: &Surroundings,
    settings: LinesTcp,
    decoder: D,
) -> Result<Running, StartError> {
    let LinesTcp { name, kind, lateness, .. } = &settings;
    let open = || Ok(Feed::open(around, name, *kind, *lateness, decoder));
    listen(&settings, open)
}

/// As [`start`], for whatever takes the payloads; it is opened once the socket is there.
pub fn listen<T: Take>(
    settings: &LinesTcp,
    open: impl FnOnce() -> io::Result<T>,
) -> Result<Running, StartError> {
    let failed =
        |error: io::Error| StartError::listen(settings.listen, "tcp", &settings.setting, &error);
    let listener = std::net::TcpListener::bind(settings.listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (framing, connections_max) = (settings.framing, settings.connections_max);
    let feed = Arc::new(open().map_err(failed)?);
    feed.inlet().listening(feed.is_ready());
    Ok(Running::spawn(Some(address), move |stop| {
        accept(listener, feed, framing, connections_max, stop)
    }))
}

async fn accept<T: Take>(
    listener: TcpListener,
    feed: Arc<T>,
    framing: Framing,
    connections_max: usize,
    mut stop: Stop,
) {
    let mut connections = JoinSet::new();
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.asked() => break,
            Some(ended) = connections.join_next() => {
                passed_on(ended);
                feed.inlet().tally(|tally| tally.connections = connections.len() as u64);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            // Closed by being forgotten: the sender sees it at once instead of waiting in a queue.
            Ok(_) if connections.len() >= connections_max => {
                feed.inlet().tally(|tally| tally.connections_refused += 1);
            }
            Ok((stream, peer)) => {
                debug!(source = &**feed.inlet().name(), %peer, "connected");
                // Not worth refusing a sender for: without it only the dead are found later.
                SockRef::from(&stream).set_tcp_keepalive(&keepalive).ok();
                let (feed, stop) = (Arc::clone(&feed), stop.clone());
                connections.spawn(async move {
                    // An error says that the engine has stopped, and with it every source.
                    match framing {
                        Framing::Lines => read_lines(stream, &*feed, stop).await.ok(),
                        Framing::Length => read_frames(stream, &*feed, stop).await.ok(),
                    };
                });
            }
            Err(error) => {
                warn!(source = &**feed.inlet().name(), "cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        feed.inlet().tally(|tally| tally.connections = connections.len() as u64);
    }
    feed.inlet().listening(false);
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        passed_on(ended);
    }
    feed.finish().await;
    feed.inlet().tally(|tally| tally.connections = 0);
}

/// Reads until the stream ends, fails or shall stop. A begun line is complete when its sender
/// closed the connection after it; when it was cut off in any other way it is a defect, for half
/// of `load=123` may well read as another value.
async fn read_lines<T: Take>(
    mut stream: impl AsyncRead + Unpin,
    feed: &T,
    mut stop: Stop,
) -> Result<(), Stopped> {
    let mut lines = LineBuffer::new(feed.inlet().limits().line_bytes_max);
    loop {
        let read = tokio::select! {
            biased;
            () = stop.asked() => break,
            read = when_ready(feed, stream.read_buf(lines.space())) => read,
        };
        match read {
            Ok(0) => {
                let last = lines.begun();
                return if last.is_empty() { Ok(()) } else { pass(feed, last).await };
            }
            Ok(_) => {}
            Err(error) => {
                debug!(source = &**feed.inlet().name(), "connection lost: {error}");
                break;
            }
        }
        if let Some(defect) = lines.filled() {
            feed.inlet().defect(feed.now(), defect);
        }
        let whole = lines.whole().len();
        if whole > 0 {
            pass(feed, lines.whole()).await?;
            lines.consume(whole);
        }
    }
    if !lines.begun().is_empty() {
        let what = "the connection ended within a line";
        feed.inlet().defect(feed.now(), Defect::new(0, what, lines.begun()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
