//! `POST /ingest`: samples over HTTP in any of the text formats, plain or packed with gzip.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Shared;
use super::body::{self, essence};
use super::commands::{Format, IngestError, IngestReport};
use super::problem::{Problem, Trouble};
use super::query;
use crate::kernel::model::Defect;

/// What became of a body. `defects` holds the first ones only; `defect_count` all.
#[derive(Serialize)]
struct Answer<'a> {
    accepted: u64,
    /// By reason; only those that happened.
    refused: BTreeMap<&'static str, u64>,
    defects: &'a [Defect],
    defect_count: u64,
}

pub async fn ingest(State(api): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let reader = reader_of(&request)?;
    check_encoding(request.headers())?;
    let mut held = body::read(&api, request.into_body()).await?;
    let words = reader.words();
    let report = api
        .tell(move |commands| {
            // The bytes stay counted until they are decoded.
            let bytes = std::mem::take(&mut held.bytes);
            let report = match &reader {
                Reader::Format(format) => commands.ingest(*format, bytes),
                Reader::Plugin { name, kind } => commands.ingest_by(name, kind, bytes),
            };
            drop(held);
            report
        })
        .await?
        .map_err(refused)?;
    answer(&words, &report)
}

/// Who reads a body.
enum Reader {
    Format(Format),
    Plugin { name: String, kind: String },
}

impl Reader {
    fn words(&self) -> String {
        match self {
            Reader::Format(format) => format.name().to_owned(),
            Reader::Plugin { name, .. } => format!("what the plugin {name} reads"),
        }
    }
}

/// `?source=NAME` names a plugin; without it the format says who reads.
fn reader_of(request: &Request) -> Result<Reader, Problem> {
    let query = query::pairs(request.uri())?;
    let Some((_, name)) = query.into_iter().find(|(name, _)| name == "source") else {
        return format_of(request).map(Reader::Format);
    };
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    // What `curl --data` claims says nothing.
    let kind = kind.map(essence).filter(|kind| kind != "application/x-www-form-urlencoded");
    Ok(Reader::Plugin { name, kind: kind.unwrap_or_default() })
}

/// Good lines count even among bad ones; a body with nothing else than bad lines is an error, or
/// a sender that uses the wrong format would never learn of it.
fn answer(reader: &str, report: &IngestReport) -> Result<Response, Problem> {
    let counts = report.refused.iter().filter(|(_, count)| *count > 0);
    let answer = Answer {
        accepted: report.accepted,
        refused: counts.map(|(refusal, count)| (refusal.name(), count)).collect(),
        defects: &report.defects,
        defect_count: report.defect_count,
    };
    if report.defect_count == 0 || report.accepted > 0 || report.refused.total() > 0 {
        return Ok(Json(answer).into_response());
    }
    let detail = format!("No line of the body could be read as {reader}.");
    let defects = serde_json::to_value(answer.defects).expect("defects are plain text");
    let hint = format!("Is it in another format? Give ?format=, one of {}.", format_names());
    Err(Problem::new(Trouble::BadRequest, detail, hint)
        .with("defects", defects)
        .with("defect_count", report.defect_count.into()))
}

fn refused(error: IngestError) -> Problem {
    match error {
        IngestError::Full { retry_after } => {
            let detail = "More came than can be judged just now; nothing was taken.";
            let hint = "Send the same body again after the time in `retry-after`.";
            Problem::new(Trouble::Full, detail, hint).retry_after(retry_after)
        }
        IngestError::TooLarge { why } => Problem::new(Trouble::TooLarge, why, "Send it in parts."),
        IngestError::UnknownSource { known } => {
            let detail = "No plugin of this name reads a format.";
            let hint = match known.is_empty() {
                true => "Put a component of the world `source` into the plugins folder.".to_owned(),
                false => format!("One of {}.", known.join(", ")),
            };
            Problem::new(Trouble::NotFound, detail, hint)
        }
        IngestError::Blocked { why, cure } => {
            let detail = format!("The plugin is blocked: {why}.");
            Problem::new(Trouble::Unavailable, detail, format!("grants.toml needs\n{cure}"))
        }
        IngestError::ContentType { takes } => {
            let detail = "The plugin takes other content types.";
            Problem::new(Trouble::Unsupported, detail, format!("One of {}.", takes.join(", ")))
        }
        IngestError::Held { retry_after } => {
            let detail =
                "The plugin that reads this died too often, and is left alone for a while.";
            let hint = "`watchfire plugin list` shows how it died.";
            Problem::new(Trouble::Unavailable, detail, hint).retry_after(retry_after)
        }
        IngestError::Closed => {
            let hint = "Send it again when it is back.";
            Problem::new(Trouble::Unavailable, "Watchfire is stopping.", hint)
        }
    }
}

/// The query says it, else the content type, else it is JSON lines. `curl --data` claims a form
/// and many clients claim nothing, so these count as not said.
fn format_of(request: &Request) -> Result<Format, Problem> {
    let query = query::pairs(request.uri())?;
    if let Some((_, name)) = query.iter().find(|(name, _)| name == "format") {
        return Format::parse(name).ok_or_else(|| {
            let detail = format!("There is no format `{name}`.");
            Problem::new(Trouble::BadRequest, detail, format!("One of {}.", format_names()))
        });
    }
    let Some(kind) = request.headers().get(header::CONTENT_TYPE) else { return Ok(Format::Json) };
    let kind = kind.to_str().unwrap_or("");
    match essence(kind).as_str() {
        "application/json"
        | "application/x-ndjson"
        | "application/jsonl"
        | "application/octet-stream"
        | "application/x-www-form-urlencoded" => Ok(Format::Json),
        "text/csv" => Ok(Format::Csv),
        "text/plain" if kind.contains("version=0.0.4") => Ok(Format::Prom),
        _ => {
            let detail = format!("The content type `{kind}` names no format.");
            let hint = format!("Give ?format=, one of {}.", format_names());
            Err(Problem::new(Trouble::Unsupported, detail, hint))
        }
    }
}

/// The gzip layer takes the header away from what it unpacks, so what is left is not unpacked.
fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING).map(|encoding| encoding.as_bytes()) {
        None | Some(b"identity") => Ok(()),
        Some(_) => {
            let detail = "The content encoding is not known here.";
            let hint = "Send the body plain or as gzip.";
            Err(Problem::new(Trouble::Unsupported, detail, hint))
        }
    }
}

fn format_names() -> String {
    Format::ALL.map(Format::name).join(", ")
}
