//! A sink, given alerts: each attempt, the requests that it made, and how it went.

use std::io::Write;
use std::sync::Arc;

use super::recorder::Answer;
use super::stage::Stage;
use super::{Args, alerts, unreadable};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::printable;
use crate::config::catalog::LiveSink;
use crate::guest::sink::Outcome;
use crate::kernel::event::Event;

pub fn test(
    live: &LiveSink,
    args: &Args,
    answer: &Answer,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let events = events(args)?;
    let mut stage = Stage::new(&live.sink.name, &live.sink.needs, &live.settings, answer)?;
    let mut sink = match live.sink.opener.open(&stage.env) {
        Ok(sink) => sink,
        Err(fault) => {
            writeln!(out, "it cannot be opened: {}", printable(&fault.to_string()))?;
            return Ok(Exit::Findings);
        }
    };
    let (mut failed, mut attempts) = (0, 0);
    for batch in events.chunks(live.sink.batching.max.max(1)) {
        attempts += 1;
        let key = format!("test-{attempts}");
        let outcome = stage.runtime.block_on(sink.deliver(&key, batch));
        stage.show(out)?;
        let (delivered, words) = words(&outcome);
        failed += usize::from(!delivered);
        writeln!(out, "{} alerts: {}", batch.len(), printable(words.trim_end()))?;
        if matches!(outcome, Outcome::Faulted(_)) {
            break;
        }
    }
    let requests = stage.requests(out)?;
    writeln!(out, "{attempts} attempts, {failed} failed, {requests} requests")?;
    Ok(if failed == 0 { Exit::Ok } else { Exit::Findings })
}

fn events(args: &Args) -> Result<Vec<Arc<Event>>, Failure> {
    let beside = args.file.with_extension("alerts.jsonl");
    let file = match &args.alerts {
        Some(file) => file.clone(),
        None if beside.is_file() => beside,
        None => return Ok(alerts::canned()),
    };
    let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
    alerts::read(&text).map_err(|why| {
        let what = format!("{}: {why}", file.display());
        Failure::new(Exit::Usage, what, "write alerts as `watchfire replay` prints them")
    })
}

/// Whether an attempt delivered, and how it went in words.
pub fn words(outcome: &Outcome) -> (bool, String) {
    match outcome {
        Outcome::Delivered { note: None } => (true, "delivered".to_owned()),
        Outcome::Delivered { note: Some(note) } => (true, format!("delivered ({note})")),
        Outcome::Retry { after: None, why } => (false, format!("to be tried again: {why}")),
        Outcome::Retry { after: Some(after), why } => {
            (false, format!("to be tried again after {after}: {why}"))
        }
        Outcome::Rejected { why } => (false, format!("rejected: {why}")),
        Outcome::Faulted(fault) => (false, format!("it faulted: {fault}")),
    }
}
