//! The webhook sink against a server on this machine.

use std::future::poll_fn;
use std::task::{Context, Poll};

use serde_json::json;

use super::*;
use crate::guest::grant::{Granted, Grants, Request};
use crate::guest::http::tests::{Server, granted, reply};
use crate::guest::sink::{Deliver, Outcome, Sink, SinkEnv};

fn webhook(settings: &Value, host: &WasmHost) -> Sink {
    let loaded = load("webhook", &guest("webhook"), settings, &GuestTerms::default(), host)
        .expect("good settings");
    match loaded.component {
        Component::Sink(sink) => sink,
        Component::Rules { .. }
        | Component::SampleSink(_)
        | Component::Probe(_)
        | Component::Source(_) => {
            panic!("the webhook is a sink")
        }
    }
}

fn open(sink: &Sink, settings: &Value, granted: Granted) -> Box<dyn Deliver> {
    let env = SinkEnv { granted, folder: "unused".into(), settings: settings.clone() };
    sink.opener.open(&env).expect("it opened before")
}

fn events() -> Vec<Arc<Event>> {
    let second = Event { text: "still hot".into(), kind: Kind::Reminded, ..event() };
    vec![Arc::new(event()), Arc::new(second)]
}

/// What the webhook makes of one answer of the server.
async fn check(status: &str, headers: &'static str, expected: Outcome) {
    let line = format!("{status}/{headers}");
    let status = status.to_owned();
    let server = Server::start(move |_| reply(&status, headers, "no thanks")).await;
    let settings = json!({ "url": server.url("/hook") });
    let sink = webhook(&settings, host());
    let mut open = open(&sink, &settings, granted(&[&server.address.to_string()], &[]));
    assert_eq!(open.deliver("k1", &events()).await, expected, "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_posted_with_a_template_and_a_secret() {
    let server = Server::start(|_| reply("200 OK", "", "")).await;
    let settings = json!({
        "url": server.url("/hook"),
        "line": "{kind} {labels.host} {labels.team} {value}: {text}",
        "body": { "text": "{lines}", "meta": ["{count}", "{key}", "{other}", 3] },
        "headers": { "authorization": { "secret": "TOKEN", "prefix": "Bearer " } },
        "batch": 5, "age": "2s",
    });
    let sink = webhook(&settings, host());
    assert_eq!((sink.name.as_ref(), sink.kind, sink.batching.max), ("webhook", "wasm", 5));
    let address = server.address.to_string();
    let needs: Vec<String> = sink.needs.iter().map(ToString::to_string).collect();
    assert_eq!(needs, [format!("http:http://{address}"), "secret:TOKEN".into()]);

    let mut open = open(&sink, &settings, granted(&[&address], &[("TOKEN", "s3cret")]));
    let delivered = Outcome::Delivered { note: None };
    assert_eq!(open.deliver("k1", &events()).await, delivered);
    let seen = server.seen().remove(0);
    assert!(seen.contains("authorization: Bearer s3cret\r\n"), "{seen}");
    assert!(seen.contains("idempotency-key: k1\r\n"), "{seen}");
    let body: Value =
        serde_json::from_str(seen.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
    assert_eq!(
        body,
        json!({
            "text": "fired a ops 91.5: cpu is hot on a\nreminded a ops 91.5: still hot",
            "meta": ["2", "k1", "{other}", 3],
        })
    );
    // The same instance goes on, over the same connection.
    assert_eq!(open.deliver("k2", &events()).await, delivered);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_template_alerts_go_out_as_objects() {
    let server = Server::start(|_| reply("204 No Content", "", "")).await;
    let settings = json!({ "url": server.url("/") });
    let sink = webhook(&settings, host());
    let mut open = open(&sink, &settings, granted(&[&server.address.to_string()], &[]));
    open.deliver("k", &events()[..1]).await;
    let seen = server.seen().remove(0);
    let body: Value =
        serde_json::from_str(seen.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
    let alert = &body["alerts"][0];
    for (field, expected) in [
        ("id", json!(event().id.to_string())),
        ("kind", json!("fired")),
        ("level", json!("critical")),
        ("key", json!({ "host": "a" })),
        ("value", json!(91.5)),
        ("at", json!(5_000_000_000i64)),
        ("cause", json!("breach")),
        ("annotations", json!({ "runbook": "https://example.net/cpu" })),
        ("fingerprint", json!("0000000000000009")),
    ] {
        assert_eq!(alert[field], expected, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_become_outcomes() {
    let again = |after: Option<i64>| Outcome::Retry {
        after: after.map(crate::kernel::model::Duration::from_secs),
        why: "the sink asks to try again".into(),
    };
    check("500 Oops", "", again(None)).await;
    check("503 Busy", "retry-after: 7\r\n", again(Some(7))).await;
    check("429 Slow Down", "retry-after: Fri, 01 Jan\r\n", again(None)).await;
    let why = "the server answered 400: no thanks".to_owned();
    check("400 Bad Request", "", Outcome::Rejected { why }).await;
    let why = "misconfigured: the server answered 404: no thanks".to_owned();
    check("404 Not Found", "", Outcome::Retry { after: None, why }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_grant_nothing_is_sent_and_the_line_to_add_is_told() {
    let server = Server::start(|_| reply("200 OK", "", "")).await;
    let settings = json!({ "url": server.url("/hook") });
    let sink = webhook(&settings, host());
    let blocked = Grants::default().effective("webhook", &sink.needs, None).expect_err("no grant");
    let line = format!("http = [\"http://{}\"]", server.address);
    assert_eq!(blocked.cure, format!("[grants.webhook]\n{line}\n"));
    assert_eq!(blocked.missing, [Request::Http(format!("http://{}", server.address).into())]);
    // Opened all the same, it is denied at the door.
    let mut open = open(&sink, &settings, Granted::default());
    let outcome = open.deliver("k", &events()).await;
    let Outcome::Retry { after: None, why } = outcome else { panic!("{outcome:?}") };
    assert!(why.starts_with("misconfigured: ") && why.contains(&line), "{why}");
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_ends_with_the_wall_cap_and_the_instance_lives_on() {
    let server = Server::start(|request| {
        if request.contains("k-slow") { String::new() } else { reply("200 OK", "", "") }
    })
    .await;
    let settings = json!({ "url": server.url("/") });
    let mut limits = WasmLimits::default();
    limits.sink.wall = Duration::from_millis(100);
    let sink = webhook(&settings, &WasmHost::new(limits).expect("an engine"));
    let mut open = open(&sink, &settings, granted(&[&server.address.to_string()], &[]));
    let slow = open.deliver("k-slow", &events()).await;
    assert_eq!(slow, Outcome::Retry { after: None, why: "the server took too long".into() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_attempt_costs_the_instance_and_nothing_else() {
    let server = Server::start(|request| {
        if request.contains("k-slow") { String::new() } else { reply("200 OK", "", "") }
    })
    .await;
    let settings = json!({ "url": server.url("/") });
    let mut limits = WasmLimits::default();
    limits.sink.wall = Duration::from_millis(200);
    let sink = webhook(&settings, &WasmHost::new(limits).expect("an engine"));
    let access = granted(&[&server.address.to_string()], &[]);
    let mut abandoned = open(&sink, &settings, access.clone());
    let events = events();
    {
        let mut attempt = abandoned.deliver("k-slow", &events);
        // Polled once, so the call is on its thread; then dropped.
        let once = |cx: &mut Context<'_>| Poll::Ready(attempt.as_mut().poll(cx).is_pending());
        assert!(poll_fn(once).await);
    }
    let outcome = abandoned.deliver("k", &events).await;
    assert!(matches!(&outcome, Outcome::Faulted(fault) if fault.what.contains("outlive")));
    let mut reopened = open(&sink, &settings, access);
    assert_eq!(reopened.deliver("k", &events).await, Outcome::Delivered { note: None });
}

#[test]
fn bad_settings_are_told() {
    for (settings, says) in [
        (json!({}), "it refused its settings: configure failed (settings): missing field `url`"),
        (json!({ "url": "http://a", "line": "{nope}" }), "it refused its settings"),
        (json!({ "url": "http://a", "age": "2x" }), "it refused its settings"),
        (json!({ "url": "http://a", "batch": 0 }), "it refused its settings: its terms"),
    ] {
        let error = load("webhook", &guest("webhook"), &settings, &GuestTerms::default(), host())
            .expect_err(says);
        assert!(error.to_string().starts_with(says), "{error}");
    }
}
