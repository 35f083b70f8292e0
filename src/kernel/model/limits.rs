//! Every bound on what input can grow, with its reason. Each is a config key under `[limits]` and
//! has a counter that tells when it was hit.

use serde::{Deserialize, Serialize};

use super::time::Duration;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Live series. A series costs some 300 bytes before any rule looks at it.
    pub series_max: usize,
    /// Labels of one series; more is a mistake in the sender.
    pub labels_max: usize,
    /// Bytes of a metric name or of a label's name.
    pub name_bytes_max: usize,
    /// Bytes of a label's value.
    pub value_bytes_max: usize,
    /// Groups of one rule; further ones fold into the overflow group.
    pub groups_per_rule_max: usize,
    /// Bytes of one batch as received (an HTTP body, a read from a socket).
    pub batch_bytes_max: usize,
    /// Bytes of batches that were read and not yet judged, over all sources.
    pub in_flight_bytes_max: usize,
    /// Bytes of one line of a text format.
    pub line_bytes_max: usize,
    /// A sample this far ahead of the wall clock is refused.
    pub future_max: Duration,
    /// A source this far behind the wall clock no longer holds time back.
    pub hold_max: Duration,
    /// The shortest silence after which a source counts as idle.
    pub idle_min: Duration,
    /// What interpreted conditions of one rule may take of a core, by the forecast of `check`.
    pub max_interpreted_core: f64,
    /// Samples a second that `check` assumes for each rule; one that is judged every so often is
    /// assumed to watch as many groups, each with a sample a second.
    pub assumed_samples: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            series_max: 1_000_000,
            labels_max: 64,
            name_bytes_max: 512,
            value_bytes_max: 4_096,
            groups_per_rule_max: 100_000,
            batch_bytes_max: 16 * 1024 * 1024,
            in_flight_bytes_max: 64 * 1024 * 1024,
            line_bytes_max: 64 * 1024,
            future_max: Duration::from_secs(300),
            hold_max: Duration::from_secs(30),
            idle_min: Duration::from_secs(10),
            max_interpreted_core: 0.2,
            assumed_samples: 100_000,
        }
    }
}
