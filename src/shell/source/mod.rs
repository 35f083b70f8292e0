//! Where bytes come in: each source reads, decodes and hands batches to its inlet.
//!
//! A source never judges, never waits while it holds undecoded work without a bound, and never
//! loses anything uncounted. Invariants:
//!
//! - A batch is what one read gave, with all that was already waiting behind it. Nothing is
//!   delayed to make batches larger.
//! - Room in the budget comes before decoding. Where the sender can wait (TCP, files, standard
//!   input) a full budget stops the reading; where it cannot (UDP) what was read is shed and
//!   counted.
//! - All connections of one source share one decoder, and decoding and delivery are one step, so
//!   the announcement of a slot always reaches the sequencer before its first use.
//! - A source that was asked to stop reads no more, delivers what it has read, and ends.

pub mod decode;
pub mod host;
pub mod lines_tcp;
pub mod probe;
pub mod readings;
pub mod statsd_udp;
pub mod stream;

mod feed;
mod frames;
mod line_buffer;
mod running;

#[cfg(test)]
mod toy;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::clock::Clock;
use super::inlet::Gate;

pub use feed::{Decode, Feed, Pieces, Take, Taken};
pub use running::Running;

/// What every source is given to work with.
#[derive(Clone)]
pub struct Surroundings {
    pub gate: Gate,
    pub clock: Arc<dyn Clock>,
}

/// Why a source could not start: the place, what is wrong with it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    pub place: String,
    pub what: String,
    pub cure: String,
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}; {}", self.place, self.what, self.cure)
    }
}

impl std::error::Error for StartError {}

impl StartError {
    /// An address that could not be listened on. `setting` is where the user set it, such as
    /// `[sources.statsd] udp`.
    fn listen(
        address: SocketAddr,
        transport: &str,
        setting: &str,
        error: &io::Error,
    ) -> StartError {
        let place = format!("{address}/{transport}");
        let (what, cure) = match error.kind() {
            io::ErrorKind::AddrInUse => (
                "is in use by another program".to_owned(),
                format!("set {setting} = \"…\" to a free port, or stop that program"),
            ),
            io::ErrorKind::PermissionDenied => (
                "may not be opened by this user".to_owned(),
                format!("set {setting} = \"…\" to a port above 1023, or grant the privilege"),
            ),
            io::ErrorKind::AddrNotAvailable => (
                "is not an address of this machine".to_owned(),
                format!("set {setting} = \"…\" to one of its addresses, such as 127.0.0.1"),
            ),
            _ => (format!("cannot be listened on: {error}"), format!("check {setting}")),
        };
        StartError { place, what, cure }
    }

    /// A file that could not be read.
    fn file(path: &std::path::Path, error: &io::Error) -> StartError {
        let (what, cure) = match error.kind() {
            io::ErrorKind::NotFound => {
                ("does not exist".to_owned(), "create it or correct the path".to_owned())
            }
            io::ErrorKind::PermissionDenied => (
                "may not be read by this user".to_owned(),
                format!("allow it, for example by `chmod o+r {}`", path.display()),
            ),
            io::ErrorKind::IsADirectory => {
                ("is a folder".to_owned(), "name a file in it".to_owned())
            }
            _ => (format!("cannot be read: {error}"), "check the path".to_owned()),
        };
        StartError { place: path.display().to_string(), what, cure }
    }
}

#[cfg(test)]
mod tests;
