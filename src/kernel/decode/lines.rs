//! Cuts a stream of bytes into lines, whatever the chunks they come in.

use memchr::memchr;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

pub enum Line<'a> {
    /// Without its end (`\n` or `\r\n`), and at the start of a stream without a byte order mark.
    Whole(&'a [u8]),
    /// The first `line_bytes_max` bytes of a line that is longer.
    TooLong(&'a [u8]),
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
    pub fn new(line_bytes_max: usize) -> Lines {
        Lines { line_bytes_max, carry: Vec::new(), passing_over: false, count: 0 }
    }

    /// Calls `each` with the number (from 1) of every line that ends in these bytes.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(u64, Line<'_>)) {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            self.end_line(&rest[..end], &mut each);
            rest = &rest[end + 1..];
        }
        self.hold(rest, &mut each);
    }

    /// The stream ended, and with it its last line. The next bytes begin a new one.
    pub fn finish(&mut self, mut each: impl FnMut(u64, Line<'_>)) {
        if !self.carry.is_empty() {
            self.end_line(&[], &mut each);
        }
        self.passing_over = false;
        self.count = 0;
    }

    fn end_line(&mut self, tail: &[u8], each: &mut impl FnMut(u64, Line<'_>)) {
        if self.passing_over {
            self.passing_over = false;
            return;
        }
        if self.carry.is_empty() {
            return self.tell(tail, each);
        }
        let mut line = std::mem::take(&mut self.carry);
        // One byte past the limit is enough to see that the line is past it.
        let room = (self.line_bytes_max + 1).saturating_sub(line.len());
        line.extend_from_slice(&tail[..tail.len().min(room)]);
        self.tell(&line, each);
        line.clear();
        self.carry = line;
    }

    /// Keeps the start of a line, unless it is too long already.
    fn hold(&mut self, head: &[u8], each: &mut impl FnMut(u64, Line<'_>)) {
        if self.passing_over || head.is_empty() {
            return;
        }
        if self.carry.len() + head.len() > self.line_bytes_max {
            self.end_line(head, each);
            self.passing_over = true;
        } else {
            self.carry.extend_from_slice(head);
        }
    }

    fn tell(&mut self, line: &[u8], each: &mut impl FnMut(u64, Line<'_>)) {
        self.count += 1;
        if line.len() > self.line_bytes_max {
            return each(self.count, Line::TooLong(&line[..self.line_bytes_max]));
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let marked = self.count == 1 && line.starts_with(BYTE_ORDER_MARK);
        each(self.count, Line::Whole(if marked { &line[BYTE_ORDER_MARK.len()..] } else { line }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the chunks to a cutter with lines of at most 5 bytes and compares what it tells.
    fn check(chunks: &[&str], expected: &str) {
        let mut told = Vec::new();
        let mut lines = Lines::new(5);
        let mut each = |number: u64, line: Line<'_>| {
            told.push(match line {
                Line::Whole(bytes) => format!("{number} {}", String::from_utf8_lossy(bytes)),
                Line::TooLong(bytes) => format!("{number} {}…", String::from_utf8_lossy(bytes)),
            });
        };
        for chunk in chunks {
            lines.feed(chunk.as_bytes(), &mut each);
        }
        lines.finish(&mut each);
        assert_eq!(told.join(" | "), expected, "{chunks:?}");
        assert!(lines.carry.is_empty() && lines.carry.capacity() <= 16);
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
