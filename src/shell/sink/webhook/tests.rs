//! The webhook against answers of all kinds.

use std::sync::Mutex;

use super::*;

fn settings(body: Option<&str>) -> WebhookSettings {
    WebhookSettings {
        url: "https://hooks.example.net/{{ secret.PATH }}".to_owned(),
        method: None,
        headers: BTreeMap::from([("x-team".to_owned(), "{{secret.TEAM}}".to_owned())]),
        body: body.map(str::to_owned),
        timeout: None,
    }
}

/// A door that remembers requests and answers from a list, in order.
#[derive(Default)]
struct Desk {
    answers: Mutex<Vec<u16>>,
    requests: Mutex<Vec<HttpRequest>>,
}

impl Door for Arc<Desk> {
    fn send(&self, request: HttpRequest) -> Answer<'_> {
        self.requests.lock().unwrap().push(request);
        let status = self.answers.lock().unwrap().pop().unwrap_or(200);
        Box::pin(async move { Ok(response(status, &[], "")) })
    }
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> HttpResponse {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    HttpResponse { status, headers: headers.collect(), body: body.as_bytes().to_vec() }
}

fn events(count: i64) -> Vec<Arc<Event>> {
    (0..count).map(|at| Arc::new(own::test("ops", Now::from_nanos(at)))).collect()
}

fn text(parts: &[Part]) -> String {
    let print = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Secret(name) => format!("<{name}>"),
    };
    parts.iter().map(print).collect()
}

#[test]
fn a_status_decides_whether_to_try_again() {
    for (status, expected) in [
        (200, "delivered"),
        (204, "delivered"),
        (299, "delivered"),
        (300, "rejected"),
        (400, "rejected"),
        (401, "rejected"),
        (404, "rejected"),
        (407, "rejected"),
        (408, "retry"),
        (409, "rejected"),
        (428, "rejected"),
        (429, "retry"),
        (430, "rejected"),
        (499, "rejected"),
        (500, "retry"),
        (503, "retry"),
        (599, "retry"),
        (600, "rejected"),
        (101, "rejected"),
    ] {
        let name = match outcome_of(Ok(response(status, &[], ""))) {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Retry { .. } => "retry",
            Outcome::Rejected { .. } => "rejected",
            Outcome::Faulted(_) => "faulted",
        };
        assert_eq!(name, expected, "{status}");
    }
}

#[test]
fn an_error_on_the_way_is_tried_again_and_a_missing_grant_is_not() {
    let words = || "why".to_owned();
    let retry = |why: &str| Outcome::Retry { after: None, why: why.to_owned() };
    let rejected = |why: &str| Outcome::Rejected { why: why.to_owned() };
    for (error, expected) in [
        (HttpError::TimedOut, retry("no answer in time")),
        (HttpError::Unreachable(words()), retry("why")),
        (HttpError::Other(words()), retry("why")),
        (HttpError::Denied(words()), rejected("why")),
        (HttpError::Invalid(words()), rejected("why")),
        (
            HttpError::TooLarge(9),
            rejected("the answer passes 9 bytes, so whether it was taken is not known"),
        ),
    ] {
        assert_eq!(outcome_of(Err(error.clone())), expected, "{error:?}");
    }
}

#[test]
fn a_receiver_s_wait_is_read_in_seconds_or_against_its_own_clock() {
    let date = ("Date", "Wed, 21 Oct 2015 07:28:00 GMT");
    let later = ("retry-after", "Wed, 21 Oct 2015 07:29:30 GMT");
    let earlier = ("retry-after", "Wed, 21 Oct 2015 07:00:00 GMT");
    for (headers, expected) in [
        (&[("Retry-After", " 120 ")][..], Some("2m")),
        (&[("retry-after", "0")], Some("0s")),
        (&[date, later], Some("90s")),
        (&[date, earlier], Some("0s")),
        (&[later], None),
        (&[("retry-after", "soon")], None),
        (&[("retry-after", "-5")], None),
        (&[], None),
    ] {
        let after = retry_after(&response(503, headers, "")).map(|after| after.to_string());
        assert_eq!(after.as_deref(), expected, "{headers:?}");
    }
}

#[test]
fn what_the_receiver_says_is_kept_short_and_on_one_line() {
    let long = "x".repeat(5_000);
    assert_eq!(refusal(&response(400, &[], " bad\n\n field ")), "status 400: bad field");
    assert_eq!(refusal(&response(500, &[], "")), "status 500");
    assert_eq!(said(&response(200, &[], &long)).map(|said| said.len()), Some(200));
}

#[tokio::test]
async fn all_alerts_go_in_one_request_with_secrets_left_to_the_gate() {
    let desk = Arc::new(Desk::default());
    let webhook = Webhook::new(&settings(None)).expect("it is well written");
    let mut open = Open::new(webhook.recipe.clone(), desk.clone());
    let events = events(2);
    let outcome = open.deliver("the-key", &events).await;
    assert_eq!(outcome, Outcome::Delivered { note: None });
    let requests = desk.requests.lock().unwrap();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(request.method, "POST");
    assert_eq!(text(&request.url), "https://hooks.example.net/<PATH>");
    let headers: Vec<String> =
        request.headers.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect();
    let expected = ["x-team: <TEAM>", "content-type: application/json", "idempotency-key: the-key"];
    assert_eq!(headers, expected);
    let body: serde_json::Value = serde_json::from_str(&text(&request.body)).expect("JSON");
    assert_eq!(body["alerts"].as_array().map(Vec::len), Some(2));
    assert_eq!(body["alerts"][1]["id"], events[1].id.to_string());
}

#[tokio::test]
async fn a_body_of_one_event_is_sent_for_each_and_a_retry_repeats_only_what_failed() {
    let desk = Arc::new(Desk::default());
    *desk.answers.lock().unwrap() = vec![200, 503, 200];
    let webhook = Webhook::new(&settings(Some(r#"{"text": "{{at}}"}"#))).expect("well written");
    assert_eq!(webhook.batching().max, 1);
    let mut open = Open::new(webhook.recipe.clone(), desk.clone());
    let events = events(3);
    let first = open.deliver("k", &events).await;
    assert!(matches!(first, Outcome::Retry { .. }), "{first:?}");
    assert_eq!(open.deliver("k", &events).await, Outcome::Delivered { note: None });
    let keys: Vec<String> = desk
        .requests
        .lock()
        .unwrap()
        .iter()
        .map(|request| text(&request.headers.last().expect("a key").1))
        .collect();
    let expected = [0, 1, 1, 2].map(|at: usize| events[at].id.to_string());
    assert_eq!(keys, expected);
}

#[test]
fn settings_that_cannot_work_are_said_so_when_they_are_read() {
    let with = |change: fn(&mut WebhookSettings)| {
        let mut settings = settings(None);
        change(&mut settings);
        Webhook::new(&settings).map(|_| ())
    };
    for (result, what) in [
        (with(|s| s.method = Some("DELETE".into())), "a webhook cannot DELETE"),
        (with(|s| s.url = "https://{{rule}}".into()), "url: only {{ secret.NAME }}"),
        (with(|s| s.body = Some("{{txt}}".into())), "body: unknown placeholder `txt`"),
        (with(|s| s.body = Some("{\"a\": {{text}}}".into())), "body: not JSON when filled in"),
        (
            with(|s| drop(s.headers.insert("x".into(), "{{text}}".into()))),
            "header `x`: only {{ secret.NAME }}",
        ),
    ] {
        let error = result.expect_err(what);
        assert!(error.contains(what), "{error}");
    }
    let plain = with(|s| {
        s.method = Some("put".into());
        s.headers.insert("Content-Type".into(), "text/plain".into());
        s.body = Some("{{rule}} {{text}}".into());
    });
    assert_eq!(plain, Ok(()));
    let webhook = Webhook::new(&settings(Some("[\"{{secret.PATH}}\"]"))).expect("well written");
    assert_eq!(webhook.secrets(), ["PATH", "TEAM"]);
}

#[test]
fn a_declared_webhook_asks_for_its_host_and_its_secrets() {
    for (url, needs) in [
        ("https://a.example:8443/x", "http:https://a.example:8443 secret:TEAM"),
        ("http://a.example", "http:http://a.example secret:TEAM"),
        ("https://a.example/{{secret.B}}", "http:https://a.example secret:B secret:TEAM"),
        ("https://a.{{secret.B}}/x", "secret:B secret:TEAM"),
        ("{{secret.B}}", "secret:B secret:TEAM"),
    ] {
        let settings = WebhookSettings { url: url.to_owned(), ..settings(None) };
        let origin = Origin { file: "watchfire.toml".into(), line: 1 };
        let sink = Webhook::new(&settings).expect(url).declare("ops", origin);
        let asked: Vec<String> = sink.needs.iter().map(Request::to_string).collect();
        assert_eq!(asked.join(" "), needs, "{url}");
    }
}
