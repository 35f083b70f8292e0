//! `watchfire plugin test`: one component in the real host, with nothing real around it.
//!
//! A rule is run by its story. What sends is given everything it asks for, secrets with made-up
//! values, and a server on this machine stands in for every host; it records what comes. So a test
//! reaches nobody, and shows the very requests that would go out.

mod alerts;
mod recorder;
mod stage;

mod probe;
mod samples;
mod sink;
mod source;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::builder::RangedI64ValueParser;

use self::recorder::Answer;
use crate::cli::exit::{Exit, Failure};
use crate::cli::stories::RuleFiles;
use crate::cli::test::test_component;
use crate::shell::load;

/// Try a component in the real host: a rule by its story, a sink by alerts, a probe by asking
///
/// A rule runs by NAME.story beside NAME.wasm. A sink is given the alerts in NAME.alerts.jsonl, or
/// two made-up ones; a sample sink those in NAME.samples.jsonl; a source reads NAME.payload; a
/// probe measures once. Everything is granted, but a server on this machine
/// stands in for all hosts and shows what was asked of it. Settings are those in NAME.toml, as in a
/// running instance.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  watchfire plugin test too-hot/too-hot.wasm
  watchfire plugin test page-me/page-me.wasm --alerts odd.jsonl --status 503

Alerts are events as `watchfire replay` prints them, a JSON object a line; what one leaves out is
made up: {\"rule\":\"cpu-high\",\"key\":{\"host\":\"a\"},\"text\":\"cpu is 95\"}")]
pub struct Args {
    /// The component
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A rule's story [default: NAME.story beside the file]
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["alerts", "samples", "payload", "status", "body"])]
    pub story: Option<PathBuf>,
    /// Alerts for a sink [default: NAME.alerts.jsonl beside the file]
    #[arg(long, value_name = "FILE")]
    pub alerts: Option<PathBuf>,
    /// Samples for a sample sink, as JSON lines [default: NAME.samples.jsonl beside the file]
    #[arg(long, value_name = "FILE")]
    pub samples: Option<PathBuf>,
    /// What a source reads [default: NAME.payload beside the file]
    #[arg(long, value_name = "FILE")]
    pub payload: Option<PathBuf>,
    /// The status that the stand-in server answers with
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = statuses())]
    pub status: u16,
    /// The body that it answers with [default: empty]
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
}

/// 2026-01-01T00:00:00Z: the same in every test.
const NOW: i64 = 1_767_225_600_000_000_000;

/// Statuses that end an exchange; the ones below 200 do not.
fn statuses() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(200..=599)
}

pub fn test(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    if !args.file.is_file() {
        let what = format!("{} is not there", args.file.display());
        return Err(Failure::new(Exit::Usage, what, "`watchfire plugin build DIR` makes one"));
    }
    let files = std::slice::from_ref(&args.file);
    let scan = load::scan(files).map_err(|error| Failure::bare(Exit::Internal, error))?;
    if !scan.findings.is_empty() {
        writeln!(out, "{}", load::render(&scan.findings))?;
        return Ok(Exit::Findings);
    }
    if let Some(live) = scan.sinks.first() {
        return sink::test(live, args, &answer(args)?, out);
    }
    if let Some(live) = scan.sample_sinks.first() {
        return samples::test(live, args, &answer(args)?, out);
    }
    if let Some(live) = scan.probes.first() {
        return probe::test(live, &answer(args)?, out);
    }
    match scan.sources.first() {
        Some(live) => source::test(live, args, out),
        None => story(args, out),
    }
}

fn story(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let story = args.story.clone().unwrap_or_else(|| args.file.with_extension("story"));
    if !story.is_file() {
        let what = format!("{} is not there", story.display());
        let help = "a rule is tested by a story; put one beside it, or name it with --story";
        return Err(Failure::new(Exit::Usage, what, help));
    }
    test_component(&args.file, &story, &mut RuleFiles, out)
}

fn answer(args: &Args) -> Result<Answer, Failure> {
    let body = args.body.as_deref().map_or(Ok(Vec::new()), |file| {
        std::fs::read(file).map_err(|error| unreadable(file, &error))
    })?;
    Ok(Answer { status: args.status, body })
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    let what = format!("cannot read {}: {error}", file.display());
    Failure::new(Exit::Usage, what, "name a file that is there")
}
