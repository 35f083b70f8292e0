//! Decoding: bytes of a text format to batches of samples.
//!
//! All formats here are lines. A line is cut into (raw key bytes, time bytes, value bytes); the raw
//! key is looked up in the [`Intake`], and only a key that is not known there has its labels
//! parsed. A line is taken whole or not at all: it gives samples and refusals, or one defect, or
//! nothing (blank lines, comments, headers), and it never affects another line.
//!
//! This module never reads a clock (a sample without a time keeps [`EventTime::MIN`]), never keeps
//! more of a line than `line_bytes_max`, and never gives one series' sample to another: what a
//! known raw key stands for is what the full parse of the same line would have found.
//!
//! [`EventTime::MIN`]: crate::kernel::model::EventTime::MIN

mod csv;
mod decimal;
#[cfg(test)]
mod differential;
mod expected;
mod influx_line;
pub mod intake;
mod json_lines;
mod keys;
mod lines;
pub mod number;
mod prom_text;
mod statsd;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::kernel::model::{Batch, Duration, EventTime, Limits};

pub use intake::{Intake, Key};
pub use number::TimeUnit;

use csv::Csv;
use expected::{ExpectedInflux, ExpectedJson, ExpectedProm, ExpectedStatsD};
use influx_line::InfluxLine;
use json_lines::JsonLines;
use lines::{Line, Lines, Run};
use prom_text::PromText;
use statsd::StatsD;

/// A raw key that did not come for so long, or up to twice that, is forgotten: its labels are
/// parsed anew when it comes again.
pub const KEY_AGE: Duration = Duration::from_secs(120);

/// What is wrong with a line, in words for a [`Defect`](crate::kernel::model::Defect).
type Words = Cow<'static, str>;

/// A text format that samples come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    JsonLines,
    /// StatsD and DogStatsD.
    StatsD,
    InfluxLine,
    /// Prometheus text 0.0.4 and OpenMetrics.
    PromText,
    Csv,
}

impl Format {
    pub const ALL: [Format; 5] =
        [Format::JsonLines, Format::StatsD, Format::InfluxLine, Format::PromText, Format::Csv];

    /// The name it has on the command line and in the config.
    pub fn name(self) -> &'static str {
        match self {
            Format::JsonLines => "json",
            Format::StatsD => "statsd",
            Format::InfluxLine => "influx",
            Format::PromText => "prom",
            Format::Csv => "csv",
        }
    }

    pub fn parse(text: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == text)
    }
}

/// One source worker's decoder of one format.
pub struct Decoder {
    format: Format,
    unit: Option<TimeUnit>,
    lines: Lines,
    reader: Reader,
    intake: Intake,
    /// Room for a raw key, kept so that no line allocates.
    scratch: Vec<u8>,
    /// When keys were last looked over.
    aged: EventTime,
}

/// What a format keeps from line to line: scratch space, and for CSV the header.
enum Reader {
    JsonLines(JsonLines),
    StatsD(StatsD),
    InfluxLine(InfluxLine),
    PromText,
    Csv(Csv),
}

impl Decoder {
    /// `keys_max` bounds the raw keys kept; twice the live series leaves room for senders that
    /// write one series' labels in several orders.
    pub fn new(format: Format, limits: &Limits, keys_max: usize) -> Decoder {
        let reader = match format {
            Format::JsonLines => Reader::JsonLines(JsonLines::default()),
            Format::StatsD => Reader::StatsD(StatsD::default()),
            Format::InfluxLine => Reader::InfluxLine(InfluxLine::default()),
            Format::PromText => Reader::PromText,
            Format::Csv => Reader::Csv(Csv::default()),
        };
        let lines = Lines::new(limits.line_bytes_max);
        let intake = Intake::new(limits, keys_max);
        let (unit, scratch, aged) = (None, Vec::new(), EventTime::MIN);
        Decoder { format, unit, lines, reader, intake, scratch, aged }
    }

    /// Hashes raw keys with this seed. Nothing that is decoded depends on it; a sender that does
    /// not know it cannot make up keys that are slow to look up. Nothing may be decoded yet.
    pub fn seeded(mut self, seed: u64) -> Decoder {
        self.intake.set_seed(seed);
        self
    }

    /// Reads every line in full from here on, whatever it looks like: the reference for tests.
    #[cfg(test)]
    fn in_full(mut self) -> Decoder {
        self.intake.speculate(false);
        self
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// The unit of times that are plain numbers, from here on. `None` is the format's own: JSON
    /// lines and CSV milliseconds, StatsD seconds, Influx nanoseconds. Prometheus text differs
    /// between its versions (0.0.4 milliseconds, OpenMetrics seconds) and is guessed line by line:
    /// an integer from 10^11 on is milliseconds, any other time seconds.
    pub fn set_time_unit(&mut self, unit: Option<TimeUnit>) {
        self.unit = unit;
    }

    /// Decodes a whole payload: a datagram, the body of a request, a file.
    pub fn decode(&mut self, payload: &[u8]) {
        self.feed(payload);
        self.finish();
    }

    /// Decodes the next bytes of a stream. The start of a line whose end has not come is kept.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.intake.received(bytes.len());
        let Decoder { unit, lines, reader, intake, scratch, .. } = self;
        lines.feed(bytes, &mut Pass { unit: *unit, reader, intake, scratch });
    }

    /// The stream or payload ended: its last line needs no newline, and what comes next begins at
    /// line 1, in CSV with a header.
    pub fn finish(&mut self) {
        let Decoder { unit, lines, reader, intake, scratch, .. } = self;
        lines.finish(&mut Pass { unit: *unit, reader, intake, scratch });
        match reader {
            Reader::Csv(csv) => csv.finish(),
            Reader::JsonLines(_) | Reader::StatsD(_) | Reader::InfluxLine(_) | Reader::PromText => {
            }
        }
    }

    /// What was decoded since the last call. Its arrival is for the shell to fill in.
    pub fn take(&mut self) -> Batch {
        self.intake.take()
    }

    /// Time has come to `now`: about once in [`KEY_AGE`] the raw keys that did not come for so long
    /// are forgotten, so that series that are gone take no room for ever.
    pub fn age(&mut self, now: EventTime) {
        if now < self.aged + KEY_AGE {
            return;
        }
        if self.aged != EventTime::MIN {
            self.intake.forget_unseen();
        }
        self.aged = now;
    }

    /// Lines of the stream so far.
    pub fn lines(&self) -> u64 {
        self.lines.count()
    }

    /// So many lines of the stream that begins were read elsewhere.
    pub fn skip_lines(&mut self, lines: u64) {
        self.lines.skip(lines);
    }

    /// Raw keys taken out so far, because the cache was full or they did not come any more.
    pub fn evictions(&self) -> u64 {
        self.intake.evictions()
    }
}

/// What reads the lines of one call.
struct Pass<'a> {
    unit: Option<TimeUnit>,
    reader: &'a mut Reader,
    intake: &'a mut Intake,
    scratch: &'a mut Vec<u8>,
}

impl lines::Reader for Pass<'_> {
    fn line(&mut self, number: u64, line: Line<'_>) {
        let Pass { unit, reader, intake, .. } = self;
        let bytes = match line {
            Line::Whole(bytes) => bytes,
            Line::TooLong(head) => {
                return intake.defect(number, "the line is longer than line_bytes_max", head);
            }
        };
        let outcome = match reader {
            Reader::JsonLines(reader) => reader.line(bytes, *unit, intake),
            Reader::StatsD(reader) => reader.line(bytes, *unit, intake),
            Reader::InfluxLine(reader) => reader.line(bytes, *unit, intake),
            Reader::PromText => PromText::line(bytes, *unit, intake),
            Reader::Csv(reader) => reader.line(bytes, *unit, intake),
        };
        if let Err(words) = outcome {
            intake.defect(number, words, bytes);
        }
    }

    fn run(&mut self, bytes: &[u8], line_bytes_max: usize) -> Run {
        let Pass { unit, reader, intake, scratch } = self;
        let (max, unit) = (line_bytes_max, *unit);
        match reader {
            Reader::JsonLines(_) => {
                expected::run::<ExpectedJson>(bytes, max, unit, intake, scratch)
            }
            Reader::StatsD(_) => expected::run::<ExpectedStatsD>(bytes, max, unit, intake, scratch),
            Reader::InfluxLine(_) => {
                expected::run::<ExpectedInflux>(bytes, max, unit, intake, scratch)
            }
            Reader::PromText => expected::run::<ExpectedProm>(bytes, max, unit, intake, scratch),
            Reader::Csv(_) => Run::default(),
        }
    }
}
