//! What a socket read, on its way to a plugin: a queue of a few pieces, and a thread that has them
//! read.
//!
//! The queue is short, for what waits in it holds a share of the budget that all sources live on: a
//! slow plugin makes its own senders wait and leaves the others theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::kernel::model::Now;
use crate::shell::clock::Clock;
use crate::shell::inlet::{InFlight, Inlet, Stopped};
use crate::shell::source::{Pieces, Take};

use super::lane::Lane;
use super::place::Place;

/// How often it is asked whether the plugin may be called again, while it may not.
const READY_PAUSE: Duration = Duration::from_millis(50);

/// Reads of a socket that wait for the plugin, of 64 KiB each at most, or one payload.
const WAITING_MAX: usize = 16;

pub struct Socket {
    place: Arc<Place>,
    lane: Arc<Lane>,
    clock: Arc<dyn Clock>,
    work: mpsc::Sender<Work>,
    /// Nothing is waited for any more.
    ending: Arc<AtomicBool>,
}

enum Work {
    Read {
        bytes: Vec<u8>,
        ends: Vec<usize>,
        permit: InFlight,
        arrival: Now,
    },
    /// Answered when all before it is handed on.
    Finish(oneshot::Sender<()>),
}

impl Socket {
    pub(super) fn open(
        place: Arc<Place>,
        lane: Arc<Lane>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Socket> {
        let (work, waiting) = mpsc::channel(WAITING_MAX);
        let ending = Arc::new(AtomicBool::new(false));
        let (served, way_in, ends) = (place.clone(), lane.clone(), ending.clone());
        std::thread::Builder::new()
            .name("decode".to_owned())
            .spawn(move || serve(&served, &way_in, &ends, waiting))?;
        place.add(lane.clone());
        Ok(Socket { place, lane, clock, work, ending })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.ending.store(true, Relaxed);
        self.place.remove(&self.lane);
    }
}

/// Ends with the socket.
fn serve(place: &Place, lane: &Lane, ending: &AtomicBool, mut waiting: mpsc::Receiver<Work>) {
    while let Some(work) = waiting.blocking_recv() {
        match work {
            Work::Read { bytes, ends, permit, arrival } => {
                let pieces = Pieces { bytes: &bytes, ends: &ends }.iter();
                let read = pieces.map(|piece| {
                    // What came is kept for a plugin that comes back.
                    while !place.is_ready() && !ending.load(Relaxed) {
                        std::thread::sleep(READY_PAUSE);
                    }
                    (piece, place.read("", piece, arrival))
                });
                let read: Vec<_> = read.collect();
                if lane.hand_on(arrival, permit, read).is_err() {
                    // The engine has stopped, and with it every source.
                    return;
                }
            }
            Work::Finish(done) => {
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
        }
    }
}

fn work(read: Pieces<'_>, permit: InFlight, arrival: Now) -> Work {
    Work::Read { bytes: read.bytes.to_vec(), ends: read.ends.to_vec(), permit, arrival }
}

impl Take for Socket {
    fn inlet(&self) -> &Inlet {
        &self.lane.inlet
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn is_ready(&self) -> bool {
        self.place.is_ready()
    }

    fn offer(&self, read: Pieces<'_>, permit: InFlight, arrival: Now) -> Result<bool, Stopped> {
        match self.work.try_reserve() {
            Ok(room) => {
                room.send(work(read, permit, arrival));
                Ok(true)
            }
            Err(mpsc::error::TrySendError::Full(())) => Ok(false),
            Err(mpsc::error::TrySendError::Closed(())) => Err(Stopped),
        }
    }

    async fn pass(&self, read: Pieces<'_>, permit: InFlight, arrival: Now) -> Result<(), Stopped> {
        let room = self.work.reserve().await.map_err(|_| Stopped)?;
        room.send(work(read, permit, arrival));
        Ok(())
    }

    async fn finish(&self) {
        self.ending.store(true, Relaxed);
        let (done, finished) = oneshot::channel();
        if self.work.send(Work::Finish(done)).await.is_ok() {
            // An error says that the thread has ended, and with it whatever waited.
            let _ = finished.await;
        }
    }
}
