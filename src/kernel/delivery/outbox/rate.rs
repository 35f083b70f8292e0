//! Where the outbox meets its rate limit: how much may leave, what is withheld, when its summary is
//! due.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Action, Outbox};
use crate::kernel::delivery::attempt::{End, Settled};
use crate::kernel::delivery::own;
use crate::kernel::event::Event;
use crate::kernel::model::Now;

impl Outbox {
    /// How many events from the queue's front make the next batch; 0 when the rate forbids even the
    /// first.
    pub(super) fn batch_size(&mut self, now: Now) -> usize {
        let most = self.batch_max().min(self.queue.len());
        let Some(rate) = self.policy.rate else { return most };
        let mut allowed = self.limiter.allowance(rate, now);
        let forbidden = self.queue.iter().take(most).position(|waiting| {
            if own::is_exempt(&waiting.event) {
                return false;
            }
            let spent = allowed == 0;
            allowed = allowed.saturating_sub(1);
            spent
        });
        forbidden.unwrap_or(most)
    }

    /// Settles everything that waits as withheld, except what no rate may hold.
    pub(super) fn withhold(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(rate) = self.policy.rate else { return };
        let mut kept = VecDeque::new();
        let mut withheld = Vec::new();
        for waiting in self.queue.drain(..) {
            if own::is_exempt(&waiting.event) {
                kept.push_back(waiting);
            } else {
                self.limiter.withhold(rate, now, &waiting.event);
                withheld.push(waiting.event);
            }
        }
        self.queue = kept;
        if !withheld.is_empty() {
            self.counts.withheld += withheld.len() as u64;
            let (events, end) = (withheld.into(), End::Withheld);
            actions.push(Action::Settled(Settled { events, end, attempts: 0 }));
        }
        self.speak_for_flush(now);
    }

    /// The rate limit's hold ends by time, or because the rate was taken away.
    pub(super) fn end_hold(&mut self, now: Now) {
        if self.policy.rate.is_none() {
            self.limiter.forget_admitted();
        }
        let over = self.limiter.held_until().is_some_and(|until| until <= now);
        if over || self.policy.rate.is_none() {
            let summary = self.limiter.release(&self.sink, now);
            self.enqueue_summary(now, summary);
        }
        self.speak_for_flush(now);
    }

    /// A flush leaves nothing unsaid: its summary goes out before the hold is over.
    fn speak_for_flush(&mut self, now: Now) {
        if self.is_flushing() && self.queue.iter().all(|waiting| own::is_exempt(&waiting.event)) {
            let summary = self.limiter.speak(&self.sink, now);
            self.enqueue_summary(now, summary);
        }
    }

    fn enqueue_summary(&mut self, now: Now, summary: Option<Event>) {
        let Some(summary) = summary else { return };
        self.counts.summaries += 1;
        self.enqueue(now, Arc::new(summary));
        if let Some(until) = &mut self.flush {
            *until = self.numbered;
        }
    }
}
