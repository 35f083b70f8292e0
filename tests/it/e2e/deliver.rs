//! From a posted sample to a request at somebody else's server, through both kinds of guests.

use serde_json::{Value, json};

use super::instance::Place;
use super::receiver::{Post, Receiver};
use crate::guests::guest;

const RULE: &str = "rule(\"load-high\").on(\"load\").by(\"host\")
    .when(|v| v > 90.0).severity(\"critical\").notify(\"SINK\")
    .text(|a| `load ${a.value} on ${a.labels.host}`);\n";

fn state_of(sinks: &Value, name: &str) -> Option<String> {
    let sink = sinks["sinks"].as_array()?.iter().find(|sink| sink["name"] == name)?;
    sink["state"].as_str().map(str::to_owned)
}

/// Starts with one ungranted sink, grants it as an operator does, and sees an alert through.
#[track_caller]
fn check(place: &Place, name: &str, variable: &str, receiver: &Receiver) -> [Post; 2] {
    place.write("rules/load.rhai", RULE.replace("SINK", name));
    let url = format!("http://{}/hook", receiver.address);
    let instance = place.start_with(&[(variable, &url)]);
    let blocked = instance.get("/api/v1/sinks").1;
    assert_eq!(state_of(&blocked, name).as_deref(), Some("blocked"), "{blocked:#}");
    let (_, health) = instance.get("/health");
    assert_eq!(health["status"], "degraded", "a rule's alerts miss their sink: {health:#}");

    let granted = place.run(&["plugin", "grant", name, "--yes"]);
    assert!(granted.status.success(), "{}", String::from_utf8_lossy(&granted.stderr));
    assert_eq!(instance.post("/api/v1/reload", "").0, 200);
    instance.until("/api/v1/sinks", |_, sinks| (state_of(sinks, name)? != "blocked").then_some(()));

    instance.load("a", 95.0);
    let fired = receiver.next();
    instance.load("a", 10.0);
    let resolved = receiver.next();
    assert_eq!(instance.events(), ["fired load-high a (breach)", "resolved load-high a (clear)"]);
    assert_eq!(instance.get("/health").1["status"], "ok");
    assert_eq!(receiver.rest(), 0, "each event went out once");
    [fired, resolved]
}

/// With `setting` nobody looks at the folders but on a notice, or not even then.
#[track_caller]
fn granted_and_tested(setting: &str, wait: bool) {
    let (place, receiver) = (Place::new(), Receiver::start());
    let sink = "sink(\"chat\").needs(\"http:HOST\")
        .send(|alerts, cap| { cap.http.post(\"HOST/hook\", #{ n: 1 }); });\n";
    let host = format!("http://{}", receiver.address);
    place.write("plugins/chat.rhai", sink.replace("HOST", &host));
    // The last table of the usual settings is that of reloads.
    place.set(setting);
    let instance = place.start();
    assert_eq!(state_of(&instance.get("/api/v1/sinks").1, "chat").as_deref(), Some("blocked"));
    place.write("unrelated", "a file beside the grants");
    assert!(place.run(&["plugin", "grant", "chat", "--yes"]).status.success());
    if wait {
        let is_open = |sinks: &Value| state_of(sinks, "chat").as_deref() != Some("blocked");
        instance.until("/api/v1/sinks", |_, sinks| is_open(sinks).then_some(()));
    }
    let (status, answer) = instance.post("/api/v1/sinks/chat/test", "");
    assert_eq!((status, &answer["delivered"]), (200, &Value::from(true)), "{answer:#}");
    assert_eq!(receiver.next().path, "/hook");
}

#[test]
fn a_grant_counts_as_soon_as_it_is_written() {
    granted_and_tested("poll = \"1h\"\n", true);
}

#[test]
fn whoever_grants_a_sink_may_test_it_at_once() {
    granted_and_tested("poll = \"1h\"\nmode = \"poll\"\n", false);
}

#[test]
fn a_script_posts_what_it_was_granted() {
    let (place, receiver) = (Place::new(), Receiver::start());
    let sink = "sink(\"chat\").needs(\"http:HOST\", \"secret:CHAT_URL\")
        .send(|alerts, cap| {
            let url = cap.secret(\"CHAT_URL\");
            for a in alerts { cap.http.post(url, #{ text: `${a.kind} ${a.text}` }); }
        });\n";
    let host = format!("http://{}", receiver.address);
    place.write("plugins/chat.rhai", sink.replace("HOST", &host));
    let [fired, resolved] = check(&place, "chat", "CHAT_URL", &receiver);
    assert_eq!(fired.path, "/hook");
    assert_eq!(fired.body, json!({ "text": "fired load 95.0 on a" }));
    assert_eq!(resolved.body, json!({ "text": "resolved load 10.0 on a" }));
}

#[test]
fn a_component_posts_what_it_was_granted() {
    let (place, receiver) = (Place::new(), Receiver::start());
    place.write("plugins/webhook.wasm", guest("webhook"));
    let host = format!("http://{}", receiver.address);
    place.write(
        "plugins/webhook.toml",
        format!(
            "url = {{ secret = \"HOOK_URL\" }}\nhost = \"{host}\"\n\
             line = \"{{kind}} {{level}} {{text}}\"\nbody = {{ text = \"{{lines}}\" }}\n"
        ),
    );
    let [fired, resolved] = check(&place, "webhook", "HOOK_URL", &receiver);
    assert_eq!(fired.body, json!({ "text": "fired critical load 95.0 on a" }));
    assert_eq!(resolved.body, json!({ "text": "resolved critical load 10.0 on a" }));
    let (one, other) = (fired.header("idempotency-key"), resolved.header("idempotency-key"));
    assert!(one.is_some() && one != other, "{one:?} {other:?}");
}
