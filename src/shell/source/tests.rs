//! What a source says that cannot start.

use std::net::{TcpListener, UdpSocket};

use super::toy::{Sequencer, ToyDecoder};
use super::*;
use crate::kernel::model::Limits;
use crate::shell::inlet::SourceKind;

/// What starting gives to read, for each transport.
fn check(transport: &str, listen: SocketAddr) -> String {
    let sequencer = Sequencer::new(Limits::default());
    let (around, decoder) = (sequencer.surroundings(), ToyDecoder::default());
    let (name, lateness) = (Arc::from("statsd"), None);
    let setting = format!("[sources.statsd] {transport}");
    let started = if transport == "udp" {
        statsd_udp::start(
            &around,
            statsd_udp::StatsdUdp { name, listen, setting, lateness },
            decoder,
        )
    } else {
        let (kind, connections_max) = (SourceKind::StatsdTcp, 1);
        let framing = lines_tcp::Framing::Lines;
        let settings =
            lines_tcp::LinesTcp { name, kind, listen, setting, lateness, framing, connections_max };
        lines_tcp::start(&around, settings, decoder)
    };
    let text = started.err().expect("it cannot start").to_string();
    assert_eq!(sequencer.gate.sources(), [], "a source that did not start was never opened");
    text
}

#[tokio::test]
async fn a_port_in_use_says_which_and_what_to_do() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = tcp.local_addr().expect("bound");
    assert_eq!(
        check("tcp", address),
        format!(
            "{address}/tcp is in use by another program; \
             set [sources.statsd] tcp = \"…\" to a free port, or stop that program"
        )
    );
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = udp.local_addr().expect("bound");
    assert_eq!(
        check("udp", address),
        format!(
            "{address}/udp is in use by another program; \
             set [sources.statsd] udp = \"…\" to a free port, or stop that program"
        )
    );
}

#[tokio::test]
async fn an_address_of_another_machine_says_so() {
    for transport in ["tcp", "udp"] {
        // Set aside for documentation, so no machine has it.
        assert_eq!(
            check(transport, SocketAddr::from(([192, 0, 2, 1], 8125))),
            format!(
                "192.0.2.1:8125/{transport} is not an address of this machine; \
                 set [sources.statsd] {transport} = \"…\" to one of its addresses, \
                 such as 127.0.0.1"
            )
        );
    }
}

#[test]
fn a_port_that_needs_privilege_says_so() {
    // As root nothing is refused, so the error is made here.
    let error = io::Error::from(io::ErrorKind::PermissionDenied);
    assert_eq!(
        StartError::listen(
            SocketAddr::from(([0, 0, 0, 0], 25)),
            "tcp",
            "[sources.lines] tcp",
            &error
        )
        .to_string(),
        "0.0.0.0:25/tcp may not be opened by this user; \
         set [sources.lines] tcp = \"…\" to a port above 1023, or grant the privilege"
    );
}
