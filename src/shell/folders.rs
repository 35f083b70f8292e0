//! Reads the rule and plugin folders: what is in them now, for the catalog to judge.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::config::catalog::{Folder, Found, Unlisted};
use crate::guest::grant::GuestTerms;
use crate::guest::rhai;

/// Larger files are no rules and no plugins; they are reported, not read.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The scripts and components of a folder. Names that begin with `.` are left out, but links into
/// such a folder are followed: that is how Kubernetes mounts a ConfigMap. Of what lies in folders
/// below it only `imports` are looked at, since guests' sources live there too.
pub fn read(path: &Path, imports: &BTreeSet<String>) -> Folder {
    let files = list(path).map_err(unlisted);
    let library = |file: &String| (file.clone(), rhai::library_hash(path, file));
    Folder { path: shown(path), files, libraries: imports.iter().map(library).collect() }
}

/// One file alone, as a folder of its own.
pub fn read_file(path: &Path) -> Folder {
    let folder = home(path);
    let files = found(path).map(|found| vec![found]).map_err(unlisted);
    Folder { path: shown(folder), files, libraries: rhai::Imports::new() }
}

/// The folder that a file lies in.
pub fn home(file: &Path) -> &Path {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// A folder's name among the findings, and in the catalog.
pub fn shown(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

/// Whoever else may write to this folder or file, and how to end that; such a one decides what is
/// judged and what is silent. A file system that nobody can write to is nobody's, whatever its
/// modes say: that is how Kubernetes mounts a ConfigMap.
#[cfg(unix)]
pub fn open_to_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let mode = std::fs::metadata(path).ok()?.mode() & 0o7777;
    let who = match mode & 0o022 {
        0 => return None,
        0o020 => "its group",
        _ => "everybody",
    };
    let is_fixed = |file_system: rustix::fs::StatVfs| {
        file_system.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY)
    };
    if rustix::fs::statvfs(path).is_ok_and(is_fixed) {
        return None;
    }
    Some(format!("{who} may write to it (mode {mode:o}); `chmod go-w {}`", path.display()))
}

#[cfg(not(unix))]
pub fn open_to_others(_path: &Path) -> Option<String> {
    None
}

fn unlisted(error: io::Error) -> Unlisted {
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    Unlisted { why: format!("it cannot be read ({error})"), is_missing }
}

fn list(folder: &Path) -> io::Result<Vec<Found>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !is_hidden(&path) && is_loaded(&path) && path.is_file() {
            match found(&path) {
                Ok(found) => files.push(found),
                // Gone between the listing and the reading: the next look will tell.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn found(path: &Path) -> io::Result<Found> {
    let size = std::fs::metadata(path)?.len();
    if size > FILE_BYTES_MAX {
        let what = format!("{} has {size} bytes, more than {FILE_BYTES_MAX}", path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    let bytes = std::fs::read(path)?;
    let (settings, terms) = (settings(path), GuestTerms::default());
    Ok(Found { path: shown(path), bytes: bytes.into(), settings, terms })
}

/// The sidecar `NAME.toml` of a component: its settings. One that cannot be read as TOML is passed
/// on as its text, which the component's `configure` refuses with its own words.
fn settings(path: &Path) -> serde_json::Value {
    if path.extension().is_none_or(|extension| extension != "wasm") {
        return serde_json::Value::Null;
    }
    let Ok(text) = std::fs::read_to_string(path.with_extension("toml")) else {
        return serde_json::Value::Null;
    };
    toml::from_str::<toml::Table>(&text)
        .ok()
        .and_then(|table| serde_json::to_value(table).ok())
        .unwrap_or(serde_json::Value::String(text))
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn is_loaded(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rhai" || extension == "wasm")
}
