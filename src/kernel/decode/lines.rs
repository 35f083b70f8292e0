//! Cuts a stream of bytes into lines, whatever the chunks they come in.

use memchr::memchr;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

pub enum Line<'a> {
    /// Without its end (`\n` or `\r\n`), and at the start of a stream without a byte order mark.
    Whole(&'a [u8]),
    /// The first `line_bytes_max` bytes of a line that is longer.
    TooLong(&'a [u8]),
}

/// Takes the lines.
pub trait Reader {
    /// One line, and its number from 1.
    fn line(&mut self, number: u64, line: Line<'_>);

    /// Takes as many lines as can be taken from the front of these bytes without a search for
    /// their ends; none is always right. The bytes begin a line that is not the first of its
    /// stream. A line that is taken ends within the bytes, and in no more than `line_bytes_max`.
    fn run(&mut self, bytes: &[u8], line_bytes_max: usize) -> Run;
}

/// Whole lines at the front of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    pub lines: u64,
    /// Their length, with their ends.
    pub bytes: usize,
}

/// Keeps at most `line_bytes_max` bytes: the start of a line whose end has not come yet.
pub struct Lines {
    line_bytes_max: usize,
    carry: Vec<u8>,
    /// The line that is coming in was too long and has been told; its rest is passed over.
    passing_over: bool,
    /// Lines told since the stream began.
    count: u64,
}

impl Lines {
    /// Lines since the stream began.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// So many lines of the stream that begins were read elsewhere.
    pub fn skip(&mut self, lines: u64) {
        self.count += lines;
    }

    pub fn new(line_bytes_max: usize) -> Lines {
        Lines { line_bytes_max, carry: Vec::new(), passing_over: false, count: 0 }
    }

    /// Gives the reader every line that ends in these bytes.
    pub fn feed(&mut self, bytes: &[u8], reader: &mut impl Reader) {
        let mut rest = bytes;
        loop {
            // Within a line there is nothing to run over, and the first line may be marked.
            if self.carry.is_empty() && !self.passing_over && self.count > 0 {
                let run = reader.run(rest, self.line_bytes_max);
                self.count += run.lines;
                rest = &rest[run.bytes..];
            }
            let Some(end) = memchr(b'\n', rest) else { break };
            self.end_line(&rest[..end], reader);
            rest = &rest[end + 1..];
        }
        self.hold(rest, reader);
    }

    /// The stream ended, and with it its last line. The next bytes begin a new one.
    pub fn finish(&mut self, reader: &mut impl Reader) {
        if !self.carry.is_empty() {
            self.end_line(&[], reader);
        }
        self.passing_over = false;
        self.count = 0;
    }

    fn end_line(&mut self, tail: &[u8], reader: &mut impl Reader) {
        if self.passing_over {
            self.passing_over = false;
            return;
        }
        if self.carry.is_empty() {
            return self.tell(tail, reader);
        }
        let mut line = std::mem::take(&mut self.carry);
        // One byte past the limit is enough to see that the line is past it.
        let room = (self.line_bytes_max + 1).saturating_sub(line.len());
        line.extend_from_slice(&tail[..tail.len().min(room)]);
        self.tell(&line, reader);
        line.clear();
        self.carry = line;
    }

    /// Keeps the start of a line, unless it is too long already.
    fn hold(&mut self, head: &[u8], reader: &mut impl Reader) {
        if self.passing_over || head.is_empty() {
            return;
        }
        if self.carry.len() + head.len() > self.line_bytes_max {
            self.end_line(head, reader);
            self.passing_over = true;
        } else {
            self.carry.extend_from_slice(head);
        }
    }

    fn tell(&mut self, line: &[u8], reader: &mut impl Reader) {
        self.count += 1;
        if line.len() > self.line_bytes_max {
            return reader.line(self.count, Line::TooLong(&line[..self.line_bytes_max]));
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let marked = self.count == 1 && line.starts_with(BYTE_ORDER_MARK);
        let line = if marked { &line[BYTE_ORDER_MARK.len()..] } else { line };
        reader.line(self.count, Line::Whole(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Told(Vec<String>);

    impl Reader for Told {
        fn line(&mut self, number: u64, line: Line<'_>) {
            self.0.push(match line {
                Line::Whole(bytes) => format!("{number} {}", String::from_utf8_lossy(bytes)),
                Line::TooLong(bytes) => format!("{number} {}…", String::from_utf8_lossy(bytes)),
            });
        }

        /// Runs over lines `=`.
        fn run(&mut self, bytes: &[u8], _line_bytes_max: usize) -> Run {
            let lines = bytes.chunks(2).take_while(|line| line == b"=\n").count();
            Run { lines: lines as u64, bytes: 2 * lines }
        }
    }

    /// Feeds the chunks to a cutter with lines of at most 5 bytes and compares what it tells.
    fn check(chunks: &[&str], expected: &str) {
        let mut told = Told::default();
        let mut lines = Lines::new(5);
        for chunk in chunks {
            lines.feed(chunk.as_bytes(), &mut told);
        }
        lines.finish(&mut told);
        assert_eq!(told.0.join(" | "), expected, "{chunks:?}");
        assert!(lines.carry.is_empty() && lines.carry.capacity() <= 16);
    }

    #[test]
    fn a_run_begins_at_the_second_line_or_later_and_is_counted() {
        check(&["a\n=\n=\nb\n=\nc"], "1 a | 4 b | 6 c");
        check(&["=\n=\na"], "1 = | 3 a");
        check(&["a\nb", "=\n=\nc"], "1 a | 2 b= | 4 c");
        check(&["a\n1234567", "=\n=\nc"], "1 a | 2 12345… | 4 c");
        check(&["a\n=", "\n=\n"], "1 a | 2 =");
    }

    #[test]
    fn lines_are_cut_whatever_the_chunks() {
        check(&["a\nb\n"], "1 a | 2 b");
        check(&["a\nb"], "1 a | 2 b");
        check(&["a", "b\nc", "", "d\r", "\n"], "1 ab | 2 cd");
        check(&["\n\n", "x"], "1  | 2  | 3 x");
        check(&[""], "");
    }

    #[test]
    fn a_line_past_the_limit_is_told_once_and_passed_over() {
        check(&["12345\n123456\nx"], "1 12345 | 2 12345… | 3 x");
        check(&["123", "45", "\n123", "456", "789", "\nx"], "1 12345 | 2 12345… | 3 x");
        check(&["123456"], "1 12345…");
        check(&["1234", "5678\n", "x"], "1 12345… | 2 x");
    }

    #[test]
    fn a_byte_order_mark_opens_a_stream_and_no_other_line() {
        check(&["\u{feff}a\n\u{feff}b"], "1 a | 2 \u{feff}b");
    }
}
