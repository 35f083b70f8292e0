//! JSON lines: `{"name":"cpu.usage","labels":{"host":"a"},"ts":1700000000000,"value":91.5}`.
//!
//! Keys come in any order, the last of two equal ones counts, and keys that are not known are
//! passed over. `ts` is a number of milliseconds (a fraction is exact to the nanosecond) or an
//! RFC 3339 text; absent or null it is the arrival's. `labels` may be absent or null; a label's
//! value is a text, a number or boolean (taken as its JSON text) or null (no label). `value` is a
//! number. A line with `event` and no `name` is a span event, which is refused as unsupported.
//!
//! Nearly all lines of a stream end in `"ts":…,"value":…}` and begin with bytes that were seen
//! before. So a line is first cut from its end ([`tail`]), and when the bytes before the cut are a
//! known raw key, nothing else of it is read. Every other line goes through the JSON parser; it
//! also decides whether the cut was right, and only then makes the bytes before it a key.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::number::{TimeUnit, float, is_json_number};
use super::{Intake, Words};
use crate::kernel::model::{EventTime, Op, Refusal, Series};

#[derive(Default)]
pub struct JsonLines {
    key: Vec<u8>,
}

impl JsonLines {
    pub fn line(
        &mut self,
        line: &[u8],
        unit: Option<TimeUnit>,
        intake: &mut Intake,
    ) -> Result<(), Words> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let unit = unit.unwrap_or(TimeUnit::Millis);
        let tail = tail(line);
        // Keys of the other kind begin with a quote, and no line that the parser takes does. A
        // key counts as seen only when its line is taken, so the numbers are read first.
        if let Some(tail) = &tail
            && intake.speculates()
            && line[0] == b'{'
            && let Ok((at, value)) = read(tail.ts, tail.value, unit)
            && let Some(key) = intake.known(&line[..tail.start])
        {
            intake.push(key, at, value, Op::Set);
            return Ok(());
        }
        self.whole_line(line, tail, unit, intake)
    }

    /// The reference: what the JSON parser makes of the line.
    fn whole_line(
        &mut self,
        line: &[u8],
        tail: Option<Tail<'_>>,
        unit: TimeUnit,
        intake: &mut Intake,
    ) -> Result<(), Words> {
        let text = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
        let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| words(&error))?;
        let Some(name) = fields.name else {
            if fields.has_event {
                intake.refuse(Refusal::Unsupported);
                return Ok(());
            }
            return Err("the object has no `name`".into());
        };
        let value = fields.value.ok_or("the object has no `value`")?.get().as_bytes();
        let ts = fields.ts.map(|ts| ts.get().as_bytes());
        let (at, value_read) = read(ts, value, unit)?;
        let raw = match tail {
            Some(tail) if !fields.has_two_times && tail.is_right(ts, value) => &line[..tail.start],
            Some(_) | None => {
                // Starts with a quote where the other kind starts with a brace.
                self.key.clear();
                self.key.extend_from_slice(name.get().as_bytes());
                self.key.extend(fields.labels.iter().flat_map(|raw| raw.get().bytes()));
                &self.key
            }
        };
        let key = match intake.known(raw) {
            Some(key) => key,
            None => {
                let series = series(name, fields.labels, intake)?;
                intake.announce(raw, series)
            }
        };
        intake.push(key, at, value_read, Op::Set);
        Ok(())
    }
}

/// The end of a line, from the first of its last fields on, where these are `value` or both `ts`
/// and `value`.
struct Tail<'a> {
    /// Where the first of these fields' names begins.
    start: usize,
    ts: Option<&'a [u8]>,
    value: &'a [u8],
}

impl Tail<'_> {
    /// Whether the parser found `ts` and `value` at the very places where the cut found them.
    ///
    /// If so the parser stood inside the outermost object and before a name when it came to the
    /// cut. That depends only on the bytes before the cut, and so do name and labels: for every
    /// other line that has these bytes before its own cut the parser would find the same. No time
    /// may stand before the cut, since another line's cut may have none to take its place; a value
    /// may, since every cut has one.
    fn is_right(&self, ts: Option<&[u8]>, value: &[u8]) -> bool {
        let same_ts = match (self.ts, ts) {
            (Some(mine), Some(theirs)) => std::ptr::eq(mine, theirs),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_ts && std::ptr::eq(self.value, value)
    }
}

/// Cuts a line from its end, backward. This is a guess: the bytes might as well lie within a text.
fn tail(line: &[u8]) -> Option<Tail<'_>> {
    let (start, last, is_value) = field_before(line.strip_suffix(b"}")?)?;
    let before = without_space(&line[..start]).strip_suffix(b",").and_then(field_before);
    match (is_value, before) {
        (true, Some((start, ts, false))) => Some(Tail { start, ts: Some(ts), value: last }),
        (false, Some((start, value, true))) => Some(Tail { start, ts: Some(last), value }),
        (true, Some((_, _, true)) | None) => Some(Tail { start, ts: None, value: last }),
        (false, Some((_, _, false)) | None) => None,
    }
}

/// Whether a cut behind these bytes would take one field more: they look as if a time, which may
/// lie within a text, were the last field.
pub fn ends_in_time(key: &[u8]) -> bool {
    let before = without_space(key).strip_suffix(b",").and_then(field_before);
    matches!(before, Some((_, _, false)))
}

/// The field `"ts":…` or `"value":…` that ends these bytes: where it starts, the bytes of its
/// value, and whether it is `value`.
fn field_before(bytes: &[u8]) -> Option<(usize, &[u8], bool)> {
    let bytes = without_space(bytes);
    let start = match bytes {
        [text @ .., b'"'] => memchr::memrchr(b'"', text)?,
        number => {
            let is_part =
                |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
            number.len() - number.iter().rev().take_while(|byte| is_part(byte)).count()
        }
    };
    let (before, value) = bytes.split_at(start);
    let name = without_space(without_space(before).strip_suffix(b":")?);
    if let Some(rest) = name.strip_suffix(b"\"value\"") {
        Some((rest.len(), value, true))
    } else {
        let rest = name.strip_suffix(b"\"ts\"")?;
        Some((rest.len(), value, false))
    }
}

/// Cuts off the trailing white space that JSON knows, which is less than ASCII's.
fn without_space(bytes: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    &bytes[..bytes.len() - bytes.iter().rev().take_while(|byte| is_space(byte)).count()]
}

/// The time and the value, from the JSON texts of both.
fn read(ts: Option<&[u8]>, value: &[u8], unit: TimeUnit) -> Result<(EventTime, f64), &'static str> {
    let at = match ts {
        None | Some(b"null") => EventTime::MIN,
        Some(text @ [b'"', .., b'"']) => {
            let text: Cow<'_, str> = serde_json::from_slice(text).unwrap_or_default();
            rfc_3339(&text).ok_or("`ts` is not an RFC 3339 time")?
        }
        Some(number) if is_json_number(number) => {
            unit.read(number).ok_or("`ts` is outside the years 1677 to 2262")?
        }
        Some(_) => return Err("`ts` is neither a number nor an RFC 3339 text"),
    };
    let value = if is_json_number(value) { float(value) } else { None };
    Ok((at, value.ok_or("`value` is not a number")?))
}

pub fn rfc_3339(text: &str) -> Option<EventTime> {
    text.parse().ok().filter(|at| *at != EventTime::MIN)
}

fn series(
    name: &RawValue,
    labels: Option<&RawValue>,
    intake: &mut Intake,
) -> Result<Result<Series, Refusal>, Words> {
    let name: Text<'_> = serde_json::from_str(name.get()).map_err(|_| "`name` is not a text")?;
    if name.0.is_empty() {
        return Err("`name` is empty".into());
    }
    let labels: Option<LabelFields<'_>> = match labels {
        Some(raw) => serde_json::from_str(raw.get()).map_err(|_| "`labels` is not an object")?,
        None => None,
    };
    let mut labels = labels.map(|fields| fields.0).unwrap_or_default();
    // Of two values for one name the last counts, whatever the first is.
    labels.sort_by(|(a, _), (b, _)| a.0.cmp(&b.0));
    let mut pairs: SmallVec<[(Cow<'_, str>, Cow<'_, str>); 16]> = SmallVec::new();
    let mut rest = labels.into_iter().peekable();
    while let Some((label, value)) = rest.next() {
        if rest.peek().is_none_or(|(next, _)| next.0 != label.0) {
            pairs.push((label.0, label_value(value)?));
        }
    }
    Ok(intake.series(&name.0, pairs))
}

fn label_value(raw: &RawValue) -> Result<Cow<'_, str>, Words> {
    let text = raw.get();
    match text.as_bytes()[0] {
        b'"' => serde_json::from_str::<Text<'_>>(text)
            .map(|text| text.0)
            .map_err(|_| "a label's value is not a text".into()),
        b'{' | b'[' => Err("a label's value is neither text, number nor boolean".into()),
        b'n' => Ok(Cow::Borrowed("")),
        _ => Ok(Cow::Borrowed(text)),
    }
}

/// A JSON text, which has to be copied only where something in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields of an object of labels in the order in which they stand.
struct LabelFields<'a>(SmallVec<[(Text<'a>, &'a RawValue); 16]>);

impl<'de> Deserialize<'de> for LabelFields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LabelFieldsVisitor)
    }
}

struct LabelFieldsVisitor;

impl<'de> Visitor<'de> for LabelFieldsVisitor {
    type Value = LabelFields<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LabelFields<'de>, A::Error> {
        let mut fields = SmallVec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(LabelFields(fields))
    }
}

/// The parser's words. Its line is always 1, so the place is told as a byte of the line.
fn words(error: &serde_json::Error) -> Words {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    format!("not a JSON object: {what} at byte {}", error.column()).into()
}

/// What a sample is made of, still as JSON text.
#[derive(Default)]
struct Fields<'a> {
    name: Option<&'a RawValue>,
    labels: Option<&'a RawValue>,
    ts: Option<&'a RawValue>,
    value: Option<&'a RawValue>,
    has_event: bool,
    has_two_times: bool,
}

/// By hand, since derived code takes a second key of one name for an error.
impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key()? {
            match name {
                FieldName::Name => fields.name = Some(map.next_value()?),
                FieldName::Labels => fields.labels = Some(map.next_value()?),
                FieldName::Ts => {
                    fields.has_two_times |= fields.ts.replace(map.next_value()?).is_some();
                }
                FieldName::Value => fields.value = Some(map.next_value()?),
                FieldName::Event => {
                    let _event: IgnoredAny = map.next_value()?;
                    fields.has_event = true;
                }
                FieldName::Other => {
                    let _value: IgnoredAny = map.next_value()?;
                }
            }
        }
        Ok(fields)
    }
}

enum FieldName {
    Name,
    Labels,
    Ts,
    Value,
    Event,
    Other,
}

impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FieldNameVisitor)
    }
}

struct FieldNameVisitor;

impl Visitor<'_> for FieldNameVisitor {
    type Value = FieldName;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_str<E>(self, text: &str) -> Result<FieldName, E> {
        Ok(match text {
            "name" => FieldName::Name,
            "labels" => FieldName::Labels,
            "ts" => FieldName::Ts,
            "value" => FieldName::Value,
            "event" => FieldName::Event,
            _ => FieldName::Other,
        })
    }
}
