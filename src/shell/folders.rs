//! Reads the rule and plugin folders: what is in them now, for the catalog to judge.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::config::catalog::{Folder, Found};

/// Larger files are no rules and no plugins; they are reported, not read.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Folders of libraries deeper than this are a loop of links.
const DEPTH_MAX: usize = 8;

/// The scripts and components of a folder. Names that begin with `.` are left out, but links into
/// such a folder are followed: that is how Kubernetes mounts a ConfigMap.
pub fn read(path: &Path) -> Folder {
    let files = list(path).map_err(|error| error.to_string());
    Folder { path: shown(path), files, library: library(path) }
}

/// One file alone, as a folder of its own.
pub fn read_file(path: &Path) -> Folder {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    let files = found(path).map(|found| vec![found]).map_err(|error| error.to_string());
    Folder { path: shown(folder), files, library: library(folder) }
}

fn shown(path: &Path) -> Arc<str> {
    path.display().to_string().into()
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
    Ok(Found { path: shown(path), bytes: bytes.into(), settings: settings(path) })
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

/// Over all scripts in the folders below, which rule files may import.
fn library(folder: &Path) -> u64 {
    let mut hasher = Xxh3::new();
    for path in scripts_below(folder, DEPTH_MAX) {
        hasher.update(path.display().to_string().as_bytes());
        hasher.update(&std::fs::read(&path).unwrap_or_default());
    }
    hasher.digest()
}

fn scripts_below(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.filter_map(|entry| entry.ok()).map(|e| e.path()).collect();
    paths.sort();
    let mut scripts = Vec::new();
    for path in paths.into_iter().filter(|path| !is_hidden(path)) {
        if path.is_dir() && depth > 0 {
            let below = scripts_below(&path, depth - 1);
            scripts.extend(below);
            let own = std::fs::read_dir(&path).into_iter().flatten().filter_map(|entry| entry.ok());
            scripts.extend(own.map(|entry| entry.path()).filter(|path| {
                path.extension().is_some_and(|extension| extension == "rhai") && path.is_file()
            }));
        }
    }
    scripts.sort();
    scripts.dedup();
    scripts
}
