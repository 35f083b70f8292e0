//! A sink in Rhai and its outside world, from the file in the folder to the bytes on the wire.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use serde_json::Value;

use crate::instance::{Instance, Site};
use crate::loopback::{Answer, Message, Receiver, get, post, wait_for};

/// What no page, log or file may ever hold.
const SECRET: &str = "hunter2-and-more";
/// A server may say anything, even what it was told in confidence.
const TELLTALE: &str = "I know you: Bearer hunter2-and-more!";

/// Two of the paths refuse the first request, in this order.
fn answer(request: &Message, refused: &AtomicU32) -> Answer {
    let first = |turn| refused.compare_exchange(turn, turn + 1, Relaxed, Relaxed).is_ok();
    match request.path() {
        "/limited" if first(0) => (429, "retry-after: 1\r\n", "slowly"),
        "/failing" if first(1) => (500, "", TELLTALE),
        "/missing" => (404, "", TELLTALE),
        _ => (200, "", "taken"),
    }
}

/// A sink that does `send` with the URL in `url`.
fn sink(name: &str, needs: &str, to: &str, send: &str) -> String {
    format!(
        "sink(\"{name}\").needs({needs}).batch(20, \"10ms\").retry(3, \"10ms\")\n\
         .send(|alerts, cap| {{ let url = \"http://{to}\"; {send} }});\n"
    )
}

fn start(receiver: &Receiver, elsewhere: &Receiver) -> Instance {
    let site = Site::new();
    let (to, other) = (receiver.address, elsewhere.address);
    let needs = format!("\"http:{to}\", \"secret:TOKEN\"");
    let bearer = "cap.http.post(url, #{ text: alerts[0].text }, \
                  #{ Authorization: \"Bearer \" + cap.secret(\"TOKEN\") })";
    let sinks = [
        sink("plain", &needs, &format!("{to}/plain"), bearer),
        sink("limited", &needs, &format!("{to}/limited"), bearer),
        sink("missing", &needs, &format!("{to}/missing"), bearer),
        sink("outside", &needs, &format!("{other}/outside"), bearer),
        sink("curious", &needs, &format!("{to}/curious"), "`${cap.secret(\"TOKEN\")}`"),
        sink(
            "greedy",
            &needs,
            &format!("{to}/greedy"),
            "cap.http.post(url, cap.secret(\"OTHER\"))",
        ),
        sink("blocked", &format!("{needs}, \"secret:OTHER\""), &format!("{to}/blocked"), bearer),
        sink("failing", &needs, &format!("{to}/failing"), bearer),
    ];
    site.write("plugins/sinks.rhai", &sinks.concat());
    let names =
        ["plain", "limited", "missing", "outside", "curious", "greedy", "blocked", "failing"];
    let mut grants = format!("[secrets]\nTOKEN = \"{SECRET}\"\nOTHER = \"{SECRET}-other\"\n");
    let mut rules = String::new();
    for name in names {
        grants += &format!("[grants.{name}]\nhttp = [\"{to}\"]\nsecrets = [\"TOKEN\"]\n");
        rules +=
            &format!("rule(\"{name}\").on(\"{name}\").when(|v| v > 1.0).notify(\"{name}\");\n");
    }
    site.write("grants.toml", &grants).write("rules/rules.rhai", &rules);
    site.start("[log]\nlevel = \"debug\"\n")
}

fn fire(instance: &Instance, rule: &str) {
    let sample = format!(r#"{{"name":"{rule}","value":2}}"#);
    assert_eq!(post(instance.address, "/ingest", sample.as_bytes()).status(), 200);
}

/// Waits until what the sink had to deliver is delivered or given up.
#[track_caller]
fn settled(instance: &Instance, sink: &str) -> Value {
    wait_for(sink, || {
        let status = instance.sink(sink);
        let count = |field: &str| status[field].as_u64().unwrap_or_default();
        (count("delivered") + count("dead") > 0).then_some(status)
    })
}

#[test]
fn a_sink_in_rhai_meets_what_the_world_answers() {
    let refused = AtomicU32::new(0);
    let receiver = Receiver::start(move |request, _| answer(request, &refused));
    let elsewhere = Receiver::start(|_, _| (200, "", "you should not be here"));
    let instance = start(&receiver, &elsewhere);
    let told = |sink: &str| -> String {
        fire(&instance, sink);
        let status = settled(&instance, sink);
        let error = status["last_error"].as_str().unwrap_or("").to_owned();
        let counts =
            ["delivered", "failed_attempts", "dead"].map(|field| status[field].to_string());
        format!("{} {error}", counts.join(" "))
    };
    let port = receiver.address.port();
    for (sink, expected) in [
        ("plain", "1 0 0 ".to_owned()),
        ("limited", "1 1 0 status 429: slowly".to_owned()),
        ("failing", "1 1 0 status 500: I know you: Bearer ***!".to_owned()),
        ("missing", "0 0 1 status 404: I know you: Bearer ***!".to_owned()),
        (
            "greedy",
            "0 0 1 the secret is not granted; the guest must ask for `secret:OTHER` in its \
             `needs`; then grant it: `secrets = [\"OTHER\"]` under `[grants.greedy]`, and \
             `OTHER = { env = \"OTHER\" }` under `[secrets]`"
                .to_owned(),
        ),
    ] {
        assert_eq!(told(sink), expected, "{sink}");
    }
    let other = format!("http://{}", elsewhere.address);
    let cure = format!(
        "0 0 1 denied: the guest must ask for `http:{other}` in its `needs`; then grant it: \
         `http = [\"{other}\"]` under `[grants.outside]`"
    );
    assert_eq!(told("outside"), cure);
    assert_eq!(told("curious"), "1 0 0 ");
    let blocked = instance.sink("blocked");
    assert_eq!(blocked["state"], "blocked", "{blocked}");
    assert!(blocked["last_error"].to_string().contains("secret:OTHER"), "{blocked}");
    fire(&instance, "blocked");
    wait_for("the default sink", || {
        instance.events().iter().any(|event| event["rule"] == "blocked").then_some(())
    });
    assert_eq!(elsewhere.got().len(), 0);
    let got = receiver.got();
    let paths: Vec<&str> = got.iter().map(|(request, _)| request.path()).collect();
    assert_eq!(paths, ["/plain", "/limited", "/limited", "/failing", "/failing", "/missing"]);
    for (request, _) in &got {
        assert_eq!(request.headers["authorization"], format!("Bearer {SECRET}"));
        assert_eq!(request.headers["host"], format!("127.0.0.1:{port}"));
        assert_eq!(request.headers["content-type"], "application/json");
        assert!(request.json()["text"].is_string(), "{}", request.text());
    }
    nothing_tells_the_secret(&instance);
}

fn nothing_tells_the_secret(instance: &Instance) {
    let test = post(instance.address, "/api/v1/sinks/missing/test", b"");
    assert_eq!(test.status(), 502, "{}", test.text());
    assert!(!test.text().contains(SECRET), "{}", test.text());
    for page in ["/health", "/metrics", "/api/v1/sinks", "/api/v1/events", "/api/v1/reloads"] {
        let text = get(instance.address, page).text();
        assert!(!text.contains(SECRET), "{page}: {text}");
    }
    let log = instance.site.read("log");
    assert!(log.contains("missing") && !log.contains(SECRET), "{log}");
    let letters = instance.site.read("watchfire-data/dead-letters/missing.jsonl");
    assert!(letters.contains("404") && !letters.contains(SECRET), "{letters}");
}
