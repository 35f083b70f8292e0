//! The way from the sequencer's thread to a sink's task: bounded in rows, and never waited for.
//!
//! Rows may be left out here, when the task does not come to read; what they name may not, or later
//! rows would go under another series' name. So names that were left out with their rows are kept,
//! one for each number, and go before the next rows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{mpsc, oneshot};

use crate::guest::sample_sink::SampleSink;
use crate::guest::sink::SinkEnv;
use crate::kernel::delivery::SamplePolicy;
use crate::kernel::model::{Series, SeriesId};
use crate::kernel::sequence::tap::Tapped;

pub enum Message {
    Rows(Arc<Tapped>),
    /// Another version; what was accepted before goes before it.
    Swap(Box<Swap>),
    /// It may not run.
    Park,
    /// Answered when all that came before is settled.
    Flush(oneshot::Sender<()>),
    /// Ends the task; what is not delivered by now is lost.
    Close,
}

pub struct Swap {
    pub sink: SampleSink,
    pub env: SinkEnv,
    pub policy: SamplePolicy,
}

pub struct Inbox {
    messages: mpsc::UnboundedSender<Message>,
    waiting: AtomicUsize,
    rows_max: usize,
    refused: AtomicU64,
    /// Of rows that were left out: what each number stands for now.
    owed: Mutex<BTreeMap<SeriesId, Option<Series>>>,
}

impl Inbox {
    /// At most `rows_max` rows lie in it.
    pub fn new(rows_max: usize) -> (Inbox, mpsc::UnboundedReceiver<Message>) {
        let (messages, received) = mpsc::unbounded_channel();
        let (waiting, refused, owed) = Default::default();
        (Inbox { messages, waiting, rows_max, refused, owed }, received)
    }

    /// Puts rows in, or counts them.
    pub fn offer(&self, tapped: &Arc<Tapped>) {
        let rows = tapped.rows();
        let mut owed = self.owed();
        if self.waiting.load(Relaxed) + rows > self.rows_max {
            self.refused.fetch_add(rows as u64, Relaxed);
            let introduced = tapped.introduced.iter();
            owed.extend(introduced.map(|(id, series)| (*id, Some(series.clone()))));
            owed.extend(tapped.retired.iter().map(|id| (*id, None)));
            return;
        }
        if !owed.is_empty() {
            self.send(Message::Rows(Arc::new(settled(std::mem::take(&mut *owed)))));
        }
        self.waiting.fetch_add(rows, Relaxed);
        self.send(Message::Rows(tapped.clone()));
    }

    pub fn send(&self, message: Message) {
        // A task that has ended takes nothing any more.
        let _ = self.messages.send(message);
    }

    /// The task has these rows now.
    pub fn taken(&self, rows: usize) {
        self.waiting.fetch_sub(rows, Relaxed);
    }

    /// A sink that is not running hears nothing, so nothing is owed to it.
    pub fn owe_nothing(&self) {
        self.owed().clear();
    }

    /// Rows that were left out, whether the sink wanted them or not.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn owed(&self) -> MutexGuard<'_, BTreeMap<SeriesId, Option<Series>>> {
        self.owed.lock().expect("nothing panics under this lock")
    }
}

fn settled(owed: BTreeMap<SeriesId, Option<Series>>) -> Tapped {
    let mut tapped = Tapped::default();
    for (id, series) in owed {
        match series {
            Some(series) => tapped.introduced.push((id, series)),
            None => tapped.retired.push(id),
        }
    }
    tapped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::model::EventTime;

    fn tapped(introduced: &[(u32, &str)], rows: usize, retired: &[u32]) -> Arc<Tapped> {
        let series = |name: &str| Series::new::<&str, &str>(name, []);
        Arc::new(Tapped {
            introduced: introduced.iter().map(|(id, name)| (SeriesId(*id), series(name))).collect(),
            series: vec![SeriesId(0); rows],
            at: vec![EventTime::MIN; rows],
            value: vec![0.0; rows],
            retired: retired.iter().map(|id| SeriesId(*id)).collect(),
        })
    }

    #[test]
    fn names_outlive_the_rows_that_found_no_room() {
        let (inbox, mut received) = Inbox::new(4);
        let mut next = || match received.try_recv() {
            Ok(Message::Rows(tapped)) => tapped,
            _ => panic!("rows were offered"),
        };
        let first = tapped(&[(0, "a")], 4, &[]);
        inbox.offer(&first);
        inbox.offer(&tapped(&[(1, "b"), (2, "c")], 1, &[0]));
        inbox.offer(&tapped(&[(0, "d")], 2, &[2]));
        assert_eq!((next(), inbox.refused()), (first, 3));
        inbox.taken(4);
        let last = tapped(&[], 4, &[]);
        inbox.offer(&last);
        assert_eq!(next(), tapped(&[(0, "d"), (1, "b")], 0, &[2]));
        assert_eq!(next(), last);
    }
}
