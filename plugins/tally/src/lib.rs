//! A probe that counts its measurements, for the host's own tests. It ships with nothing.
//!
//! Settings: `every`; with `refuse` it refuses the state that an earlier instance saved; with `die`
//! it panics at each measurement.

use serde::Deserialize;
use watchfire_plugin::{
    Duration, Failure, Probe, Reading, Snapshot, Timestamp, export_probe, parse_duration,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    every: String,
    #[serde(default)]
    refuse: bool,
    #[serde(default)]
    die: bool,
}

struct Tally {
    settings: Settings,
    every: Duration,
    count: u64,
}

impl Probe for Tally {
    fn configure(settings: &str) -> Result<Tally, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        let every = parse_duration(&settings.every)?;
        Ok(Tally { settings, every, count: 0 })
    }

    fn every(&self) -> Duration {
        self.every
    }

    fn collect(&mut self, _now: Timestamp) -> Result<Vec<Reading>, Failure> {
        assert!(!self.settings.die, "as it was told to");
        self.count += 1;
        Ok(vec![Reading::new("tally.count", [("of", "probe")], self.count as f64)])
    }

    fn save(&mut self) -> Option<Snapshot> {
        Some(Snapshot { version: 1, data: self.count.to_le_bytes().to_vec() })
    }

    fn restore(&mut self, state: Snapshot) -> Result<(), Failure> {
        if self.settings.refuse {
            return Err(Failure::new("state", "as it was told to"));
        }
        let data = state.data.as_slice();
        let count = data.try_into().map_err(|_| Failure::new("state", "not eight bytes"))?;
        self.count = u64::from_le_bytes(count);
        Ok(())
    }
}

export_probe!(Tally);
