//! A sink of samples, given some: each attempt, the requests that it made, and how it went.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use super::recorder::Answer;
use super::sink::words;
use super::stage::Stage;
use super::{Args, NOW, unreadable};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::printable;
use crate::config::catalog::LiveSampleSink;
use crate::config::settings::Format;
use crate::guest::sample_sink::{Named, SampleAttempt, SampleSink};
use crate::guest::sink::Outcome;
use crate::kernel::delivery::{SampleBatch, SamplePolicy};
use crate::kernel::model::{Batch, EventTime, Limits, Now, Series, Slot};
use crate::shell::source::decode::decoder;

/// For sinks without samples of their own.
const CANNED: &str = r#"
{"name":"cpu.usage","labels":{"host":"db1"},"ts":1767225600000,"value":95}
{"name":"cpu.usage","labels":{"host":"db2"},"ts":1767225600000,"value":12.5}
{"name":"mem.used_pct","labels":{"host":"db1"},"ts":1767225601000,"value":71}
"#;

/// A sample with the number of its series.
type Row = (u32, EventTime, f64);

pub fn test(
    live: &LiveSampleSink,
    args: &Args,
    answer: &Answer,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let (names, rows) = samples(args)?;
    let wanted: Vec<Row> =
        rows.iter().filter(|(id, ..)| is_wanted(&live.sink, &names[id])).copied().collect();
    let mut stage = Stage::new(&live.sink.name, &live.sink.needs, &live.settings, answer)?;
    let mut sink = match live.sink.opener.open(&stage.env, &[]) {
        Ok(opened) => opened.sink,
        Err(fault) => {
            writeln!(out, "it cannot be opened: {}", printable(&fault.to_string()))?;
            return Ok(Exit::Findings);
        }
    };
    let batching = live.sink.batching.unwrap_or(SamplePolicy::BATCHING);
    let (mut failed, mut attempts, mut told) = (0, 0, BTreeMap::new());
    for part in wanted.chunks(batching.max.max(1)) {
        attempts += 1;
        let attempt = attempt(&format!("test-{attempts}"), part, &names, &mut told);
        let outcome = stage.runtime.block_on(sink.deliver(attempt));
        stage.show(out)?;
        let (delivered, words) = words(&outcome);
        failed += usize::from(!delivered);
        writeln!(out, "{} samples: {}", part.len(), printable(words.trim_end()))?;
        if matches!(outcome, Outcome::Faulted(_)) {
            break;
        }
    }
    let requests = stage.requests(out)?;
    let unwanted = rows.len() - wanted.len();
    writeln!(
        out,
        "{attempts} attempts, {failed} failed, {requests} requests; {unwanted} samples not wanted"
    )?;
    Ok(if failed == 0 { Exit::Ok } else { Exit::Findings })
}

fn is_wanted(sink: &SampleSink, series: &Series) -> bool {
    sink.wants.iter().any(|selector| selector.takes(series).unwrap_or(false))
}

fn attempt(
    key: &str,
    rows: &[Row],
    names: &BTreeMap<u32, Series>,
    told: &mut BTreeMap<u32, ()>,
) -> SampleAttempt {
    let mut batch = SampleBatch::with_room(key.into(), rows.len());
    let mut added: Vec<Named> = Vec::new();
    for (id, at, value) in rows {
        if told.insert(*id, ()).is_none() {
            added.push((*id, names[id].clone()));
        }
        batch.series.push(*id);
        batch.at.push(*at);
        batch.value.push(*value);
    }
    SampleAttempt { batch: Arc::new(batch), added, removed: Vec::new() }
}

/// Those of the file, under the numbers of their series.
fn samples(args: &Args) -> Result<(BTreeMap<u32, Series>, Vec<Row>), Failure> {
    let beside = args.file.with_extension("samples.jsonl");
    let file = match &args.samples {
        Some(file) => Some(file.clone()),
        None => beside.is_file().then_some(beside),
    };
    let text = match &file {
        Some(file) => std::fs::read(file).map_err(|error| unreadable(file, &error))?,
        None => CANNED.as_bytes().to_vec(),
    };
    let mut decoder = decoder(Format::Json, &Limits::default());
    decoder.decode(&text);
    let batch: Batch = decoder.take();
    if let (Some(defect), Some(file)) = (batch.defects.first(), &file) {
        let what = format!("{}: line {}: {}", file.display(), defect.line, defect.what);
        return Err(Failure::new(Exit::Usage, what, "write samples as JSON lines"));
    }
    let names = batch.announced.iter().map(|new| (new.slot.0, new.series.clone())).collect();
    let at = |at: EventTime| match at {
        EventTime::MIN => Now::from_nanos(NOW).as_arrival(),
        given => given,
    };
    let row = |row: usize| {
        let Slot(slot) = batch.slots[row];
        (slot, at(batch.at[row]), batch.value[row])
    };
    Ok((names, (0..batch.rows()).map(row).collect()))
}
