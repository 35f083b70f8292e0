//! What a stop writes down and the next start goes on with.

use serde_json::Value;

use super::instance::Place;

const RULE: &str = "rule(\"load-high\").on(\"load\").by(\"host\").when(|v| v > 90.0);\n";

fn firing(alerts: &Value) -> Vec<String> {
    let alerts = alerts["data"]["alerts"].as_array().expect("a list");
    let line = |alert: &Value| format!("{} {}", alert["labels"]["host"], alert["activeAt"]);
    alerts.iter().map(line).collect()
}

#[test]
fn what_fired_goes_on_firing_and_is_not_told_again() {
    let place = Place::new();
    place.write("rules/load.rhai", RULE);
    place.set("[[sinks.file]]\nname = \"archive\"\npath = \"alerts.jsonl\"\n");
    let told = || -> Vec<String> {
        let text = std::fs::read_to_string(place.path("alerts.jsonl")).expect("the archive");
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        events.map(|event| event["kind"].as_str().expect("a kind").to_owned()).collect()
    };
    place.write("rules/load.rhai", RULE.replace(");\n", ").notify(\"archive\");\n"));

    let instance = place.start();
    instance.load("a", 95.0);
    instance.load("b", 20.0);
    let before = firing(&instance.get("/api/v1/alerts").1);
    assert_eq!(before.len(), 1);
    assert!(instance.stop().success());
    assert_eq!(told(), ["fired"]);

    let instance = place.start();
    assert_eq!(firing(&instance.get("/api/v1/alerts").1), before, "with the time it fired at");
    instance.load("a", 96.0);
    assert_eq!(told(), ["fired"], "a second breach is the same alert");
    instance.load("a", 10.0);
    assert_eq!(told(), ["fired", "resolved"]);
    assert_eq!(firing(&instance.get("/api/v1/alerts").1).len(), 0);
}

#[test]
fn a_state_that_cannot_be_read_is_set_aside_and_said() {
    let place = Place::new();
    place.write("rules/load.rhai", RULE);
    let instance = place.start();
    instance.load("a", 95.0);
    assert!(instance.stop().success());
    let state = place.path("watchfire-data/state.bin");
    assert!(state.is_file(), "a stop writes its state down");
    std::fs::write(&state, "no state at all").expect("it is ours");

    let instance = place.start();
    let (status, health) = instance.get("/health");
    assert_eq!((status, &health["status"]), (200, &Value::from("degraded")), "{health:#}");
    instance.load("a", 95.0);
    assert_eq!(instance.events(), ["fired load-high a (breach)"]);
}
