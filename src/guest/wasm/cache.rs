//! Machine code of components, kept between runs so that a start compiles nothing anew.
//!
//! Every file is `DIGEST-ENGINE.cwasm`: the SHA-256 of the component and a hash of all that the
//! engine's code depends on. It begins with the SHA-256 of what follows, which is wasmtime's own
//! artefact. Files lie in a folder that only we may use; anything that is not as it should be is a
//! miss, and the component is compiled again. What was not used for longest goes first.

use std::fs::{DirBuilder, File, Metadata};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;
use xxhash_rust::xxh3::Xxh3;

/// Bytes of all files; a thousand small components have a quarter of it.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;

const SUM_BYTES: usize = 32;

#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    bytes_max: u64,
}

impl Cache {
    /// A cache in this folder, which is made; an error says why there cannot be one.
    pub fn open(folder: &Path) -> io::Result<Cache> {
        make_private(folder)?;
        Ok(Cache { folder: folder.to_owned(), bytes_max: BYTES_MAX })
    }

    /// The code of a component, if it is here and nothing about it is in doubt.
    pub fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(engine, digest);
        let artefact = read(&path)?;
        // It was used now. That this fails is no matter: it is only the order of going.
        let _ = File::options()
            .append(true)
            .open(&path)
            .and_then(|f| f.set_modified(SystemTime::now()));
        deserialize(engine, &artefact)
    }

    /// Keeps a component's code; a failure costs a later start some time and is otherwise none.
    pub fn put(&self, engine: &Engine, digest: &str, component: &Component) -> io::Result<()> {
        let artefact = component.serialize().map_err(io::Error::other)?;
        let path = self.path(engine, digest);
        // One name for each process: whoever renames last wins, with the same content.
        let draft = path.with_extension(format!("{}.part", std::process::id()));
        let written = write(&draft, &artefact).and_then(|()| std::fs::rename(&draft, &path));
        if written.is_err() {
            let _ = std::fs::remove_file(&draft);
        }
        written?;
        self.make_room()
    }

    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        let mut hasher = Xxh3::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.folder.join(format!("{digest}-{:016x}.cwasm", hasher.finish()))
    }

    /// Removes files from the one that was not used for longest on, until the rest fits.
    fn make_room(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let about = entry.metadata()?;
            files.push((about.modified()?, entry.path(), about.len()));
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, path, bytes) in files {
            if total <= self.bytes_max {
                break;
            }
            std::fs::remove_file(path)?;
            total -= bytes;
        }
        Ok(())
    }
}

/// The artefact, if the file is ours alone and as long and as it was written.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    if !is_private(&file.metadata().ok()?) {
        return None;
    }
    let (mut sum, mut artefact) = ([0; SUM_BYTES], Vec::new());
    file.read_exact(&mut sum).ok()?;
    file.read_to_end(&mut artefact).ok()?;
    (Sha256::digest(&artefact).as_slice() == sum).then_some(artefact)
}

fn write(path: &Path, artefact: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(Sha256::digest(artefact).as_slice())?;
    file.write_all(artefact)?;
    file.sync_all()
}

#[allow(unsafe_code, reason = "machine code can only be taken over on trust; see why we may")]
fn deserialize(engine: &Engine, artefact: &[u8]) -> Option<Component> {
    // SAFETY: `deserialize` runs whatever code the bytes hold, so they must come from this engine's
    // own `serialize`. They were read from a folder that nobody but our user can write to (its
    // owner and mode are checked when the cache is opened, the file's before it is read), in which
    // only `Cache::put` writes, and they are held to the checksum that it wrote, so they are not
    // cut off or rotten. They lie in memory, so no one changes them after the check. wasmtime
    // itself refuses an artefact of another version, machine or configuration.
    unsafe { Component::deserialize(engine, artefact) }.ok()
}

/// Makes a folder that only we may use, or says why it cannot be one.
#[cfg(unix)]
pub fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let about = std::fs::symlink_metadata(folder)?;
    let ours = about.uid() == rustix::process::geteuid().as_raw();
    if about.is_dir() && ours && is_private(&about) {
        return Ok(());
    }
    Err(io::Error::other("it is not a folder of ours alone (mode 700)"))
}

#[cfg(not(unix))]
pub fn make_private(_folder: &Path) -> io::Result<()> {
    Err(io::Error::other("whether a folder is private cannot be told on this system"))
}

/// Neither group nor others may do anything with it.
#[cfg(unix)]
fn is_private(about: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    about.uid() == rustix::process::geteuid().as_raw() && about.mode() & 0o077 == 0
}

#[cfg(not(unix))]
fn is_private(_about: &Metadata) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    struct Desk {
        folder: tempfile::TempDir,
        engine: Engine,
        component: Component,
    }

    impl Desk {
        fn new() -> Desk {
            let engine = Engine::default();
            let component = Component::new(&engine, b"\0asm\x0d\0\x01\0").expect("it is empty");
            Desk { folder: tempfile::tempdir().expect("a folder"), engine, component }
        }

        fn cache(&self) -> Cache {
            Cache::open(&self.folder.path().join("cache")).expect("a private folder")
        }

        fn put(&self, digest: &str) -> PathBuf {
            self.cache().put(&self.engine, digest, &self.component).expect("room");
            self.cache().path(&self.engine, digest)
        }

        fn has(&self, digest: &str) -> bool {
            self.cache().get(&self.engine, digest).is_some()
        }
    }

    #[test]
    fn what_was_put_is_there_until_something_is_wrong_with_it() {
        type Spoil = fn(&Path);
        let cases: &[(&str, Spoil, bool)] = &[
            ("as it was", |_| {}, true),
            ("gone", |path| std::fs::remove_file(path).expect("it is there"), false),
            ("empty", |path| std::fs::write(path, b"").expect("it is ours"), false),
            ("cut", |path| cut(path, 1), false),
            ("cut to its checksum", |path| cut(path, usize::MAX), false),
            ("another byte", |path| flip(path, SUM_BYTES + 100), false),
            ("another checksum", |path| flip(path, 0), false),
            ("open to the group", |path| set_mode(path, 0o640), false),
        ];
        for (name, spoil, there) in cases {
            let desk = Desk::new();
            assert!(!desk.has("a"), "{name}: at first");
            spoil(&desk.put("a"));
            assert_eq!(desk.has("a"), *there, "{name}");
            desk.put("a");
            assert!(desk.has("a"), "{name}: compiled again");
        }
    }

    fn cut(path: &Path, bytes: usize) {
        let whole = std::fs::read(path).expect("it is there");
        let left = whole.len().saturating_sub(bytes).max(SUM_BYTES);
        std::fs::write(path, &whole[..left]).expect("it is ours");
    }

    fn flip(path: &Path, at: usize) {
        let mut bytes = std::fs::read(path).expect("it is there");
        bytes[at] ^= 1;
        std::fs::write(path, bytes).expect("it is ours");
    }

    fn set_mode(path: &Path, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("it is ours");
    }

    #[test]
    fn code_of_another_engine_is_not_found() {
        let desk = Desk::new();
        desk.put("a");
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let other = Engine::new(&config).expect("an engine");
        assert!(desk.cache().get(&other, "a").is_none());
    }

    #[test]
    fn a_folder_that_others_may_use_is_none() {
        let desk = Desk::new();
        let folder = desk.folder.path().join("open");
        std::fs::create_dir(&folder).expect("a folder");
        set_mode(&folder, 0o750);
        assert!(Cache::open(&folder).is_err());
    }

    #[test]
    fn past_the_bound_the_longest_unused_goes() {
        let desk = Desk::new();
        let bytes = std::fs::metadata(desk.put("a")).expect("it is there").len();
        let small = Cache { bytes_max: 2 * bytes, ..desk.cache() };
        let age = |digest: &str, seconds: u64| {
            let file = File::options().append(true).open(small.path(&desk.engine, digest));
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            file.and_then(|file| file.set_modified(then)).expect("it is ours");
        };
        desk.put("b");
        age("a", 1);
        age("b", 2);
        assert!(desk.has("a"), "used last");
        small.put(&desk.engine, "c", &desk.component).expect("room");
        assert_eq!(["a", "b", "c"].map(|digest| desk.has(digest)), [true, false, true]);
    }
}
