//! Components in a running instance: what becomes of those that die.

use serde_json::Value;

use crate::guests::{drop_into, guest};
use crate::instance::{Instance, Site};
use crate::loopback::{post, wait_for};

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
    drop_into(&instance.site.path("plugins"), "evil", &guest("evil"), DEADLY);
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
    wait_for("its end", || (!unhealthy(&instance)).then_some(()));
    send(&instance, "a", 1.0);
    assert_eq!(fired(&instance, "a"), [1.0]);
}
