//! `watchfire replay`: judges recorded samples, prints the events, and sums up.

use std::fmt;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::exit::{Exit, Failure};
use super::output::{grouped, printable};
use super::progress::Progress;
use crate::config::settings::{Format, Overrides, Settings, parse_shards};
use crate::kernel::event::{Event, Kind};
use crate::kernel::merge::Merged;
use crate::kernel::model::{Limits, RefusalCounts};
use crate::shell::load;
use crate::shell::replay::{self, Replay};

/// Judge recorded samples and print the events
///
/// Events go to standard output as JSON lines, a summary to standard error. Time is that of the
/// samples, so the events are the same on every machine and in every run.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  watchfire replay --rules rules samples.jsonl
  zcat samples.gz | watchfire replay --rules rules --format influx - | jq .text")]
pub struct Args {
    /// Folder of rules
    #[arg(long, value_name = "DIR")]
    pub rules: PathBuf,
    /// Folder of plugins; none when not given
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// Settings file whose limits hold; the default limits when not given
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How the samples are written
    #[arg(long, value_name = "FORMAT", default_value = "json", value_parser = format())]
    pub format: Format,
    /// Threads that judge; the events do not depend on it [default: the machine's cores]
    #[arg(long, value_name = "N", value_parser = parse_shards)]
    pub shards: Option<usize>,
    /// Samples in a batch; the events do not depend on it
    #[arg(long, value_name = "N", default_value_t = 4096,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch: u32,
    /// Print changes too that no sink is told: pending, cooling, cleared
    #[arg(long)]
    pub all: bool,
    /// Times as fast as it happened; as fast as possible when not given
    #[arg(long, value_name = "N", value_parser = speed)]
    pub speed: Option<f64>,
    /// Files in order of time; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::NAMES)
        .map(|name| Format::parse(&name).expect("every possible value is a format"))
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok().filter(|speed| *speed > 0.0 && speed.is_finite());
    speed.ok_or_else(|| {
        format!("`{text}` is no speed; 1 is as fast as it happened, 60 an hour a minute")
    })
}

/// Events go to standard output as they come, the summary to standard error at the end.
pub fn replay(args: &Args) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let limits = match &args.config {
        Some(file) => Settings::load(Some(file), &Overrides::default())?.limits,
        None => Limits::default(),
    };
    let paths: Vec<PathBuf> = std::iter::once(&args.rules).chain(&args.plugins).cloned().collect();
    let scan = load::scan(&paths).map_err(|error| Failure::bare(Exit::Internal, error))?;
    if !scan.findings.is_empty() {
        eprintln!("{}", load::render(&scan.findings));
    }
    if scan.findings.iter().any(|finding| finding.is_error()) {
        return Ok(Exit::Findings);
    }
    let progress = Arc::new(Progress::over(&args.files));
    let printer = Arc::new(Mutex::new(Printer::new(args.all)));
    let shards = args.shards.unwrap_or_else(|| crate::config::settings::Engine::default().shards);
    let work = Replay {
        ruleset: scan.ruleset,
        limits,
        shards: shards as u32,
        batch: args.batch as usize,
        format: args.format,
        speed: args.speed,
        files: args.files.clone(),
    };
    let printing = printer.clone();
    let told = move |merged: Merged| printing.lock().expect(PRINTED).print(&merged);
    let counts = replay::run(&work, told, |bytes| progress.read(bytes)).map_err(|error| {
        Failure::new(Exit::NotStarted, error.to_string(), "name files that can be read")
    })?;
    progress.finish();
    for (file, defect) in &counts.first_defects {
        let excerpt = printable(&defect.excerpt);
        eprintln!("{}:{}: {}: `{excerpt}`", file.display(), defect.line, defect.what);
    }
    let mut printer = printer.lock().expect(PRINTED);
    printer.out.flush()?;
    let summary = Summary {
        samples: counts.samples,
        series: counts.series,
        refused: counts.refused,
        defects: counts.defects,
        events: printer.counts.clone(),
        seconds: begun.elapsed().as_secs_f64(),
    };
    eprintln!("{summary}");
    match printer.broken.take() {
        Some(error) => Err(error.into()),
        None => Ok(Exit::Ok),
    }
}

const PRINTED: &str = "printing does not panic";

/// Prints events as JSON lines, and notes the first error instead of stopping the engine for it.
struct Printer {
    all: bool,
    out: BufWriter<std::io::Stdout>,
    counts: EventCounts,
    broken: Option<std::io::Error>,
}

impl Printer {
    fn new(all: bool) -> Printer {
        let out = BufWriter::with_capacity(64 * 1024, std::io::stdout());
        Printer { all, out, counts: EventCounts::default(), broken: None }
    }

    fn print(&mut self, merged: &Merged) {
        for event in &merged.events {
            if self.broken.is_none() && (self.all || event.kind.is_told()) {
                self.counts.add(event);
                let line = serde_json::to_string(event.as_ref()).expect("an event is plain data");
                self.broken = writeln!(self.out, "{line}").err();
            }
        }
        for note in &merged.faults {
            let what = printable(&note.fault.what);
            eprintln!("rule {} faulted for {} at {}: {what}", note.rule, note.key, note.at);
        }
    }
}

/// What a replay comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub samples: u64,
    pub series: u64,
    pub refused: RefusalCounts,
    /// Lines that could not be read.
    pub defects: u64,
    pub events: EventCounts,
    /// By the wall clock.
    pub seconds: f64,
}

/// How many events of each kind were printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventCounts(std::collections::BTreeMap<Kind, u64>);

impl EventCounts {
    pub fn add(&mut self, event: &Event) {
        *self.0.entry(event.kind).or_default() += 1;
    }
}

/// Three lines, the last one without a newline.
impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64, word: &str, more: &str| {
            format!("{} {}", grouped(count), if count == 1 { word } else { more })
        };
        let samples = plural(self.samples, "sample", "samples");
        write!(out, "{samples} of {} series in {:.2} s", grouped(self.series), self.seconds)?;
        if self.seconds > 0.0 {
            let rate = (self.samples as f64 / self.seconds) as u64;
            write!(out, " ({} a second)", grouped(rate))?;
        }
        let reasons = self.refused.iter().filter(|(_, count)| *count > 0);
        let reasons =
            reasons.map(|(reason, count)| format!("{} {}", reason.name(), grouped(count)));
        let reasons = named(reasons.collect());
        let defects = plural(self.defects, "defect", "defects");
        write!(out, "\nrefused: {reasons}; {defects}")?;
        let kinds = self.events.0.iter();
        let kinds = kinds.map(|(kind, count)| format!("{} {}", kind.name(), grouped(*count)));
        write!(out, "\nevents: {}", named(kinds.collect()))
    }
}

fn named(counts: Vec<String>) -> String {
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::model::Refusal;

    #[test]
    fn a_summary_names_what_was_left_out() {
        let mut refused = RefusalCounts::default();
        refused.add(Refusal::Duplicate, 1_203);
        refused.add(Refusal::NotFinite, 1);
        let events = EventCounts([(Kind::Resolved, 2), (Kind::Fired, 3)].into());
        let summary =
            Summary { samples: 1_000_000, series: 12, refused, defects: 1, events, seconds: 2.5 };
        let expected = "1,000,000 samples of 12 series in 2.50 s (400,000 a second)\n\
                        refused: not_finite 1, duplicate 1,203; 1 defect\n\
                        events: fired 3, resolved 2";
        assert_eq!(summary.to_string(), expected);
        let nothing = "0 samples of 0 series in 0.00 s\nrefused: none; 0 defects\nevents: none";
        assert_eq!(Summary::default().to_string(), nothing);
    }
}
