//! Lines whose series is the expected one, read in one pass from front to end.
//!
//! A line is compared with the expected raw key, and the numbers behind the key are read in the
//! few shapes that senders write nearly always. There is no search for the line's end, no hash
//! and no table. A line that differs in anything is left alone, and the format's own reader reads
//! it from its start; so what is taken here must be exactly what that reader would take. Each
//! format says why that holds.

mod influx_line;
mod json_lines;
mod prom_text;
mod statsd;

use super::Intake;
use super::lines::Run;
use super::number::TimeUnit;
use crate::kernel::model::{EventTime, Op};

pub use influx_line::ExpectedInflux;
pub use json_lines::ExpectedJson;
pub use prom_text::ExpectedProm;
pub use statsd::ExpectedStatsD;

/// A format's reader of lines with an expected key.
pub trait Expected {
    /// The sample of the line that the text begins with, if its raw key is `key`.
    fn read<'a>(text: &'a [u8], key: &[u8], unit: Option<TimeUnit>) -> Option<Sample<'a>>;
}

/// One sample, and the text after it, which must be the line's end.
pub struct Sample<'a> {
    pub at: EventTime,
    pub value: f64,
    pub op: Op,
    pub rest: &'a [u8],
}

/// Takes lines from the front of the text as long as each is the expected one.
pub fn run<E: Expected>(
    text: &[u8],
    line_bytes_max: usize,
    unit: Option<TimeUnit>,
    intake: &mut Intake,
) -> Run {
    let (mut rest, mut lines) = (text, 0);
    while let Some((slot, key)) = intake.expected() {
        let Some(sample) = E::read(rest, key, unit) else { break };
        let Some(next) = after_line_end(sample.rest) else { break };
        // The limit counts a carriage return, but no newline.
        if rest.len() - next.len() > line_bytes_max + 1 {
            break;
        }
        intake.push_met(slot, sample.at, sample.value, sample.op);
        rest = next;
        lines += 1;
    }
    Run { lines, bytes: text.len() - rest.len() }
}

fn after_line_end(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => Some(rest),
        _ => None,
    }
}
