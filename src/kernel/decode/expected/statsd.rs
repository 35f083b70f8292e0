//! `cpu:50.79|g|@0.5|#host:a,dc:x|T1699999800` with the key `cpu 0xFF host:a,dc:x`.
//!
//! A known name holds neither `:` nor `|`, and known tags hold no `|`, so where the key's bytes
//! stand in the line, with these separators around them, the line's name and tags end with them.

use memchr::{memchr2, memchr3};

use super::super::decimal::{Decimal, word};
use super::super::number::TimeUnit;
use super::{Expected, RawKey, Sample, Times};
use crate::kernel::model::{EventTime, Op};

pub struct ExpectedStatsD;

impl Expected for ExpectedStatsD {
    /// The name ends at the first colon, and the tags go from the first `#` to the next bar.
    fn guess<'a>(text: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let name_len = memchr2(b':', b'\n', text)?;
        let (name, rest) = text.split_at(name_len);
        scratch.clear();
        scratch.extend_from_slice(name);
        scratch.push(0xFF);
        let hash = memchr2(b'#', b'\n', rest)?;
        if rest[hash] == b'#' {
            let tags = &rest[hash + 1..];
            scratch.extend_from_slice(&tags[..memchr3(b'|', b'\r', b'\n', tags)?]);
        }
        Some(scratch)
    }

    #[inline(always)]
    fn read<'a>(text: &'a [u8], key: RawKey<'_>, times: &mut Times) -> Option<Sample<'a>> {
        let name_len = shared_len(text, key.front);
        let tags = match key.front.get(name_len..)?.strip_prefix(b"\xFF")? {
            [] => key.rest,
            short => short,
        };
        let (number, rest) = Decimal::cut(text[name_len..].strip_prefix(b":")?)?;
        let mut value = number.value()?;
        let (kind, mut rest) = match rest {
            [b'|', b'm', b's', rest @ ..] => (b'm', rest),
            [b'|', kind @ (b'c' | b'g' | b'h' | b'd'), rest @ ..] => (*kind, rest),
            _ => return None,
        };
        if let Some(after) = rest.strip_prefix(b"|@") {
            let (rate, after) = Decimal::cut(after)?;
            let rate = rate.value().filter(|rate| 0.0 < *rate && *rate <= 1.0)?;
            if kind == b'c' {
                value /= rate;
            }
            rest = after;
        }
        if !tags.is_empty() {
            rest = rest.strip_prefix(b"|#")?.strip_prefix(tags)?;
        }
        let at = match rest.strip_prefix(b"|T") {
            Some(stamp) => {
                let (at, after) = times.read(stamp, time)?;
                rest = after;
                at
            }
            None => EventTime::MIN,
        };
        let adds = kind == b'c' || (kind == b'g' && number.is_negative());
        Some(Sample { at, value, op: if adds { Op::Add } else { Op::Set }, rest })
    }
}

#[inline(always)]
fn time(text: &[u8], unit: Option<TimeUnit>) -> Option<(EventTime, &[u8])> {
    let (time, rest) = Decimal::cut_long(text)?;
    Some((time.time(unit.unwrap_or(TimeUnit::Seconds))?, rest))
}

/// How many bytes the two begin with in common.
#[inline(always)]
fn shared_len(a: &[u8], b: &[u8]) -> usize {
    let mut len = 0;
    while let (Some(left), Some(right)) = (a.get(len..), b.get(len..)) {
        let differing = word(left) ^ word(right);
        if differing != 0 {
            len += differing.trailing_zeros() as usize / 8;
            break;
        }
        len += 8;
    }
    // Words are filled up with zeroes past the end of a text.
    len.min(a.len()).min(b.len())
}
