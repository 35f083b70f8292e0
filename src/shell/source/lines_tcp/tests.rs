//! Lines over TCP: reads that cut them, senders that misbehave.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::*;
use crate::kernel::model::Limits;
use crate::shell::source::toy::{Sequencer, ToyDecoder, eventually, in_time};

fn settings(listen: SocketAddr) -> LinesTcp {
    LinesTcp {
        name: "tcp".into(),
        kind: SourceKind::LinesTcp,
        listen,
        setting: "[sources.lines] tcp".to_owned(),
        lateness: None,
        framing: Framing::Lines,
        connections_max: 2,
    }
}

fn begin(sequencer: &Sequencer) -> Running {
    start(
        &sequencer.surroundings(),
        settings(SocketAddr::from(([127, 0, 0, 1], 0))),
        ToyDecoder::default(),
    )
    .expect("port 0 is always free")
}

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.address().expect("it listens")).await.expect("it listens")
}

#[tokio::test]
async fn lines_cut_by_reads_arrive_whole_and_the_last_one_needs_no_end() {
    let mut sequencer = Sequencer::new(Limits::default());
    let running = begin(&sequencer);
    let mut client = connect(&running).await;
    client.set_nodelay(true).expect("a socket");
    client.write_all(b"load 1\nlo").await.expect("connected");
    let (batch, permit) = sequencer.batch().await;
    assert_eq!(sequencer.read(&batch), ["load 1"]);
    assert_eq!((batch.arrival, batch.bytes), (Some(feed_time()), 7));
    drop(permit);
    client.write_all(b"ad 2\nload 3\nfree 4").await.expect("connected");
    assert_eq!(sequencer.samples(2).await, ["load 2", "load 3"]);
    client.shutdown().await.expect("connected");
    assert_eq!(sequencer.samples(1).await, ["free 4"]);
    in_time("a clean stop", running.stop()).await;
    let tally = &sequencer.gate.sources()[0].tally;
    assert_eq!((tally.samples, tally.defects, tally.open), (4, 0, false));
}

fn feed_time() -> crate::kernel::model::Now {
    crate::kernel::model::Now::from_nanos(1_000)
}

#[tokio::test]
async fn a_stop_reads_no_more_and_frees_the_port() {
    let mut sequencer = Sequencer::new(Limits::default());
    let running = begin(&sequencer);
    let address = running.address().expect("it listens");
    let mut client = connect(&running).await;
    client.write_all(b"load 1\nload 12").await.expect("connected");
    assert_eq!(sequencer.samples(1).await, ["load 1"]);
    in_time("a clean stop", running.stop()).await;
    // `load 12` may have been the start of `load 123`: a defect, not a sample.
    let tally = &sequencer.gate.sources()[0].tally;
    assert_eq!((tally.samples, tally.open, tally.connections), (1, false, 0));
    assert!(tally.defects <= 1);
    let again = start(&sequencer.surroundings(), settings(address), ToyDecoder::default());
    in_time("a second life", again.expect("the port is free again").stop()).await;
}

#[tokio::test]
async fn connections_past_the_limit_are_closed_at_once_and_idle_ones_kept() {
    let mut sequencer = Sequencer::new(Limits::default());
    let running = begin(&sequencer);
    let (mut first, mut second) = (connect(&running).await, connect(&running).await);
    let count = || sequencer.gate.sources()[0].tally.clone();
    eventually("both connections", || (count().connections == 2).then_some(())).await;
    let mut third = connect(&running).await;
    assert_eq!(in_time("the close", third.read(&mut [0])).await.ok(), Some(0));
    assert_eq!(count().connections_refused, 1);
    first.shutdown().await.expect("connected");
    eventually("a free place", || (count().connections == 1).then_some(())).await;
    let mut fourth = connect(&running).await;
    fourth.write_all(b"load 4\n").await.expect("connected");
    assert_eq!(sequencer.samples(1).await, ["load 4"]);
    // Idle all that time, and still heard. Its series is known: the decoder is the source's.
    second.write_all(b"load 2\n").await.expect("connected");
    let (batch, _) = sequencer.batch().await;
    assert_eq!((sequencer.read(&batch), batch.announced.len()), (vec!["load 2".to_owned()], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_sequencer_loses_nothing_and_holds_no_more_than_the_budget() {
    const LINES: usize = 40_000;
    let limits = Limits { in_flight_bytes_max: 64 * 1024, ..Limits::default() };
    let mut sequencer = Sequencer::new(limits);
    let running = begin(&sequencer);
    let mut clients = Vec::new();
    for client in 0..2 {
        let mut stream = connect(&running).await;
        clients.push(tokio::spawn(async move {
            let text: String = (0..LINES).map(|n| format!("c{client}.s{} {n}\n", n % 50)).collect();
            stream.write_all(text.as_bytes()).await.expect("the source reads on");
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        }));
    }
    let mut arrived = [Vec::new(), Vec::new()];
    while arrived[0].len() + arrived[1].len() < 2 * LINES {
        let (batch, _permit) = sequencer.batch().await;
        assert!(sequencer.gate.in_flight_bytes() <= 64 * 1024);
        for sample in sequencer.read(&batch) {
            arrived[usize::from(sample.starts_with("c1"))].push(sample);
        }
    }
    for (client, arrived) in clients.into_iter().zip(arrived) {
        let sent = in_time("the client", client).await.expect("no panic");
        assert!(sent == arrived, "every line once, in order");
    }
    in_time("a clean stop", running.stop()).await;
}

/// A connection whose bytes never end, and which knows how many were taken.
struct Endless<'a> {
    taken: &'a std::cell::Cell<usize>,
}

impl AsyncRead for Endless<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let lines = b"a 1\n".repeat(into.remaining() / 4);
        into.put_slice(&lines);
        self.taken.set(self.taken.get() + lines.len());
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_full_budget_stops_the_reading() {
    let limits = Limits { in_flight_bytes_max: 32 * 1024, ..Limits::default() };
    let sequencer = Sequencer::new(limits);
    let feed = Feed::open(
        &sequencer.surroundings(),
        "tcp",
        SourceKind::LinesTcp,
        None,
        ToyDecoder::default(),
    );
    let (_keep_on, asked) = watch::channel(false);
    let taken = std::cell::Cell::new(0);
    let mut connection = pin!(read_lines(Endless { taken: &taken }, &feed, Stop::new(asked)));
    let mut turn = || {
        // Often enough for whatever wants to be polled more than once.
        for _ in 0..100 {
            let polled = connection.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending(), "the bytes never end");
        }
        let inlet = feed.inlet();
        (taken.get(), inlet.status().tally.bytes as usize)
    };
    // 8 and 16 KiB go in; the third read finds 8 KiB left and waits with its 32 KiB in hand.
    assert_eq!(turn(), (56 * 1024, 24 * 1024));
    assert_eq!(turn(), (56 * 1024, 24 * 1024));
    let batches = || std::iter::from_fn(|| sequencer.next()).count();
    assert_eq!(batches(), 3, "opened and two batches, whose permits are now dropped");
    assert_eq!(turn(), (120 * 1024, 56 * 1024));
}

#[tokio::test]
async fn an_endless_line_costs_its_own_rest_only() {
    let limits = Limits { line_bytes_max: 100, ..Limits::default() };
    let mut sequencer = Sequencer::new(limits);
    let running = begin(&sequencer);
    let mut client = connect(&running).await;
    client.write_all(b"load 1\n").await.expect("connected");
    assert_eq!(sequencer.samples(1).await, ["load 1"]);
    client.write_all(&[b'x'; 5000]).await.expect("connected");
    let defects = || sequencer.gate.sources()[0].tally.defects;
    eventually("the defect", || (defects() == 1).then_some(())).await;
    client.write_all(b"xxx 5\nload 2\n").await.expect("connected");
    assert_eq!(sequencer.samples(1).await, ["load 2"]);
    let tally = &sequencer.gate.sources()[0].tally;
    assert_eq!((tally.samples, tally.defects), (2, 1));
    assert_eq!(tally.last_defects[0].what, "line longer than limits.line_bytes_max = 100");
}
