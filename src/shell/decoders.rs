//! Sources whose format a plugin reads, by name: takes new declarations, and bytes for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration as StdDuration;

use crate::config::catalog::LiveSource;
use crate::guest::source::{DecodePayload, Decoded};
use crate::kernel::model::{Batch, Defect};
use crate::kernel::rule::program::Fault;

use super::api::{IngestError, IngestReport};
use super::inlet::{Inlet, SourceKind};
use super::source::Surroundings;
use super::source::readings::Slots;

/// All of them. Sources stay open when their plugin goes, so that a name is never opened twice.
pub struct Decoders {
    around: Surroundings,
    sources: Mutex<BTreeMap<Arc<str>, Arc<Mutex<Place>>>>,
    /// Why those that do not run do not.
    blocked: Mutex<BTreeMap<Arc<str>, Blocked>>,
}

/// What a source lacks, and the lines to add.
#[derive(Clone, Debug)]
pub struct Blocked {
    pub why: String,
    pub cure: String,
}

struct Place {
    inlet: Inlet,
    slots: Slots,
    /// `None` while no plugin is there for it.
    live: Option<LiveSource>,
    instance: Option<Box<dyn DecodePayload>>,
}

impl Decoders {
    pub fn new(around: Surroundings) -> Decoders {
        Decoders { around, sources: Mutex::default(), blocked: Mutex::default() }
    }

    /// Makes these the sources there are. A payload that is being read is read to its end first.
    pub fn apply(&self, declared: Vec<LiveSource>, blocked: BTreeMap<Arc<str>, Blocked>) {
        *self.blocked.lock().expect(UNPOISONED) = blocked;
        let mut sources = self.sources();
        for (name, place) in sources.iter() {
            if !declared.iter().any(|live| live.source.name == *name) {
                let mut place = place.lock().expect(UNPOISONED);
                (place.live, place.instance) = (None, None);
                place.inlet.listening(false);
            }
        }
        for live in declared {
            let name = live.source.name.clone();
            let place = sources.entry(name.clone()).or_insert_with(|| {
                let (gate, lateness) = (&self.around.gate, live.source.lateness);
                let inlet = gate.open(&format!("plugin:{name}"), SourceKind::Plugin, lateness);
                let slots = Slots::default();
                Arc::new(Mutex::new(Place { inlet, slots, live: None, instance: None }))
            });
            let mut place = place.lock().expect(UNPOISONED);
            if place.live.as_ref().map(|known| known.source.version) != Some(live.source.version) {
                place.inlet.listening(true);
                (place.live, place.instance) = (Some(live), None);
            }
        }
    }

    /// Has the plugin of this name read a payload, and hands on what it found. Blocks for as long
    /// as the plugin computes; payloads of one source are read one after the other.
    pub fn ingest(&self, name: &str, kind: &str, body: &[u8]) -> Result<IngestReport, IngestError> {
        if let Some(Blocked { why, cure }) = self.blocked.lock().expect(UNPOISONED).get(name) {
            return Err(IngestError::Blocked { why: why.clone(), cure: cure.clone() });
        }
        let place = self.sources().get(name).cloned();
        let place = place.ok_or_else(|| IngestError::UnknownSource { known: self.names() })?;
        let mut place = place.lock().expect(UNPOISONED);
        place.take(kind, body, &self.around, || self.names())
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.sources().keys().cloned().collect()
    }

    fn sources(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Mutex<Place>>>> {
        self.sources.lock().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "nothing panics under this lock";

impl Place {
    fn take(
        &mut self,
        kind: &str,
        body: &[u8],
        around: &Surroundings,
        known: impl FnOnce() -> Vec<Arc<str>>,
    ) -> Result<IngestReport, IngestError> {
        let Some(live) = self.live.clone() else {
            return Err(IngestError::UnknownSource { known: known() });
        };
        let takes = &live.source.content_types;
        let kind = match kind {
            "" => takes.first().map_or("application/octet-stream", String::as_str),
            given => given,
        };
        if !takes.is_empty() && !takes.iter().any(|taken| taken == kind) {
            return Err(IngestError::ContentType { takes: takes.clone() });
        }
        let full = |_| IngestError::Full { retry_after: StdDuration::from_secs(1) };
        let permit = self.inlet.admit(body.len()).map_err(full)?;
        let arrival = around.clock.now();
        let decoded = self.decode(&live, kind, body, arrival);
        let mut batch = self.slots.begin();
        match decoded {
            Ok(decoded) => self.fill(&mut batch, decoded, body),
            Err(fault) => batch.defect(Defect::new(0, fault.to_string(), body)),
        }
        (batch.arrival, batch.bytes) = (Some(arrival), permit.bytes());
        let report = IngestReport {
            accepted: batch.rows() as u64,
            refused: batch.refused.clone(),
            defects: batch.defects.clone(),
            defect_count: batch.defect_count,
        };
        self.inlet.deliver(batch, permit).map_err(|_| IngestError::Closed)?;
        Ok(report)
    }

    fn decode(
        &mut self,
        live: &LiveSource,
        kind: &str,
        body: &[u8],
        now: crate::kernel::model::Now,
    ) -> Result<Decoded, Fault> {
        let mut open = match self.instance.take() {
            Some(open) => open,
            None => live.source.opener.open(&live.settings)?,
        };
        match open.decode(kind, body, now) {
            Ok(decoded) => {
                self.instance = Some(open);
                Ok(decoded)
            }
            Err(failed) => {
                self.instance = (!failed.over).then_some(open);
                Err(failed.fault)
            }
        }
    }

    fn fill(&mut self, batch: &mut Batch, decoded: Decoded, body: &[u8]) {
        for reading in decoded.readings {
            let series = (reading.metric.as_str(), reading.labels);
            let limits = self.inlet.limits();
            self.slots.push(batch, limits, series, reading.at, reading.value);
        }
        for (offset, what) in decoded.defects {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(body.len());
            let line = body[..from].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            batch.defect(Defect::new(line, what, &body[from..]));
        }
    }
}
