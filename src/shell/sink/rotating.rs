//! A file that is only appended to and never grows past a size: full ones are set aside as
//! `NAME.1` (the newest) to `NAME.K`, and what is older is deleted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct Rotating {
    path: PathBuf,
    /// Bytes; a longer append still goes into one file, alone.
    rotate_bytes: u64,
    keep: u32,
    file: File,
    size: u64,
}

impl Rotating {
    /// Makes missing folders. A last line that a crash cut off is ended, so that the next append
    /// starts on its own.
    pub fn open(path: &Path, rotate_bytes: u64, keep: u32) -> io::Result<Rotating> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = append_to(path)?;
        let mut size = file.metadata()?.len();
        if size > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                size += 1;
            }
        }
        Ok(Rotating { path: path.to_owned(), rotate_bytes, keep, file, size })
    }

    /// Appends all of `lines` or, on an error, nothing of it.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + lines.len() as u64 > self.rotate_bytes {
            self.rotate()?;
        }
        match self.file.write_all(lines) {
            Ok(()) => {
                self.size += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.file.set_len(self.size)?;
                Err(error)
            }
        }
    }

    /// Returns once everything appended is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if self.keep == 0 {
            unless_missing(fs::remove_file(&self.path))?;
        } else {
            for number in (1..self.keep).rev() {
                unless_missing(fs::rename(self.aside(number), self.aside(number + 1)))?;
            }
            // Missing when a rotation before this one stopped half way.
            unless_missing(fs::rename(&self.path, self.aside(1)))?;
        }
        self.file = append_to(&self.path)?;
        self.size = self.file.metadata()?.len();
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).read(true).open(path)
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(folder: &Path) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = fs::read_dir(folder)
            .expect("the folder is there")
            .map(|entry| {
                let path = entry.expect("an entry").path();
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                (name, fs::read_to_string(path).expect("text"))
            })
            .collect();
        files.sort();
        files
    }

    fn check(keep: u32, lines: &[&str], expected: &[(&str, &str)]) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = Rotating::open(&path, 4, keep).expect("it opens");
        for line in lines {
            log.append(line.as_bytes()).expect("it takes a line");
        }
        log.sync().expect("it syncs");
        let expected: Vec<(String, String)> =
            expected.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        assert_eq!(contents(folder.path()), expected, "{lines:?}");
    }

    #[test]
    fn a_full_file_is_set_aside_and_the_oldest_deleted() {
        check(2, &["a\n", "b\n"], &[("log", "a\nb\n")]);
        check(2, &["a\n", "b\n", "c\n"], &[("log", "c\n"), ("log.1", "a\nb\n")]);
        check(
            2,
            &["aaa\n", "bbb\n", "ccc\n", "ddd\n"],
            &[("log", "ddd\n"), ("log.1", "ccc\n"), ("log.2", "bbb\n")],
        );
        check(0, &["aaa\n", "b\n"], &[("log", "b\n")]);
        check(3, &["much too long\n", "b\n"], &[("log", "b\n"), ("log.1", "much too long\n")]);
    }

    #[test]
    fn a_file_that_was_taken_away_is_made_again_at_the_next_rotation() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = Rotating::open(&path, 4, 1).expect("it opens");
        log.append(b"aaa\n").expect("it takes a line");
        fs::remove_file(&path).expect("it was there");
        log.append(b"bbb\n").expect("it takes a line");
        assert_eq!(contents(folder.path()), [("log".to_owned(), "bbb\n".to_owned())]);
    }

    #[test]
    fn opening_goes_on_where_it_stopped_and_ends_a_torn_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/log");
        Rotating::open(&path, 100, 1).expect("it opens").append(b"a\nto").expect("it takes it");
        Rotating::open(&path, 100, 1).expect("it opens").append(b"b\n").expect("it takes it");
        Rotating::open(&path, 7, 1).expect("it opens").append(b"c\n").expect("it takes it");
        let files = contents(path.parent().expect("a folder"));
        assert_eq!(files, [("log".into(), "c\n".into()), ("log.1".into(), "a\nto\nb\n".into())]);
    }
}
