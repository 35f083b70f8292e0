//! Writes a file so that nobody ever sees half of it.

use std::io;
use std::path::{Path, PathBuf};

/// Writes under a hidden name beside the file, which watchers of a folder leave alone, and renames.
pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = part_of(file);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, file));
    if written.is_err() {
        // Whether or not it is there, the error that counts is the first one.
        let _ = std::fs::remove_file(&part);
    }
    written
}

fn part_of(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.part"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_beside_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.wasm");
        for bytes in [&b"one"[..], b"two"] {
            write(&file, bytes).expect("it can be written");
            assert_eq!(std::fs::read(&file).expect("it is there"), bytes);
        }
        let missing = folder.path().join("gone/a.wasm");
        assert!(write(&missing, b"x").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
