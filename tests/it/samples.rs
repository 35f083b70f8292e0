//! Sinks of samples in a running instance: what arrives, in which order, and what a sink that does
//! not work costs the others.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::command::Recorded;
use crate::guests::{drop_into, guest, rebuilt};
use crate::instance::{Instance, Site};
use crate::loopback::{Receiver, get, post, wait_for};

/// A site whose sink `out` is the component of this name, granted the receiver.
fn with_sink(component: &str, receiver: &str, settings: &str) -> Site {
    let site = Site::new();
    let settings = format!("url = \"http://{receiver}/in\"\n{settings}");
    drop_into(&site.path("plugins"), "out", &guest(component), &settings);
    site.write("grants.toml", &format!("[grants.out]\nhttp = [\"http://{receiver}\"]\n"));
    site
}

/// Sends the numbers as samples of `a`, `b` and `c` in turn.
fn send(instance: &Instance, numbers: std::ops::Range<u32>) {
    let mut lines = String::new();
    for number in numbers {
        let name = ["a", "b", "c"][number as usize % 3];
        let at = 1_700_000_000_000u64 + u64::from(number);
        let _ = writeln!(lines, r#"{{"name":"{name}","ts":{at},"value":{number}}}"#);
    }
    let answer = post(instance.address, "/ingest", lines.as_bytes());
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

/// The rows as a sink of samples tells them.
fn rows(numbers: std::ops::Range<u32>) -> Vec<String> {
    let row = |number: u32| format!("{} {number}", ["a", "b", "c"][number as usize % 3]);
    numbers.map(row).collect()
}

/// What was posted and taken, in its order.
fn taken(receiver: &Receiver) -> Vec<Value> {
    let got = receiver.got().into_iter().filter(|(_, status)| *status == 200);
    got.map(|(request, _)| request.json()).collect()
}

fn all_rows(posts: &[Value]) -> Vec<String> {
    let rows = posts.iter().flat_map(|post| post["rows"].as_array().expect("a list"));
    rows.map(|row| row.as_str().expect("a text").to_owned()).collect()
}

const EVIL: &str = "metrics = [\"a\", \"b\", \"c\"]\nbatch = 4\nage = \"50ms\"\n";

#[test]
fn samples_arrive_once_and_in_order_and_each_series_is_announced_once() {
    for shards in [1, 3] {
        // Every third attempt is not taken, and tried again under its key.
        let receiver = Receiver::start(|_, number| match number % 3 {
            1 => (503, "", ""),
            _ => (200, "", ""),
        });
        let site = with_sink("evil_samples", &receiver.address.to_string(), EVIL);
        site.write("rules/any.rhai", "rule(\"any\").on(\"a\").by().when(|v| v < 0.0);");
        let instance = site.start(&format!("[engine]\nshards = {shards}\n"));
        send(&instance, 0..30);
        // Refused samples are no samples, nor are those that nobody wants.
        send(&instance, 29..30);
        let other = br#"{"name":"other","ts":1700000000030,"value":1}"#;
        assert_eq!(post(instance.address, "/ingest", other).status(), 200);
        send(&instance, 30..60);
        instance.flush();
        let posts = taken(&receiver);
        assert_eq!(all_rows(&posts), rows(0..60), "{shards} shards");
        assert!(posts.iter().all(|post| post["rows"].as_array().is_some_and(|r| r.len() <= 4)));
        let announced: Vec<&Value> =
            posts.iter().filter(|post| post["announced"] != json!([])).collect();
        assert_eq!(announced.len(), 1, "by one attempt: {announced:?}");
        assert_eq!(announced[0]["announced"], json!(["a", "b", "c"]));
        let mut tries: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (request, _) in receiver.got() {
            let post = request.json();
            tries.entry(post["key"].to_string()).or_default().push(post["rows"].clone());
        }
        assert!(tries.values().any(|tries| tries.len() == 2), "some were tried again");
        assert!(tries.values().all(|rows| rows.iter().all(|each| each == &rows[0])));
        let status = instance.sample_sink("out");
        assert_eq!(
            (&status["delivered"], &status["refused"], &status["dead"], &status["pending"]),
            (&60.into(), &0.into(), &0.into(), &0.into()),
            "{status}"
        );
        let delivered = instance.metric("watchfire_sample_sink_delivered_total{sink=\"out\"}");
        assert_eq!(delivered, Some(60.0));
    }
}

#[test]
fn recorded_series_and_labels_are_forwarded_in_both_formats() {
    let json = r#"
{"name":"load","labels":{"host":"a b","zone":"eu,1"},"ts":1700000000000,"value":1.5}
{"name":"doubled","labels":{"host":"a b"},"ts":1700000000000,"value":3}
{"name":"load","labels":{"host":"a b","zone":"eu,1"},"ts":1700000010000.5,"value":2}
{"name":"doubled","labels":{"host":"a b"},"ts":1700000010000.5,"value":4}
"#;
    let influx = r"
load,host=a\ b,zone=eu\,1 value=1.5 1700000000000000000
doubled,host=a\ b value=3 1700000000000000000
load,host=a\ b,zone=eu\,1 value=2 1700000010000500000
doubled,host=a\ b value=4 1700000010000500000
";
    for (format, expected) in [("json", json), ("influx", influx)] {
        let receiver = Receiver::start(|_, _| (204, "", ""));
        let settings = format!("format = \"{format}\"\nonly = \"host=a b\"\nage = \"50ms\"\n");
        let site = with_sink("forward", &receiver.address.to_string(), &settings);
        site.write(
            "rules/record.rhai",
            "rule(\"double\").on(\"load\").by(\"host\").record(\"doubled\", |v| v * 2.0);\n\
             rule(\"high\").on(\"doubled\").when(|v| v > 100.0);",
        );
        let instance = site.start("[engine]\nshards = 2\n");
        let lines = "load,host=a\\ b,zone=eu\\,1 value=1.5 1700000000000000000\n\
                     load,host=c value=7 1700000000000000000\n\
                     load,host=a\\ b,zone=eu\\,1 value=2 1700000010000500000\n";
        let answer = post(instance.address, "/ingest?format=influx", lines.as_bytes());
        assert_eq!(answer.status(), 200, "{}", answer.text());
        wait_for("four samples", || {
            instance.flush();
            (instance.sample_sink("out")["delivered"] == 4).then_some(())
        });
        let text: String = receiver.got().iter().map(|(request, _)| request.text()).collect();
        let mut arrived: Vec<&str> = text.lines().collect();
        let mut expected: Vec<&str> = expected.trim_start().lines().collect();
        arrived.sort_unstable();
        expected.sort_unstable();
        assert_eq!(arrived, expected);
    }
}

#[test]
fn what_waits_is_delivered_at_the_end() {
    let receiver = Receiver::start(|_, _| (200, "", ""));
    let settings = EVIL.replace("batch = 4", "batch = 1000").replace("50ms", "1h");
    let site = with_sink("evil_samples", &receiver.address.to_string(), &settings);
    let mut instance = site.start("");
    send(&instance, 0..30);
    wait_for("the samples", || (instance.sample_sink("out")["pending"] == 30).then_some(()));
    assert_eq!(taken(&receiver), [] as [Value; 0]);
    instance.terminate();
    assert_eq!(all_rows(&taken(&receiver)), rows(0..30));
}

#[test]
fn a_sink_that_does_not_work_costs_nobody_else_anything() {
    // It takes connections into its backlog and answers none of them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("an address").to_string();
    let site = with_sink("evil_samples", &address, EVIL);
    site.write("rules/any.rhai", "rule(\"any\").on(\"a\").by().when(|v| v == 2997.0);");
    let instance = site.start("[sinks.samples]\nqueue_rows_max = 100\n");
    for part in 0..10 {
        send(&instance, part * 300..(part + 1) * 300);
    }
    let fired = || instance.events().into_iter().find(|event| event["rule"] == "any");
    wait_for("the alert", fired);
    assert_eq!(instance.metric("watchfire_samples_total"), Some(3000.0));
    let status = wait_for("all of them", || {
        let status = instance.sample_sink("out");
        let ended = |key: &str| status[key].as_u64().expect("a number");
        (ended("refused") + ended("pending") + ended("dead") == 3000).then_some(status)
    });
    assert!(status["refused"].as_u64() >= Some(2800), "{status}");
    assert!(status["pending"].as_u64() <= Some(100), "{status}");
    let refused = instance.metric("watchfire_sample_sink_refused_total{sink=\"out\"}");
    assert!(refused >= Some(2800.0), "{refused:?}");
}

#[test]
fn a_batch_that_ends_instances_is_given_up_and_the_rest_goes_on() {
    for death in ["panic = 5.0", "spin = 5.0"] {
        let receiver = Receiver::start(|_, _| (200, "", ""));
        let settings = format!("{EVIL}{death}\n");
        let site = with_sink("evil_samples", &receiver.address.to_string(), &settings);
        // As a new version it would be taken back; it has delivered often enough before it dies.
        let instance = site.start("");
        send(&instance, 0..12);
        instance.flush();
        let posts = taken(&receiver);
        let expected: Vec<String> = [rows(0..4), rows(8..12)].concat();
        assert_eq!(all_rows(&posts), expected, "{death}");
        // The instance after it knows the series from before its state, which refers to them.
        assert_eq!(posts[1]["restored"], json!([4, 3]), "{death}: {posts:?}");
        let status = instance.sample_sink("out");
        assert_eq!((&status["dead"], &status["delivered"]), (&4.into(), &8.into()), "{status}");
        let error = status["last_error"].as_str().expect("it died");
        assert!(
            error.starts_with("it ended 2 instances: `out` died in deliver-samples"),
            "{error}"
        );
        let page = get(instance.address, "/api/v1/plugins").json();
        assert_eq!(page["plugins"][0]["deaths"], 2, "{page}");
        assert_eq!(page["plugins"][0]["world"], "sample-sink", "{page}");
    }
}

#[test]
fn a_new_version_that_dies_is_taken_back() {
    let receiver = Receiver::start(|_, _| (200, "", ""));
    let address = receiver.address.to_string();
    let instance = with_sink("evil_samples", &address, EVIL).start("");
    send(&instance, 0..4);
    instance.flush();
    let first = instance.sample_sink("out")["version"].clone();
    let settings = format!("url = \"http://{address}/in\"\n{EVIL}panic = 5.0\n");
    drop_into(&instance.site.path("plugins"), "out", &guest("evil_samples"), &settings);
    let version = || instance.sample_sink("out")["version"].clone();
    wait_for("the new version", || (version() != first).then_some(()));
    send(&instance, 4..8);
    wait_for("the old version", || (version() == first).then_some(()));
    send(&instance, 8..12);
    instance.flush();
    let arrived = all_rows(&taken(&receiver));
    assert_eq!(arrived[arrived.len() - 4..], rows(8..12));
    // The batch was tried a second time by one of the two.
    let dead = instance.sample_sink("out")["dead"].as_u64().expect("a number");
    assert_eq!(arrived.len() as u64 + dead, 12);
}

#[test]
fn what_the_other_side_rejects_is_counted_and_the_rest_goes_on() {
    let receiver = Receiver::start(|_, number| (if number == 0 { 400 } else { 200 }, "", ""));
    let site = with_sink("evil_samples", &receiver.address.to_string(), EVIL);
    let instance = site.start("");
    send(&instance, 0..8);
    instance.flush();
    assert_eq!(all_rows(&taken(&receiver)), rows(4..8));
    let status = instance.sample_sink("out");
    assert_eq!((&status["dead"], &status["delivered"]), (&4.into(), &4.into()), "{status}");
    assert_eq!(status["last_error"], "the server answered 400");
}

#[test]
fn a_new_version_takes_over_between_two_batches_and_nothing_is_lost() {
    let receiver = Receiver::start(|_, _| (200, "", ""));
    let address = receiver.address.to_string();
    let site = with_sink("evil_samples", &address, EVIL);
    let instance = site.start("");
    let first = instance.sample_sink("out")["version"].clone();
    for part in 0..20 {
        send(&instance, part * 30..(part + 1) * 30);
        if part == 10 {
            let bytes = rebuilt(guest("evil_samples"), "second");
            let settings = format!("url = \"http://{address}/in\"\n{EVIL}");
            drop_into(&instance.site.path("plugins"), "out", &bytes, &settings);
        }
    }
    wait_for("the new version", || (instance.sample_sink("out")["version"] != first).then_some(()));
    send(&instance, 600..630);
    instance.flush();
    assert_eq!(all_rows(&taken(&receiver)), rows(0..630));
}

#[test]
fn a_sink_is_blocked_until_it_is_granted_and_gone_with_its_file() {
    let receiver = Receiver::start(|_, _| (200, "", ""));
    let site = with_sink("evil_samples", &receiver.address.to_string(), EVIL);
    let grants = site.read("grants.toml");
    site.write("grants.toml", "");
    let instance = site.start("");
    let status = instance.sample_sink("out");
    assert_eq!(status["state"], "blocked", "{status}");
    assert!(status["last_error"].as_str().is_some_and(|why| why.contains("grant")), "{status}");
    let health = get(instance.address, "/health").text();
    assert!(health.contains("sample sink out is blocked"), "{health}");
    send(&instance, 0..3);
    instance.site.write("grants.toml", &grants);
    assert_eq!(post(instance.address, "/api/v1/reload", b"").status(), 200);
    send(&instance, 3..6);
    instance.flush();
    assert_eq!(all_rows(&taken(&receiver)), rows(3..6));
    std::fs::remove_file(instance.site.path("plugins/out.wasm")).expect("it was there");
    post(instance.address, "/api/v1/rules/accept-empty", b"");
    wait_for("its end", || instance.sample_sink("out").is_null().then_some(()));
}

#[test]
fn a_replay_delivers_no_samples() {
    let receiver = Receiver::start(|_, _| (200, "", ""));
    let recorded = Recorded::new("rule(\"any\").on(\"a\").when(|v| v > 1.0);");
    let settings = format!("url = \"http://{}/in\"\n{EVIL}", receiver.address);
    drop_into(&recorded.plugins(), "out", &guest("evil_samples"), &settings);
    recorded.write("samples", "{\"name\":\"a\",\"ts\":1700000000000,\"value\":2}\n");
    let events = recorded.replay(&[], "samples");
    assert!(events.contains("\"rule\":\"any\""), "{events}");
    assert_eq!(receiver.got().len(), 0);
}
