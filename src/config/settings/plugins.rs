//! Settings of what plugins do: where their samples come in, and how samples go out to them.

use std::net::SocketAddr;

use serde::Deserialize;

use super::text;
use crate::kernel::delivery::SamplePolicy;
use crate::kernel::model::Duration;

/// `[[sources.plugin]]`: sockets whose bytes a plugin reads; at least one of the two.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginSource {
    /// The plugin's name: that of its file. It may come later.
    pub plugin: String,
    /// In metrics and messages, followed by `-udp` or `-tcp`; the plugin's when not given.
    #[serde(default)]
    pub name: Option<String>,
    /// Each datagram is a payload.
    #[serde(default, deserialize_with = "text::address_or_off")]
    pub udp: Option<SocketAddr>,
    #[serde(default, deserialize_with = "text::address_or_off")]
    pub tcp: Option<SocketAddr>,
    /// How the stream is cut into payloads.
    #[serde(default, deserialize_with = "text::framing")]
    pub framing: Framing,
    /// How long to wait for samples older than the newest; what the plugin asks for when not given.
    #[serde(default)]
    pub lateness: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Whole lines, as many as came together.
    #[default]
    Lines,
    /// Each payload comes after its length, four bytes with the highest first.
    Length,
}

impl PluginSource {
    /// What its sources are called, before `-udp` and `-tcp`.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.plugin)
    }
}

/// `[sinks.samples]`: of every sink of samples.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleSinks {
    /// A batch goes out when so many samples wait, or the oldest waited `batch_age`; for sinks that
    /// name no other. 1 to 65,536.
    #[serde(deserialize_with = "text::batch_rows")]
    pub batch_rows: usize,
    pub batch_age: Duration,
    /// Samples that wait for one sink; past it the oldest are refused.
    #[serde(deserialize_with = "text::bound")]
    pub queue_rows_max: usize,
    /// Bytes of them, at 24 for each.
    #[serde(deserialize_with = "text::bound")]
    pub queue_bytes_max: usize,
}

impl SampleSinks {
    pub const BATCH_ROWS_MAX: usize = 65_536;
}

impl Default for SampleSinks {
    fn default() -> SampleSinks {
        SampleSinks {
            batch_rows: SamplePolicy::BATCHING.max,
            batch_age: SamplePolicy::BATCHING.age,
            queue_rows_max: 1_000_000,
            queue_bytes_max: 64 * 1024 * 1024,
        }
    }
}
