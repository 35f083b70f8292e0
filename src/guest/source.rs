//! Sources whose format a guest reads: what one declares, and how it is opened and given bytes.

use std::fmt;
use std::sync::Arc;

use super::probe::{Failed, Reading};
use crate::kernel::model::{Duration, Now, Version};
use crate::kernel::rule::Origin;
use crate::kernel::rule::program::Fault;

/// A declared source.
#[derive(Clone, Debug)]
pub struct GuestSource {
    /// Unique among these sources; its samples come from the source `plugin:NAME`.
    pub name: Arc<str>,
    pub version: Version,
    pub origin: Origin,
    /// Content types without parameters, in lower case; empty takes all.
    pub content_types: Vec<String>,
    pub lateness: Option<Duration>,
    pub opener: Arc<dyn SourceOpener>,
}

/// What a payload held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    pub readings: Vec<Reading>,
    /// Where in the payload something could not be read, in bytes, and what was wrong.
    pub defects: Vec<(u64, String)>,
}

/// Opens a source: the place where a guest is instantiated. Called again after a fault that ended
/// the instance. May block for a short time.
pub trait SourceOpener: Send + Sync + fmt::Debug {
    fn open(&self, settings: &serde_json::Value) -> Result<Box<dyn DecodePayload>, Fault>;

    /// Until when it is out of service, because it died too often; it is not opened before.
    fn held_until(&self, now: Now) -> Option<Now>;
}

/// An open source.
pub trait DecodePayload: Send {
    /// Reads one payload that arrived at `now`. Blocks for as long as the guest computes.
    fn decode(&mut self, content_type: &str, payload: &[u8], now: Now) -> Result<Decoded, Failed>;
}
