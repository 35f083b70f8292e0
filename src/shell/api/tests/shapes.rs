//! What each path answers.

use serde_json::json;

use super::app::{alert, rule};
use super::*;
use crate::shell::metrics::tests::check_page;

#[tokio::test]
async fn probes_answer_in_plain_text() {
    let world = World::start().await;
    let healthy = world.get("/-/healthy").await;
    assert_eq!((healthy.status, healthy.body.as_str()), (200, "ok\n"));
    assert_eq!(world.get("/-/ready").await.status, 200);
    *world.app.not_ready.lock().expect("a test") = Some("No rules are loaded yet.".to_owned());
    let problem = world.get("/-/ready").await.problem(503, "/-/ready");
    assert!(problem.contains("No rules are loaded yet."), "{problem}");
    assert_eq!(world.get("/-/healthy").await.status, 200, "the process still works");
}

#[tokio::test]
async fn health_is_as_bad_as_the_worst_component() {
    let world = World::start().await;
    let component = |name, state| ComponentHealth { name, state, detail: "see below".to_owned() };
    use ComponentState::{Degraded, Down, Ok};
    for (components, status, word) in [
        (vec![], 200, "ok"),
        (vec![component("rules", Ok)], 200, "ok"),
        (vec![component("sinks", Degraded), component("rules", Ok)], 200, "degraded"),
        (vec![component("sinks", Degraded), component("rules", Down)], 503, "down"),
    ] {
        *world.app.components.lock().expect("a test") = components.clone();
        let answer = world.get("/health").await;
        assert_eq!((answer.status, &answer.json()["status"]), (status, &json!(word)));
        assert_eq!(answer.json()["components"], json!(components));
    }
    let last = world.get("/health").await.json()["components"][1].clone();
    assert_eq!(last, json!({ "name": "rules", "state": "down", "detail": "see below" }));
}

#[tokio::test]
async fn metrics_are_a_good_page_from_everyone() {
    let world = World::start().await;
    world.get("/no/such/path").await;
    let answer = world.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let values = check_page(&answer.body).expect("a good page");
    assert_eq!(values["watchfire_samples_total{source=\"udp\"}"], 7.0);
    assert_eq!(values["watchfire_http_requests_total{method=\"GET\",code=\"404\"}"], 1.0);
    assert_eq!(values["watchfire_http_request_duration_seconds_count"], 1.0);
    assert_eq!(values["watchfire_bus_events_total"], 0.0);
}

#[tokio::test]
async fn rules_have_prometheus_shape() {
    let world = World::start().await;
    *world.app.rules.lock().expect("a test") = vec![rule("disk-full")];
    *world.app.alerts.lock().expect("a test") =
        vec![alert("disk-full", AlertState::Cooling), alert("other", AlertState::Pending)];
    let alert = json!({
        "labels": { "alertname": "disk-full", "host": "db1", "team": "core" },
        "annotations": { "text": "disk 91.5" },
        "state": "firing",
        "activeAt": "2023-11-14T22:13:20.5Z",
        "value": "91.5",
        "watchfire": {
            "rule": "disk-full",
            "key": { "host": "db1" },
            "state": "cooling",
            "level": "critical",
            "value": 91.5,
            "since": "2023-11-14T22:13:20.5Z",
            "fired_at": "2023-11-14T22:13:20.5Z",
            "fingerprint": "0000000000000f00",
            "shadow": false,
        },
    });
    let rule = json!({
        "state": "firing",
        "name": "disk-full",
        "query": "disk.used_pct | by host when v > 90",
        "duration": 120.0,
        "keepFiringFor": 300.0,
        "labels": { "team": "core" },
        "annotations": { "text": "disk ${a.value}" },
        "alerts": [alert],
        "health": "ok",
        "lastError": "",
        "evaluationTime": 0.0,
        "lastEvaluation": "2023-11-14T22:13:20.5Z",
        "type": "alerting",
        "watchfire": {
            "line": 7,
            "version": "000000000000beef",
            "selector": "disk.used_pct",
            "view": "by host when v > 90",
            "health": "ok",
            "groups": 3,
            "shadow": false,
        },
    });
    let group = json!({
        "name": "disk",
        "file": "rules/web/disk.rhai",
        "interval": 0,
        "limit": 0,
        "rules": [rule],
    });
    let answer = world.get("/api/v1/rules").await;
    assert_eq!(answer.json(), json!({ "status": "success", "data": { "groups": [group] } }));
}

#[tokio::test]
async fn faults_and_shadow_rules_cannot_be_overlooked() {
    let world = World::start().await;
    let faulting = RuleStatus {
        health: RuleHealth::Quarantined,
        last_error: Some("disk.rhai:9: no such field".to_owned()),
        ..rule("a")
    };
    let silent = RuleStatus { last_evaluation: None, ..rule("b") };
    let shadow = RuleStatus { shadow: true, ..rule("c") };
    *world.app.rules.lock().expect("a test") = vec![faulting, silent, shadow];
    let mut tried = alert("c", AlertState::Flapping);
    (tried.shadow, tried.value) = (true, None);
    *world.app.alerts.lock().expect("a test") = vec![tried];
    let rules = world.get("/api/v1/rules").await.json()["data"]["groups"][0]["rules"].clone();
    assert_eq!((&rules[0]["health"], &rules[1]["health"]), (&json!("err"), &json!("unknown")));
    assert_eq!(rules[0]["lastError"], "disk.rhai:9: no such field");
    assert_eq!(rules[0]["watchfire"]["health"], "quarantined");
    assert_eq!(rules[1]["lastEvaluation"], "0001-01-01T00:00:00Z");
    assert_eq!(rules[2]["labels"], json!({ "shadow": "true", "team": "core" }));
    let alerts = world.get("/api/v1/alerts").await.json();
    assert_eq!(alerts["status"], "success");
    let alert = &alerts["data"]["alerts"][0];
    assert_eq!((&alert["labels"]["shadow"], &alert["value"]), (&json!("true"), &json!("NaN")));
    assert_eq!(
        (&alert["state"], &alert["watchfire"]["state"]),
        (&json!("firing"), &json!("flapping"))
    );
}

#[tokio::test]
async fn prometheus_own_parameters_narrow_the_rules() {
    let world = World::start().await;
    let elsewhere = crate::kernel::rule::Origin { file: "rules/cpu.rhai".into(), line: 1 };
    *world.app.rules.lock().expect("a test") =
        vec![rule("a"), rule("b"), RuleStatus { origin: elsewhere, ..rule("c") }];
    *world.app.alerts.lock().expect("a test") = vec![alert("a", AlertState::Firing)];
    for (query, wanted) in [
        ("", "cpu:c disk:a!b"),
        ("?type=alert&limit=1", "cpu:c disk:a!b"),
        ("?type=record", ""),
        ("?rule_name[]=b&rule_name[]=c", "cpu:c disk:b"),
        ("?rule_group[]=disk&exclude_alerts=true", "disk:ab"),
        ("?file[]=rules%2Fcpu.rhai", "cpu:c"),
    ] {
        let answer = world.get(&format!("/api/v1/rules{query}")).await.json();
        let groups = answer["data"]["groups"].as_array().expect("groups").iter().map(|group| {
            let rules = group["rules"].as_array().expect("rules").iter().map(|rule| {
                let alerts = rule["alerts"].as_array().expect("alerts").len();
                format!("{}{}", rule["name"].as_str().expect("a name"), "!".repeat(alerts))
            });
            format!("{}:{}", group["name"].as_str().expect("a name"), rules.collect::<String>())
        });
        assert_eq!(groups.collect::<Vec<_>>().join(" "), wanted, "{query}");
    }
}

#[tokio::test]
async fn reloads_sinks_and_sources_are_shown() {
    let world = World::start().await;
    assert_eq!(
        world.get("/api/v1/reloads").await.json()["reloads"][0],
        json!({
            "id": 4,
            "at": "2023-11-14T22:13:20Z",
            "trigger": "command",
            "outcome": "adopted",
            "version": "0000000000000009",
            "files": [{ "file": "rules/a.rhai", "findings": [{
                "severity": "error", "line": 3, "column": 9, "message": "`soka` is no word here",
                "source": "    .soka(\"2m\")", "hint": "did you mean `soak`?",
            }] }],
            "rules": [{ "rule": "disk-full", "change": "kept", "why": "the conditions changed" }],
            "duration": "31ms",
            "pause": "1ms",
        })
    );
    assert_eq!(
        world.get("/api/v1/sinks").await.json()["sinks"][0],
        json!({
            "name": "ops-chat", "kind": "rhai", "version": "0000000000000005",
            "state": "disconnected", "pending": 2, "delivered": 10, "attempts": 13,
            "failed_attempts": 3, "dead": 1, "last_error": "connection refused",
            "last_delivery": "2023-11-14T22:13:20Z", "next_attempt": null,
        })
    );
    assert_eq!(
        world.get("/api/v1/sources").await.json()["sources"][0],
        json!({
            "name": "http", "kind": "http", "state": "catching_up", "samples": 100, "bytes": 9000,
            "refused": { "future": 2 }, "defects": 1, "late": 0,
            "watermark": "2023-11-14T22:13:20.5Z", "last_batch": "2023-11-14T22:13:20Z",
            "last_error": null,
        })
    );
}

#[tokio::test]
async fn a_sink_is_tested() {
    let world = World::start().await;
    let good = world.post("/api/v1/sinks/ops-chat/test", &[], "").await;
    let report = json!({ "delivered": true, "said": "200 OK", "took": "12ms" });
    assert_eq!((good.status, good.json()), (200, report));
    for (name, status, said) in [("broken", 502, "refused"), ("gone", 404, "no sink `gone`")] {
        let path = format!("/api/v1/sinks/{name}/test");
        let problem = world.post(&path, &[], "").await.problem(status, &path);
        assert!(problem.contains(said), "{problem}");
    }
}

#[tokio::test]
async fn a_reload_that_left_something_out_fails() {
    let world = World::start().await;
    for (outcome, status) in [
        (ReloadOutcome::Adopted, 200),
        (ReloadOutcome::Unchanged, 200),
        (ReloadOutcome::Partial, 422),
        (ReloadOutcome::Failed, 422),
    ] {
        *world.app.outcome.lock().expect("a test") = Some(outcome);
        let answer = world.post("/api/v1/reload", &[], "").await;
        assert_eq!(answer.status, status, "{outcome:?}");
        let json = answer.json();
        let report = if status == 200 { &json } else { &json["report"] };
        assert_eq!(report["outcome"], json!(outcome));
        if status != 200 {
            answer.problem(422, "/api/v1/reload");
        }
    }
    let path = "/api/v1/rules/accept-empty";
    let problem = world.post(path, &[], "").await.problem(409, path);
    assert!(problem.contains("nothing to accept"), "{problem}");
}

#[tokio::test]
async fn flush_and_forget_are_done() {
    let world = World::start().await;
    assert_eq!(world.post("/api/v1/flush", &[], "").await.json(), json!({ "flushed": true }));
    let as_json = [("content-type", "application/json; charset=utf-8")];
    let body = r#"{"rule":"disk-full","key":{"host":"db1"}}"#;
    let answer = world.post("/api/v1/forget", &as_json, body).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "resolved": true })));
    assert_eq!(*world.app.forgotten.lock().expect("a test"), [r#"disk-full{host="db1"}"#]);
    for (headers, body, status) in [
        (&as_json[..], "{", 400),
        (&as_json[..], r#"{"rule":"disk-full"}"#, 400),
        (&as_json[..], r#"{"rule":"a","key":{},"force":true}"#, 400),
        (&[][..], body, 415),
        (&[("content-type", "text/plain")][..], body, 415),
    ] {
        let answer = world.post("/api/v1/forget", headers, body).await;
        answer.problem(status, "/api/v1/forget");
    }
    assert_eq!(world.app.forgotten.lock().expect("a test").len(), 1, "the bad ones did nothing");
}

#[tokio::test]
async fn wrong_paths_and_methods_are_problems() {
    let world = World::start().await;
    let problem = world.get("/api/v2/rules?x=1").await.problem(404, "/api/v2/rules");
    assert!(problem.contains("/api/v2/rules"), "{problem}");
    let answer = world.get("/ingest").await;
    answer.problem(405, "/ingest");
    assert_eq!(answer.header("allow"), "POST");
    let answer = world.post("/api/v1/rules", &[], "").await;
    answer.problem(405, "/api/v1/rules");
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn the_index_lists_the_paths_and_nothing_may_be_cached_or_guessed() {
    let world = World::start().await;
    let answer = world.get("/").await;
    assert!(answer.body.contains("/api/v1/events"), "{}", answer.body);
    for answer in [answer, world.get("/nothing").await] {
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}
