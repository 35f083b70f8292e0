//! Past and live events.

use serde_json::json;

use super::*;
use crate::kernel::event::Kind;
use crate::shell::bus::tests::event;

/// An open event stream, read one block at a time.
struct Reader {
    response: reqwest::Response,
    text: String,
}

impl Reader {
    async fn open(world: &World, path: &str, last_id: Option<&str>) -> Reader {
        let mut request = world.client.get(world.url(path)).header("accept", "text/event-stream");
        if let Some(last_id) = last_id {
            request = request.header("last-event-id", last_id);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut reader = Reader { response, text: String::new() };
        assert_eq!(reader.block().await, Some(": watchfire\nretry: 1000".to_owned()));
        reader
    }

    /// The lines up to the next empty one; `None` when the stream has ended.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let chunk = self.response.chunk().await.expect("the stream ends as it should")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    /// `fired 3` for an event, `lagged {"missed":2}` for a gap.
    async fn next(&mut self) -> String {
        let block = self.block().await.expect("the stream goes on");
        let field = |name: &str| {
            let prefix = format!("{name}: ");
            block.lines().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
        };
        let (kind, data) = (field("event").expect("a kind"), field("data").expect("data"));
        let Some(id) = field("id") else { return format!("{kind} {data}") };
        let data: Value = serde_json::from_str(&data).expect("JSON");
        assert_eq!((&data["cursor"].to_string(), &data["kind"]), (&id, &json!(kind)));
        format!("{kind} {id}")
    }
}

fn publish(world: &World, count: usize) {
    for _ in 0..count {
        world.bus.publish(Arc::new(event("disk-full", Kind::Fired)));
    }
}

#[tokio::test]
async fn history_comes_in_pages() {
    let world = World::start().await;
    publish(&world, 3);
    let page = world.get("/api/v1/events?after=0&limit=2").await.json();
    assert_eq!((&page["next"], &page["complete"]), (&json!(2), &json!(true)));
    let event = &page["events"][1];
    assert_eq!((&event["cursor"], &event["rule"]), (&json!(2), &json!("disk-full")));
    assert_eq!((&event["kind"], &event["key"]), (&json!("fired"), &json!({ "host": "web-1" })));
    let page = world.get("/api/v1/events?after=2").await.json();
    assert_eq!(page["events"].as_array().map(Vec::len), Some(1));
    let page = world.get("/api/v1/events?after=77").await.json();
    assert_eq!(page["complete"], false, "a cursor of another run");
}

#[tokio::test]
async fn the_query_says_which_events() {
    let world = World::start().await;
    let mut shadow = event("disk-full", Kind::Resolved);
    shadow.shadow = true;
    for event in [event("cpu-high", Kind::Fired), event("cpu-low", Kind::Pending), shadow] {
        world.bus.publish(Arc::new(event));
    }
    for (query, wanted) in [
        ("", vec![1]),
        ("?kind=all", vec![1, 2]),
        ("?kind=pending,fired", vec![1, 2]),
        ("?kind=pending&rule=cpu-*", vec![2]),
        ("?shadow=with", vec![1, 3]),
        ("?shadow=only", vec![3]),
        ("?level=critical", vec![]),
        ("?level=warning&labels=host%3D~%22web.*%22,team=core", vec![1]),
        ("?labels=host=web-2", vec![]),
        ("?kind=all&limit=1", vec![2]),
    ] {
        let page = world.get(&format!("/api/v1/events{query}")).await.json();
        let cursors = page["events"].as_array().expect("events").iter();
        let cursors: Vec<i64> = cursors.filter_map(|event| event["cursor"].as_i64()).collect();
        assert_eq!(cursors, wanted, "{query}");
    }
    for (query, hint) in [
        ("?kind=exploded", "fired, changed"),
        ("?level=loud", "info, warning or critical"),
        ("?after=x", "cursor"),
        ("?limit=-1", "number"),
        ("?labels=host", "label=value"),
        ("?shadow=yes", "without, with or only"),
        ("?topic=x", "The parameters are"),
    ] {
        let answer = world.get(&format!("/api/v1/events{query}")).await;
        let problem = answer.problem(400, "/api/v1/events");
        assert!(problem.contains(hint), "{query}: {problem}");
    }
}

#[tokio::test]
async fn a_stream_gives_what_happens_from_now_on() {
    let world = World::start().await;
    publish(&world, 1);
    let mut reader = Reader::open(&world, "/api/v1/events?rule=disk-*", None).await;
    world.bus.publish(Arc::new(event("cpu-high", Kind::Fired)));
    world.bus.publish(Arc::new(event("disk-full", Kind::Resolved)));
    assert_eq!(reader.next().await, "resolved 3");
}

#[tokio::test]
async fn a_stream_goes_on_where_the_client_was() {
    let world = World::start().await;
    publish(&world, 3);
    let mut reader = Reader::open(&world, "/api/v1/events?after=1", Some("2")).await;
    publish(&world, 1);
    assert_eq!((reader.next().await, reader.next().await), ("fired 3".into(), "fired 4".into()));
    let mut reader = Reader::open(&world, "/api/v1/events?after=3", None).await;
    assert_eq!(reader.next().await, "fired 4");
    for foreign in ["900", "abc", ""] {
        let mut reader = Reader::open(&world, "/api/v1/events", Some(foreign)).await;
        assert_eq!(reader.next().await, "lagged {\"missed\":null}", "{foreign:?}");
        assert_eq!(reader.next().await, "fired 1");
    }
}

#[tokio::test]
async fn a_slow_client_is_told_how_much_it_missed() {
    let world = World::start().await;
    let mut reader = Reader::open(&world, "/api/v1/events", None).await;
    // Test and server share one thread, so the server's task sees all of them at once.
    publish(&world, 1_100);
    assert_eq!(reader.next().await, "lagged {\"missed\":76}");
    assert_eq!(reader.next().await, "fired 77");
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive() {
    let world = World::start_with(|options| options.heartbeat = Duration::from_millis(1)).await;
    let mut reader = Reader::open(&world, "/api/v1/events", None).await;
    assert_eq!(reader.block().await, Some(": heartbeat".to_owned()));
}

#[tokio::test]
async fn streams_are_limited() {
    let world = World::start_with(|options| options.streams_max = 1).await;
    let _reader = Reader::open(&world, "/api/v1/events", None).await;
    let request = world.client.get(world.url("/api/v1/events"));
    let answer = send(request.header("accept", "text/event-stream")).await;
    answer.problem(503, "/api/v1/events");
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(world.get("/api/v1/events").await.status, 200, "pages are still given");
}

/// Neither the grace nor the timeout of idle connections ends within the test: only the stop does.
#[tokio::test]
async fn a_stop_ends_streams_and_idle_connections() {
    let hour = Duration::from_secs(3_600);
    let world = World::start_with(|options| {
        (options.stop_grace, options.header_timeout) = (hour, hour);
    })
    .await;
    assert_eq!(world.get("/-/healthy").await.status, 200);
    let mut reader = Reader::open(&world, "/api/v1/events", None).await;
    world.api.stop().await;
    assert_eq!(reader.block().await, None);
}
