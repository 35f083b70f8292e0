//! One source's decoder in front of its inlet.

use std::future::{Future, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration as StdDuration;

use crate::kernel::model::{Batch, Defect, Duration, EventTime, Now, RefusalCounts};
use crate::shell::clock::Clock;
use crate::shell::inlet::{InFlight, Inlet, SourceKind, Stopped};

use super::Surroundings;

/// Bytes to batches: what a source needs of a decoder.
pub trait Decode: Send + 'static {
    /// Reads a payload that is complete in itself: a datagram, a body, whole lines.
    fn decode(&mut self, payload: &[u8]);

    /// Reads the next bytes of one stream; what is not yet complete waits for the rest.
    fn feed(&mut self, bytes: &[u8]);

    /// The stream has ended: what is waiting is complete. Another stream may follow.
    fn finish(&mut self);

    /// Everything read since the last call.
    fn take(&mut self) -> Batch;

    /// Time has come to `now`: raw keys that have not come for long may be forgotten.
    fn age(&mut self, now: EventTime);

    /// How many raw keys the cache has forgotten so far, because it was full or they had not come
    /// for long.
    fn evictions(&mut self) -> u64;
}

/// How often it is asked whether somebody is there to decode, while nobody is.
const READY_PAUSE: StdDuration = StdDuration::from_millis(100);

/// Takes what a socket's source read, decodes it and hands it on.
pub trait Take: Send + Sync + 'static {
    fn inlet(&self) -> &Inlet;

    fn now(&self) -> Now;

    /// False while nobody is there to decode: senders who can wait do, what others send is shed.
    fn is_ready(&self) -> bool;

    /// Takes it in at once, or not at all.
    fn offer(&self, read: Pieces<'_>, permit: InFlight, arrival: Now) -> Result<bool, Stopped>;

    /// Takes it in, once there is room in front of the decoder.
    fn pass(
        &self,
        read: Pieces<'_>,
        permit: InFlight,
        arrival: Now,
    ) -> impl Future<Output = Result<(), Stopped>> + Send;

    /// Returns when all that was taken in is handed on.
    fn finish(&self) -> impl Future<Output = ()> + Send;
}

/// Payloads that are complete in themselves, end to end.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a> {
    pub bytes: &'a [u8],
    /// Where each of them ends.
    pub ends: &'a [usize],
}

impl<'a> Pieces<'a> {
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(self.ends).map(move |(start, end)| &self.bytes[start..*end])
    }
}

/// What became of the bytes: what a sender who waits for an answer is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// Samples handed on.
    pub samples: u64,
    pub refused: RefusalCounts,
    /// The first defects in full, at most [`Batch::DEFECTS_MAX`].
    pub defects: Vec<Defect>,
    /// All defects.
    pub defect_count: u64,
}

impl Taken {
    pub fn of(batch: &Batch) -> Taken {
        Taken {
            samples: batch.rows() as u64,
            refused: batch.refused.clone(),
            defects: batch.defects.clone(),
            defect_count: batch.defect_count,
        }
    }
}

/// Shared by all of a source's connections.
pub struct Feed<D> {
    inlet: Inlet,
    clock: Arc<dyn Clock>,
    decoder: Mutex<D>,
}

impl<D: Decode> Feed<D> {
    /// Opens the source. Its decoder must be new, as its slots are.
    pub fn open(
        around: &Surroundings,
        name: &str,
        kind: SourceKind,
        lateness: Option<Duration>,
        decoder: D,
    ) -> Feed<D> {
        let inlet = around.gate.open(name, kind, lateness);
        Feed { inlet, clock: Arc::clone(&around.clock), decoder: Mutex::new(decoder) }
    }

    pub fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Decodes what `permit` was taken for, read at `arrival`, and delivers the batch.
    ///
    /// Both happen under one lock, for the announcement of a slot must reach the queue before a
    /// batch that uses the slot. A read's worth takes some 100 µs; a caller with megabytes leaves
    /// the runtime's threads first (`spawn_blocking`).
    pub fn pass(
        &self,
        permit: InFlight,
        arrival: Now,
        decode: impl FnOnce(&mut D),
    ) -> Result<Taken, Stopped> {
        let mut decoder = self.decoder.lock().expect("a decoder never panics");
        let evicted_before = decoder.evictions();
        decoder.age(arrival.as_arrival());
        decode(&mut decoder);
        let mut batch = decoder.take();
        (batch.arrival, batch.bytes) = (Some(arrival), permit.bytes());
        let evicted = decoder.evictions() - evicted_before;
        if evicted > 0 {
            self.inlet.tally(|tally| tally.evictions += evicted);
        }
        let taken = Taken::of(&batch);
        self.inlet.deliver(batch, permit).map(|()| taken)
    }
}

impl<D: Decode> Take for Feed<D> {
    fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn offer(&self, read: Pieces<'_>, permit: InFlight, arrival: Now) -> Result<bool, Stopped> {
        let decode = |decoder: &mut D| read.iter().for_each(|piece| decoder.decode(piece));
        Feed::pass(self, permit, arrival, decode).map(|_| true)
    }

    fn pass(
        &self,
        read: Pieces<'_>,
        permit: InFlight,
        arrival: Now,
    ) -> impl Future<Output = Result<(), Stopped>> + Send {
        ready(self.offer(read, permit, arrival).map(drop))
    }

    fn finish(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }
}

/// While this waits for room nobody reads: that is what makes the sender wait.
pub async fn pass<T: Take>(feed: &T, payload: &[u8]) -> Result<(), Stopped> {
    let arrival = feed.now();
    let permit = feed.inlet().reserve(payload.len()).await?;
    let read = Pieces { bytes: payload, ends: &[payload.len()] };
    feed.pass(read, permit, arrival).await
}

/// Reads once somebody is there to decode: until then the sender waits.
pub async fn when_ready<T: Take, R>(feed: &T, read: impl Future<Output = R>) -> R {
    while !feed.is_ready() {
        tokio::time::sleep(READY_PAUSE).await;
    }
    read.await
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::bounded;

    use super::*;
    use crate::kernel::model::Limits;
    use crate::shell::clock::ManualClock;
    use crate::shell::inlet::Gate;
    use crate::shell::source::toy::{Sequencer, ToyDecoder};

    /// A queue that is full holds the first batch up on its way. Nobody may decode in that time:
    /// a second connection's batch could overtake it and use a slot it announces.
    #[test]
    fn nobody_decodes_until_the_batch_before_is_in_the_queue() {
        let (sender, queue) = bounded(1);
        let clock = Arc::new(ManualClock::default());
        let around = Surroundings { gate: Gate::new(Limits::default(), sender), clock };
        // `Opened` takes the only place.
        let feed = Feed::open(&around, "a", SourceKind::Http, None, ToyDecoder::default());
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let permit = feed.inlet().admit(1).expect("room");
                feed.pass(permit, feed.now(), |decoder| decoder.decode(b"load 1"))
            });
            // Counted is the last thing that happens to a batch before the queue.
            while feed.inlet().status().tally.samples == 0 {
                std::thread::yield_now();
            }
            let held = feed.decoder.try_lock().is_err();
            assert_eq!(queue.iter().take(2).count(), 2);
            assert!(held, "decoding and delivery are one step");
        });
    }

    #[test]
    fn a_sender_that_waits_is_told_what_became_of_its_bytes() {
        let sequencer = Sequencer::new(Limits::default());
        let around = sequencer.surroundings();
        let feed = Feed::open(&around, "a", SourceKind::Http, None, ToyDecoder::default());
        let body = b"load 1\nload x\nfree 2";
        let permit = feed.inlet().admit(body.len()).expect("room");
        let taken = feed.pass(permit, feed.now(), |decoder| decoder.decode(body)).expect("open");
        let defects = vec![Defect::new(0, "not a number", b"load x")];
        assert_eq!(taken, Taken { samples: 2, defects, defect_count: 1, ..Taken::default() });
    }

    #[test]
    fn what_the_decoder_forgets_is_counted_over_all_its_lives() {
        let sequencer = Sequencer::new(Limits::default());
        for (forgotten, total) in [(3, 3), (2, 5)] {
            let around = sequencer.surroundings();
            let feed = Feed::open(&around, "a", SourceKind::Http, None, ToyDecoder::default());
            for evictions in [forgotten, forgotten] {
                let permit = feed.inlet().admit(1).expect("room");
                feed.pass(permit, feed.now(), |decoder| decoder.evictions = evictions)
                    .expect("the queue is open");
            }
            assert_eq!(feed.inlet().status().tally.evictions, total);
        }
    }
}
