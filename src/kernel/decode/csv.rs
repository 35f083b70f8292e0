//! CSV with a header: the columns `name`, `value` and `ts` (or `time`, `timestamp`), and every
//! other column is a label; an empty field is no label.
//!
//! Fields are quoted as RFC 4180 says, with one difference: a line break ends the line within
//! quotes too, since one stray quote could else take any number of lines with it. `ts` is read as
//! in JSON lines, a number of milliseconds or an RFC 3339 text; without the column, or empty, it is
//! the arrival's. The header's case does not matter for the three names; a column without a name
//! (an index) is passed over.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::json_lines::rfc_3339;
use super::number::{TimeUnit, float};
use super::{Intake, Words};
use crate::kernel::model::{EventTime, Op, Refusal, Series};

#[derive(Default)]
pub struct Csv {
    header: Header,
    /// The header that the known raw keys were read under.
    header_text: Vec<u8>,
    /// The fields that name the series, as they came, each with a comma after it.
    key: Vec<u8>,
    fields: Vec<Range<usize>>,
}

#[derive(Default)]
enum Header {
    #[default]
    Awaited,
    Faulty,
    Known(Columns),
}

/// Column numbers.
struct Columns {
    count: usize,
    name: usize,
    value: usize,
    time: Option<usize>,
    labels: Vec<(usize, String)>,
}

impl Csv {
    pub fn line(
        &mut self,
        line: &[u8],
        unit: Option<TimeUnit>,
        intake: &mut Intake,
    ) -> Result<(), Words> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let columns = match &self.header {
            Header::Known(columns) => columns,
            Header::Faulty => return Err("the header above could not be read".into()),
            Header::Awaited => return self.read_header(line, intake),
        };
        cut(line, &mut self.fields)?;
        if self.fields.len() != columns.count {
            return Err("the line has not as many fields as the header".into());
        }
        let field = |column: usize| &line[self.fields[column].clone()];
        let value = float(trimmed(field(columns.value))).ok_or("the value is not a number")?;
        let at = match columns.time {
            Some(column) => time(trimmed(field(column)), unit.unwrap_or(TimeUnit::Millis))?,
            None => EventTime::MIN,
        };
        self.key.clear();
        for column in columns.key() {
            self.key.extend_from_slice(field(column));
            self.key.push(b',');
        }
        let key = match intake.known(&self.key) {
            Some(key) => key,
            None => {
                let series = series(columns, field, intake)?;
                intake.announce(&self.key, series)
            }
        };
        intake.push(key, at, value, Op::Set);
        Ok(())
    }

    /// The stream ended; the next one has a header of its own.
    pub fn finish(&mut self) {
        self.header = Header::Awaited;
    }

    fn read_header(&mut self, line: &[u8], intake: &mut Intake) -> Result<(), Words> {
        self.header = Header::Faulty;
        cut(line, &mut self.fields)?;
        let columns = Columns::new(line, &self.fields)?;
        if self.header_text != line {
            // The same fields under other names are another series.
            intake.forget();
            self.header_text.clear();
            self.header_text.extend_from_slice(line);
        }
        self.header = Header::Known(columns);
        Ok(())
    }
}

impl Columns {
    fn new(line: &[u8], fields: &[Range<usize>]) -> Result<Columns, Words> {
        let (mut name, mut value, mut time) = (None, None, None);
        let mut labels = Vec::new();
        for (column, range) in fields.iter().enumerate() {
            let text = text(&line[range.clone()])?;
            let title = text.trim();
            let place = match title.to_ascii_lowercase().as_str() {
                "name" => &mut name,
                "value" => &mut value,
                "ts" | "time" | "timestamp" => &mut time,
                "" => continue,
                _ => {
                    labels.push((column, title.to_owned()));
                    continue;
                }
            };
            if place.replace(column).is_some() {
                return Err("the header names name, value or time twice".into());
            }
        }
        Ok(Columns {
            count: fields.len(),
            name: name.ok_or("the header has no column `name`")?,
            value: value.ok_or("the header has no column `value`")?,
            time,
            labels,
        })
    }

    /// The columns that name the series.
    fn key(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::once(self.name).chain(self.labels.iter().map(|(column, _)| *column))
    }
}

/// Cuts a line into fields, quotes included.
fn cut(line: &[u8], fields: &mut Vec<Range<usize>>) -> Result<(), Words> {
    fields.clear();
    let mut start = 0;
    loop {
        let end = match line.get(start) {
            Some(b'"') => quoted_end(line, start + 1)?,
            Some(_) | None => memchr(b',', &line[start..]).map_or(line.len(), |at| start + at),
        };
        fields.push(start..end);
        match line.get(end) {
            Some(b',') => start = end + 1,
            Some(_) => return Err("a field goes on after its closing quote".into()),
            None => return Ok(()),
        }
    }
}

/// Where a quoted field ends, past its closing quote; two quotes in a row are one of its text.
fn quoted_end(line: &[u8], mut at: usize) -> Result<usize, Words> {
    loop {
        at += memchr(b'"', &line[at..]).ok_or("a quoted field does not end on its line")? + 1;
        if line.get(at) != Some(&b'"') {
            return Ok(at);
        }
        at += 1;
    }
}

/// A field whose quotes can only be a habit of the writer: numbers and times need none.
fn trimmed(field: &[u8]) -> &[u8] {
    match field {
        [b'"', inside @ .., b'"'] => inside.trim_ascii(),
        plain => plain.trim_ascii(),
    }
}

fn text(field: &[u8]) -> Result<Cow<'_, str>, Words> {
    let text = std::str::from_utf8(field).map_err(|_| "a field is not UTF-8")?;
    let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    Ok(match inside {
        Some(inside) if inside.contains('"') => Cow::Owned(inside.replace("\"\"", "\"")),
        Some(inside) => Cow::Borrowed(inside),
        None => Cow::Borrowed(text),
    })
}

fn time(field: &[u8], unit: TimeUnit) -> Result<EventTime, Words> {
    if field.is_empty() {
        return Ok(EventTime::MIN);
    }
    let at = unit.read(field).or_else(|| rfc_3339(std::str::from_utf8(field).ok()?));
    Ok(at.ok_or("the time is neither a number nor an RFC 3339 time within 1677 to 2262")?)
}

fn series<'a>(
    columns: &Columns,
    field: impl Fn(usize) -> &'a [u8],
    intake: &mut Intake,
) -> Result<Result<Series, Refusal>, Words> {
    let name = text(field(columns.name))?;
    if name.is_empty() {
        return Err("the name is empty".into());
    }
    let mut labels = Vec::with_capacity(columns.labels.len());
    for (column, title) in &columns.labels {
        labels.push((title.as_str(), text(field(*column))?));
    }
    Ok(intake.series(&name, labels))
}

#[cfg(test)]
mod tests {
    use crate::kernel::decode::tests::{check as check_format, check_with};
    use crate::kernel::decode::{Decoder, Format};
    use crate::kernel::model::Limits;

    fn check(payload: &str, expected: &str) {
        check_format(Format::Csv, payload, expected);
    }

    #[test]
    fn columns_come_in_any_order_and_further_ones_are_labels() {
        check(
            "host,Value,name,timestamp,dc\r\na,1.5,cpu,1700000000000,x\r\n\
             ,2,cpu,2023-11-14T22:13:20.5Z,\r\n\r\na,3,cpu,,x",
            r#"cpu{dc="x",host="a"} = 1.5 @2023-11-14T22:13:20Z
            cpu = 2 @2023-11-14T22:13:20.5Z
            cpu{dc="x",host="a"} = 3 @arrival"#,
        );
    }

    #[test]
    fn quotes_hold_commas_and_quotes() {
        check(
            "\u{feff}\"name\",\"value\",\"ho,st\",\n\"c\"\"p,u\",\"1\",\"\"\"a\",0\ncpu, 2 ,a\"b,1",
            r#"c"p,u{ho,st="\"a"} = 1 @arrival
            cpu{ho,st="a\"b"} = 2 @arrival"#,
        );
    }

    #[test]
    fn each_payload_has_its_own_header() {
        let mut decoder = Decoder::new(Format::Csv, &Limits::default(), 10);
        check_with(&mut decoder, "name,value,host\ncpu,1,a", r#"cpu{host="a"} = 1 @arrival"#);
        check_with(&mut decoder, "name,value,dc\ncpu,2,a", r#"cpu{dc="a"} = 2 @arrival"#);
        assert_eq!(decoder.evictions(), 1);
    }

    #[test]
    fn what_is_no_sample_is_told() {
        check(
            "name,value,ts,host\ncpu,NaN,1,a\ncpu,1,1\ncpu,1,1,a,b\ncpu,,1,a\n\
             cpu,1,noon,a\n,1,1,a\n\
             cpu,1,1,\"a\ncpu,1,1,\"a\"b\ncpu,1,1000,a",
            r#"cpu{host="a"} = 1 @1970-01-01T00:00:01Z
            refused not_finite 1
            line 3: the line has not as many fields as the header
            line 4: the line has not as many fields as the header
            line 5: the value is not a number
            line 6: the time is neither a number nor an RFC 3339 time within 1677 to 2262
            line 7: the name is empty
            line 8: a quoted field does not end on its line
            line 9: a field goes on after its closing quote"#,
        );
    }

    #[test]
    fn a_faulty_header_is_told_and_so_is_each_line_under_it() {
        check(
            "host,value\na,1",
            "line 1: the header has no column `name`
            line 2: the header above could not be read",
        );
        check("name\n", "line 1: the header has no column `value`");
        check("name,value,ts,time\n", "line 1: the header names name, value or time twice");
    }
}
