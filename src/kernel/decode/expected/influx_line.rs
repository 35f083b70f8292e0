//! `cpu,host=a value=50.79 1700000000000000000` with the key `cpu,host=a value`.
//!
//! The first bare space of a known key parts tags and field, and a known field's name ends in no
//! backslash, so the `=` behind the key is the one that ends the name.

use memchr::memchr2;

use super::super::decimal::Decimal;
use super::super::number::TimeUnit;
use super::{Expected, RawKey, Sample, Times};
use crate::kernel::model::{EventTime, Op};

pub struct ExpectedInflux;

impl Expected for ExpectedInflux {
    /// The first field's name ends at the first equals sign after the first space, unless a
    /// backslash stands before either.
    fn guess<'a>(text: &'a [u8], _scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let space = memchr2(b' ', b'\n', text)?;
        let name_len = text[space..].iter().position(|byte| matches!(byte, b'=' | b'\n'))?;
        Some(&text[..space + name_len])
    }

    #[inline(always)]
    fn read<'a>(text: &'a [u8], key: RawKey<'_>, times: &mut Times) -> Option<Sample<'a>> {
        let (number, rest) = Decimal::cut(key.past(text)?.strip_prefix(b"=")?)?;
        let (value, rest) = match rest {
            [b'i', rest @ ..] => (number.integer()?, rest),
            rest => (number.value()?, rest),
        };
        let (at, rest) = match rest.strip_prefix(b" ") {
            Some(rest) => times.read(rest, time)?,
            None => (EventTime::MIN, rest),
        };
        Some(Sample { at, value, op: Op::Set, rest })
    }
}

#[inline(always)]
fn time(text: &[u8], unit: Option<TimeUnit>) -> Option<(EventTime, &[u8])> {
    let (time, rest) = Decimal::cut_long(text)?;
    let time = Some(time).filter(Decimal::is_whole)?;
    Some((time.time(unit.unwrap_or(TimeUnit::Nanos))?, rest))
}
