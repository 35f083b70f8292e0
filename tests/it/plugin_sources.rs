//! Sockets whose bytes a plugin reads: what is decoded, and what happens while the plugin is
//! missing, swapped or dying.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};

use serde_json::Value;

use crate::guests::{drop_into, guest, rebuilt};
use crate::instance::{Instance, Site, free_port};
use crate::loopback::{get, post, wait_for};

const RULES: &str = r#"
rule("full").on("disk.used").by("host").when(|v| v > 90.0);
rule("seen").on("seen").by().when(|v| v > 0.0);
rule("framed").on("frame.bytes").by().when(|v| v > 0.0);
"#;

/// An instance that listens for a plugin on two ports, with the plugin there or not.
fn listening(plugin: &str, component: Option<&str>, framing: &str) -> (Instance, u16) {
    let site = Site::new();
    site.write("rules/rules.rhai", RULES);
    if let Some(component) = component {
        drop_into(&site.path("plugins"), plugin, &guest(component), "");
    }
    let port = free_port();
    let settings = format!(
        "[[sources.plugin]]\nplugin = \"{plugin}\"\nudp = \"127.0.0.1:{port}\"\n\
         tcp = \"127.0.0.1:{port}\"\nframing = \"{framing}\"\n"
    );
    (site.start(&settings), port)
}

fn datagram(port: u16, payload: &[u8]) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.send_to(payload, ("127.0.0.1", port)).expect("it is sent");
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// What a rule fired on, in order.
fn fired(instance: &Instance, rule: &str) -> Vec<Value> {
    let events = instance.events().into_iter();
    let own = events.filter(|event| event["rule"] == rule && event["kind"] == "fired");
    own.map(|event| event["value"].clone()).collect()
}

fn source(instance: &Instance, name: &str) -> Value {
    let page = get(instance.address, "/api/v1/sources").json();
    let sources = page["sources"].as_array().expect("a list").clone();
    sources.into_iter().find(|source| source["name"] == name).expect(name)
}

#[track_caller]
fn wait_for_count(instance: &Instance, name: &str, key: &str, count: u64) {
    let what = format!("{count} {key} of {name}");
    wait_for(&what, || (source(instance, name)[key] == count).then_some(()));
}

#[test]
fn a_plugin_reads_datagrams_and_lines_cut_by_reads() {
    let (instance, port) = listening("graphite", Some("graphite"), "lines");
    datagram(port, b"disk.used;host=a 95.5\ndisk.used;host=b high\ndisk.used;host=c 12 -1");
    wait_for_count(&instance, "graphite-udp", "samples", 2);
    let mut stream = connect(port);
    stream.write_all(b"disk.used;host=d 96\ndisk.us").expect("it reads");
    wait_for_count(&instance, "graphite-tcp", "samples", 1);
    stream.write_all(b"ed;host=e 97\nrubbish\n").expect("it reads");
    wait_for_count(&instance, "graphite-tcp", "samples", 2);
    // What is posted is read by the same instance, as a source of its own.
    let body = b"disk.used;host=f 98\n";
    assert_eq!(post(instance.address, "/ingest?source=graphite", body).status(), 200);
    instance.flush();
    assert_eq!(fired(&instance, "full"), [95.5, 96.0, 97.0, 98.0]);
    let udp = source(&instance, "graphite-udp");
    assert_eq!((&udp["kind"], &udp["defects"]), (&"plugin".into(), &1.into()), "{udp}");
    let error = udp["last_error"].as_str().expect("a defect");
    assert!(error.starts_with("line 2: the value is no number in `disk.used;host=b"), "{error}");
    wait_for_count(&instance, "graphite-tcp", "defects", 1);
    assert_eq!(source(&instance, "plugin:graphite")["samples"], 1);
}

#[test]
fn payloads_may_come_after_their_lengths() {
    let (instance, port) = listening("frames", Some("evil_format"), "length");
    let mut stream = connect(port);
    let big = vec![0u8; 200_000];
    stream.write_all(&[0, 0, 0, 7]).and_then(|()| stream.write_all(b"seen 12")).expect("it reads");
    let length = (big.len() as u32).to_be_bytes();
    stream.write_all(&length).and_then(|()| stream.write_all(&big)).expect("it reads");
    wait_for_count(&instance, "frames-tcp", "samples", 2);
    stream.write_all(b"GET / HTTP/1.1\r\n").expect("it reads");
    wait_for_count(&instance, "frames-tcp", "defects", 1);
    instance.flush();
    assert_eq!(fired(&instance, "seen"), [12.0]);
    assert_eq!(fired(&instance, "framed"), [200_000.0]);
    let error = source(&instance, "frames-tcp")["last_error"].to_string();
    assert!(error.contains("a payload of 1195725856 bytes is longer than 1048576"), "{error}");
}

#[test]
fn what_is_sent_over_tcp_waits_for_a_plugin_that_is_missing() {
    let (instance, port) = listening("late", None, "lines");
    let waiting = source(&instance, "late-tcp");
    assert_eq!(waiting["state"], "blocked", "{waiting}");
    let why = waiting["last_error"].as_str().expect("why");
    assert_eq!(why, "there is no source `late`; put late.wasm into the plugins folder");
    let health = get(instance.address, "/health").text();
    assert!(health.contains("takes nothing: there is no source `late`"), "{health}");
    let mut stream = connect(port);
    stream.write_all(b"seen 1\n").expect("the system takes it");
    datagram(port, b"seen 2\nseen 3");
    let shed = "watchfire_refused_samples_total{source=\"late-udp\",reason=\"shed\"}";
    wait_for("what was shed", || instance.metric(shed).filter(|count| *count == 2.0));
    drop_into(&instance.site.path("plugins"), "late", &guest("evil_format"), "");
    wait_for_count(&instance, "late-tcp", "samples", 1);
    assert_ne!(source(&instance, "late-tcp")["state"], "blocked");
    // Another version goes on with the same connection.
    let bytes = rebuilt(guest("evil_format"), "second");
    drop_into(&instance.site.path("plugins"), "late", &bytes, "");
    post(instance.address, "/api/v1/reload", b"");
    stream.write_all(b"seen 4\n").expect("it reads");
    wait_for_count(&instance, "late-tcp", "samples", 2);
    instance.flush();
    assert_eq!(fired(&instance, "seen"), [1.0]);
}

#[test]
fn a_plugin_that_dies_loses_that_payload_and_is_left_alone_when_it_dies_often() {
    for death in ["panic", "spin"] {
        let (instance, port) = listening("evil", Some("evil_format"), "lines");
        datagram(port, b"seen 1");
        wait_for_count(&instance, "evil-udp", "samples", 1);
        datagram(port, format!("seen 2\n{death}").as_bytes());
        wait_for_count(&instance, "evil-udp", "defects", 1);
        let error = source(&instance, "evil-udp")["last_error"].to_string();
        assert!(error.contains("`evil` died in decode"), "{error}");
        datagram(port, b"seen 3");
        wait_for_count(&instance, "evil-udp", "samples", 2);
        for _ in 0..2 {
            datagram(port, death.as_bytes());
        }
        let held = wait_for("the hold", || {
            let source = source(&instance, "evil-udp");
            (source["state"] == "blocked").then_some(source)
        });
        assert!(held["last_error"].to_string().contains("died too often"), "{held}");
        // Nobody else is held up, and who can wait is only late.
        let line = br#"{"name":"disk.used","labels":{"host":"x"},"value":99}"#;
        assert_eq!(post(instance.address, "/ingest", line).status(), 200);
        let mut stream = connect(port);
        stream.write_all(b"seen 4\n").expect("the system takes it");
        wait_for_count(&instance, "evil-tcp", "samples", 1);
        instance.flush();
        assert_eq!(fired(&instance, "full"), [99.0]);
        let page = get(instance.address, "/api/v1/plugins").json();
        assert_eq!(page["plugins"][0]["deaths"], 3, "{page}");
    }
}

#[test]
fn what_was_read_is_judged_before_the_end() {
    let (mut instance, port) = listening("graphite", Some("graphite"), "lines");
    let lines: String = (0..5_000).map(|n| format!("disk.used;host=h{n} 95\n")).collect();
    let mut stream = connect(port);
    stream.write_all(lines.as_bytes()).expect("it reads");
    drop(stream);
    wait_for("a first sample", || {
        (source(&instance, "graphite-tcp")["samples"].as_u64() > Some(0)).then_some(())
    });
    wait_for("all that was sent", || {
        (source(&instance, "graphite-tcp")["bytes"] == lines.len()).then_some(())
    });
    instance.terminate();
    assert_eq!(fired(&instance, "full").len(), 5_000);
}
