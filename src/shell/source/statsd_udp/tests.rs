//! StatsD datagrams: batches, a full budget, what the system lost.

use std::sync::Arc;

use super::*;
use crate::kernel::model::{Limits, Refusal};
use crate::shell::source::toy::{Sequencer, ToyDecoder, eventually, in_time};

fn begin(sequencer: &Sequencer) -> (Running, std::net::UdpSocket) {
    let settings = StatsdUdp {
        name: Arc::from("statsd"),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        setting: "[sources.statsd] udp".to_owned(),
        lateness: None,
    };
    let running = start(&sequencer.surroundings(), settings, ToyDecoder::default())
        .expect("port 0 is always free");
    let client = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    client.connect(running.address().expect("it listens")).expect("the same machine");
    (running, client)
}

#[tokio::test]
async fn what_waits_is_one_batch_and_datagrams_stay_apart() {
    let mut sequencer = Sequencer::new(Limits::default());
    let (running, client) = begin(&sequencer);
    // One thread: the source cannot run before all three wait.
    for datagram in ["load 1\nfree 2", "load 3\n", "load 4"] {
        client.send(datagram.as_bytes()).expect("loopback");
    }
    let (batch, _permit) = sequencer.batch().await;
    assert_eq!(sequencer.read(&batch), ["load 1", "free 2", "load 3", "load 4"]);
    assert_eq!(batch.bytes, 26);
    in_time("a clean stop", running.stop()).await;
    assert!(!sequencer.gate.sources()[0].tally.open);
}

#[tokio::test]
async fn a_full_budget_sheds_and_counts_and_series_are_known_again_after_it() {
    let mut sequencer = Sequencer::new(Limits { in_flight_bytes_max: 1024, ..Limits::default() });
    let (running, client) = begin(&sequencer);
    client.send(b"load 1").expect("loopback");
    let (batch, held) = sequencer.batch().await;
    assert_eq!(sequencer.read(&batch), ["load 1"]);
    client.send(b"load 2\nfree 2\n").expect("loopback");
    client.send(b"load 3").expect("loopback");
    let tally = || sequencer.gate.sources()[0].tally.clone();
    eventually("two shed datagrams", || (tally().shed_datagrams == 2).then_some(())).await;
    assert_eq!((tally().refused.get(Refusal::Shed), tally().samples), (3, 1));
    drop(held);
    // `free` was first seen while shedding; its announcement comes with the first sample judged.
    client.send(b"load 4\nfree 4").expect("loopback");
    assert_eq!(sequencer.samples(2).await, ["load 4", "free 4"]);
    in_time("a clean stop", running.stop()).await;
}

#[tokio::test]
async fn the_largest_datagram_and_an_empty_one_are_read_whole() {
    let mut sequencer = Sequencer::new(Limits::default());
    let (_running, client) = begin(&sequencer);
    let line = "load 1\n";
    let large = line.repeat(65_507 / line.len());
    client.send(b"").expect("loopback");
    client.send(large.as_bytes()).expect("loopback");
    client.send(b"load 2").expect("loopback");
    let samples = sequencer.samples(large.lines().count() + 1).await;
    assert_eq!(samples.last().map(String::as_str), Some("load 2"));
    assert_eq!(sequencer.gate.sources()[0].tally.defects, 0);
}

#[test]
fn losses_are_read_from_the_line_of_our_own_socket() {
    let line = |address: &str, inode: u64, lost: u64| {
        format!(
            "  403: {address}:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000 \
                 0        0 {inode} 2 0000000000000000 {lost}\n"
        )
    };
    let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                uid  timeout inode ref pointer drops\n";
    let table = &[head, &line("00000000", 4711, 9), &line("0100007F", 4712, 137)].concat();
    assert_eq!(lost_in_table(table, 4712), Some(137));
    assert_eq!(lost_in_table(table, 4711), Some(9));
    assert_eq!(lost_in_table(table, 2), None);
    assert_eq!(lost_in_table("", 2), None);
}

#[tokio::test]
async fn the_kernel_knows_our_socket() {
    let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("port 0 is always free");
    // Not every system has the tables; where it has, the socket must be found in them.
    if std::fs::read_to_string("/proc/self/net/udp").is_ok() {
        assert_eq!(inode(&socket).and_then(lost_by_kernel), Some(0));
    }
}

#[tokio::test]
async fn every_datagram_is_taken_in_or_counted_as_lost() {
    const SENT: u64 = 20_000;
    let sequencer = Sequencer::new(Limits::default());
    let (running, client) = begin(&sequencer);
    if std::fs::read_to_string("/proc/self/net/udp").is_err() {
        return;
    }
    // One thread: the source cannot run, so the kernel's buffer overflows.
    let datagram = format!("{} 1", "x".repeat(1_000));
    for _ in 0..SENT {
        client.send(datagram.as_bytes()).expect("loopback");
    }
    let tally = || sequencer.gate.sources()[0].tally.clone();
    let all = || tally().samples + tally().lost_datagrams == SENT;
    eventually("all datagrams", || all().then_some(())).await;
    assert!(tally().lost_datagrams > 0 && tally().shed_datagrams == 0);
    in_time("a clean stop", running.stop()).await;
}
