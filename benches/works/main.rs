//! Makes the data of the performance works, knows their answers, checks and sums up the runs.
//!
//! A program of its own without dependencies, so that `benches/works.sh` compiles it in a second or
//! two and it shares no code with what it judges. Its tests run with all the others.

pub mod answers;
pub mod check;
pub mod data;
mod figures;
pub mod format;
mod live;
mod options;
mod process;
mod web;

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use answers::{Edge, Work};
use data::{Data, Extent, METRICS};
use figures::{Run, Subject};
use format::{Format, Line};
use options::Options;

const USAGE: &str = "\
works samples  [--format json|statsd|influx|prom] [EXTENT]      samples to the standard output
works answers  --work t1|w1|w2|r1 [EXTENT]                      edges to the standard output
works check    --work NAME --answers FILE --events FILE         exit 1 when they differ
works peak     FILE COMMAND…                                    runs it; its peak memory to FILE
works sum-up   --work NAME --format NAME --kind NAME --samples N --alerts N RUNS
                                                                one line of figures
works table    FILE                                             lines of figures as Markdown
works latency|churn|reload --watchfire FILE …                   see live.sh
works evil|swap|start --watchfire FILE --guests FOLDER …        see plugins.sh
EXTENT is --seed 0 --hosts 1000 --ticks 600 --cadence-ms 1000";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = words.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(command, rest) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("works {command}: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(command: &str, words: &[String]) -> Result<ExitCode, String> {
    if command == "peak" {
        return process::peak(words);
    }
    let options = Options::read(words)?;
    match command {
        "samples" => {
            let format = Format::parse(options.text("format", "json"))?;
            let out = std::io::stdout().lock();
            write_samples(&Data::new(extent(&options)?), format, out)?;
        }
        "answers" => {
            let edges = Work::parse(options.given("work")?)?.answers(&Data::new(extent(&options)?));
            print!("{}", edges.iter().map(check::print).collect::<String>());
        }
        "check" => return checked(&options),
        "sum-up" => println!("{}", summed_up(&options)?),
        "table" => print!("{}", figures::table(&read(options.rest()?)?)?),
        "latency" => live::latency::measure(&options)?,
        "churn" => live::churn::measure(&options)?,
        "reload" => live::reload::measure(&options)?,
        "evil" => live::plugins::evil(&options)?,
        "swap" => live::plugins::swap(&options)?,
        "start" => live::plugins::start(&options)?,
        _ => return Err(format!("no such command\n{USAGE}")),
    }
    Ok(ExitCode::SUCCESS)
}

fn extent(options: &Options) -> Result<Extent, String> {
    Ok(Extent {
        seed: options.number("seed", 0)? as u64,
        hosts: options.number("hosts", 1_000)? as usize,
        ticks: options.number("ticks", 600)?,
        cadence_ms: options.number("cadence-ms", 1_000)?,
    })
}

/// In order of time; the metrics of a host stay together, as an agent would send them.
pub fn write_samples(data: &Data, format: Format, mut out: impl Write) -> Result<(), String> {
    const WRITE_BYTES: usize = 1 << 18;
    let extent = data.extent();
    let line = |series| Line::new(format, series / METRICS.len(), series % METRICS.len());
    let lines: Vec<Line> = (0..extent.hosts * METRICS.len()).map(line).collect();
    let mut text = Vec::with_capacity(2 * WRITE_BYTES);
    let mut flush = |text: &mut Vec<u8>| {
        let written = out.write_all(text);
        text.clear();
        written.map_err(|error| error.to_string())
    };
    for tick in 0..extent.ticks {
        let at = data.time_ms(tick);
        for host in data.hosts_of(tick) {
            for metric in 0..METRICS.len() {
                let value = data.value(host, metric, tick);
                lines[host * METRICS.len() + metric].write(at, value, &mut text);
            }
            if text.len() >= WRITE_BYTES {
                flush(&mut text)?;
            }
        }
    }
    flush(&mut text)
}

/// Prints the number of alerts and the worst deviation, or every difference.
fn checked(options: &Options) -> Result<ExitCode, String> {
    let work = Work::parse(options.given("work")?)?;
    let answers: Vec<Edge> = check::read(&read(options.given("answers")?)?)?;
    let told = check::edges_of(&read(options.given("events")?)?)?;
    let comparison = check::compare(&answers, &told, work.tolerance_ms());
    if comparison.is_right() {
        println!("{} {}", comparison.alerts, comparison.worst_ms);
        return Ok(ExitCode::SUCCESS);
    }
    const SHOWN: usize = 20;
    let mut err = BufWriter::new(std::io::stderr().lock());
    let wrong = comparison.wrong.len();
    let told = comparison.wrong.iter().take(SHOWN).try_for_each(|line| writeln!(err, "{line}"));
    told.and_then(|()| {
        let alerts = comparison.alerts;
        writeln!(err, "WRONG {}: {wrong} edges differ, {alerts} alerts expected", work.name())
    })
    .map_err(|error| error.to_string())?;
    Ok(ExitCode::FAILURE)
}

fn summed_up(options: &Options) -> Result<String, String> {
    let subject = Subject {
        work: options.given("work")?.to_owned(),
        format: options.given("format")?.to_owned(),
        kind: options.given("kind")?.to_owned(),
        shards: options.number("shards", 1)?,
        samples: options.number("samples", 0)?,
        alerts: options.number("alerts", 0)?,
        worst_ms: options.number("worst-ms", 0)?,
    };
    let runs = read(options.rest()?)?;
    let runs = runs.lines().map(Run::parse).collect::<Result<Vec<Run>, String>>()?;
    subject.figures(&runs)
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}
