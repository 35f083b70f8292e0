//! Sample sinks: what one wants, and one attempt to deliver samples.

use crate::bindings::sample_sink::exports::watchfire::plugin::sample_delivery;
use crate::{Columns, Duration, Failure, Held, Series, SeriesId, Snapshot, Timestamp};

pub use crate::sink::{Batching, DeliveryError, Retrying};
pub use sample_delivery::{SampleTerms, Selection};

/// A component that carries samples out. Retry, backoff and batching belong to the host, so a sink
/// holds no loop and no sleep.
pub trait SampleSink: Sized + 'static {
    /// Takes the operator's settings, a JSON object.
    fn configure(settings: &str) -> Result<Self, Failure>;

    /// Which samples it wants, and how.
    fn describe(&self) -> SampleTerms;

    /// Announces series, each once in the life of an instance and before its first row.
    fn intern(&mut self, added: Vec<Series>);

    /// These series will not come again unless announced anew.
    fn forget(&mut self, removed: &[SeriesId]);

    /// Makes one attempt to deliver these rows. The same rows come again under the same key.
    fn deliver(&mut self, key: &str, rows: Columns<'_>) -> Result<(), DeliveryError>;

    /// The state worth carrying over to a new instance.
    fn save(&mut self) -> Option<Snapshot> {
        None
    }

    /// Takes over saved state, after the series that the instance before knew were announced; a
    /// failure means a cold start.
    fn restore(&mut self, _state: Snapshot) -> Result<(), Failure> {
        Err(Failure::new("state", "this sink keeps no state"))
    }
}

/// The host's defaults in everything but what is wanted.
impl SampleTerms {
    /// Metrics by name or glob: `cpu.usage`, `disk.*`, `*`.
    pub fn of<'a>(metrics: impl IntoIterator<Item = &'a str>) -> SampleTerms {
        let wants = |metric: &str| Selection { metric: metric.to_owned(), only: String::new() };
        let wants = metrics.into_iter().map(wants).collect();
        SampleTerms { wants, batching: None, retrying: None }
    }

    /// An attempt goes out when `max` samples wait or the oldest waited `age`.
    pub fn batch(mut self, max: u32, age: Duration) -> SampleTerms {
        self.batching = Some(Batching { max, age });
        self
    }

    /// After `attempts` failed attempts the rows are dead; backoff grows from `base`.
    pub fn retry(mut self, attempts: u32, base: Duration) -> SampleTerms {
        self.retrying = Some(Retrying { attempts, base });
        self
    }
}

adapter!(SampleSink);

impl<T: SampleSink + Held> sample_delivery::Guest for Adapter<T> {
    fn describe() -> Result<SampleTerms, Failure> {
        Ok(T::held(|sink| sink.describe()))
    }

    fn intern(added: Vec<Series>) {
        T::held(|sink| sink.intern(added));
    }

    fn forget(removed: Vec<SeriesId>) {
        T::held(|sink| sink.forget(&removed));
    }

    fn deliver_samples(
        key: String,
        series: Vec<SeriesId>,
        at: Vec<Timestamp>,
        value: Vec<f64>,
    ) -> Result<(), DeliveryError> {
        let rows = Columns { series: &series, at: &at, value: &value };
        T::held(|sink| sink.deliver(&key, rows))
    }
}

/// Makes a component of a [`SampleSink`]. Once in a crate. `needs` is as in [`export_sink!`].
///
/// [`export_sink!`]: crate::export_sink
#[macro_export]
macro_rules! export_sample_sink {
    ($sink:ty $(, needs = [$($need:literal),* $(,)?])?) => {
        $crate::export_world!($sink, sample_sink, "sample-sink", [$($($need),*)?]);
    };
}
