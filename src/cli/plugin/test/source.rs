//! A source, given one payload: the readings in it, and what could not be read.

use std::io::Write;

use super::probe::line;
use super::{Args, NOW, unreadable};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::printable;
use crate::config::catalog::LiveSource;
use crate::kernel::model::Now;

pub fn test(live: &LiveSource, args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let file = args.payload.clone().unwrap_or_else(|| args.file.with_extension("payload"));
    let payload = std::fs::read(&file).map_err(|error| unreadable(&file, &error))?;
    let types = &live.source.content_types;
    let kind = types.first().map_or("application/octet-stream", String::as_str);
    let opened = live.source.opener.open(&live.settings);
    let decoded =
        opened.map_err(|fault| format!("it cannot be opened: {fault}")).and_then(|mut source| {
            let decoded = source.decode(kind, &payload, Now::from_nanos(NOW));
            decoded.map_err(|failed| format!("it failed: {}", failed.fault))
        });
    let decoded = match decoded {
        Ok(decoded) => decoded,
        Err(why) => {
            writeln!(out, "{}", printable(&why))?;
            return Ok(Exit::Findings);
        }
    };
    for reading in &decoded.readings {
        writeln!(out, "{}", printable(&line(reading)))?;
    }
    for (offset, what) in &decoded.defects {
        writeln!(out, "byte {offset}: {}", printable(what))?;
    }
    let (readings, defects) = (decoded.readings.len(), decoded.defects.len());
    writeln!(out, "{readings} readings, {defects} defects in {} bytes of {kind}", payload.len())?;
    Ok(Exit::Ok)
}
