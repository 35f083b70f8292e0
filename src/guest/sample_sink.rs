//! Sinks of samples: what one declares, and how one is opened and given rows.
//!
//! Only components can be one. Retry, backoff, batching and order belong to the shell; a sink makes
//! one attempt, and knows series by the numbers that were announced to it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::grant::Request;
use super::sink::{Batching, Outcome, Retry, SinkEnv};
pub use crate::kernel::delivery::SampleBatch;
use crate::kernel::model::{Series, Version};
use crate::kernel::rule::Origin;
use crate::kernel::rule::program::Fault;
use crate::kernel::rule::selector::Selector;

/// A declared sink of samples.
#[derive(Clone, Debug)]
pub struct SampleSink {
    /// Unique among sinks of both kinds.
    pub name: Arc<str>,
    pub version: Version,
    pub origin: Origin,
    /// A series is given when any of these takes it; at least one, and none with a closure.
    pub wants: Vec<Selector>,
    /// In rows; `None` for the default of the settings.
    pub batching: Option<Batching>,
    pub retry: Retry,
    pub needs: Vec<Request>,
    pub opener: Arc<dyn SampleOpener>,
}

/// A series under the number that rows name it by.
pub type Named = (u32, Series);

/// Opens a sink: the place where a guest is instantiated. Called again after a fault that ended the
/// instance. May block for a short time.
pub trait SampleOpener: Send + Sync + fmt::Debug {
    /// `known` are the series that the instance before knew: state may refer to them.
    fn open(&self, env: &SinkEnv, known: &[Named]) -> Result<OpenedSamples, Fault>;
}

/// An open sink, and whether it was told the series that the one before knew.
pub struct OpenedSamples {
    pub sink: Box<dyn DeliverSamples>,
    pub announced: bool,
}

/// What one attempt brings: first what to forget, then what is new, then the rows.
#[derive(Clone, Debug)]
pub struct SampleAttempt {
    pub batch: Arc<SampleBatch>,
    pub added: Vec<Named>,
    pub removed: Vec<u32>,
}

pub type SampleDelivery<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// An open sink.
pub trait DeliverSamples: Send {
    fn deliver(&mut self, attempt: SampleAttempt) -> SampleDelivery<'_>;
}
