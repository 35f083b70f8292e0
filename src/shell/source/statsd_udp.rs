//! Datagrams, as StatsD sends them. A sender cannot be made to wait, so the kernel's buffer is
//! large, all waiting datagrams are drained into one batch, and what finds no room is shed and
//! counted.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::kernel::model::Duration as Lateness;
use crate::shell::inlet::{Full, SourceKind, Stopped};

use super::running::Stop;
use super::{Decode, Feed, Pieces, Running, StartError, Surroundings, Take};

#[derive(Clone, Debug)]
pub struct StatsdUdp {
    pub name: Arc<str>,
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where `listen` was set, for messages: `[sources.statsd] udp`.
    pub setting: String,
    /// `None`: the default for what it turns out to send.
    pub lateness: Option<Lateness>,
}

/// Some 10,000 short datagrams as the kernel charges for them, so that a pause of 100 ms loses
/// nothing at 100,000 each second. The kernel cuts it to `net.core.rmem_max` without saying so.
const RECEIVE_BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// Past this a batch is passed on and the next one begun.
const BATCH_BYTES: usize = 64 * 1024;
/// So many empty datagrams are a batch too.
const DATAGRAMS_MAX: usize = 4096;
/// No datagram is larger, so none is ever cut.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;
/// How often the kernel is asked what it lost, and shedding is told in the log.
const CHECK_PERIOD: Duration = Duration::from_secs(1);
/// Between two tries when receiving itself fails, so that a lasting error does not cost a core.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Must be called within a tokio runtime.
pub fn start<D: Decode>(
    around: &Surroundings,
    settings: StatsdUdp,
    decoder: D,
) -> Result<Running, StartError> {
    let StatsdUdp { name, listen: address, setting, lateness } = settings;
    let open = || Ok(Feed::open(around, &name, SourceKind::StatsdUdp, lateness, decoder));
    listen(address, &setting, open)
}

/// As [`start`], for whatever takes the datagrams; it is opened once the socket is there.
pub fn listen<T: Take>(
    address: SocketAddr,
    setting: &str,
    open: impl FnOnce() -> io::Result<T>,
) -> Result<Running, StartError> {
    let failed = |error: io::Error| StartError::listen(address, "udp", setting, &error);
    let socket = bind(address).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let taker = open().map_err(failed)?;
    taker.inlet().listening(taker.is_ready());
    Ok(Running::spawn(Some(address), |stop| receive(socket, taker, stop)))
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // A smaller buffer only loses more, and losses are counted, so this is not worth failing for.
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).ok();
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

async fn receive<T: Take>(socket: UdpSocket, feed: T, mut stop: Stop) {
    let mut waiting = Waiting::default();
    let mut losses = Losses::of(&socket, &feed);
    let mut checks = interval(CHECK_PERIOD);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let readable = tokio::select! {
            biased;
            () = stop.asked() => break,
            _ = checks.tick() => {
                losses.check(&feed);
                continue;
            }
            readable = socket.readable() => readable,
        };
        let drained = readable.and_then(|()| waiting.drain(&socket));
        if pass(&feed, &waiting).is_err() {
            break;
        }
        if let Err(error) = drained {
            warn!(source = &**feed.inlet().name(), "cannot receive: {error}");
            tokio::time::sleep(ERROR_PAUSE).await;
        }
        // A flood is always readable; without this its task would never leave its thread.
        tokio::task::coop::consume_budget().await;
    }
    losses.check(&feed);
    feed.finish().await;
    feed.inlet().listening(false);
}

/// Makes one batch of what was drained, or sheds it: waiting for room would only move the loss to
/// the kernel, where nobody knows how many samples it was.
fn pass<T: Take>(feed: &T, waiting: &Waiting) -> Result<(), Stopped> {
    if waiting.ends.is_empty() {
        return Ok(());
    }
    let read = waiting.read();
    let taken = match feed.inlet().admit(waiting.bytes()) {
        Ok(permit) => feed.is_ready() && feed.offer(read, permit, feed.now())?,
        Err(Full) => false,
    };
    if !taken {
        let samples = read.iter().map(lines).sum();
        feed.inlet().shed(waiting.ends.len() as u64, samples);
    }
    Ok(())
}

/// Lines with something on them: how many samples a datagram holds, near enough for what is not
/// decoded.
fn lines(datagram: &[u8]) -> u64 {
    datagram.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64
}

/// Datagrams that were waiting, end to end.
struct Waiting {
    buffer: Vec<u8>,
    ends: Vec<usize>,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting { buffer: vec![0; BATCH_BYTES + DATAGRAM_BYTES_MAX], ends: Vec::new() }
    }
}

impl Waiting {
    /// Reads until nothing waits or a batch is full, after forgetting what was there.
    fn drain(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.ends.clear();
        while self.bytes() < BATCH_BYTES && self.ends.len() < DATAGRAMS_MAX {
            let filled = self.bytes();
            match socket.try_recv(&mut self.buffer[filled..]) {
                Ok(count) => self.ends.push(filled + count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn read(&self) -> Pieces<'_> {
        Pieces { bytes: &self.buffer, ends: &self.ends }
    }
}

/// Watches what the source could not take, and says so in the log at most once a check.
struct Losses {
    inode: Option<u64>,
    lost: u64,
    shed: u64,
}

impl Losses {
    fn of<T: Take>(socket: &UdpSocket, feed: &T) -> Losses {
        let shed = feed.inlet().status().tally.shed_datagrams;
        Losses { inode: inode(socket), lost: 0, shed }
    }

    fn check<T: Take>(&mut self, feed: &T) {
        let name = &**feed.inlet().name();
        let lost = self.inode.and_then(lost_by_kernel).unwrap_or(self.lost);
        if lost > self.lost {
            let count = lost - self.lost;
            feed.inlet().tally(|tally| tally.lost_datagrams += count);
            warn!(
                source = name,
                "the kernel lost {count} datagrams, its buffer being full; \
                 raise net.core.rmem_max to {RECEIVE_BUFFER_BYTES} and restart"
            );
        }
        let shed = feed.inlet().status().tally.shed_datagrams;
        if shed > self.shed {
            let count = shed - self.shed;
            warn!(
                source = name,
                "{count} datagrams were shed, for samples came faster than they were taken"
            );
        }
        (self.lost, self.shed) = (lost, shed);
    }
}

/// By which the kernel's table of sockets knows this one.
fn inode(socket: &UdpSocket) -> Option<u64> {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?;
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// How many datagrams the kernel threw away at this socket so far; `None` where it does not tell.
fn lost_by_kernel(inode: u64) -> Option<u64> {
    ["/proc/self/net/udp", "/proc/self/net/udp6"].into_iter().find_map(|table| {
        let table = std::fs::read_to_string(table).ok()?;
        lost_in_table(&table, inode)
    })
}

/// The table has a line for each socket; its inode is the tenth field, its losses the last.
fn lost_in_table(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let found = fields.get(9)?.parse() == Ok(inode);
        if found { fields.last()?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests;
