//! A probe, asked once: the requests that it made, and its readings.

use std::io::Write;

use super::NOW;
use super::recorder::Answer;
use super::stage::Stage;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::printable;
use crate::config::catalog::LiveProbe;
use crate::guest::probe::Reading;
use crate::kernel::model::{Labels, Now};

pub fn test(live: &LiveProbe, answer: &Answer, out: &mut dyn Write) -> Result<Exit, Failure> {
    let probe = &live.probe;
    let mut stage = Stage::new(&probe.name, &probe.needs, &live.settings, answer)?;
    let mut open = match probe.opener.open(&stage.env) {
        Ok(open) => open,
        Err(fault) => {
            writeln!(out, "it cannot be opened: {}", printable(&fault.to_string()))?;
            return Ok(Exit::Findings);
        }
    };
    let answer = stage.runtime.block_on(open.collect(Now::from_nanos(NOW)));
    stage.show(out)?;
    let requests = stage.requests(out)?;
    let readings = match answer {
        Ok(readings) => readings,
        Err(failed) => {
            writeln!(out, "it failed: {}", printable(&failed.fault.to_string()))?;
            return Ok(Exit::Findings);
        }
    };
    for reading in &readings {
        writeln!(out, "{}", printable(&line(reading)))?;
    }
    let (count, every) = (readings.len(), probe.every);
    writeln!(out, "{count} readings, {requests} requests; it measures every {every}")?;
    Ok(Exit::Ok)
}

/// As Prometheus writes it.
pub fn line(reading: &Reading) -> String {
    let pairs = reading.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let labels = Labels::new(pairs);
    format!("{}{labels} {}", reading.metric, reading.value)
}
