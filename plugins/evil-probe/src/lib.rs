//! A probe that misbehaves on demand, for the host's own tests. It ships with nothing.
//!
//! Settings: `act` is what it does wrong in each measurement.

#[path = "../../evil/src/acts.rs"]
mod acts;

use serde::Deserialize;
use watchfire_plugin::{Duration, Failure, Probe, Reading, Timestamp, export_probe};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Evil {
    act: Act,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Act {
    Spin,
    Allocate,
    Recurse,
    Panic,
    Sleep,
    LogFlood,
    /// One reading more than is taken.
    Flood,
    NoPeriod,
}

impl Probe for Evil {
    fn configure(settings: &str) -> Result<Evil, Failure> {
        serde_json::from_str(settings).map_err(Failure::settings)
    }

    fn every(&self) -> Duration {
        if self.act == Act::NoPeriod { 0 } else { 100_000_000 }
    }

    fn collect(&mut self, _now: Timestamp) -> Result<Vec<Reading>, Failure> {
        let readings = match self.act {
            Act::Flood => 10_001,
            Act::Spin
            | Act::Allocate
            | Act::Recurse
            | Act::Panic
            | Act::Sleep
            | Act::LogFlood
            | Act::NoPeriod => 0,
        };
        match self.act {
            Act::Spin => acts::spin(),
            Act::Allocate => acts::allocate(),
            Act::Recurse => acts::recurse(),
            Act::Panic => panic!("out of spite"),
            Act::Sleep => acts::sleep(),
            Act::LogFlood => acts::log_flood(),
            Act::Flood | Act::NoPeriod => {}
        }
        let reading = |number: u32| Reading {
            metric: "flood".to_owned(),
            labels: vec![],
            at: None,
            value: f64::from(number),
        };
        Ok((0..readings).map(reading).collect())
    }
}

export_probe!(Evil);
