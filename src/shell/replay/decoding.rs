//! Reads files and decodes them, on this thread or on several, and gives the batches in the files'
//! order.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::kernel::decode::Decoder;
use crate::kernel::model::{Batch, Slot};

/// What one read takes. Large enough that a rule has many rows of a batch to judge together, small
/// enough to stay in the processor's cache.
const READ_BYTES: usize = 1024 * 1024;
/// What each decoder may have ready before it is asked for.
const PARTS_WAITING: usize = 2;
/// What is read at once of the rest of a line.
const REST_BYTES: usize = 16 * 1024;

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

/// Calls `each` with the batches of every read, in order. Batches have at most `rows` rows. What
/// is no plain file can only be read from its start, by one decoder.
pub fn decode_all(
    files: &[PathBuf],
    decoders: usize,
    rows: usize,
    make: impl Fn() -> Decoder,
    each: impl FnMut(Decoded<'_>),
) -> io::Result<()> {
    if decoders == 1 || !files.iter().all(|file| file.is_file()) {
        return decode_here(files, rows, make(), each);
    }
    decode_together(files, decoders, Sizes { read_bytes: READ_BYTES, rows }, make, each)
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

/// Decoders that take turns: each reads the lines that begin in its stretch of a file, so nobody
/// waits for a reader, and what is read is decoded by the same core.
fn decode_together(
    files: &[PathBuf],
    decoders: usize,
    sizes: Sizes,
    make: impl Fn() -> Decoder,
    mut each: impl FnMut(Decoded<'_>),
) -> io::Result<()> {
    let stretches = stretches(files, sizes.read_bytes as u64)?;
    std::thread::scope(|scope| {
        let mut hands = Vec::new();
        for number in 0..decoders {
            let (done, parts) = bounded(PARTS_WAITING);
            let own = stretches.iter().skip(number).step_by(decoders);
            let hand = Hand {
                decoder: make(),
                number: number as u32,
                count: decoders as u32,
                rows: sizes.rows,
            };
            scope.spawn(move || hand.serve(own, &done));
            hands.push(parts);
        }
        take_together(&stretches, &hands, &mut each)
    })
}

/// Takes the parts in the stretches' order. Lines are numbered from the start of their file.
fn take_together(
    stretches: &[Stretch<'_>],
    hands: &[Receiver<io::Result<Part>>],
    each: &mut impl FnMut(Decoded<'_>),
) -> io::Result<()> {
    let mut before = 0;
    for (stretch, hand) in stretches.iter().zip(hands.iter().cycle()) {
        let Part { mut batches, lines, assumed } = hand
            .recv()
            .expect("a decoder's thread has a part for each stretch, or has panicked")?;
        if stretch.start == 0 {
            before = 0;
        }
        let defects = batches.iter_mut().flat_map(|batch| &mut batch.defects);
        defects.for_each(|defect| defect.line = defect.line + before - assumed);
        before += lines;
        let bytes = stretch.end - stretch.start;
        each(Decoded { file: stretch.file, batches, bytes });
    }
    Ok(())
}

/// A part of a file, from a byte up to another, without regard to lines.
struct Stretch<'a> {
    file: &'a Path,
    start: u64,
    end: u64,
    /// It reaches to the file's end.
    last: bool,
}

/// Stretches of so many bytes. The first ones are shorter: until they are decoded, sequencer and
/// shards have nothing to do, and what a series costs it costs at its first sample.
fn stretches(files: &[PathBuf], bytes: u64) -> io::Result<Vec<Stretch<'_>>> {
    let mut all = Vec::new();
    let mut length = (bytes / 16).max(1);
    for file in files {
        let size = std::fs::metadata(file).map_err(|error| named(file, &error))?.len();
        let mut start = 0;
        // An empty file has one too: it is named among those that were read.
        loop {
            let end = (start + length).min(size);
            all.push(Stretch { file, start, end, last: end == size });
            length = (length * 2).min(bytes);
            start = end;
            if end == size {
                break;
            }
        }
    }
    Ok(all)
}

/// What a stretch came to.
struct Part {
    batches: Vec<Batch>,
    /// Lines that ended in it.
    lines: u64,
    /// Lines before its first, as far as its decoder knew.
    assumed: u64,
}

/// One of several decoders. Each numbers series by itself, so their slots are interleaved.
struct Hand {
    decoder: Decoder,
    number: u32,
    count: u32,
    rows: usize,
}

impl Hand {
    fn serve<'a>(
        mut self,
        stretches: impl Iterator<Item = &'a Stretch<'a>>,
        done: &Sender<io::Result<Part>>,
    ) {
        let (mut buffer, mut opened) = (Vec::new(), None);
        for stretch in stretches {
            let part = self.part(stretch, &mut opened, &mut buffer);
            let part = part.map_err(|error| named(stretch.file, &error));
            if done.send(part).is_err() {
                // Another stretch could not be read.
                return;
            }
        }
    }

    fn part<'a>(
        &mut self,
        stretch: &Stretch<'a>,
        opened: &mut Option<(&'a Path, File)>,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Part> {
        let file = match opened {
            Some((path, file)) if *path == stretch.file => file,
            other => &mut other.insert((stretch.file, File::open(stretch.file)?)).1,
        };
        if stretch.start > 0 {
            // Only the first line of a file may begin with a byte order mark.
            self.decoder.skip_lines(1);
        }
        let assumed = self.decoder.lines();
        let unended = self.feed(stretch, file, buffer)?;
        let lines = self.decoder.lines() - assumed + u64::from(unended);
        self.decoder.finish();
        let mut batch = self.decoder.take();
        age(&mut self.decoder, &batch);
        let (count, number) = (self.count, self.number);
        let own = |slot: &mut Slot| slot.0 = slot.0 * count + number;
        batch.slots.iter_mut().for_each(own);
        batch.announced.iter_mut().for_each(|announced| own(&mut announced.slot));
        Ok(Part { batches: batch.cut(self.rows), lines, assumed })
    }

    /// Feeds the lines that begin in the stretch; true when the last of them has no end.
    fn feed(
        &mut self,
        stretch: &Stretch<'_>,
        file: &mut File,
        buffer: &mut Vec<u8>,
    ) -> io::Result<bool> {
        // A line begins behind the end of another, which may be the last byte before the stretch.
        let from = stretch.start.saturating_sub(1);
        file.seek(SeekFrom::Start(from))?;
        let wanted = (stretch.end - from) as usize;
        buffer.resize(wanted.max(REST_BYTES), 0);
        let size = read_full(file, &mut buffer[..wanted])?;
        let read = &buffer[..size];
        let begin = match stretch.start {
            0 => 0,
            _ => memchr::memchr(b'\n', read).map_or(size, |end| end + 1),
        };
        let text = &read[begin..];
        if text.is_empty() {
            return Ok(false);
        }
        self.decoder.feed(text);
        if text.ends_with(b"\n") || stretch.last {
            return Ok(!text.ends_with(b"\n"));
        }
        loop {
            let size = file.read(&mut buffer[..REST_BYTES])?;
            let rest = &buffer[..size];
            match memchr::memchr(b'\n', rest) {
                _ if size == 0 => return Ok(true),
                Some(end) => {
                    self.decoder.feed(&rest[..=end]);
                    return Ok(false);
                }
                None => self.decoder.feed(rest),
            }
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
    Ok(Box::new(File::open(path).map_err(|error| named(path, &error))?))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
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
        for team in [(2, 1), (2, 64), (3, 127), (2, 500), (3, 1_000), (4, 70_000)] {
            assert_eq!(told(&files, Some(team)), alone, "{team:?}");
        }
    }
}
