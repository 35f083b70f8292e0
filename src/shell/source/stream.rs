//! Standard input and files: one stream of bytes, to its end or followed as it grows.
//!
//! A thread of its own does the blocking reads and hands over one piece at a time, so a full budget
//! stops the reading. A thread that waits for standard input cannot be interrupted; it is left
//! behind at a stop and reads at most one piece more.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::warn;

use crate::kernel::model::{Duration as Lateness, Now};
use crate::shell::clock::Clock;
use crate::shell::inlet::{SourceKind, Stopped};

use super::running::Stop;
use super::{Decode, Feed, Running, StartError, Surroundings};

#[derive(Clone, Debug)]
pub struct Stream {
    pub name: Arc<str>,
    pub from: Origin,
    /// `None`: the default for what it turns out to send.
    pub lateness: Option<Lateness>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Stdin,
    /// From its beginning to its end.
    File(PathBuf),
    /// What is appended from now on, for ever, through rotations and truncations; a file that takes
    /// the followed one's place is read from its beginning.
    Followed(PathBuf),
}

/// What one read takes at most.
const READ_BYTES: usize = 64 * 1024;
/// How often a followed file is looked at when nothing was added.
const FOLLOW_PERIOD: Duration = Duration::from_millis(250);

/// Must be called within a tokio runtime.
pub fn start<D: Decode>(
    around: &Surroundings,
    settings: Stream,
    decoder: D,
) -> Result<Running, StartError> {
    let (sender, pieces) = mpsc::channel(1);
    let reader = Reader { clock: Arc::clone(&around.clock), pieces: sender };
    let kind = match settings.from {
        Origin::Stdin => {
            let place = Path::new("standard input");
            spawn(place, reader, |reader| reader.read_to_end(&mut io::stdin()).map(drop))?;
            SourceKind::Stdin
        }
        Origin::File(path) => {
            let opened = open(&path)?;
            let again = path.clone();
            spawn(&path, reader, move |reader| {
                let mut file = opened.map_or_else(|| File::open(again), Ok)?;
                reader.read_to_end(&mut file).map(drop)
            })?;
            SourceKind::File
        }
        Origin::Followed(path) => {
            let opened = open(&path)?;
            let again = path.clone();
            spawn(&path, reader, move |reader| match opened {
                Some(file) => reader.follow(&again, file),
                None => reader.read_to_end(&mut File::open(again)?).map(drop),
            })?;
            SourceKind::File
        }
    };
    let feed = Feed::open(around, &settings.name, kind, settings.lateness, decoder);
    feed.inlet().listening(true);
    Ok(Running::spawn(None, |stop| async move {
        // An error says that the engine has stopped, which is an end like any other.
        carry(&feed, pieces, stop).await.ok();
        feed.inlet().listening(false);
    }))
}

/// Opens a plain file, so that what is wrong with it is known at the start. `None` for a pipe,
/// where opening waits for a writer.
fn open(path: &Path) -> Result<Option<File>, StartError> {
    let opened = path.metadata().and_then(|metadata| {
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        if metadata.is_file() { File::open(path).map(Some) } else { Ok(None) }
    });
    opened.map_err(|error| StartError::file(path, &error))
}

fn spawn(
    place: &Path,
    reader: Reader,
    read: impl FnOnce(&Reader) -> io::Result<()> + Send + 'static,
) -> Result<(), StartError> {
    let work = move || {
        if let Err(error) = read(&reader) {
            reader.pieces.blocking_send(Piece::Failed(error)).ok();
        }
    };
    let thread = std::thread::Builder::new().name("watchfire-read".to_owned()).spawn(work);
    thread.map(drop).map_err(|error| StartError::file(place, &error))
}

async fn carry<D: Decode>(
    feed: &Feed<D>,
    mut pieces: mpsc::Receiver<Piece>,
    mut stop: Stop,
) -> Result<(), Stopped> {
    loop {
        let piece = tokio::select! {
            biased;
            () = stop.asked() => return Ok(()),
            piece = pieces.recv() => piece,
        };
        match piece {
            Some(Piece::Bytes(bytes, arrival)) => {
                let permit = feed.inlet().reserve(bytes.len()).await?;
                feed.pass(permit, arrival, |decoder| decoder.feed(&bytes))?;
            }
            Some(Piece::End) => finish(feed).await?,
            Some(Piece::Failed(error)) => {
                warn!(source = &**feed.inlet().name(), "cannot be read any further: {error}");
            }
            None => return finish(feed).await,
        }
    }
}

async fn finish<D: Decode>(feed: &Feed<D>) -> Result<(), Stopped> {
    let permit = feed.inlet().reserve(0).await?;
    feed.pass(permit, feed.now(), |decoder| decoder.finish()).map(drop)
}

enum Piece {
    Bytes(Vec<u8>, Now),
    /// What follows is another file: a line begun before does not go on in it.
    End,
    Failed(io::Error),
}

/// The thread's side.
struct Reader {
    clock: Arc<dyn Clock>,
    pieces: mpsc::Sender<Piece>,
}

/// What became of the file under a followed path.
enum Fate {
    Same,
    Shorter,
    Replaced(File),
}

impl Reader {
    /// Gives the number of bytes read; ends early when nobody takes them any more.
    fn read_to_end(&self, from: &mut impl Read) -> io::Result<u64> {
        let mut total = 0;
        loop {
            let mut bytes = vec![0; READ_BYTES];
            let count = match from.read(&mut bytes) {
                Ok(0) => return Ok(total),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            bytes.truncate(count);
            total += count as u64;
            if self.pieces.blocking_send(Piece::Bytes(bytes, self.clock.now())).is_err() {
                return Ok(total);
            }
        }
    }

    fn follow(&self, path: &Path, mut file: File) -> io::Result<()> {
        let mut position = file.seek(SeekFrom::End(0))?;
        while !self.pieces.is_closed() {
            position += self.read_to_end(&mut file)?;
            let fate = fate(path, &file, position)?;
            // Also after a replacement: its writer may still be at the old file's last lines.
            std::thread::sleep(FOLLOW_PERIOD);
            match fate {
                Fate::Same => continue,
                Fate::Shorter => {
                    file.seek(SeekFrom::Start(0))?;
                }
                Fate::Replaced(new) => {
                    self.read_to_end(&mut file)?;
                    file = new;
                }
            }
            position = 0;
            self.pieces.blocking_send(Piece::End).ok();
        }
        Ok(())
    }
}

/// A path that leads nowhere is a rotation half done: the old file stays until the new one is
/// there.
fn fate(path: &Path, file: &File, position: u64) -> io::Result<Fate> {
    let old = file.metadata()?;
    let moved = path.metadata().is_ok_and(|new| (new.dev(), new.ino()) != (old.dev(), old.ino()));
    if moved && let Ok(new) = File::open(path) {
        return Ok(Fate::Replaced(new));
    }
    Ok(if old.len() < position { Fate::Shorter } else { Fate::Same })
}

#[cfg(test)]
mod tests;
