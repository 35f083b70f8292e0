//! The rows that wait: oldest first, bounded, under the outbox's own numbers of series.

use std::collections::VecDeque;
use std::sync::Arc;

use super::names::Names;
use super::ports::{SampleBatch, SamplePolicy};
use crate::kernel::model::{EventTime, Now, Series};
use crate::kernel::rule::selector::Selector;
use crate::kernel::sequence::tap::Tapped;

/// What a waiting row is charged.
pub const ROW_BYTES: usize = size_of::<Row>();

#[derive(Debug)]
pub struct Queue {
    /// A series is taken when any of these takes it.
    wants: Vec<Selector>,
    /// Of the rows here and of those in a batch.
    pub names: Names,
    rows: VecDeque<Row>,
    /// When the rows came, oldest first.
    arrivals: VecDeque<Arrival>,
    /// Rows that were ever put in; a row's number is how many were there before it.
    numbered: u64,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    series: u32,
    at: EventTime,
    value: f64,
}

/// Rows with numbers below `end` came at `since`, down to the arrival before.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    end: u64,
    since: Now,
}

impl Queue {
    pub fn new(wants: Vec<Selector>) -> Queue {
        Queue {
            wants,
            names: Names::default(),
            rows: VecDeque::new(),
            arrivals: VecDeque::new(),
            numbered: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Rows that were ever put in.
    pub fn numbered(&self) -> u64 {
        self.numbered
    }

    /// The number of the oldest row, or of the next one to come.
    pub fn first(&self) -> u64 {
        self.numbered - self.rows.len() as u64
    }

    /// When the oldest row came.
    pub fn since(&self) -> Option<Now> {
        self.arrivals.front().map(|arrival| arrival.since)
    }

    /// Takes over what is wanted of the rows; how many that were.
    pub fn offer(&mut self, now: Now, tapped: &Tapped) -> u64 {
        for (host, series) in &tapped.introduced {
            let wanted = is_wanted(&self.wants, series);
            self.names.introduce(*host, series, wanted);
        }
        let before = self.numbered;
        for ((host, at), value) in tapped.series.iter().zip(&tapped.at).zip(&tapped.value) {
            if let Some(series) = self.names.own(*host) {
                self.names.wait(series);
                self.rows.push_back(Row { series, at: *at, value: *value });
                self.numbered += 1;
            }
        }
        if before < self.numbered {
            self.arrivals.push_back(Arrival { end: self.numbered, since: now });
        }
        tapped.retired.iter().for_each(|host| self.names.retire(*host));
        self.numbered - before
    }

    /// Leaves out the oldest rows until no bound is passed; `batched` rows count too, and stay, for
    /// they may be in flight. How many were left out.
    pub fn refuse_oldest(&mut self, policy: &SamplePolicy, batched: usize) -> u64 {
        let before = self.rows.len();
        let is_over = |queue: &Queue| {
            queue.rows.len() + batched > policy.rows_max || queue.bytes(batched) > policy.bytes_max
        };
        while is_over(self) {
            let Some(row) = self.rows.pop_front() else { break };
            self.names.settle(row.series);
        }
        self.forget_arrivals();
        (before - self.rows.len()) as u64
    }

    /// Of so many batched rows and those here, with the names that only they keep.
    pub fn bytes(&self, batched: usize) -> usize {
        (self.rows.len() + batched) * ROW_BYTES + self.names.held_bytes()
    }

    /// Takes out the oldest rows, at most `max`.
    pub fn take(&mut self, key: Arc<str>, max: usize) -> SampleBatch {
        let size = self.rows.len().min(max);
        let mut batch = SampleBatch::with_room(key, size);
        for row in self.rows.drain(..size) {
            batch.series.push(row.series);
            batch.at.push(row.at);
            batch.value.push(row.value);
        }
        self.forget_arrivals();
        batch
    }

    /// A batch needs no more work.
    pub fn settle(&mut self, batch: &SampleBatch) {
        batch.series.iter().for_each(|series| self.names.settle(*series));
    }

    /// From now on other series are wanted; rows that are here stay.
    pub fn choose(&mut self, wants: Vec<Selector>) {
        self.wants = wants;
        let wants = &self.wants;
        self.names.keep(|series| is_wanted(wants, series));
    }

    /// Throws all rows away; how many that were.
    pub fn clear(&mut self) -> u64 {
        let count = self.rows.len() as u64;
        while let Some(row) = self.rows.pop_front() {
            self.names.settle(row.series);
        }
        self.arrivals.clear();
        count
    }

    fn forget_arrivals(&mut self) {
        let first = self.first();
        while self.arrivals.front().is_some_and(|arrival| arrival.end <= first) {
            self.arrivals.pop_front();
        }
    }
}

fn is_wanted(wants: &[Selector], series: &Series) -> bool {
    // A sink's selectors hold no closure, so none of them can fault.
    wants.iter().any(|selector| selector.takes(series).unwrap_or(false))
}
