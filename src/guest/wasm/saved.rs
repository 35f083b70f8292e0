//! What plugins that are no rules saved last: for the next instance, the next version, and the next
//! run of the program. What rules save is part of the engine's own state.
//!
//! A state is written to `NAME.WORLD.state` in a private folder, at once when the last writing is a
//! second ago, else then: so that one that saves after every delivery writes once in a second, and
//! a `kill -9` costs a second's changes at most. Format: the eight bytes `WFPLUGS1`, the xxh3-64 of
//! the rest, the guest's own version of its format, when it was saved in nanoseconds since the
//! epoch, all little endian; then the guest's bytes. Written to a temporary name, synced and
//! renamed, so it is whole or absent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::cache::make_private;
use super::manifest::Kind;
use super::v0_1::model::Snapshot;
use crate::guest::changes::{self, Changes, PluginChange};
use crate::kernel::model::Now;

const MAGIC: &[u8; 8] = b"WFPLUGS1";

/// Between two writings.
const PACE: Duration = Duration::from_secs(1);

/// What one plugin saved last; all of its instances and versions share one.
pub struct SavedState {
    /// Of its file, without `.state`.
    name: String,
    last: Mutex<Last>,
    writing: Arc<Writing>,
}

#[derive(Clone, Default)]
struct Last {
    state: Option<Snapshot>,
    at: Option<Now>,
}

impl SavedState {
    pub fn get(&self) -> Option<Snapshot> {
        self.last().state.clone()
    }

    /// Bytes, and when it was saved.
    pub fn about(&self) -> (u64, Option<Now>) {
        let last = self.last();
        (last.state.as_ref().map_or(0, |state| state.data.len() as u64), last.at)
    }

    /// Puts a state in the place of the last one, in memory now and on disk soon.
    pub fn put(self: &Arc<Self>, state: Option<Snapshot>) {
        let mut last = self.last();
        let same = match (&last.state, &state) {
            (Some(old), Some(new)) => old.version == new.version && old.data == new.data,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        *last = Last { state, at: Some(changes::now()) };
        drop(last);
        if !same {
            self.writing.wish(self.clone());
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The states of one host's plugins.
#[derive(Default)]
pub struct SavedStates {
    writing: Arc<Writing>,
    known: Mutex<BTreeMap<String, Weak<SavedState>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What waits to be written, and where to.
#[derive(Default)]
struct Writing {
    /// `None` until there is a folder: then states live in memory only.
    folder: Mutex<Option<PathBuf>>,
    waiting: Mutex<Waiting>,
    /// Held while anything is written: of two that write at once the later one writes what is
    /// newer, and when its turn is over nothing that was wished before is still on its way.
    turn: Mutex<()>,
    moved: Condvar,
}

#[derive(Default)]
struct Waiting {
    states: BTreeMap<String, Arc<SavedState>>,
    ended: bool,
}

impl SavedStates {
    /// Keeps states in this folder from now on, which must be nobody else's.
    pub fn keep_in(&self, folder: &Path) -> io::Result<()> {
        make_private(folder)?;
        let mut kept = self.writing.folder.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(folder.to_owned());
        drop(kept);
        let writing = self.writing.clone();
        let thread = std::thread::Builder::new()
            .name("plugin-state".to_owned())
            .spawn(move || writing.run())?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// The place of this plugin's state, with what an earlier run left there.
    pub fn of(&self, plugin: &str, kind: Kind, changes: &Changes) -> Arc<SavedState> {
        let name = format!("{plugin}.{}", kind.name());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, state| state.strong_count() > 0);
        if let Some(state) = known.get(&name).and_then(Weak::upgrade) {
            return state;
        }
        let last = match self.writing.read(&name) {
            Ok(last) => last.unwrap_or_default(),
            Err(why) => {
                changes.publish(plugin, PluginChange::StateLost { why });
                Last::default()
            }
        };
        let (last, writing) = (Mutex::new(last), self.writing.clone());
        let state = Arc::new(SavedState { name: name.clone(), last, writing });
        known.insert(name, Arc::downgrade(&state));
        state
    }

    /// Writes what waits to be written, now.
    pub fn flush(&self) {
        self.writing.write_all();
    }
}

impl Drop for SavedStates {
    fn drop(&mut self) {
        self.writing.waiting().ended = true;
        self.writing.moved.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It writes what waits first. One that panicked said so.
            let _ = thread.join();
        }
    }
}

impl Writing {
    fn wish(&self, state: Arc<SavedState>) {
        if self.folder().is_some() {
            self.waiting().states.insert(state.name.clone(), state);
            self.moved.notify_all();
        }
    }

    fn run(&self) {
        loop {
            let idle = |waiting: &mut Waiting| waiting.states.is_empty() && !waiting.ended;
            drop(self.moved.wait_while(self.waiting(), idle));
            self.write_all();
            let working = |waiting: &mut Waiting| !waiting.ended;
            let waited = self.moved.wait_timeout_while(self.waiting(), PACE, working);
            let (waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if waiting.ended && waiting.states.is_empty() {
                return;
            }
        }
    }

    /// Each state as it is when its turn comes, which may be newer than the one that was waited
    /// with.
    fn write_all(&self) {
        let Some(folder) = self.folder() else { return };
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self.waiting();
        let states = std::mem::take(&mut waiting.states);
        drop(waiting);
        for (name, state) in states {
            if let Err(error) = write(&folder, &name, &state.last) {
                let folder = folder.display();
                tracing::error!(%folder, name, %error, "a plugin's state cannot be kept");
            }
        }
    }

    /// What an earlier run left; an error says why it cannot be used, and it is out of the way.
    fn read(&self, name: &str) -> Result<Option<Last>, String> {
        let Some(folder) = self.folder() else { return Ok(None) };
        let path = file_of(&folder, name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        };
        if let Some(last) = parse(&bytes) {
            return Ok(Some(last));
        }
        let bad = path.with_extension("bad");
        // Nothing is lost when this fails: it is written over at the next checkpoint.
        let _ = std::fs::rename(&path, &bad);
        let (path, bad) = (path.display(), bad.display());
        Err(format!("{path} is damaged or of another version; it is kept as {bad}"))
    }

    fn folder(&self) -> Option<PathBuf> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.state"))
}

/// Writes the state as it is now, or removes its file when there is none.
fn write(folder: &Path, name: &str, last: &Mutex<Last>) -> io::Result<()> {
    let Last { state, at } = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let path = file_of(folder, name);
    let Some(state) = state else {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
    };
    let at = at.unwrap_or_else(changes::now).nanos();
    let body = [&state.version.to_le_bytes()[..], &at.to_le_bytes(), &state.data].concat();
    let draft = path.with_extension("part");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(MAGIC)?;
    file.write_all(&xxh3_64(&body).to_le_bytes())?;
    file.write_all(&body)?;
    file.sync_all()?;
    std::fs::rename(&draft, &path)
}

fn parse(bytes: &[u8]) -> Option<Last> {
    let (sum, body) = bytes.strip_prefix(MAGIC.as_slice())?.split_first_chunk::<8>()?;
    if u64::from_le_bytes(*sum) != xxh3_64(body) {
        return None;
    }
    let (version, rest) = body.split_first_chunk::<4>()?;
    let (at, data) = rest.split_first_chunk::<8>()?;
    let state = Snapshot { version: u32::from_le_bytes(*version), data: data.to_vec() };
    Some(Last { state: Some(state), at: Some(Now::from_nanos(i64::from_le_bytes(*at))) })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn states(folder: &Path) -> SavedStates {
        let states = SavedStates::default();
        states.keep_in(folder).expect("a private folder");
        states
    }

    fn snapshot(data: &[u8]) -> Snapshot {
        Snapshot { version: 3, data: data.to_vec() }
    }

    fn data_of(state: &SavedState) -> Option<(u32, Vec<u8>)> {
        state.get().map(|state| (state.version, state.data))
    }

    #[test]
    fn a_state_is_there_for_the_next_version_and_the_next_run() {
        let parent = tempfile::tempdir().expect("a folder");
        let (folder, changes) = (parent.path().join("state"), Changes::default());
        let first = states(&folder);
        let state = first.of("a", Kind::Sink, &changes);
        assert_eq!((state.about(), data_of(&state)), ((0, None), None));
        state.put(Some(snapshot(b"one")));
        state.put(Some(snapshot(b"other")));
        let next = first.of("a", Kind::Sink, &changes);
        assert_eq!(data_of(&next), Some((3, b"other".to_vec())), "the next version");
        assert_eq!(data_of(&first.of("a", Kind::Probe, &changes)), None, "another world's");
        drop((state, next, first));

        let second = states(&folder);
        let state = second.of("a", Kind::Sink, &changes);
        assert_eq!(data_of(&state), Some((3, b"other".to_vec())), "the next run");
        let (bytes, at) = state.about();
        assert!(bytes == 5 && at.is_some());
        state.put(None);
        second.flush();
        drop((state, second));
        assert_eq!(data_of(&states(&folder).of("a", Kind::Sink, &changes)), None);
        assert_eq!(changes.after(0), []);
    }

    #[test]
    fn a_damaged_state_is_told_and_kept_aside() {
        let parent = tempfile::tempdir().expect("a folder");
        let (folder, changes) = (parent.path().join("state"), Changes::default());
        let file = folder.join("a.sink.state");
        let write = || {
            let states = states(&folder);
            states.of("a", Kind::Sink, &changes).put(Some(snapshot(b"data")));
            states.flush();
            std::fs::read(&file).expect("it was written")
        };
        let good = write();
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            assert!(parse(&bytes).is_none(), "byte {at}");
            assert!(parse(&good[..at]).is_none(), "cut at {at}");
        }
        std::fs::write(&file, &good[1..]).expect("it is ours");
        assert_eq!(data_of(&states(&folder).of("a", Kind::Sink, &changes)), None);
        let told: Vec<_> = changes.after(0).iter().map(|event| event.change.name()).collect();
        assert_eq!((told, file.exists()), (vec!["state_lost"], false));
        assert_eq!(std::fs::read(folder.join("a.sink.bad")).ok().as_deref(), Some(&good[1..]));
        write();
        assert_eq!(
            data_of(&states(&folder).of("a", Kind::Sink, &changes)),
            Some((3, b"data".to_vec()))
        );
    }
}
