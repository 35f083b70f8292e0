//! More than can be judged: who can wait is told to, who cannot is counted.

use std::fmt::Write;
use std::net::UdpSocket;

use crate::instance::Site;
use crate::loopback::{post, wait_for};

/// Far more work a sample than the machine can do in the time that a request takes.
const SLOW: &str = "rule(\"slow\").on(\"slow\").by(\"k\").state(#{ n: 0 }).when(|v| {
    let sum = 0; for i in 0..1000 { sum += i; } sum < 0
});";

#[test]
fn what_cannot_be_judged_is_sent_again_or_counted() {
    let site = Site::new();
    site.write("rules/slow.rhai", SLOW);
    let free = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let udp = free.local_addr().expect("an address");
    drop(free);
    let mut lines = String::new();
    for sample in 0..10_000 {
        let _ = writeln!(lines, r#"{{"name":"slow","labels":{{"k":"{sample}"}},"value":1}}"#);
    }
    let budget = lines.len();
    let settings = format!(
        "[limits]\nin_flight_bytes_max = {budget}\n\
         [sources.statsd]\nudp = \"{udp}\"\ntcp = \"off\"\n"
    );
    let instance = site.start(&settings);
    let first = post(instance.address, "/ingest", lines.as_bytes());
    assert_eq!(first.status(), 200, "{}", first.text());
    // The first body is being judged, and holds all of the budget for as long.
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    for _ in 0..10 {
        sender.send_to(b"a:1|g\nb:2|g", udp).expect("it is sent");
    }
    let body = br#"{"name":"other","value":1}"#;
    let second = post(instance.address, "/ingest", body);
    assert_eq!(second.status(), 429, "{}", second.text());
    assert_eq!(second.headers["retry-after"], "1");
    assert!(second.json()["hint"].is_string(), "{}", second.text());
    let shed = r#"watchfire_refused_samples_total{source="statsd-udp",reason="shed"}"#;
    wait_for("what was shed", || instance.metric(shed).filter(|count| *count == 20.0));
    let accepted = |response: crate::loopback::Message| (response.status() == 200).then_some(());
    wait_for("room", || accepted(post(instance.address, "/ingest", body)));
    instance.flush();
    assert_eq!(instance.metric("watchfire_samples_total"), Some(10_001.0));
    assert_eq!(instance.metric("watchfire_in_flight_bytes"), Some(0.0));
}

#[test]
fn a_body_that_never_fits_is_not_told_to_come_back() {
    let instance = Site::new().start("[limits]\nin_flight_bytes_max = 2048\n");
    let answer = post(instance.address, "/ingest", &[b' '; 4096]);
    assert_eq!(answer.status(), 413, "{}", answer.text());
    assert!(answer.json()["hint"].to_string().contains("in_flight_bytes_max"), "{}", answer.text());
}
