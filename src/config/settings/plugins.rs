//! Settings of what plugins do: where their samples come in, and how samples go out to them.

use serde::Deserialize;

use super::text;
use crate::kernel::delivery::SamplePolicy;
use crate::kernel::model::Duration;

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
