//! For tests of sources: a decoder of lines `name value`, and the sequencer's end of the queue.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, unbounded};

use crate::kernel::model::{Announcement, Batch, Defect, EventTime, Limits, Now, Op, Series, Slot};
use crate::shell::clock::ManualClock;
use crate::shell::inlet::{Gate, InFlight, Inbound};

use super::{Decode, Surroundings};

/// Far longer than anything here takes: only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
pub struct ToyDecoder {
    slots: BTreeMap<String, Slot>,
    begun: Vec<u8>,
    batch: Batch,
    pub evictions: u64,
}

impl ToyDecoder {
    fn line(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let Some((name, value)) = text.trim().split_once(' ') else {
            return self.batch.defect(Defect::new(0, "no value", line));
        };
        let Ok(value) = value.parse() else {
            return self.batch.defect(Defect::new(0, "not a number", line));
        };
        let next = Slot(self.slots.len() as u32);
        let slot = *self.slots.entry(name.to_owned()).or_insert_with(|| {
            let series = Series::new::<&str, &str>(name, []);
            let row = self.batch.rows() as u32;
            self.batch.announced.push(Announcement { row, slot: next, series });
            next
        });
        self.batch.push(slot, EventTime::MIN, value, Op::Set);
    }
}

impl Decode for ToyDecoder {
    fn decode(&mut self, payload: &[u8]) {
        for line in payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.line(line);
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.begun.extend_from_slice(bytes);
        if let Some(end) = memchr::memrchr(b'\n', &self.begun) {
            let rest = self.begun.split_off(end + 1);
            let whole = std::mem::replace(&mut self.begun, rest);
            self.decode(&whole);
        }
    }

    fn finish(&mut self) {
        let last = std::mem::take(&mut self.begun);
        self.decode(&last);
    }

    fn take(&mut self) -> Batch {
        std::mem::take(&mut self.batch)
    }

    fn age(&mut self, _: EventTime) {}

    fn evictions(&mut self) -> u64 {
        self.evictions
    }
}

/// Stands where the sequencer stands.
pub struct Sequencer {
    pub gate: Gate,
    pub clock: Arc<ManualClock>,
    queue: Receiver<Inbound>,
    names: BTreeMap<Slot, String>,
}

impl Sequencer {
    pub fn new(limits: Limits) -> Sequencer {
        let (sender, queue) = unbounded();
        let clock = Arc::new(ManualClock::new(Now::from_nanos(1_000)));
        Sequencer { gate: Gate::new(limits, sender), clock, queue, names: BTreeMap::new() }
    }

    pub fn surroundings(&self) -> Surroundings {
        Surroundings { gate: self.gate.clone(), clock: self.clock.clone() }
    }

    /// The next message, if one is there.
    pub fn next(&self) -> Option<Inbound> {
        self.queue.try_recv().ok()
    }

    /// The next batch and its permit, once there is one.
    pub async fn batch(&mut self) -> (Batch, InFlight) {
        let what = "a batch";
        eventually(what, || match self.next() {
            Some(Inbound::Batch { batch, permit, .. }) => Some((batch, permit)),
            Some(Inbound::Opened { .. } | Inbound::Listening { .. } | Inbound::Closed { .. }) => {
                None
            }
            None => None,
        })
        .await
    }

    /// The next `count` samples as `name value`; their permits are dropped.
    pub async fn samples(&mut self, count: usize) -> Vec<String> {
        let mut samples = Vec::new();
        while samples.len() < count {
            let (batch, _) = self.batch().await;
            samples.extend(self.read(&batch));
        }
        samples
    }

    /// A batch's rows as `name value`. Panics at a slot that was not announced before its row.
    pub fn read(&mut self, batch: &Batch) -> Vec<String> {
        let mut announced = batch.announced.iter().peekable();
        let mut rows = Vec::new();
        for row in 0..batch.rows() {
            while let Some(new) = announced.next_if(|new| new.row as usize <= row) {
                self.names.insert(new.slot, new.series.to_string());
            }
            let name = self.names.get(&batch.slots[row]).expect("announced before its first row");
            rows.push(format!("{name} {}", batch.value[row]));
        }
        rows
    }
}

/// Asks until there is an answer.
pub async fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    in_time(what, asking).await
}

pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("still waiting for {what}"),
    }
}
