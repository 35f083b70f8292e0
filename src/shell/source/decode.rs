//! The kernel's decoders as sources use them.

use std::hash::{BuildHasher, RandomState};

use crate::config::settings;
use crate::kernel::decode::{Decoder, Format};
use crate::kernel::model::{Batch, EventTime, Limits};

use super::Decode;

/// A decoder whose key cache has room for twice the live series, as senders may write one series'
/// labels in several orders.
pub fn decoder(format: settings::Format, limits: &Limits) -> Decoder {
    let keys_max = limits.series_max.saturating_mul(2);
    // The one source of random numbers in the standard library.
    let seed = RandomState::new().hash_one(0);
    Decoder::new(kernel_format(format), limits, keys_max).seeded(seed)
}

pub fn kernel_format(format: settings::Format) -> Format {
    match format {
        settings::Format::Json => Format::JsonLines,
        settings::Format::Influx => Format::InfluxLine,
        settings::Format::Prom => Format::PromText,
        settings::Format::Statsd => Format::StatsD,
        settings::Format::Csv => Format::Csv,
    }
}

impl Decode for Decoder {
    fn decode(&mut self, payload: &[u8]) {
        Decoder::decode(self, payload);
    }

    fn feed(&mut self, bytes: &[u8]) {
        Decoder::feed(self, bytes);
    }

    fn finish(&mut self) {
        Decoder::finish(self);
    }

    fn take(&mut self) -> Batch {
        Decoder::take(self)
    }

    fn age(&mut self, now: EventTime) {
        Decoder::age(self, now);
    }

    fn evictions(&mut self) -> u64 {
        Decoder::evictions(self)
    }
}
