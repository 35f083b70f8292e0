//! Samples as text, in the formats that Watchfire reads.
//!
//! All that does not change from sample to sample is written once per series, so that making the
//! data is never what is measured.

use super::data::{METRICS, labels};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Statsd,
    Influx,
    Prom,
}

impl Format {
    pub const ALL: [Format; 4] = [Format::Json, Format::Statsd, Format::Influx, Format::Prom];

    /// As `watchfire replay --format` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Statsd => "statsd",
            Format::Influx => "influx",
            Format::Prom => "prom",
        }
    }

    pub fn parse(name: &str) -> Result<Format, String> {
        let known = Format::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| format!("`{name}` is none of json, statsd, influx, prom"))
    }
}

/// One series' line with two gaps, for the time and the value.
pub struct Line {
    format: Format,
    head: Vec<u8>,
    middle: Vec<u8>,
}

impl Line {
    pub fn new(format: Format, host: usize, metric: usize) -> Line {
        let name = METRICS[metric];
        let list = |open: &str, between: &str, close: &str| {
            let pairs = labels(host).map(|(label, value)| format!("{label}{open}{value}{close}"));
            pairs.join(between)
        };
        let (head, middle) = match format {
            Format::Json => {
                let labels = list("\":\"", ",\"", "\"");
                (
                    format!(r#"{{"name":"{name}","labels":{{"{labels}}},"ts":"#),
                    r#","value":"#.into(),
                )
            }
            Format::Statsd => (format!("{name}:"), format!("|g|#{}|T", list(":", ",", ""))),
            Format::Influx => (format!("{name},{} value=", list("=", ",", "")), " ".to_owned()),
            Format::Prom => (format!("{name}{{{}}} ", list("=\"", ",", "\"")), " ".to_owned()),
        };
        Line { format, head: head.into_bytes(), middle: middle.into_bytes() }
    }

    /// Appends one sample. `hundredths` is not negative; StatsD and Prometheus text, which count
    /// seconds, want whole ones.
    pub fn write(&self, time_ms: i64, hundredths: i32, out: &mut Vec<u8>) {
        let time_ms = time_ms as u64;
        out.extend_from_slice(&self.head);
        match self.format {
            Format::Json => {
                decimal(time_ms, out);
                out.extend_from_slice(&self.middle);
                fixed(hundredths, out);
                out.push(b'}');
            }
            Format::Statsd | Format::Prom => {
                fixed(hundredths, out);
                out.extend_from_slice(&self.middle);
                decimal(time_ms / 1000, out);
            }
            Format::Influx => {
                fixed(hundredths, out);
                out.extend_from_slice(&self.middle);
                decimal(time_ms * 1_000_000, out);
            }
        }
        out.push(b'\n');
    }
}

fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let (mut digits, mut first) = ([0u8; 20], 20);
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Always two decimals.
fn fixed(hundredths: i32, out: &mut Vec<u8>) {
    decimal((hundredths / 100) as u64, out);
    let rest = (hundredths % 100) as u8;
    out.extend_from_slice(&[b'.', b'0' + rest / 10, b'0' + rest % 10]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_says_the_same() {
        let expected = [
            concat!(
                r#"{"name":"mem_used","labels":{"host":"h0123","service":"svc-03","dc":"dc1","#,
                r#""rack":"r012"},"ts":1700000000000,"value":50.07}"#
            ),
            "mem_used:50.07|g|#host:h0123,service:svc-03,dc:dc1,rack:r012|T1700000000",
            "mem_used,host=h0123,service=svc-03,dc=dc1,rack=r012 value=50.07 1700000000000000000",
            r#"mem_used{host="h0123",service="svc-03",dc="dc1",rack="r012"} 50.07 1700000000"#,
        ];
        for (format, expected) in Format::ALL.into_iter().zip(expected) {
            let mut out = Vec::new();
            Line::new(format, 123, 1).write(1_700_000_000_000, 5_007, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), format!("{expected}\n"));
            assert_eq!(Format::parse(format.name()), Ok(format));
        }
    }

    #[test]
    fn numbers_at_their_edges() {
        for (hundredths, text) in [(0, "0.00"), (9, "0.09"), (100, "1.00"), (123_456, "1234.56")] {
            let mut out = Vec::new();
            fixed(hundredths, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
        let mut out = Vec::new();
        decimal(u64::MAX, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), u64::MAX.to_string());
    }
}
