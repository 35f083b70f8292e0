//! What one source has done: its counters, as metrics, API and UI show them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;

use crate::kernel::model::{Batch, Defect, Duration, Now, RefusalCounts, SourceId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    Host,
    StatsdUdp,
    StatsdTcp,
    LinesTcp,
    Stdin,
    File,
    Http,
    /// Samples handed in by a program that embeds the engine.
    Embedded,
    /// A guest that is asked on a period.
    Probe,
    /// Bytes that a guest reads, posted or from a socket.
    Plugin,
}

impl SourceKind {
    /// The name it has in metrics and the API.
    pub fn name(self) -> &'static str {
        match self {
            SourceKind::Host => "host",
            SourceKind::StatsdUdp => "statsd_udp",
            SourceKind::StatsdTcp => "statsd_tcp",
            SourceKind::LinesTcp => "lines_tcp",
            SourceKind::Stdin => "stdin",
            SourceKind::File => "file",
            SourceKind::Http => "http",
            SourceKind::Embedded => "embedded",
            SourceKind::Probe => "probe",
            SourceKind::Plugin => "plugin",
        }
    }
}

/// One source and what it has done so far.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceStatus {
    pub id: SourceId,
    pub name: Arc<str>,
    pub kind: SourceKind,
    pub tally: Tally,
}

/// The counters of one source. All only grow, but for the gauges `open`, `listening` and
/// `connections`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub open: bool,
    pub listening: bool,
    /// Why it takes nothing in just now, and what to do.
    pub blocked: Option<String>,
    /// When the newest batch was read.
    pub last_batch: Option<Now>,
    pub batches: u64,
    pub samples: u64,
    /// Bytes on the wire that were taken in.
    pub bytes: u64,
    /// What the decoder refused, and samples that were shed.
    pub refused: RefusalCounts,
    pub defects: u64,
    /// The newest defects in full, oldest first, at most [`Batch::DEFECTS_MAX`].
    pub last_defects: VecDeque<Defect>,
    /// Datagrams that were read and thrown away because the budget was spent.
    pub shed_datagrams: u64,
    /// Datagrams that the operating system threw away because its buffer was full.
    pub lost_datagrams: u64,
    /// Raw keys that the decoder forgot because its cache was full.
    pub evictions: u64,
    pub connections: u64,
    /// Connections that were closed at once because `connections_max` were open.
    pub connections_refused: u64,
    defects_logged: Option<Now>,
}

/// A source with defects says so in the log once in this long.
const DEFECT_LOG_PERIOD: Duration = Duration::from_secs(60);

impl Tally {
    /// Counts one batch.
    pub(super) fn batch(&mut self, source: &str, batch: &Batch) {
        self.batches += 1;
        self.samples += batch.rows() as u64;
        self.bytes += batch.bytes as u64;
        self.refused.merge(&batch.refused);
        self.last_batch = batch.arrival.max(self.last_batch);
        self.defects(source, batch.arrival, &batch.defects, batch.defect_count);
    }

    /// Counts `count` defects, of which the `first` are known in full.
    pub(super) fn defects(&mut self, source: &str, at: Option<Now>, first: &[Defect], count: u64) {
        self.defects += count;
        for defect in first {
            if self.last_defects.len() == Batch::DEFECTS_MAX {
                self.last_defects.pop_front();
            }
            self.last_defects.push_back(defect.clone());
        }
        let (Some(now), Some(defect)) = (at, first.first()) else { return };
        if self.defects_logged.is_none_or(|before| now.since(before) >= DEFECT_LOG_PERIOD) {
            self.defects_logged = Some(now);
            let Defect { line, what, excerpt } = defect;
            let total = self.defects;
            tracing::warn!(source, line, excerpt = ?excerpt, total, "cannot be read: {what}");
        }
    }
}

/// A source's identity and counters, kept past its end so that they never go back.
pub(super) struct Book {
    pub id: SourceId,
    pub name: Arc<str>,
    pub kind: SourceKind,
    pub tally: Mutex<Tally>,
}

impl Book {
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().expect("nobody panics while counting")
    }

    pub fn status(&self) -> SourceStatus {
        let (name, tally) = (Arc::clone(&self.name), self.tally().clone());
        SourceStatus { id: self.id, name, kind: self.kind, tally }
    }
}
