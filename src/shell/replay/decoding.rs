//! Reads files and decodes them, on this thread or on several, and gives the batches in the files'
//! order.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::kernel::decode::Decoder;
use crate::kernel::model::{Batch, Slot};

/// What one read takes. Large enough that a rule has many rows of a batch to judge together, small
/// enough to stay in the processor's cache.
const READ_BYTES: usize = 1024 * 1024;
/// Chunks that each decoder may have before it.
const CHUNKS_WAITING: usize = 2;

/// What one read came to.
pub struct Decoded<'a> {
    pub file: &'a Path,
    /// In order; what belongs to the read as a whole is with the first.
    pub batches: Vec<Batch>,
    pub bytes: u64,
}

/// How input is cut.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// What one read takes.
    pub read_bytes: usize,
    /// Rows of a batch.
    pub rows: usize,
}

/// Calls `each` with the batches of every read, in order. Batches have at most `rows` rows.
pub fn decode_all(
    files: &[PathBuf],
    decoders: usize,
    rows: usize,
    make: impl Fn() -> Decoder,
    each: impl FnMut(Decoded<'_>),
) -> io::Result<()> {
    if decoders == 1 {
        return decode_here(files, rows, make(), each);
    }
    decode_together(files, decoders, Sizes { read_bytes: READ_BYTES, rows }, make, each)
}

fn decode_together(
    files: &[PathBuf],
    decoders: usize,
    sizes: Sizes,
    make: impl Fn() -> Decoder,
    mut each: impl FnMut(Decoded<'_>),
) -> io::Result<()> {
    std::thread::scope(|scope| {
        let (mut hands, count) = (Vec::new(), decoders as u32);
        for number in 0..count {
            let (chunks, work) = bounded(CHUNKS_WAITING);
            let (done, decoded) = bounded(CHUNKS_WAITING);
            let decoder = make();
            scope.spawn(move || serve(decoder, (number, count), sizes.rows, &work, &done));
            hands.push(Hand { chunks, decoded });
        }
        let (waiting, spare, lines) = (VecDeque::new(), Vec::new(), (0, 0));
        let read_bytes = sizes.read_bytes;
        let team = Team { hands, read_bytes, next: 0, open: false, waiting, spare, lines };
        team.run(files, &mut each)
    })
}

fn decode_here(
    files: &[PathBuf],
    rows: usize,
    mut decoder: Decoder,
    mut each: impl FnMut(Decoded<'_>),
) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    for file in files {
        let mut input = open(file)?;
        loop {
            let size = input.read(&mut buffer)?;
            if size == 0 {
                decoder.finish();
            } else {
                decoder.feed(&buffer[..size]);
            }
            let batch = decoder.take();
            age(&mut decoder, &batch);
            each(Decoded { file, batches: batch.cut(rows), bytes: size as u64 });
            if size == 0 {
                break;
            }
        }
    }
    Ok(())
}

struct Chunk {
    text: Text,
    /// Lines of its file come before it, in other chunks.
    goes_on: bool,
    /// It holds whole lines, or is the last of a file.
    ends: bool,
}

/// The front of a buffer. Buffers go round: fresh memory is dear where each read takes so much.
struct Text {
    buffer: Vec<u8>,
    size: usize,
}

impl Text {
    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.size]
    }
}

struct Hand {
    chunks: Sender<Chunk>,
    decoded: Receiver<Part>,
}

/// What a chunk came to.
struct Part {
    batches: Vec<Batch>,
    /// What was read.
    text: Text,
    /// Lines that ended in it.
    lines: u64,
    /// Lines before its first, as far as its decoder knew.
    assumed: u64,
}

/// Decoders that take turns, one chunk of whole lines each.
struct Team {
    hands: Vec<Hand>,
    read_bytes: usize,
    /// Whose turn it is.
    next: usize,
    /// The last chunk broke off within a line, so its decoder gets the next one too.
    open: bool,
    /// Chunks handed out and not yet back: whose they are, and of which file.
    waiting: VecDeque<(usize, usize)>,
    /// Buffers of chunks that are done with.
    spare: Vec<Vec<u8>>,
    /// Lines of the oldest waiting chunk's file that were taken back.
    lines: (usize, u64),
}

impl Team {
    fn run(mut self, files: &[PathBuf], each: &mut impl FnMut(Decoded<'_>)) -> io::Result<()> {
        for (number, file) in files.iter().enumerate() {
            let mut input = open(file)?;
            // The line that the last chunk broke off in.
            let (mut rest, mut first) = (Vec::new(), true);
            loop {
                let (mut text, ends) = self.read(&mut input, &rest)?;
                rest.clear();
                if !ends && let Some(end) = memchr::memrchr(b'\n', text.bytes()) {
                    rest.extend_from_slice(&text.bytes()[end + 1..]);
                    text.size = end + 1;
                }
                let open = !ends && rest.is_empty() && !text.bytes().ends_with(b"\n");
                let goes_on = !std::mem::take(&mut first);
                let chunk = Chunk { text, goes_on, ends: ends || !open };
                self.hand_out(number, chunk, files, each);
                self.open = open && !ends;
                if ends {
                    break;
                }
            }
        }
        while !self.waiting.is_empty() {
            self.take_back(files, each);
        }
        Ok(())
    }

    /// What follows on `rest`, and whether the input ends there.
    fn read(&mut self, input: &mut dyn Read, rest: &[u8]) -> io::Result<(Text, bool)> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        let room = rest.len() + self.read_bytes;
        if buffer.len() < room {
            buffer.resize(room, 0);
        }
        buffer[..rest.len()].copy_from_slice(rest);
        let size = read_full(input, &mut buffer[rest.len()..room])?;
        Ok((Text { buffer, size: rest.len() + size }, size < self.read_bytes))
    }

    fn hand_out(
        &mut self,
        file: usize,
        chunk: Chunk,
        files: &[PathBuf],
        each: &mut impl FnMut(Decoded<'_>),
    ) {
        while self.waiting.len() >= self.hands.len() * CHUNKS_WAITING {
            self.take_back(files, each);
        }
        if !self.open {
            self.next = (self.next + 1) % self.hands.len();
        }
        self.waiting.push_back((self.next, file));
        assert!(self.hands[self.next].chunks.send(chunk).is_ok(), "{ALIVE}");
    }

    /// Waits for the oldest chunk.
    fn take_back(&mut self, files: &[PathBuf], each: &mut impl FnMut(Decoded<'_>)) {
        let Some((hand, file)) = self.waiting.pop_front() else { return };
        let Part { mut batches, text, lines, assumed } =
            self.hands[hand].decoded.recv().expect(ALIVE);
        if self.lines.0 != file {
            self.lines = (file, 0);
        }
        let before = self.lines.1;
        let defects = batches.iter_mut().flat_map(|batch| &mut batch.defects);
        defects.for_each(|defect| defect.line = defect.line + before - assumed);
        self.lines.1 += lines;
        let bytes = text.size as u64;
        self.spare.push(text.buffer);
        each(Decoded { file: &files[file], batches, bytes });
    }
}

const ALIVE: &str = "a decoder's thread lives as long as its channels, or has panicked";

/// Decodes chunks. Each decoder numbers series by itself, so their slots are interleaved.
fn serve(
    mut decoder: Decoder,
    (number, count): (u32, u32),
    rows: usize,
    work: &Receiver<Chunk>,
    done: &Sender<Part>,
) {
    let mut within = false;
    for chunk in work {
        if chunk.goes_on && !within {
            // Only the first line of a file may begin with a byte order mark.
            decoder.skip_lines(1);
        }
        let assumed = decoder.lines();
        decoder.feed(chunk.text.bytes());
        let mut lines = decoder.lines() - assumed;
        within = !chunk.ends;
        if chunk.ends {
            lines += u64::from(!chunk.text.bytes().ends_with(b"\n"));
            decoder.finish();
        }
        let mut batch = decoder.take();
        age(&mut decoder, &batch);
        let own = |slot: &mut Slot| slot.0 = slot.0 * count + number;
        batch.slots.iter_mut().for_each(own);
        batch.announced.iter_mut().for_each(|announced| own(&mut announced.slot));
        let (batches, text) = (batch.cut(rows), chunk.text);
        if done.send(Part { batches, text, lines, assumed }).is_err() {
            return;
        }
    }
}

/// In a replay time is that of the samples.
fn age(decoder: &mut Decoder, batch: &Batch) {
    if let Some(at) = batch.at.last() {
        decoder.age(*at);
    }
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    Ok(Box::new(File::open(path).map_err(named)?))
}

/// Reads until the buffer is full or the input ends; gives how much there was.
fn read_full(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match input.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(size) => have += size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;

    use super::*;
    use crate::kernel::decode::Format;
    use crate::kernel::model::Limits;

    /// Every sample as `series time value` and every defect as `line words`, in order.
    fn told(files: &[PathBuf], team: Option<(usize, usize)>) -> Vec<String> {
        let limits = Limits { line_bytes_max: 200, ..Limits::default() };
        let make = || Decoder::new(Format::JsonLines, &limits, 1_000);
        let (mut lines, mut names) = (Vec::new(), BTreeMap::new());
        let each = |decoded: Decoded<'_>| {
            for batch in &decoded.batches {
                let mut announced = batch.announced.iter().peekable();
                for row in 0..batch.rows() {
                    while let Some(new) = announced.next_if(|new| new.row as usize <= row) {
                        names.insert(new.slot, new.series.to_string());
                    }
                    let (slot, at, value) = (batch.slots[row], batch.at[row], batch.value[row]);
                    lines.push(format!("{} {at} {value}", names[&slot]));
                }
                for defect in &batch.defects {
                    lines.push(format!("{} {}", defect.line, defect.what));
                }
            }
        };
        match team {
            None => decode_here(files, 7, make(), each),
            Some((decoders, read_bytes)) => {
                decode_together(files, decoders, Sizes { read_bytes, rows: 7 }, make, each)
            }
        }
        .expect("files are read");
        // Samples and defects of one read stand apart; which reads there are must not show.
        lines.sort();
        lines
    }

    #[test]
    fn several_decoders_tell_what_one_tells() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = Vec::new();
        for (number, mark) in ["\u{feff}", ""].into_iter().enumerate() {
            let mut text = mark.to_owned();
            for line in 0..60 {
                match line % 9 {
                    4 => text.push_str("no sample\n"),
                    7 => writeln!(text, "{}", "long ".repeat(60)).expect("a text"),
                    _ => {
                        let (host, ts) = (line % 5, 1_700_000_000_000u64 + line);
                        writeln!(
                            text,
                            "{{\"name\":\"m\",\"labels\":{{\"host\":\"h{host}\"}},\"ts\":{ts},\"value\":{line}.5}}"
                        )
                        .expect("a text");
                    }
                }
            }
            text.push_str("the last line has no end");
            let file = folder.path().join(format!("{number}.json"));
            std::fs::write(&file, text).expect("a file");
            files.push(file);
        }
        let alone = told(&files, None);
        assert!(alone.iter().any(|line| line.starts_with("61 ")));
        for team in [(2, 64), (2, 500), (3, 1_000), (4, 70_000)] {
            assert_eq!(told(&files, Some(team)), alone, "{team:?}");
        }
    }
}
