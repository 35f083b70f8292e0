//! The system's notices that something in a folder changed.
//!
//! Watches folders and never single files, so that an editor's rename and a swapped link are seen;
//! and never what lies below them, since a plugins folder may hold the guests' sources and all that
//! a build makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

pub struct Watch {
    watcher: RecommendedWatcher,
    /// Which folder stood behind the name when it was last tried.
    watched: BTreeMap<PathBuf, Option<Identity>>,
}

/// Device and inode.
type Identity = (u64, u64);

impl Watch {
    /// Calls `told` with what changed, from a thread of its own, for every change of a file that
    /// counts: one with this name, or any when there is none. Nothing changed means that notices
    /// were lost.
    pub fn new(
        name: Option<OsString>,
        told: impl Fn(&[PathBuf]) + Send + 'static,
    ) -> notify::Result<Watch> {
        let counts = move |path: &PathBuf| name.is_none() || path.file_name() == name.as_deref();
        let handler = move |event: notify::Result<notify::Event>| {
            let paths = match event {
                // Our own reading must not start the next look.
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
                Ok(event) => event.paths,
                Err(_) => Vec::new(),
            };
            if paths.is_empty() || paths.iter().any(&counts) {
                told(&paths);
            }
        };
        let watcher = notify::recommended_watcher(handler)?;
        Ok(Watch { watcher, watched: BTreeMap::new() })
    }

    /// Watches these folders and no others. To be called again after each look: a folder that was
    /// missing, or was made anew, is watched from then on.
    pub fn set(&mut self, folders: BTreeSet<PathBuf>) {
        let gone = self.watched.keys().filter(|folder| !folders.contains(*folder));
        for folder in gone.cloned().collect::<Vec<_>>() {
            self.watched.remove(&folder);
            // It may be gone from the disk too.
            let _ = self.watcher.unwatch(&folder);
        }
        for folder in folders {
            let identity = identity(&folder);
            let is_same = self.watched.get(&folder) == Some(&identity);
            if !is_same {
                // The watch of what bore the name before, if there was one.
                let _ = self.watcher.unwatch(&folder);
            }
            // Linux watches a folder and not a name, and what is made anew may get the old number:
            // there the watch is set again each time, which changes nothing where it stands.
            if identity.is_some() && (!is_same || cfg!(target_os = "linux")) {
                self.watch(&folder, is_same);
            }
            self.watched.insert(folder, identity);
        }
    }

    fn watch(&mut self, folder: &Path, again: bool) {
        match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            Err(error) if !again => {
                let folder = folder.display();
                tracing::warn!(%folder, %error, "no notices of changes there; it is only polled");
            }
            // It was said the first time.
            Ok(()) | Err(_) => {}
        }
    }
}

fn identity(folder: &Path) -> Option<Identity> {
    let data = std::fs::metadata(folder).ok()?;
    Some((data.dev(), data.ino()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;

    struct Notices(Receiver<PathBuf>);

    impl Notices {
        /// What changed, up to the change of this file.
        fn until(&self, name: &str) -> Vec<PathBuf> {
            let mut seen = Vec::new();
            while !seen.last().is_some_and(|path: &PathBuf| path.ends_with(name)) {
                seen.push(self.0.recv_timeout(Duration::from_secs(10)).expect("a notice"));
            }
            seen
        }
    }

    fn watch(folder: &Path) -> (Watch, Notices) {
        watch_for(None, folder)
    }

    fn watch_for(name: Option<&str>, folder: &Path) -> (Watch, Notices) {
        let (told, notices) = channel();
        let tell = move |paths: &[PathBuf]| {
            paths.iter().for_each(|path| told.send(path.clone()).unwrap_or_default());
        };
        let mut watch =
            Watch::new(name.map(OsString::from), tell).expect("the system gives notices");
        watch.set(BTreeSet::from([folder.to_owned()]));
        (watch, Notices(notices))
    }

    fn write(folder: &Path, name: &str) {
        std::fs::write(folder.join(name), "text").expect("a file");
    }

    #[test]
    fn what_lies_below_a_folder_is_not_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("target");
        std::fs::create_dir(&below).expect("a folder in it");
        let (_watch, notices) = watch(folder.path());
        write(&below, "made.wasm");
        write(folder.path(), "a.rhai");
        // Notices come in order.
        let seen = notices.until("a.rhai");
        assert!(seen.iter().all(|path| !path.starts_with(&below)), "{seen:?}");
    }

    #[test]
    fn a_folder_is_watched_once_it_is_there_and_again_when_it_is_made_anew() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("rules");
        let (mut watch, notices) = watch(&folder);
        for name in ["a.rhai", "b.rhai"] {
            std::fs::create_dir(&folder).expect("a folder");
            watch.set(BTreeSet::from([folder.clone()]));
            write(&folder, name);
            notices.until(name);
            std::fs::remove_dir_all(&folder).expect("it is there");
        }
    }

    #[test]
    fn a_folder_that_is_no_longer_named_is_no_longer_watched() {
        let (one, other) = (tempfile::tempdir().expect("a"), tempfile::tempdir().expect("b"));
        let (mut watch, notices) = watch(one.path());
        watch.set(BTreeSet::from([other.path().to_owned()]));
        write(one.path(), "a.rhai");
        write(other.path(), "b.rhai");
        let seen = notices.until("b.rhai");
        assert!(seen.iter().all(|path| path.starts_with(other.path())), "{seen:?}");
    }

    #[test]
    fn where_one_name_counts_nothing_else_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let (_watch, notices) = watch_for(Some("grants.toml"), folder.path());
        write(folder.path(), "log");
        write(folder.path(), "grants.toml.swp");
        write(folder.path(), "grants.toml");
        let seen = notices.until("grants.toml");
        assert!(seen.iter().all(|path| path.ends_with("grants.toml")), "{seen:?}");
    }
}
