//! Influx line protocol: `measurement,tag=v field=1.5,other=2i 1700000000000000000`.
//!
//! Each field is a series of its own: the field `value` is named as the measurement, every other
//! field `measurement.field`. Floats, integers (`1i`, `1u`) and booleans (as 1 and 0) are samples;
//! texts are no samples and are refused as unsupported, one by one. A line's fields share its
//! labels and its time.
//!
//! A backslash takes the meaning from a comma, equals sign or space right after it and otherwise
//! stands for itself, which is how the servers read it and the clients write it. A line break
//! within a text is not read: it ends the line.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

use super::number::{TimeUnit, float};
use super::{Intake, Words};
use crate::kernel::model::{EventTime, Op, Refusal, Series};

#[derive(Default)]
pub struct InfluxLine {
    /// `measurement,tags field`: the first bare space parts the two.
    key: Vec<u8>,
    /// The fields of one line, taken only when all of the line is sound.
    fields: Vec<Field>,
}

struct Field {
    name: Range<usize>,
    /// `None` for a text.
    value: Option<f64>,
}

impl InfluxLine {
    pub fn line(
        &mut self,
        line: &[u8],
        unit: Option<TimeUnit>,
        intake: &mut Intake,
    ) -> Result<(), Words> {
        let line = line.trim_ascii();
        if line.is_empty() || line[0] == b'#' {
            return Ok(());
        }
        let tags_end = bare_space(line).ok_or("the line has no fields")?;
        let fields_end = self.cut_fields(line, tags_end)?;
        let at = match line[fields_end..].trim_ascii_start() {
            [] => EventTime::MIN,
            text => time(text, unit.unwrap_or(TimeUnit::Nanos))?,
        };
        self.key.clear();
        self.key.extend_from_slice(&line[..tags_end]);
        self.key.push(b' ');
        self.take_fields(line, tags_end, at, intake)
    }

    /// Cuts the fields after `start` and gives where they end.
    fn cut_fields(&mut self, line: &[u8], start: usize) -> Result<usize, Words> {
        self.fields.clear();
        let mut at = start + line[start..].iter().take_while(|byte| **byte == b' ').count();
        loop {
            let name_end = bare(line, at, |byte| matches!(byte, b'=' | b',' | b' '))
                .filter(|end| line[*end] == b'=')
                .ok_or("a field has no `=`")?;
            let name = at..name_end;
            if name.is_empty() {
                return Err("a field has no name".into());
            }
            std::str::from_utf8(&line[name.clone()]).map_err(|_| "a field's name is not UTF-8")?;
            let value_end = value_end(line, name_end + 1)?;
            let value = value(&line[name_end + 1..value_end])?;
            self.fields.push(Field { name, value });
            match line.get(value_end) {
                Some(b',') => at = value_end + 1,
                Some(_) | None => return Ok(value_end),
            }
        }
    }

    /// Only the first field that has a value can find the tags faulty, and then no field was
    /// taken: its key was parsed or is known, and the others' keys differ in the field alone.
    fn take_fields(
        &mut self,
        line: &[u8],
        tags_end: usize,
        at: EventTime,
        intake: &mut Intake,
    ) -> Result<(), Words> {
        let key_start = self.key.len();
        let mut texts = 0;
        for field in self.fields.drain(..) {
            let Some(value) = field.value else {
                texts += 1;
                continue;
            };
            self.key.truncate(key_start);
            self.key.extend_from_slice(&line[field.name.clone()]);
            let key = match intake.known(&self.key) {
                Some(key) => key,
                None => {
                    let series = series(&line[..tags_end], &line[field.name], intake)?;
                    intake.announce(&self.key, series)
                }
            };
            intake.push(key, at, value, Op::Set);
        }
        (0..texts).for_each(|_| intake.refuse(Refusal::Unsupported));
        Ok(())
    }
}

/// Where the first space stands that no backslash precedes.
fn bare_space(line: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b' ', b'\\', &line[at..])?;
        if line[at] == b' ' {
            return Some(at);
        }
        at += escape_len(&line[at..]);
    }
}

/// Where the first byte from `at` on stands that is wanted and that no backslash precedes.
fn bare(line: &[u8], mut at: usize, wanted: impl Fn(u8) -> bool) -> Option<usize> {
    while !wanted(*line.get(at)?) {
        at += if line[at] == b'\\' { escape_len(&line[at..]) } else { 1 };
    }
    Some(at)
}

/// How many bytes a backslash and what it applies to take.
fn escape_len(bytes: &[u8]) -> usize {
    if matches!(bytes, [_, b',' | b'=' | b' ', ..]) { 2 } else { 1 }
}

/// Where the field's value that starts at `start` ends. A text holds commas, spaces, and quotes
/// after a backslash.
fn value_end(line: &[u8], start: usize) -> Result<usize, Words> {
    if line.get(start) != Some(&b'"') {
        let end = memchr2(b',', b' ', &line[start..]);
        return Ok(end.map_or(line.len(), |end| start + end));
    }
    let mut at = start + 1;
    loop {
        let found = memchr2(b'"', b'\\', line.get(at..).unwrap_or_default());
        at += found.ok_or("a text has no closing quote")?;
        if line[at] == b'"' {
            break;
        }
        at += 2;
    }
    match line.get(at + 1) {
        Some(b',' | b' ') | None => Ok(at + 1),
        Some(_) => Err("a text goes on after its closing quote".into()),
    }
}

fn value(text: &[u8]) -> Result<Option<f64>, Words> {
    let value = match text {
        [b'"', ..] => return Ok(None),
        [number @ .., b'i'] => std::str::from_utf8(number)
            .ok()
            .and_then(|number| number.parse::<i64>().ok())
            .map(|number| number as f64),
        [number @ .., b'u'] => std::str::from_utf8(number)
            .ok()
            .and_then(|number| number.parse::<u64>().ok())
            .map(|number| number as f64),
        b"t" | b"T" | b"true" | b"True" | b"TRUE" => Some(1.0),
        b"f" | b"F" | b"false" | b"False" | b"FALSE" => Some(0.0),
        number => float(number),
    };
    Ok(Some(value.ok_or("a field's value is neither number, boolean nor quoted text")?))
}

fn time(text: &[u8], unit: TimeUnit) -> Result<EventTime, Words> {
    let is_whole = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-'));
    let at = if is_whole { unit.read(text) } else { None };
    Ok(at.ok_or("the time is not an integer within the years 1677 to 2262")?)
}

fn series(
    measurement_and_tags: &[u8],
    field: &[u8],
    intake: &mut Intake,
) -> Result<Result<Series, Refusal>, Words> {
    let text = std::str::from_utf8(measurement_and_tags).map_err(|_| "the tags are not UTF-8")?;
    let field = std::str::from_utf8(field).map_err(|_| "a field's name is not UTF-8")?;
    let bytes = text.as_bytes();
    let comma = |at: usize| bare(bytes, at, |byte| byte == b',').unwrap_or(bytes.len());
    let mut end = comma(0);
    let measurement = plain(&text[..end]);
    if measurement.is_empty() {
        return Err("the line has no measurement".into());
    }
    let mut labels = Vec::new();
    while end < bytes.len() {
        let start = end + 1;
        end = comma(start);
        let tag = &text[start..end];
        let equals = |at: usize| bare(tag.as_bytes(), at, |byte| byte == b'=');
        let middle = equals(0).filter(|at| *at > 0).ok_or("a tag is not `name=value`")?;
        if equals(middle + 1).is_some() {
            return Err("a tag has a second `=`".into());
        }
        labels.push((plain(&tag[..middle]), plain(&tag[middle + 1..])));
    }
    let name = match field {
        "value" => measurement,
        other => format!("{measurement}.{}", plain(other)).into(),
    };
    Ok(intake.series(&name, labels))
}

/// The text without the backslashes that took a meaning away.
fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.peek() {
            Some(',' | '=' | ' ') if letter == '\\' => {}
            Some(_) | None => plain.push(letter),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use crate::kernel::decode::tests::{check as check_format, check_with};
    use crate::kernel::decode::{Decoder, Format, TimeUnit};
    use crate::kernel::model::Limits;

    fn check(payload: &str, expected: &str) {
        check_format(Format::InfluxLine, payload, expected);
    }

    #[test]
    fn each_field_is_a_series() {
        check(
            "cpu,host=a,dc=x value=50.79 1700000000000000000
            cpu,host=a value=1,i=2i,u=3u,on=t,off=False,s=\"a, \\\"b c\",e=4e0 1700000000000000001
            cpu value=1",
            r#"cpu{dc="x",host="a"} = 50.79 @2023-11-14T22:13:20Z
            cpu{host="a"} = 1 @2023-11-14T22:13:20.000000001Z
            cpu.i{host="a"} = 2 @2023-11-14T22:13:20.000000001Z
            cpu.u{host="a"} = 3 @2023-11-14T22:13:20.000000001Z
            cpu.on{host="a"} = 1 @2023-11-14T22:13:20.000000001Z
            cpu.off{host="a"} = 0 @2023-11-14T22:13:20.000000001Z
            cpu.e{host="a"} = 4 @2023-11-14T22:13:20.000000001Z
            cpu = 1 @arrival
            refused unsupported 1"#,
        );
    }

    #[test]
    fn a_backslash_takes_the_meaning_from_what_follows() {
        check(
            r"my\ cpu,ho\,st=a\=b\ c f\ 1=1,g\=2=2
            cpu,path=C:\dir\\x,q=a\\ b value=3
            cpu,empty=,x=y  value=4  ",
            r#"my cpu.f 1{ho,st="a=b c"} = 1 @arrival
            my cpu.g=2{ho,st="a=b c"} = 2 @arrival
            cpu{path="C:\\dir\\\\x",q="a\\ b"} = 3 @arrival
            cpu{x="y"} = 4 @arrival"#,
        );
    }

    #[test]
    fn fields_are_told_apart_on_every_line() {
        check(
            "m a=1,bc=2\nm ab=3,c=4\nm,t=v a=5",
            r#"m.a = 1 @arrival
            m.bc = 2 @arrival
            m.ab = 3 @arrival
            m.c = 4 @arrival
            m.a{t="v"} = 5 @arrival"#,
        );
    }

    #[test]
    fn the_unit_of_time_can_be_set() {
        for (unit, text) in [
            (TimeUnit::Nanos, "1700000000500000000"),
            (TimeUnit::Micros, "1700000000500000"),
            (TimeUnit::Millis, "1700000000500"),
        ] {
            let mut decoder = Decoder::new(Format::InfluxLine, &Limits::default(), 10);
            decoder.set_time_unit(Some(unit));
            let expected = "cpu = 1 @2023-11-14T22:13:20.5Z";
            check_with(&mut decoder, &format!("cpu value=1 {text}"), expected);
        }
    }

    #[test]
    fn what_is_no_sample_is_told() {
        check(
            "# comment

            cpu text=\"only\"
            cpu value=nan
            cpu
            cpu value
            cpu value 5,x=3
            cpu =5
            ,host=a value=1
            cpu,host value=1
            cpu,=a value=1
            cpu,host=a=b value=1
            cpu value=1x
            cpu value=1.5i
            cpu value=\"open
            cpu value=\"a\"b
            cpu value=1,
            cpu value=1 noon
            cpu value=1 1.5
            cpu value=1 1 2",
            "refused not_finite 1
            refused unsupported 1
            line 5: the line has no fields
            line 6: a field has no `=`
            line 7: a field has no `=`
            line 8: a field has no name
            line 9: the line has no measurement
            line 10: a tag is not `name=value`
            line 11: a tag is not `name=value`
            line 12: a tag has a second `=`
            line 13: a field's value is neither number, boolean nor quoted text
            line 14: a field's value is neither number, boolean nor quoted text
            line 15: a text has no closing quote
            line 16: a text goes on after its closing quote
            line 17: a field has no `=`
            line 18: the time is not an integer within the years 1677 to 2262
            line 19: the time is not an integer within the years 1677 to 2262
            line 20: the time is not an integer within the years 1677 to 2262",
        );
    }

    #[test]
    fn a_line_with_a_fault_gives_none_of_its_fields() {
        check(
            "cpu,host a=1,b=2\ncpu a=1,b=x\ncpu a=1,b=2 noon\ncpu a=1",
            "cpu.a = 1 @arrival
            line 1: a tag is not `name=value`
            line 2: a field's value is neither number, boolean nor quoted text
            line 3: the time is not an integer within the years 1677 to 2262",
        );
    }
}
