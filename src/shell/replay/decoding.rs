//! Reads files and decodes them, on this thread or on several, and gives the batches in the files'
//! order.

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
    pub batch: Batch,
    pub bytes: u64,
}

/// Calls `each` with every batch, in order.
pub fn decode_all(
    files: &[PathBuf],
    decoders: usize,
    make: impl Fn() -> Decoder,
    mut each: impl FnMut(Decoded<'_>),
) -> io::Result<()> {
    if decoders == 1 {
        return decode_here(files, make(), each);
    }
    std::thread::scope(|scope| {
        let (mut hands, count) = (Vec::new(), decoders as u32);
        for number in 0..count {
            let (chunks, work) = bounded(CHUNKS_WAITING);
            let (done, decoded) = bounded(CHUNKS_WAITING);
            let decoder = make();
            scope.spawn(move || serve(decoder, (number, count), &work, &done));
            hands.push(Hand { chunks, decoded });
        }
        Team { hands, next: 0, open: false, waiting: Default::default() }.run(files, &mut each)
    })
}

fn decode_here(
    files: &[PathBuf],
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
            each(Decoded { file, batch: decoder.take(), bytes: size as u64 });
            if size == 0 {
                break;
            }
        }
    }
    Ok(())
}

struct Chunk {
    bytes: Vec<u8>,
    /// It holds whole lines, or is the last of a file.
    ends: bool,
}

struct Hand {
    chunks: Sender<Chunk>,
    decoded: Receiver<(Batch, u64)>,
}

/// Decoders that take turns, one chunk of whole lines each.
struct Team {
    hands: Vec<Hand>,
    /// Whose turn it is.
    next: usize,
    /// The last chunk broke off within a line, so its decoder gets the next one too.
    open: bool,
    /// Chunks handed out and not yet back: whose they are, and of which file.
    waiting: std::collections::VecDeque<(usize, usize)>,
}

impl Team {
    fn run(mut self, files: &[PathBuf], each: &mut impl FnMut(Decoded<'_>)) -> io::Result<()> {
        for (number, file) in files.iter().enumerate() {
            let mut input = open(file)?;
            let mut rest = Vec::new();
            loop {
                let mut bytes = std::mem::take(&mut rest);
                let had = bytes.len();
                bytes.resize(had + READ_BYTES, 0);
                let size = read_full(&mut input, &mut bytes[had..])?;
                bytes.truncate(had + size);
                let ends = size < READ_BYTES;
                if !ends && let Some(end) = memchr::memrchr(b'\n', &bytes) {
                    rest = bytes.split_off(end + 1);
                }
                let open = !ends && rest.is_empty() && !bytes.ends_with(b"\n");
                self.hand_out(number, bytes, ends, open, files, each);
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

    fn hand_out(
        &mut self,
        file: usize,
        bytes: Vec<u8>,
        ends: bool,
        open: bool,
        files: &[PathBuf],
        each: &mut impl FnMut(Decoded<'_>),
    ) {
        while self.waiting.len() >= self.hands.len() * CHUNKS_WAITING {
            self.take_back(files, each);
        }
        if !self.open {
            self.next = (self.next + 1) % self.hands.len();
        }
        self.open = open;
        self.waiting.push_back((self.next, file));
        let chunk = Chunk { bytes, ends: ends || !open };
        assert!(self.hands[self.next].chunks.send(chunk).is_ok(), "{ALIVE}");
    }

    /// Waits for the oldest chunk.
    fn take_back(&mut self, files: &[PathBuf], each: &mut impl FnMut(Decoded<'_>)) {
        let Some((hand, file)) = self.waiting.pop_front() else { return };
        let (batch, bytes) = self.hands[hand].decoded.recv().expect(ALIVE);
        each(Decoded { file: &files[file], batch, bytes });
    }
}

const ALIVE: &str = "a decoder's thread lives as long as its channels, or has panicked";

/// Decodes chunks. Each decoder numbers series by itself, so their slots are interleaved.
fn serve(
    mut decoder: Decoder,
    (number, count): (u32, u32),
    work: &Receiver<Chunk>,
    done: &Sender<(Batch, u64)>,
) {
    for chunk in work {
        decoder.feed(&chunk.bytes);
        if chunk.ends {
            decoder.finish();
        }
        let mut batch = decoder.take();
        let own = |slot: &mut Slot| slot.0 = slot.0 * count + number;
        batch.slots.iter_mut().for_each(own);
        batch.announced.iter_mut().for_each(|announced| own(&mut announced.slot));
        if done.send((batch, chunk.bytes.len() as u64)).is_err() {
            return;
        }
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
