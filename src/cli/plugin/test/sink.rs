//! A sink, given alerts: each attempt, the requests that it made, and how it went.

use std::io::Write;
use std::sync::Arc;

use super::recorder::{Answer, Recorder};
use super::{Args, alerts, unreadable};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::printable;
use crate::config::catalog::LiveSink;
use crate::guest::grant::{Granted, Request, Secret};
use crate::guest::sink::{Outcome, SinkEnv};
use crate::kernel::event::Event;

pub fn test(
    live: &LiveSink,
    args: &Args,
    answer: &Answer,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let events = events(args)?;
    let internal = |what: String| Failure::bare(Exit::Internal, what);
    let recorder = Recorder::start(answer)
        .map_err(|error| internal(format!("no server can listen here: {error}")))?;
    let folder = tempfile(&live.sink.name).map_err(internal)?;
    let granted = granted(&live.sink.needs, &recorder);
    let env = SinkEnv { granted, folder: folder.clone(), settings: live.settings.clone() };
    let outcome = attempts(live, &env, &events, &recorder, out);
    // What a sink wrote into its own folder is of no use to anybody.
    let _ = std::fs::remove_dir_all(&folder);
    outcome
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

/// Everything that is asked for, with made-up secrets, and nobody behind it.
fn granted(needs: &[Request], recorder: &Recorder) -> Granted {
    let mut granted =
        Granted { private_addresses: true, stand_in: Some(recorder.address), ..Granted::default() };
    for need in needs {
        match need {
            Request::Http(host) => granted.http.push(host.clone()),
            Request::File(pattern) => granted.files.push(pattern.clone()),
            Request::Secret(name) => {
                let value = Secret::new(&format!("secret-{name}"));
                granted.secrets.insert(name.clone(), value);
            }
        }
    }
    granted
}

fn tempfile(name: &str) -> Result<std::path::PathBuf, String> {
    let folder = std::env::temp_dir().join(format!("watchfire-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    Ok(folder)
}

fn attempts(
    live: &LiveSink,
    env: &SinkEnv,
    events: &[Arc<Event>],
    recorder: &Recorder,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::bare(Exit::Internal, format!("no runtime: {error}")))?;
    let mut sink = match live.sink.opener.open(env) {
        Ok(sink) => sink,
        Err(fault) => {
            writeln!(out, "it cannot be opened: {}", printable(&fault.to_string()))?;
            return Ok(Exit::Findings);
        }
    };
    let (mut requests, mut failed, mut attempts) = (0, 0, 0);
    for batch in events.chunks(live.sink.batching.max.max(1)) {
        attempts += 1;
        let key = format!("test-{attempts}");
        let outcome = runtime.block_on(sink.deliver(&key, batch));
        let made = recorder.take();
        requests += made.len();
        for request in made {
            write!(out, "{request}")?;
        }
        let (delivered, words) = words(&outcome);
        failed += usize::from(!delivered);
        writeln!(out, "{} alerts: {}", batch.len(), printable(words.trim_end()))?;
        if matches!(outcome, Outcome::Faulted(_)) {
            break;
        }
    }
    let left_out = recorder.left_out();
    if left_out > 0 {
        writeln!(out, "{left_out} more requests are not shown")?;
    }
    writeln!(out, "{attempts} attempts, {failed} failed, {requests} requests")?;
    Ok(if failed == 0 { Exit::Ok } else { Exit::Findings })
}

/// Whether an attempt delivered, and how it went in words.
fn words(outcome: &Outcome) -> (bool, String) {
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
