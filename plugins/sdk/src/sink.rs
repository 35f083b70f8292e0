//! Sinks: one attempt to deliver alerts, and how it went.

use crate::bindings::sink::exports::watchfire::plugin::delivery;
use crate::{Duration, Failure, Held, Snapshot};

pub use crate::bindings::sink::watchfire::plugin::sending::{Batching, DeliveryError, Retrying};
pub use delivery::{Alert, Bounds, Cause, JudgedValue, Kind, Rate, Receipt, Terms};

/// A component that carries alerts out. Retry, backoff, batching, rate and order belong to the
/// host, so a sink holds no loop and no sleep.
pub trait Sink: Sized + 'static {
    /// Takes the operator's settings, a JSON object.
    fn configure(settings: &str) -> Result<Self, Failure>;

    /// How it wants to be given alerts.
    fn describe(&self) -> Terms {
        Terms::default()
    }

    /// Makes one attempt to deliver these alerts, in this order. The same alerts come again under
    /// the same key.
    fn deliver(&mut self, key: &str, alerts: &[Alert]) -> Result<Vec<Receipt>, DeliveryError>;

    /// The state worth carrying over to a new instance.
    fn save(&mut self) -> Option<Snapshot> {
        None
    }

    /// Takes over saved state; a failure means a cold start.
    fn restore(&mut self, _state: Snapshot) -> Result<(), Failure> {
        Err(Failure::new("state", "this sink keeps no state"))
    }
}

/// The host's defaults in everything.
impl Default for Terms {
    fn default() -> Terms {
        Terms { batching: None, retrying: None, rate: None }
    }
}

impl Terms {
    /// An attempt goes out when `max` alerts wait or the oldest waited `age`.
    pub fn batch(mut self, max: u32, age: Duration) -> Terms {
        self.batching = Some(Batching { max, age });
        self
    }

    /// After `attempts` failed attempts the alerts are dead; backoff grows from `base`.
    pub fn retry(mut self, attempts: u32, base: Duration) -> Terms {
        self.retrying = Some(Retrying { attempts, base });
        self
    }
}

adapter!(Sink);

impl<T: Sink + Held> delivery::Guest for Adapter<T> {
    fn describe() -> Result<Terms, Failure> {
        Ok(T::held(|sink| sink.describe()))
    }

    fn deliver(key: String, alerts: Vec<Alert>) -> Result<Vec<Receipt>, DeliveryError> {
        T::held(|sink| sink.deliver(&key, &alerts))
    }
}

/// Makes a component of a [`Sink`]. Once in a crate.
///
/// `needs` lists what it asks the operator for: `http:HOST[:PORT]`, `secret:NAME`. A part in
/// braces is the value of that setting: `http:{url}` asks for the host of the setting `url`, and
/// asks for nothing where the setting is absent.
#[macro_export]
macro_rules! export_sink {
    ($sink:ty $(, needs = [$($need:literal),* $(,)?])?) => {
        $crate::export_world!($sink, sink, "sink", [$($($need),*)?]);
    };
}
