//! `cpu{host="a"} 50.79 1700000000000` with the key `cpu{host="a"}`.
//!
//! Where a key with labels ends depends on no byte after it. One without labels ends before white
//! space that no brace follows, and here a number follows.

use memchr::memchr3;

use super::super::decimal::Decimal;
use super::super::number::TimeUnit;
use super::super::prom_text::MILLIS_DIGITS_MIN;
use super::{Expected, RawKey, Sample, Times};
use crate::kernel::model::{EventTime, Op};

pub struct ExpectedProm;

impl Expected for ExpectedProm {
    /// A name without labels ends at a space, labels end at a brace. Either may stand in a text.
    fn guess<'a>(text: &'a [u8], _scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let end = memchr3(b'}', b'\n', b' ', text)?;
        Some(if text[end] == b'}' { &text[..=end] } else { &text[..end] })
    }

    #[inline(always)]
    fn read<'a>(text: &'a [u8], key: RawKey<'_>, times: &mut Times) -> Option<Sample<'a>> {
        let (value, rest) = Decimal::cut(key.past(text)?.strip_prefix(b" ")?)?;
        let (at, rest) = match rest.strip_prefix(b" ") {
            Some(rest) => times.read(rest, time)?,
            None => (EventTime::MIN, rest),
        };
        Some(Sample { at, value: value.value()?, op: Op::Set, rest })
    }
}

#[inline(always)]
fn time(text: &[u8], unit: Option<TimeUnit>) -> Option<(EventTime, &[u8])> {
    let (time, rest) = Decimal::cut_long(text)?;
    Some((time.time(unit_of(&time, unit)?)?, rest))
}

/// The unit of a time, guessed as the reader of Prometheus text does if it is not known.
#[inline(always)]
fn unit_of(time: &Decimal<'_>, unit: Option<TimeUnit>) -> Option<TimeUnit> {
    if time.has_leading_zero() {
        return None;
    }
    let is_long = time.is_whole() && time.whole_digits() >= MILLIS_DIGITS_MIN;
    let unit = unit.unwrap_or(if is_long { TimeUnit::Millis } else { TimeUnit::Seconds });
    (time.is_whole() || unit == TimeUnit::Seconds).then_some(unit)
}
