//! Probes, whoever wrote them: what a probe declares, and how one is opened and asked.
//!
//! A Rhai script and a Wasm component both give the same [`Probe`] value. The period, its jitter
//! and what becomes of the readings belong to the shell; a probe takes one measurement.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::grant::Request;
use super::sink::SinkEnv;
use crate::kernel::model::{Duration, EventTime, Now, Version};
use crate::kernel::rule::Origin;
use crate::kernel::rule::program::Fault;

/// The shortest and the longest time between two measurements.
pub const EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(86_400));

/// Readings of one measurement; what is past them is left out and counted.
pub const READINGS_MAX: usize = 10_000;

/// A declared probe.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Unique among probes; its samples come from the source `probe:NAME`.
    pub name: Arc<str>,
    pub version: Version,
    pub origin: Origin,
    /// "rhai" or "wasm".
    pub kind: &'static str,
    /// From the start of one measurement to the start of the next, within [`EVERY`].
    pub every: Duration,
    pub needs: Vec<Request>,
    pub opener: Arc<dyn ProbeOpener>,
}

/// One measured value, before it has a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub metric: String,
    pub labels: Vec<(String, String)>,
    /// `None` for the time at which it was taken in.
    pub at: Option<EventTime>,
    pub value: f64,
}

/// Opens a probe: the place where a guest is instantiated. Called again after a fault that ended
/// the instance. May block for a short time.
pub trait ProbeOpener: Send + Sync + fmt::Debug {
    fn open(&self, env: &SinkEnv) -> Result<Box<dyn Collect>, Fault>;
}

pub type Collected<'a> = Pin<Box<dyn Future<Output = Result<Vec<Reading>, Failed>> + Send + 'a>>;

/// Why there is no measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub fault: Fault,
    /// The instance is gone: another one must be opened.
    pub over: bool,
}

/// An open probe.
pub trait Collect: Send {
    /// Takes one measurement at `now`.
    fn collect(&mut self, now: Now) -> Collected<'_>;
}
