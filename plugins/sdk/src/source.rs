//! Sources: a format that the host does not know, bytes in and readings out.

use crate::bindings::source::exports::watchfire::plugin::decoder;
use crate::{Failure, Held, Reading, Snapshot};

pub use decoder::{Decoded, Defect, Intake};

/// A component that decodes. It is given whole payloads, each of which stands for itself.
pub trait Source: Sized + 'static {
    /// Takes the operator's settings, a JSON object.
    fn configure(settings: &str) -> Result<Self, Failure>;

    /// What it takes: everything, unless it says otherwise.
    fn describe(&self) -> Intake {
        Intake { content_types: Vec::new(), lateness: None }
    }

    /// Reads one payload: the body of a request, a datagram, lines of a stream, or what came after
    /// its length. What cannot be read is a defect; a failure is a defect of all of it.
    fn decode(
        &mut self,
        content_type: &str,
        payload: &[u8],
        out: &mut Decoded,
    ) -> Result<(), Failure>;

    /// The state worth carrying over to a new instance.
    fn save(&mut self) -> Option<Snapshot> {
        None
    }

    /// Takes over saved state; a failure means a cold start.
    fn restore(&mut self, _state: Snapshot) -> Result<(), Failure> {
        Err(Failure::new("state", "this source keeps no state"))
    }
}

impl Decoded {
    pub fn push(&mut self, reading: Reading) {
        self.readings.push(reading);
    }

    /// A part that could not be read, beginning `offset` bytes into the payload.
    pub fn defect(&mut self, offset: usize, what: impl Into<String>) {
        self.defects.push(Defect { offset: offset as u64, what: what.into() });
    }
}

adapter!(Source);

impl<T: Source + Held> decoder::Guest for Adapter<T> {
    fn describe() -> Result<Intake, Failure> {
        Ok(T::held(|source| source.describe()))
    }

    fn decode(content_type: String, payload: Vec<u8>) -> Result<Decoded, Failure> {
        let mut out = Decoded { readings: Vec::new(), defects: Vec::new() };
        T::held(|source| source.decode(&content_type, &payload, &mut out))?;
        Ok(out)
    }
}

/// Makes a component of a [`Source`]. Once in a crate.
#[macro_export]
macro_rules! export_source {
    ($source:ty) => {
        $crate::export_world!($source, source, "source", []);
    };
}
