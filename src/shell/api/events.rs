//! `/api/v1/events`: what happened, as JSON pages or as a live stream of server-sent events.
//!
//! On the stream every event carries its bus cursor as `id` and its kind as `event`. A client that
//! comes back with `Last-Event-ID` goes on where it was; what it missed for good is told by an
//! event `lagged` with `{"missed": n}`, or `null` when the number is not known.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{self, HeaderMap};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{Stream, unfold};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::problem::{Problem, Trouble};
use super::{Shared, blocking, query};
use crate::kernel::event::Kind;
use crate::kernel::model::Level;
use crate::kernel::rule::selector::{Matcher, NamePattern};
use crate::shell::bus::{Entry, Filter, Kinds, Policy, Received, Shadow, Subscription};

/// Events of a page when the client does not say.
const LIMIT_DEFAULT: usize = 100;

/// What a slow client may be behind before the oldest are shed.
const STREAM_POLICY: Policy = Policy::ShedOldest { capacity: 1_024 };

/// After a broken connection a browser waits this long before it comes back.
const RECONNECT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Wanted {
    filter: Filter,
    after: Option<u64>,
    limit: Option<usize>,
}

pub async fn events(
    State(api): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = read_query(&uri)?;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/event-stream")) {
        return stream(&api, wanted, &headers);
    }
    let limit = wanted.limit.unwrap_or(LIMIT_DEFAULT);
    // A full page is some ten megabytes of JSON, which would hold up other requests.
    let bus = api.bus.clone();
    blocking(move || Json(bus.history(&wanted.filter, wanted.after, limit)).into_response()).await
}

fn stream(api: &Shared, wanted: Wanted, headers: &HeaderMap) -> Result<Response, Problem> {
    let Ok(slot) = api.streams.clone().try_acquire_owned() else {
        let detail = format!("{} event streams are open.", api.options.streams_max);
        let hint = "Close some; one stream can carry all rules.";
        return Err(
            Problem::new(Trouble::Unavailable, detail, hint).retry_after(Duration::from_secs(5))
        );
    };
    // A last id that is no number was not ours: everything there is, and a note that it may not
    // be all.
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let after = last_id.map(|id| id.parse().unwrap_or(u64::MAX)).or(wanted.after);
    let (past, complete, subscription) = match after {
        Some(after) => {
            let (history, subscription) = api.bus.resume(wanted.filter, STREAM_POLICY, after);
            (history.entries, history.complete, subscription)
        }
        None => (Vec::new(), true, api.bus.subscribe(wanted.filter, STREAM_POLICY)),
    };
    let mut first = VecDeque::from([Event::default().comment("watchfire").retry(RECONNECT)]);
    if !complete {
        first.push_back(lagged(None));
    }
    let stopping = api.stopping.clone();
    let feed = Feed { first, past: past.into(), subscription, stopping, _slot: slot };
    let heartbeat = KeepAlive::new().interval(api.options.heartbeat).text("heartbeat");
    Ok(Sse::new(feed.into_stream()).keep_alive(heartbeat).into_response())
}

/// One client's stream: what comes first, then the past, then what happens.
struct Feed {
    first: VecDeque<Event>,
    past: VecDeque<Entry>,
    subscription: Subscription,
    stopping: watch::Receiver<bool>,
    _slot: OwnedSemaphorePermit,
}

impl Feed {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        unfold(self, |mut feed| async move { feed.next().await.map(|event| (Ok(event), feed)) })
    }

    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.first.pop_front() {
            return Some(event);
        }
        if let Some(entry) = self.past.pop_front() {
            return Some(print(&entry));
        }
        tokio::select! {
            // A closed channel means that the API is gone, which is a stop as well.
            _ = self.stopping.wait_for(|stopping| *stopping) => None,
            received = self.subscription.recv() => match received? {
                Received::Event(entry) => Some(print(&entry)),
                Received::Lagged(count) => Some(lagged(Some(count))),
            },
        }
    }
}

fn print(entry: &Entry) -> Event {
    Event::default()
        .id(entry.cursor.to_string())
        .event(entry.event.kind.name())
        .data(serde_json::to_string(entry).expect("events are plain data"))
}

fn lagged(missed: Option<u64>) -> Event {
    Event::default().event("lagged").data(json!({ "missed": missed }).to_string())
}

fn read_query(uri: &Uri) -> Result<Wanted, Problem> {
    let mut wanted = Wanted::default();
    for (name, value) in query::pairs(uri)? {
        read_parameter(&mut wanted, &name, &value).map_err(|hint| {
            let detail = format!("`{name}={value}` is not understood.");
            Problem::new(Trouble::BadRequest, detail, hint)
        })?;
    }
    Ok(wanted)
}

/// The error says what would be right.
fn read_parameter(wanted: &mut Wanted, name: &str, value: &str) -> Result<(), String> {
    let filter = &mut wanted.filter;
    match name {
        "after" => wanted.after = Some(value.parse().map_err(|_| "`after` is a cursor.")?),
        "limit" => wanted.limit = Some(value.parse().map_err(|_| "`limit` is a number.")?),
        "rule" => filter.rule = Some(NamePattern::parse(value)),
        "kind" => filter.kinds = read_kinds(value)?,
        "level" => {
            let level = Level::parse(value).ok_or("`level` is info, warning or critical.")?;
            filter.level_min = Some(level);
        }
        "labels" => filter.matchers.extend(Matcher::parse_list(value)?),
        "shadow" => {
            filter.shadow = match value {
                "without" => Shadow::Without,
                "with" => Shadow::With,
                "only" => Shadow::Only,
                _ => return Err("`shadow` is without, with or only.".to_owned()),
            }
        }
        _ => {
            return Err(
                "The parameters are after, limit, rule, kind, level, labels and shadow.".to_owned()
            );
        }
    }
    Ok(())
}

fn read_kinds(text: &str) -> Result<Kinds, String> {
    if text == "all" {
        return Ok(Kinds::All);
    }
    let kinds: Option<Vec<Kind>> = text.split(',').map(Kind::parse).collect();
    kinds.map(Kinds::Only).ok_or_else(|| {
        let names = Kind::ALL.map(Kind::name).join(", ");
        format!("`kind` is `all`, or some of {names}, with commas between them.")
    })
}
