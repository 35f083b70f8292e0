//! Sinks, whoever wrote them: what a sink declares, and how one is opened and given alerts.
//!
//! A Rhai script, a Wasm component and a built-in sink all give the same [`Sink`] value. Retry,
//! backoff, batching, rate limit and order belong to the shell; a sink makes one attempt.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use super::grant::{Granted, Request};
pub use crate::kernel::delivery::{Batching, Outcome, Rate, Retry};
use crate::kernel::event::Event;
use crate::kernel::model::Version;
use crate::kernel::rule::Origin;
use crate::kernel::rule::program::Fault;

/// A declared sink.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Unique; what rules name in `.notify`.
    pub name: Arc<str>,
    pub version: Version,
    pub origin: Origin,
    /// "rhai", "wasm", "terminal", "file" or "webhook".
    pub kind: &'static str,
    pub batching: Batching,
    pub retry: Retry,
    pub rate: Option<Rate>,
    pub needs: Vec<Request>,
    pub opener: Arc<dyn Opener>,
}

/// What the shell gives a sink when it opens it.
#[derive(Clone, Debug)]
pub struct SinkEnv {
    pub granted: Granted,
    /// The sink's own folder under the data directory; made before `open`.
    pub folder: PathBuf,
    /// Settings from the sidecar or the main config, for `configure`.
    pub settings: serde_json::Value,
}

/// Opens a sink: the place where a guest is instantiated. Called again after a fault that ended
/// the instance. May block for a short time.
pub trait Opener: Send + Sync + fmt::Debug {
    fn open(&self, env: &SinkEnv) -> Result<Box<dyn Deliver>, Fault>;
}

pub type Delivery<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// An open sink. `key` is the attempt's idempotency key: the same events carry the same key.
pub trait Deliver: Send {
    fn deliver<'a>(&'a mut self, key: &'a str, events: &'a [Arc<Event>]) -> Delivery<'a>;
}
