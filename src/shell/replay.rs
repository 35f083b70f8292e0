//! Judges recorded samples as fast as they can be read, or at a multiple of their own pace.

mod decoding;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant};

use crate::config::settings::Format;
use crate::kernel::machine::Machine;
use crate::kernel::merge::Merged;
use crate::kernel::model::{Batch, EventTime, Limits, RefusalCounts, SourceId};
use crate::kernel::rule::ruleset::Ruleset;
use crate::kernel::sequence::sequencer::{Arrived, Sequencer};

use super::pipeline::Pipeline;
use super::source::decode::decoder;
use decoding::Decoded;

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

/// Runs the replay; `told` gets all results in order, and `read` hears of every read's bytes.
///
/// One shard is judged on this thread, as it is read. With more of them each has a thread of its
/// own, and as many others decode.
pub fn run(
    replay: &Replay,
    told: impl FnMut(Merged) + Send + 'static,
    mut read: impl FnMut(u64),
) -> io::Result<Counts> {
    let mut kernel = Kernel::start(replay, told)?;
    let (mut counts, mut pace) = (Counts::default(), replay.speed.map(Pace::new));
    // Whoever waits for the samples' own pace has no use for more hands.
    let in_parallel = replay.shards > 1 && replay.format != Format::Csv && pace.is_none();
    let decoders = if in_parallel { replay.shards as usize } else { 1 };
    let each = |decoded: Decoded<'_>| {
        counts.take_in(&decoded);
        for piece in decoded.batches {
            if let Some(pace) = &mut pace {
                pace.wait(&piece);
            }
            kernel.step(Arrived::Batch { source: SOURCE, batch: piece });
        }
        read(decoded.bytes);
    };
    let make = || decoder(replay.format, &replay.limits);
    decoding::decode_all(&replay.files, decoders, replay.batch, make, each)?;
    kernel.step(Arrived::End);
    let sequencer = kernel.sequencer();
    counts.samples = sequencer.accepted();
    counts.series = sequencer.live_series() as u64;
    for source in sequencer.sources() {
        counts.refused.merge(&source.refused);
    }
    kernel.stop();
    Ok(counts)
}

/// The kernel on this thread, or on threads of its own.
enum Kernel<T> {
    Here { machine: Box<Machine>, told: T },
    Threads(Box<Pipeline>),
}

impl<T: FnMut(Merged) + Send + 'static> Kernel<T> {
    fn start(replay: &Replay, told: T) -> io::Result<Kernel<T>> {
        let mut machine = Machine::new(replay.limits.clone(), replay.shards, EventTime::MIN);
        machine.step(Arrived::Swap(replay.ruleset.clone()));
        machine.step(Arrived::Opened { source: SOURCE, lateness: None });
        if replay.shards == 1 {
            return Ok(Kernel::Here { machine: Box::new(machine), told });
        }
        Ok(Kernel::Threads(Box::new(Pipeline::start(machine, told)?)))
    }

    fn step(&mut self, arrived: Arrived) {
        match self {
            Kernel::Here { machine, told } => told(machine.step(arrived)),
            Kernel::Threads(pipeline) => pipeline.step(arrived, None),
        }
    }

    fn sequencer(&self) -> &Sequencer {
        match self {
            Kernel::Here { machine, .. } => &machine.sequencer,
            Kernel::Threads(pipeline) => {
                pipeline.flush();
                pipeline.sequencer()
            }
        }
    }

    fn stop(self) {
        match self {
            // The program ends next: to take groups apart one by one would be work for nobody.
            Kernel::Here { machine, .. } => std::mem::forget(machine),
            Kernel::Threads(pipeline) => pipeline.stop(),
        }
    }
}

impl Counts {
    fn take_in(&mut self, decoded: &Decoded<'_>) {
        for batch in &decoded.batches {
            self.defects += batch.defect_count;
            let room = 16usize.saturating_sub(self.first_defects.len());
            let defects = batch.defects.iter().take(room).cloned();
            self.first_defects.extend(defects.map(|defect| (decoded.file.to_owned(), defect)));
        }
    }
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
