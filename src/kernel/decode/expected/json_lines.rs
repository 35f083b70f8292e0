//! `{"name":"cpu","labels":{"host":"a"},` is the key, `"ts":1700000000000,"value":91.5}` is read.
//!
//! The reader of JSON lines cuts a line before the last `ts` and `value` and looks up the bytes
//! before the cut; it makes bytes a key only if that is right for every line that has these bytes
//! before its cut. So it only has to be certain that it would cut a line right behind the key.
//! With both fields behind the key it does, since it cuts off no more than two. With a value
//! alone it does unless the key itself ends in what looks like a `ts`.

use memchr::memchr2;

use super::super::decimal::Decimal;
use super::super::json_lines::ends_in_time;
use super::super::number::TimeUnit;
use super::{Expected, RawKey, Sample, Times};
use crate::kernel::model::{EventTime, Op};

pub struct ExpectedJson;

impl Expected for ExpectedJson {
    /// The labels end at the first brace, unless one stands in a text, and the numbers follow.
    fn guess<'a>(text: &'a [u8], _scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let brace = memchr2(b'}', b'\n', text)?;
        let fields = past_comma(&text[brace + 1..])?;
        Some(&text[..text.len() - fields.len()])
    }

    #[inline(always)]
    fn read<'a>(text: &'a [u8], key: RawKey<'_>, times: &mut Times) -> Option<Sample<'a>> {
        // Keys that begin with a quote are no beginnings of lines.
        if text.first() != Some(&b'{') {
            return None;
        }
        let fields = key.past(text)?;
        let (at, value, rest) = if let Some(rest) = fields.strip_prefix(b"\"ts\":") {
            let (at, rest) = times.read(rest, time)?;
            let (value, rest) = number(past_comma(rest)?.strip_prefix(b"\"value\":")?)?;
            (at, value, rest)
        } else {
            let (value, rest) = number(fields.strip_prefix(b"\"value\":")?)?;
            match past_comma(rest) {
                Some(next) => {
                    let (at, rest) = times.read(next.strip_prefix(b"\"ts\":")?, time)?;
                    (at, value, rest)
                }
                None if ends_in_time(&text[..key.length()]) => return None,
                None => (EventTime::MIN, value, rest),
            }
        };
        let rest = rest.strip_prefix(b"}")?;
        Some(Sample { at, value: value.value()?, op: Op::Set, rest })
    }
}

/// A number after a colon, and the text after it.
#[inline(always)]
fn number(text: &[u8]) -> Option<(Decimal<'_>, &[u8])> {
    let (number, rest) = Decimal::cut(text.strip_prefix(b" ").unwrap_or(text))?;
    (!number.has_leading_zero()).then_some((number, rest))
}

#[inline(always)]
fn time(text: &[u8], unit: Option<TimeUnit>) -> Option<(EventTime, &[u8])> {
    let (number, rest) = Decimal::cut_long(text.strip_prefix(b" ").unwrap_or(text))?;
    let number = Some(number).filter(|number| !number.has_leading_zero())?;
    Some((number.time(unit.unwrap_or(TimeUnit::Millis))?, rest))
}

#[inline(always)]
fn past_comma(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b",")?;
    Some(rest.strip_prefix(b" ").unwrap_or(rest))
}
