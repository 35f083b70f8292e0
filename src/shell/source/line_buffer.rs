//! The bytes of one connection, cut into whole lines.

use crate::kernel::model::Defect;

/// What a connection that sends little costs.
const SMALL: usize = 8 * 1024;
/// What one read takes at most.
const LARGE: usize = 64 * 1024;

/// Grows from [`SMALL`] to [`LARGE`] for connections that fill it, and to a line's limit for lines
/// that need it; never further.
pub struct LineBuffer {
    bytes: Vec<u8>,
    size: usize,
    line_bytes_max: usize,
    /// The rest of a line that was too long is still coming.
    skipping: bool,
}

impl LineBuffer {
    pub fn new(line_bytes_max: usize) -> LineBuffer {
        LineBuffer { bytes: Vec::new(), size: SMALL, line_bytes_max, skipping: false }
    }

    /// Where the next read goes. The buffer has room, and reads must stay within its capacity.
    pub fn space(&mut self) -> &mut Vec<u8> {
        if self.bytes.len() + SMALL / 2 > self.size {
            self.size = (2 * self.size).min(LARGE.max(self.line_bytes_max + SMALL));
        }
        self.bytes.reserve_exact(self.size.saturating_sub(self.bytes.len()).max(1));
        &mut self.bytes
    }

    /// After each read. A defect says that a line went past its limit; the rest of that line is
    /// left out when it comes.
    #[must_use]
    pub fn filled(&mut self) -> Option<Defect> {
        if self.skipping {
            let end = memchr::memchr(b'\n', &self.bytes);
            self.bytes.drain(..end.map_or(self.bytes.len(), |end| end + 1));
            self.skipping = end.is_none();
        }
        if self.bytes.len() == self.bytes.capacity() {
            self.size = self.size.max((2 * self.size).min(LARGE));
        }
        let tail = self.whole().len();
        if self.bytes.len() - tail <= self.line_bytes_max {
            return None;
        }
        let what = format!("line longer than limits.line_bytes_max = {}", self.line_bytes_max);
        let defect = Defect::new(0, what, &self.bytes[tail..]);
        self.bytes.truncate(tail);
        self.skipping = true;
        Some(defect)
    }

    /// All lines that are complete, up to and with the last line end.
    pub fn whole(&self) -> &[u8] {
        &self.bytes[..memchr::memrchr(b'\n', &self.bytes).map_or(0, |end| end + 1)]
    }

    /// The begun line, all there is after [`LineBuffer::whole`].
    pub fn begun(&self) -> &[u8] {
        &self.bytes[self.whole().len()..]
    }

    /// Forgets the first `count` bytes.
    pub fn consume(&mut self, count: usize) {
        self.bytes.drain(..count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sends `text` in pieces cut at `cuts`; gives the lines that came out and the defects.
    fn check(text: &[u8], cuts: &[usize], line_bytes_max: usize) -> (Vec<Vec<u8>>, usize) {
        let mut buffer = LineBuffer::new(line_bytes_max);
        let (mut lines, mut defects) = (Vec::new(), 0);
        let mut rest = text;
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let space = buffer.space();
            let room = space.capacity() - space.len();
            assert!(0 < room && space.capacity() <= LARGE.max(line_bytes_max + SMALL));
            let (piece, after) = rest.split_at((*cut).clamp(1, room).min(rest.len()));
            space.extend_from_slice(piece);
            rest = after;
            defects += usize::from(buffer.filled().is_some());
            let whole = buffer.whole().to_vec();
            lines.extend(whole.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec));
            buffer.consume(whole.len());
        }
        if !buffer.begun().is_empty() {
            lines.push(buffer.begun().to_vec());
        }
        (lines, defects)
    }

    #[test]
    fn lines_come_out_whole_however_the_reads_cut_them() {
        let lines = |text: &str| -> Vec<Vec<u8>> {
            text.split_inclusive('\n').map(|line| line.as_bytes().to_vec()).collect()
        };
        for cut in 1..9 {
            assert_eq!(check(b"one\ntwo\n\nthr", &[cut], 8), (lines("one\ntwo\n\nthr"), 0));
        }
    }

    #[test]
    fn a_line_may_be_as_long_as_its_limit_and_not_a_byte_longer() {
        // The line's end is not counted; with one byte more the begun line is past the limit.
        assert_eq!(check(b"12345678\nok\n", &[1], 8).1, 0);
        let (lines, defects) = check(b"a\n123456789\nok\n", &[1], 8);
        assert_eq!((lines, defects), (vec![b"a\n".to_vec(), b"ok\n".to_vec()], 1));
        // Without an end in sight it is one defect, not one a read.
        assert_eq!(check(&[b'x'; 1000], &[7], 8), (vec![], 1));
    }

    #[test]
    fn the_buffer_grows_for_those_who_fill_it() {
        let mut buffer = LineBuffer::new(100);
        let mut sizes = Vec::new();
        for _ in 0..5 {
            let space = buffer.space();
            let room = space.capacity() - space.len();
            sizes.push(room);
            space.resize(space.len() + room, b'\n');
            assert_eq!(buffer.filled(), None);
            buffer.consume(room);
        }
        assert_eq!(sizes, [8192, 16384, 32768, 65536, 65536]);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_moved(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300),
            cuts in proptest::collection::vec(1usize..40, 1..8),
        ) {
            let (lines, defects) = check(&text, &cuts, 1000);
            prop_assert_eq!(defects, 0);
            prop_assert_eq!(lines.concat(), text);
        }
    }
}
