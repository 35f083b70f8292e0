//! The way in: what sources read goes through here to the sequencer, bounded in bytes.
//!
//! A [`Gate`] holds one budget of bytes for all sources and the queue to the sequencer. A source
//! opens an [`Inlet`], takes a permit ([`InFlight`]) for what it has read, decodes it and delivers
//! the batch with its permit. Whoever judges the batch drops the permit; that frees the budget. A
//! source that can make its sender wait awaits [`Inlet::reserve`]; one that cannot asks
//! [`Inlet::admit`] and, turned away, sheds and counts ([`Inlet::shed`]).
//!
//! The permit comes before decoding for two reasons: work that would be thrown away is never done,
//! and a batch that announces a series is never lost, or later batches would name a slot that
//! nobody has heard of.

mod tally;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use crossbeam::channel::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::kernel::model::{Batch, Defect, Duration, Limits, Now, Refusal, SourceId};

use tally::Book;
pub use tally::{SourceKind, SourceStatus, Tally};

/// All that reaches the sequencer from sources, in this order for each source: `Opened`, any number
/// of `Batch` and `Listening`, `Closed`.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are batches: a box is an allocation each")]
pub enum Inbound {
    /// A source's life begins; slots of an earlier life of this id mean nothing any more.
    /// `lateness: None` is the default for what it turns out to send.
    Opened { source: SourceId, name: Arc<str>, kind: SourceKind, lateness: Option<Duration> },
    /// Whether the source can be reached by those who send to it.
    Listening { source: SourceId, on: bool },
    /// Dropping the permit gives the batch's bytes back to the budget.
    Batch { source: SourceId, batch: Batch, permit: InFlight },
    /// No more comes: the source no longer holds time back.
    Closed { source: SourceId },
}

/// The budget is spent (or the gate closed): shed, or tell the sender to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The gate is closed or the sequencer gone: nothing that is sent will be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Full {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("too much is waiting to be judged (limits.in_flight_bytes_max)")
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the engine has stopped and takes no more samples")
    }
}

impl std::error::Error for Full {}
impl std::error::Error for Stopped {}

/// Shared by all sources; cloning is cheap.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

struct Shared {
    limits: Limits,
    budget: Arc<Semaphore>,
    /// The budget in units of [`UNIT`] bytes.
    units: usize,
    queue: Sender<Inbound>,
    /// By source id.
    books: Mutex<Vec<Arc<Book>>>,
}

/// A share of the budget, held for as long as the bytes are not judged.
#[derive(Debug)]
#[must_use = "dropping it gives the bytes back at once"]
pub struct InFlight {
    bytes: usize,
    _share: OwnedSemaphorePermit,
}

impl InFlight {
    /// The bytes it was taken for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What the smallest batch is charged, and the grain of the budget. It bounds how many batches can
/// wait, since the queue itself counts none.
const UNIT: usize = 1024;

impl Gate {
    pub fn new(limits: Limits, queue: Sender<Inbound>) -> Gate {
        // The semaphore takes charges as `u32`, and one charge may be the whole budget.
        let units_max = Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let units = (limits.in_flight_bytes_max / UNIT).clamp(1, units_max);
        let budget = Arc::new(Semaphore::new(units));
        Gate(Arc::new(Shared { limits, budget, units, queue, books: Mutex::default() }))
    }

    /// Begins a source. A closed source's name may be used again: it keeps its id and its counters,
    /// so reloading the configuration for years uses up no ids.
    ///
    /// Panics when the name is in use, which configuration checks rule out, or past 65,536 names.
    pub fn open(&self, name: &str, kind: SourceKind, lateness: Option<Duration>) -> Inlet {
        let mut books = self.books();
        let known = books.iter().position(|book| &*book.name == name && book.kind == kind);
        let book = match known {
            Some(at) => Arc::clone(&books[at]),
            None => {
                let id = u16::try_from(books.len()).expect("names of sources come from settings");
                let (name, tally) = (Arc::from(name), Mutex::default());
                let book = Arc::new(Book { id: SourceId(id), name, kind, tally });
                books.push(Arc::clone(&book));
                book
            }
        };
        let was_open = std::mem::replace(&mut book.tally().open, true);
        assert!(!was_open, "source `{name}` is opened twice");
        let (source, name) = (book.id, Arc::clone(&book.name));
        let inlet = Inlet { gate: self.clone(), book };
        inlet.push(Inbound::Opened { source, name, kind, lateness }).ok();
        inlet
    }

    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Bytes that were taken in and not yet judged, rounded up to whole units of 1 KiB a batch.
    pub fn in_flight_bytes(&self) -> usize {
        (self.0.units - self.0.budget.available_permits()) * UNIT
    }

    /// By id; closed sources too.
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.books().iter().map(|book| book.status()).collect()
    }

    /// Turns everyone away from now on and wakes those who wait: the end of the grace period at a
    /// stop. Batches already in the queue stay there.
    pub fn close(&self) {
        self.0.budget.close();
    }

    fn books(&self) -> MutexGuard<'_, Vec<Arc<Book>>> {
        self.0.books.lock().expect("only a mistake in the program panics while it is held")
    }

    /// What `bytes` cost. More than the whole budget costs the whole budget: such a batch goes
    /// alone, but it goes.
    fn charge(&self, bytes: usize) -> u32 {
        bytes.div_ceil(UNIT).clamp(1, self.0.units) as u32
    }
}

/// One source's way in. Dropping it closes the source.
pub struct Inlet {
    gate: Gate,
    book: Arc<Book>,
}

impl Inlet {
    pub fn source(&self) -> SourceId {
        self.book.id
    }

    pub fn name(&self) -> &Arc<str> {
        &self.book.name
    }

    pub fn limits(&self) -> &Limits {
        self.gate.limits()
    }

    pub fn status(&self) -> SourceStatus {
        self.book.status()
    }

    /// Waits for room for `bytes`. Those who wait are served in the order they came.
    pub async fn reserve(&self, bytes: usize) -> Result<InFlight, Stopped> {
        let charge = self.gate.charge(bytes);
        let budget = Arc::clone(&self.gate.0.budget);
        let share = budget.acquire_many_owned(charge).await.map_err(|_| Stopped)?;
        Ok(InFlight { bytes, _share: share })
    }

    /// Room for `bytes` at once or not at all.
    pub fn admit(&self, bytes: usize) -> Result<InFlight, Full> {
        let charge = self.gate.charge(bytes);
        let budget = Arc::clone(&self.gate.0.budget);
        let share = budget.try_acquire_many_owned(charge).map_err(|_| Full)?;
        Ok(InFlight { bytes, _share: share })
    }

    /// Hands a batch over. Batches that share a decoder must be delivered in the order in which it
    /// gave them, since a later one uses the slots that an earlier one announced.
    pub fn deliver(&self, batch: Batch, permit: InFlight) -> Result<(), Stopped> {
        self.book.tally().batch(&self.book.name, &batch);
        let something = batch.rows() > 0 || !batch.announced.is_empty() || batch.defect_count > 0;
        if !something && batch.refused.total() == 0 {
            return Ok(());
        }
        self.push(Inbound::Batch { source: self.book.id, batch, permit })
    }

    /// Waits for room and delivers: for a source whose batches come from one task, already decoded.
    pub async fn send(&self, batch: Batch) -> Result<(), Stopped> {
        let permit = self.reserve(batch.bytes).await?;
        self.deliver(batch, permit)
    }

    /// Counts what was thrown away because [`Inlet::admit`] said no.
    pub fn shed(&self, datagrams: u64, samples: u64) {
        let mut tally = self.book.tally();
        tally.shed_datagrams += datagrams;
        tally.refused.add(Refusal::Shed, samples);
    }

    /// Counts a defect that no decoder saw, such as a line that never ended.
    pub fn defect(&self, at: Now, defect: Defect) {
        self.book.tally().defects(&self.book.name, Some(at), &[defect], 1);
    }

    /// Says that senders can reach this source from now on, or no longer.
    pub fn listening(&self, on: bool) {
        self.book.tally().listening = on;
        self.push(Inbound::Listening { source: self.book.id, on }).ok();
    }

    /// Begins the source's life anew, with another lateness: slots mean nothing any more.
    pub fn reopen(&self, lateness: Option<Duration>) {
        let (source, name, kind) = (self.book.id, Arc::clone(&self.book.name), self.book.kind);
        // An error says that nothing is judged any more.
        self.push(Inbound::Closed { source }).ok();
        self.push(Inbound::Opened { source, name, kind, lateness }).ok();
        self.push(Inbound::Listening { source, on: self.book.tally().listening }).ok();
    }

    /// Changes counters that only the source itself knows.
    pub fn tally(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.book.tally());
    }

    fn push(&self, inbound: Inbound) -> Result<(), Stopped> {
        self.gate.0.queue.send(inbound).map_err(|_| Stopped)
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.book.tally().listening = false;
        self.push(Inbound::Closed { source: self.book.id }).ok();
        // Only now may the name be opened again, so that its `Opened` follows this `Closed`.
        self.book.tally().open = false;
    }
}

#[cfg(test)]
mod tests;
