//! Every path of the API and the small handlers behind most of them.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_http::decompression::RequestDecompressionLayer;

use super::Shared;
use super::body;
use super::commands::CommandError;
use super::facts::{ComponentHealth, ComponentState, ReloadOutcome, ReloadReport};
use super::guard::{Guard, guard};
use super::problem::{Problem, Trouble, finish};
use super::{events, ingest, prometheus, query, stats};
use crate::kernel::model::Labels;
use crate::shell::metrics::{CONTENT_TYPE, Exposition};
use crate::shell::sample_sinks::status::SampleSinkStatus;

const INDEX: &str = "\
Watchfire

GET  /-/healthy                     the process works
GET  /-/ready                       rules are loaded and sources started
GET  /health                        each component
GET  /metrics                       Prometheus text
POST /ingest                        samples: ?format=json (default), influx, prom, statsd, csv
GET  /api/v1/rules                  rules, as Prometheus shows them
GET  /api/v1/alerts                 alerts, as Prometheus shows them
GET  /api/v1/events                 past events; with `accept: text/event-stream` live ones
                                    ?after= &limit= &rule= &kind= &level= &labels= &shadow=
GET  /api/v1/reloads                what each reload changed
GET  /api/v1/sinks                  sinks and what waits for them
GET  /api/v1/sources                sources and what they sent
GET  /api/v1/plugins                plugins, what they may reach and what they did
GET  /api/v1/plugins/changes        what happened to plugins: ?after=
POST /api/v1/sinks/{name}/test      send a test event
POST /api/v1/reload                 look at the rule folders now
POST /api/v1/rules/accept-empty     a missing or empty rule folder is meant so
POST /api/v1/flush                  wait until everything is judged and handed to the sinks
POST /api/v1/forget                 {\"rule\": .., \"key\": {..}}
";

pub fn router(api: Arc<Shared>, door: Guard) -> Router {
    // What the layer cannot unpack goes through to the handler, which answers in our own words.
    let unpack = RequestDecompressionLayer::new().gzip(true).pass_through_unaccepted(true);
    Router::new()
        .route("/", get(async || INDEX))
        .route("/-/healthy", get(async || "ok\n"))
        .route("/-/ready", get(ready))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/ingest", post(ingest::ingest).layer(unpack))
        .route("/api/v1/rules", get(prometheus::rules))
        .route("/api/v1/alerts", get(prometheus::alerts))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/reloads", get(reloads))
        .route("/api/v1/sinks", get(sinks))
        .route("/api/v1/sources", get(sources))
        .route("/api/v1/plugins", get(plugins))
        .route("/api/v1/plugins/changes", get(plugin_changes))
        .route("/api/v1/sinks/{name}/test", post(test_sink))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/rules/accept-empty", post(accept_empty))
        .route("/api/v1/flush", post(flush))
        .route("/api/v1/forget", post(forget))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(api.clone())
        .layer(middleware::from_fn_with_state(Arc::new(door), guard))
        .layer(middleware::from_fn(finish))
        .layer(middleware::from_fn_with_state(api, stats::count))
}

async fn no_such_path(uri: Uri) -> Problem {
    let detail = format!("There is nothing at {}.", uri.path());
    Problem::new(Trouble::NotFound, detail, "GET / lists what there is.")
}

async fn no_such_method(method: Method) -> Problem {
    let detail = format!("{method} is not answered here.");
    Problem::new(Trouble::MethodNotAllowed, detail, "The header `allow` lists what is.")
}

async fn ready(State(api): State<Arc<Shared>>) -> Result<&'static str, Problem> {
    let waiting = |why: String| Problem::new(Trouble::Unavailable, why, "Ask again in a moment.");
    if *api.stopping.borrow() {
        return Err(waiting("Watchfire is stopping.".to_owned()));
    }
    api.ask(|facts| facts.ready()).await?.map_err(waiting)?;
    Ok("ready\n")
}

async fn health(State(api): State<Arc<Shared>>) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Health {
        status: ComponentState,
        components: Vec<ComponentHealth>,
    }
    let components = api.ask(|facts| facts.components()).await?;
    let worst = components.iter().map(|component| component.state).max();
    let status = worst.unwrap_or(ComponentState::Ok);
    let code = match status {
        ComponentState::Ok | ComponentState::Degraded => StatusCode::OK,
        ComponentState::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok((code, Json(Health { status, components })).into_response())
}

async fn metrics(State(api): State<Arc<Shared>>) -> Result<Response, Problem> {
    let mut page = Exposition::new();
    let streams = api.options.streams_max - api.streams.available_permits();
    api.stats.write(streams as u64, &mut page);
    api.bus.metrics(&mut page);
    let text = api
        .ask(move |facts| {
            facts.metrics(&mut page);
            page.text()
        })
        .await?;
    let kind = HeaderValue::from_static(CONTENT_TYPE);
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

async fn reloads(State(api): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    let reloads = api.ask(|facts| facts.reloads()).await?;
    Ok(Json(json!({ "reloads": reloads })))
}

async fn plugins(State(api): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    let plugins = api.ask(|facts| facts.plugins()).await?;
    Ok(Json(json!({ "plugins": plugins })))
}

/// The newest changes of all plugins, oldest first; `after=` gives those after a number.
async fn plugin_changes(State(api): State<Arc<Shared>>, uri: Uri) -> Result<Json<Value>, Problem> {
    let mut after = 0;
    for (name, value) in query::pairs(&uri)? {
        if name == "after" {
            after = value.parse().map_err(|_| {
                let detail = format!("`after={value}` is no number.");
                Problem::new(Trouble::BadRequest, detail, "Give the `seq` of a change.")
            })?;
        }
    }
    let changes = api.ask(move |facts| facts.plugin_changes(after)).await?;
    Ok(Json(json!({ "changes": changes })))
}

async fn sinks(State(api): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    let (sinks, samples) = api.ask(|facts| (facts.sinks(), facts.sample_sinks())).await?;
    let samples: Vec<Value> = samples.iter().map(SampleSinkStatus::shown).collect();
    Ok(Json(json!({ "sinks": sinks, "sample_sinks": samples })))
}

async fn sources(State(api): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    let sources = api.ask(|facts| facts.sources()).await?;
    Ok(Json(json!({ "sources": sources })))
}

async fn test_sink(
    State(api): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let test = api.tell(move |commands| commands.test_sink(&name)).await??;
    if test.delivered {
        return Ok(Json(test).into_response());
    }
    let hint = "GET /api/v1/sinks shows the sink's state and its last error.";
    Err(Problem::new(Trouble::SinkFailed, test.said, hint).with("took", json!(test.took)))
}

async fn reload(State(api): State<Arc<Shared>>) -> Result<Response, Problem> {
    reloaded(api.tell(|commands| commands.reload()).await?)
}

async fn accept_empty(State(api): State<Arc<Shared>>) -> Result<Response, Problem> {
    reloaded(api.tell(|commands| commands.accept_empty()).await?)
}

/// A reload that left something out is an error, so that `curl --fail` in a script notices.
fn reloaded(report: Result<ReloadReport, CommandError>) -> Result<Response, Problem> {
    let report = report?;
    let detail = match report.outcome {
        ReloadOutcome::Adopted | ReloadOutcome::Unchanged => {
            return Ok(Json(report).into_response());
        }
        ReloadOutcome::Partial => "Files with errors keep their last good version.",
        ReloadOutcome::Failed => "The rules stay as they were.",
    };
    let report = serde_json::to_value(report).expect("a report is plain data");
    let hint = "The findings are in `report`; `watchfire check` prints them as well.";
    Err(Problem::new(Trouble::Unprocessable, detail, hint).with("report", report))
}

async fn flush(State(api): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    api.tell(|commands| commands.flush()).await??;
    Ok(Json(json!({ "flushed": true })))
}

async fn forget(State(api): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Forget {
        rule: String,
        key: Labels,
    }
    let Forget { rule, key } = body::read_json(&api, request).await?;
    let forgotten = api.tell(move |commands| commands.forget(&rule, &key)).await??;
    Ok(Json(forgotten).into_response())
}
