//! Lines of known series in the usual shapes, read in one pass from front to end.
//!
//! A line is compared with the expected raw key; if it has another, where its key ends is guessed
//! from a byte or two, and the guess is right if these bytes are a known key. The numbers behind
//! the key are read in the few shapes that senders write nearly always. There is no search for
//! the line's end, and mostly no hash. A line that differs in anything is left alone, and the
//! format's own reader reads it from its start; so what is taken here must be exactly what that
//! reader would take. Each format says why that holds.

mod influx_line;
mod json_lines;
mod prom_text;
mod statsd;
mod times;

use super::Intake;
use super::intake::RawKey;
use super::lines::Run;
use super::number::TimeUnit;
use crate::kernel::model::{EventTime, Op};

pub use influx_line::ExpectedInflux;
pub use json_lines::ExpectedJson;
pub use prom_text::ExpectedProm;
pub use statsd::ExpectedStatsD;
use times::Times;

/// How a format's lines are read when their key is known.
pub trait Expected {
    /// What the key of the line that the text begins with may be. Any bytes are right, since they
    /// are only looked up. `scratch` is room for a key that does not stand in one piece.
    fn guess<'a>(text: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]>;

    /// The sample of the line that the text begins with, if its raw key is `key`, which is known.
    fn read<'a>(text: &'a [u8], key: RawKey<'_>, times: &mut Times) -> Option<Sample<'a>>;
}

/// One sample, and the text after it, which must be the line's end.
pub struct Sample<'a> {
    pub at: EventTime,
    pub value: f64,
    pub op: Op,
    pub rest: &'a [u8],
}

/// Takes lines from the front of the text as long as they are of known keys in usual shapes.
pub fn run<E: Expected>(
    text: &[u8],
    line_bytes_max: usize,
    unit: Option<TimeUnit>,
    intake: &mut Intake,
    scratch: &mut Vec<u8>,
) -> Run {
    let (mut rest, mut lines, mut times) = (text, 0, Times::new(unit));
    while !rest.is_empty() && intake.speculates() {
        let expected =
            intake.expected().and_then(|(slot, key)| Some((slot, E::read(rest, key, &mut times)?)));
        let found = expected.or_else(|| guessed::<E>(rest, &mut times, intake, scratch));
        let Some((slot, sample)) = found else { break };
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

/// Apart, so that the loop over expected lines stays small.
#[inline(never)]
fn guessed<'a, E: Expected>(
    text: &'a [u8],
    times: &mut Times,
    intake: &Intake,
    scratch: &mut Vec<u8>,
) -> Option<(u32, Sample<'a>)> {
    let key = E::guess(text, scratch)?;
    let slot = intake.find(key)?;
    Some((slot, E::read(text, intake.raw_key(slot), times)?))
}

#[inline(always)]
fn after_line_end(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => Some(rest),
        _ => None,
    }
}
