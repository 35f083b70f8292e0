//! How far a long reading of files is: a bar with rate and time left, on a terminal only.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over the bytes of some files, on standard error. Silent where nobody looks.
#[derive(Debug)]
pub struct Progress(ProgressBar);

const REDRAWS_A_SECOND: u8 = 8;

impl Progress {
    /// `-` has no size, and with it there is no time left to tell: the bar then only counts.
    pub fn over(files: &[PathBuf]) -> Progress {
        let sizes = files.iter().map(|file| Some(std::fs::metadata(file).ok()?.len()));
        let total = sizes.sum::<Option<u64>>().filter(|total| *total > 0);
        let bar = ProgressBar::with_draw_target(
            total,
            ProgressDrawTarget::stderr_with_hz(REDRAWS_A_SECOND),
        );
        let template = match total {
            Some(_) => "{bar:32} {percent:>3} %  {bytes_per_sec}  {msg}  {eta} left",
            None => "{spinner} {bytes}  {bytes_per_sec}  {msg}",
        };
        let style = ProgressStyle::with_template(template).expect("the template is well-formed");
        bar.set_style(style.progress_chars("=> "));
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress(bar)
    }

    /// So many more bytes were read.
    pub fn read(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// A word beside the bar, such as the count of events so far.
    pub fn say(&self, words: String) {
        self.0.set_message(words);
    }

    /// Takes the bar away before anything else is printed.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_knows_its_length_when_all_files_have_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a");
        std::fs::write(&file, "12345").expect("a file");
        for (files, length) in [
            (vec![file.clone(), file.clone()], Some(10)),
            (vec![file.clone(), "-".into()], None),
            (vec![], None),
        ] {
            let progress = Progress::over(&files);
            progress.read(3);
            assert_eq!((progress.0.length(), progress.0.position()), (length, 3), "{files:?}");
        }
    }
}
