//! Components in a running instance: what becomes of those that die.

use serde_json::Value;

use crate::guests::{drop_into, guest};
use crate::instance::{Instance, Site};
use crate::loopback::{Receiver, get, post, wait_for};

/// Dies of the value 666.
const DEADLY: &str = "act = \"panic\"\nvalue = 666.0\n";

/// An instance with the guest that misbehaves on demand.
fn with_evil(settings: &str) -> Instance {
    let site = Site::new();
    drop_into(&site.path("plugins"), "evil", &guest("evil"), settings);
    site.start("")
}

fn send(instance: &Instance, host: &str, value: f64) {
    let line =
        format!("{{\"name\":\"load\",\"labels\":{{\"host\":\"{host}\"}},\"value\":{value}}}\n");
    assert_eq!(post(instance.address, "/ingest", line.as_bytes()).status(), 200);
    instance.flush();
}

fn unhealthy(instance: &Instance) -> bool {
    instance.metric("watchfire_rule_quarantined{rule=\"evil\"}") == Some(1.0)
}

/// The values with which alerts of a host fired.
fn fired(instance: &Instance, host: &str) -> Vec<Value> {
    let events = instance.events().into_iter();
    let mine = events.filter(|event| event["kind"] == "fired" && event["key"]["host"] == host);
    mine.map(|event| event["value"].clone()).collect()
}

#[test]
fn a_new_version_that_dies_is_taken_back() {
    let instance = with_evil("act = \"behave\"\n");
    send(&instance, "a", 1.0);
    assert_eq!(fired(&instance, "a"), [1.0]);
    instance.site.write("plugins/evil.toml", DEADLY);
    wait_for("the new version", || (instance.reloads().len() == 2).then_some(()));
    send(&instance, "a", 666.0);
    let report = wait_for("the old version", || {
        instance.reloads().into_iter().find(|reload| reload["trigger"] == "death")
    });
    let finding = &report["files"][0]["findings"][0]["message"];
    let says = "the new version died within its first 100 batches, so the one before it is back";
    assert!(finding.as_str().is_some_and(|finding| finding.starts_with(says)), "{report}");
    wait_for("its service", || (!unhealthy(&instance)).then_some(()));
    // What killed the other version is a sample like any other.
    send(&instance, "b", 666.0);
    assert_eq!(fired(&instance, "b"), [1.0]);
}

#[test]
fn a_component_that_dies_too_often_is_held_back_for_a_while() {
    let instance = with_evil(DEADLY);
    send(&instance, "a", 666.0);
    wait_for("the quarantine", || unhealthy(&instance).then_some(()));
    assert!(instance.site.read("log").contains("the component evil died too often"));
    let page = get(instance.address, "/api/v1/plugins").json();
    let plugin = &page["plugins"][0];
    assert_eq!((&plugin["name"], &plugin["world"]), (&"evil".into(), &"rule".into()), "{page}");
    assert_eq!(plugin["deaths"], 2, "of the batch, and of its second try: {page}");
    let death = plugin["last_death"].as_str().expect("it died");
    assert!(death.starts_with("`evil` died in evaluate: panicked"), "{death}");
    assert_eq!(instance.metric("watchfire_plugin_deaths_total{plugin=\"evil\"}"), Some(2.0));
    wait_for("its end", || (!unhealthy(&instance)).then_some(()));
    send(&instance, "a", 1.0);
    assert_eq!(fired(&instance, "a"), [1.0]);
    let memory = instance.metric("watchfire_plugin_memory_bytes{plugin=\"evil\"}");
    assert!(memory.is_some_and(|bytes| bytes >= 65_536.0), "a page of an instance: {memory:?}");
}

/// Fires on what the two probes below measure.
const SEEN: &str = r#"
rule("answers").on("http.status").by().when(|v| v == 200.0);
rule("deep").on("queue.depth").by("queue").when(|v| v > 6.0);
"#;

const DEPTH: &str = r#"
probe("depth").every("100ms").needs("http:HOST").collect(|cap| [
    reading("queue.depth", #{ queue: "orders" }, cap.http.get("HOST/queue").json().messages)
]);
"#;

#[test]
fn probes_measure_what_they_are_granted() {
    let receiver = Receiver::start(|_, _| (200, "", "{\"messages\": 7}"));
    let site = Site::new();
    site.write("rules/seen.rhai", SEEN);
    let url = format!("http://{}/queue", receiver.address);
    let script = DEPTH.replace("HOST", &format!("http://{}", receiver.address));
    site.write("plugins/depth.rhai", &script);
    let settings = format!("urls = [\"{url}\"]\nevery = \"100ms\"\n");
    drop_into(&site.path("plugins"), "http-check", &guest("http_check"), &settings);
    let instance = site.start("");
    let log = instance.site.read("log");
    for probe in ["depth", "http-check"] {
        assert!(log.contains(&format!("plugin {probe} is blocked")), "{log}");
    }
    let host = format!("http = [\"http://{}\"]\n", receiver.address);
    let grants = format!("[grants.depth]\n{host}[grants.http-check]\n{host}");
    instance.site.write("grants.toml", &grants);
    assert_eq!(post(instance.address, "/api/v1/reload", b"").status(), 200);
    let fired = |rule: &str| {
        let events = instance.events().into_iter();
        events.filter(|event| event["rule"] == rule).map(|event| event["value"].clone()).next()
    };
    assert_eq!(wait_for("the component's", || fired("answers")), 200.0);
    assert_eq!(wait_for("the script's", || fired("deep")), 7.0);
}

#[test]
fn a_source_reads_what_is_posted_to_it() {
    let site = Site::new();
    site.write("rules/disk.rhai", "rule(\"full\").on(\"disk.used\").when(|v| v > 90.0);");
    drop_into(&site.path("plugins"), "graphite", &guest("graphite"), "");
    let instance = site.start("");
    let body = b"disk.used;host=a 95.5\ndisk.used;host=b high\n\ndisk.used;host=c 12 -1\n";
    let answer = post(instance.address, "/ingest?source=graphite", body);
    let report = answer.json();
    assert_eq!((answer.status(), &report["accepted"]), (200, &2.into()), "{report}");
    let defect = &report["defects"][0];
    assert_eq!((&defect["line"], &defect["what"]), (&2.into(), &"the value is no number".into()));
    instance.flush();
    assert_eq!(fired(&instance, "a"), [95.5]);
    let unknown = post(instance.address, "/ingest?source=nobody", body);
    assert_eq!(unknown.status(), 404, "{}", unknown.text());
    assert!(unknown.text().contains("One of graphite."), "{}", unknown.text());
}
