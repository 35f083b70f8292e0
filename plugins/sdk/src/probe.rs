//! Probes: measurements on a period.

use crate::bindings::probe::exports::watchfire::plugin::collector;
use crate::{Duration, Failure, Held, Reading, Snapshot, Timestamp};

pub use collector::Schedule;

/// A component that measures something when the host asks.
pub trait Probe: Sized + 'static {
    /// Takes the operator's settings, a JSON object.
    fn configure(settings: &str) -> Result<Self, Failure>;

    /// How often it wants to be asked.
    fn every(&self) -> Duration;

    /// Takes one measurement. A failure is shown on the plugin; the next call comes at its time.
    fn collect(&mut self, now: Timestamp) -> Result<Vec<Reading>, Failure>;

    /// The state worth carrying over to a new instance.
    fn save(&mut self) -> Option<Snapshot> {
        None
    }

    /// Takes over saved state; a failure means a cold start.
    fn restore(&mut self, _state: Snapshot) -> Result<(), Failure> {
        Err(Failure::new("state", "this probe keeps no state"))
    }
}

adapter!(Probe);

impl<T: Probe + Held> collector::Guest for Adapter<T> {
    fn describe() -> Result<Schedule, Failure> {
        Ok(Schedule { every: T::held(|probe| probe.every()) })
    }

    fn collect(now: Timestamp) -> Result<Vec<Reading>, Failure> {
        T::held(|probe| probe.collect(now))
    }
}

/// Makes a component of a [`Probe`]. Once in a crate. `needs` is as in [`export_sink!`].
///
/// [`export_sink!`]: crate::export_sink
#[macro_export]
macro_rules! export_probe {
    ($probe:ty $(, needs = [$($need:literal),* $(,)?])?) => {
        $crate::export_world!($probe, probe, "probe", [$($($need),*)?]);
    };
}
