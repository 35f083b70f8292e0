//! Judges recorded samples as fast as they can be read, or at a multiple of their own pace.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant};

use crate::config::settings::Format;
use crate::kernel::machine::Machine;
use crate::kernel::merge::Merged;
use crate::kernel::model::{Batch, EventTime, Limits, RefusalCounts, SourceId};
use crate::kernel::rule::ruleset::Ruleset;
use crate::kernel::sequence::sequencer::Arrived;

use super::pipeline::Pipeline;
use super::source::decode::decoder;

/// What one read takes.
const READ_BYTES: usize = 256 * 1024;
const SOURCE: SourceId = SourceId(0);

pub struct Replay {
    pub ruleset: Arc<Ruleset>,
    pub limits: Limits,
    pub shards: u32,
    /// Samples that are handed over at once; results do not depend on it.
    pub batch: usize,
    pub format: Format,
    /// Times as fast as it happened; `None` is as fast as it can be read.
    pub speed: Option<f64>,
    /// In order of time; `-` is standard input.
    pub files: Vec<PathBuf>,
}

/// What was read and what of it was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    pub samples: u64,
    pub series: u64,
    pub refused: RefusalCounts,
    pub defects: u64,
    /// The first defects in full, with the file that they are in.
    pub first_defects: Vec<(PathBuf, crate::kernel::model::Defect)>,
}

/// Runs the replay; `told` gets all results in order, on another thread, and `read` hears of every
/// read's bytes.
pub fn run(
    replay: &Replay,
    told: impl FnMut(Merged) + Send + 'static,
    mut read: impl FnMut(u64),
) -> io::Result<Counts> {
    let mut machine = Machine::new(replay.limits.clone(), replay.shards, EventTime::MIN);
    machine.step(Arrived::Swap(replay.ruleset.clone()));
    machine.step(Arrived::Opened { source: SOURCE, lateness: None });
    let mut pipeline = Pipeline::start(machine, told)?;
    let (mut counts, mut pace) = (Counts::default(), replay.speed.map(Pace::new));
    let mut decoder = decoder(replay.format, &replay.limits);
    let mut buffer = vec![0; READ_BYTES];
    for path in &replay.files {
        let mut input = open(path)?;
        loop {
            let size = input.read(&mut buffer)?;
            if size == 0 {
                decoder.finish();
            } else {
                decoder.feed(&buffer[..size]);
            }
            let batch = decoder.take();
            counts.defects += batch.defect_count;
            let room = 16usize.saturating_sub(counts.first_defects.len());
            let defects = batch.defects.iter().take(room).cloned();
            counts.first_defects.extend(defects.map(|defect| (path.clone(), defect)));
            for piece in batch.cut(replay.batch) {
                if let Some(pace) = &mut pace {
                    pace.wait(&piece);
                }
                pipeline.step(Arrived::Batch { source: SOURCE, batch: piece }, None);
            }
            read(size as u64);
            if size == 0 {
                break;
            }
        }
    }
    pipeline.step(Arrived::End, None);
    pipeline.flush();
    let sequencer = pipeline.sequencer();
    counts.samples = sequencer.accepted();
    counts.series = sequencer.live_series() as u64;
    for source in sequencer.sources() {
        counts.refused.merge(&source.refused);
    }
    pipeline.stop();
    Ok(counts)
}

fn open(path: &PathBuf) -> io::Result<Box<dyn Read>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    Ok(Box::new(File::open(path).map_err(named)?))
}

/// Keeps a replay from running ahead of a multiple of the samples' own time.
struct Pace {
    speed: f64,
    begun: Option<(Instant, EventTime)>,
}

impl Pace {
    fn new(speed: f64) -> Pace {
        Pace { speed, begun: None }
    }

    fn wait(&mut self, batch: &Batch) {
        let Some(first) = batch.at.iter().copied().find(|at| *at != EventTime::MIN) else { return };
        let (begun, start) = *self.begun.get_or_insert((Instant::now(), first));
        let due = first.since(start).as_secs_f64() / self.speed;
        let due = StdDuration::try_from_secs_f64(due).unwrap_or(StdDuration::MAX);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
}
