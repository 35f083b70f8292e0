//! Attempts to deliver, of sinks of alerts and of samples alike: each on a blocking thread, on an
//! instance that one attempt at a time has to itself.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration as StdDuration;

use tokio::runtime::Handle;

use super::instance::{Guest, Instance};
use super::limits::cut;
use super::saved::SavedState;
use super::store::{Plugin, Stop};
use super::v0_1::{Out, sending};
use crate::guest::http::HttpGate;
use crate::guest::sink::Outcome;
use crate::kernel::model::Duration;
use crate::kernel::rule::program::Fault;

/// The instance of an open sink, and its way out.
pub struct OpenGuest<G> {
    /// `None` while an attempt runs, and after one that died or was abandoned.
    live: Option<Instance<G>>,
    gate: HttpGate,
    saved: Arc<SavedState>,
    plugin: Arc<Plugin>,
}

impl<G: Guest + Send + 'static> OpenGuest<G> {
    pub fn new(
        live: Instance<G>,
        gate: HttpGate,
        saved: &Arc<SavedState>,
        plugin: &Arc<Plugin>,
    ) -> OpenGuest<G> {
        let (saved, plugin) = (saved.clone(), plugin.clone());
        OpenGuest { live: Some(live), gate, saved, plugin }
    }

    /// Makes one attempt at so many alerts or samples. What was delivered may have changed the
    /// guest's state, which is kept.
    pub async fn attempt(
        &mut self,
        rows: usize,
        work: impl FnOnce(&mut Instance<G>, Out) -> Result<Outcome, Stop> + Send + 'static,
    ) -> Outcome {
        let Some(mut live) = self.live.take() else {
            return Outcome::Faulted(Fault::new("the instance did not outlive an attempt"));
        };
        self.plugin.counters.batches.fetch_add(1, Relaxed);
        self.plugin.counters.rows.fetch_add(rows as u64, Relaxed);
        let out = Out { gate: self.gate.clone(), runtime: Handle::current() };
        let saved = self.saved.clone();
        let attempt = tokio::task::spawn_blocking(move || {
            let outcome = work(&mut live, out);
            if matches!(outcome, Ok(Outcome::Delivered { .. })) {
                live.keep_state(&saved);
            }
            (live, outcome)
        });
        match attempt.await {
            Ok((live, Ok(outcome))) => {
                self.live = Some(live);
                outcome
            }
            Ok((_, Err(stop))) => Outcome::Faulted(Fault::new(stop.words())),
            Err(error) => Outcome::Faulted(Fault::new(format!("the attempt's thread: {error}"))),
        }
    }
}

/// Why a sink of either kind says that an attempt failed.
pub fn not_delivered(error: sending::DeliveryError) -> Outcome {
    use sending::DeliveryError;
    let words = |why: String| cut(&why, 1024);
    match error {
        DeliveryError::Retry(after) => {
            let millis = |millis| StdDuration::from_millis(u64::from(millis));
            let after = after.map(|after| Duration::from_nanos(millis(after).as_nanos() as i64));
            Outcome::Retry { after, why: "the sink asks to try again".to_owned() }
        }
        DeliveryError::Rejected(why) => Outcome::Rejected { why: words(why) },
        DeliveryError::Misconfigured(why) => {
            Outcome::Retry { after: None, why: format!("misconfigured: {}", words(why)) }
        }
        DeliveryError::Other(why) => Outcome::Retry { after: None, why: words(why) },
    }
}
