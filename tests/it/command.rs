//! The binary `watchfire`, run to its end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

pub fn watchfire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    // The caller's own settings are none of a test's.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WATCHFIRE") {
            command.env_remove(name);
        }
    }
    command
}

/// A folder with rules, plugins and a recording, to replay in many ways.
pub struct Recorded {
    folder: TempDir,
}

impl Recorded {
    pub fn new(rules: &str) -> Recorded {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["rules", "plugins"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        if !rules.is_empty() {
            std::fs::write(folder.path().join("rules/rules.rhai"), rules).expect("rules");
        }
        Recorded { folder }
    }

    pub fn plugins(&self) -> PathBuf {
        self.path("plugins")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, samples: &str) -> &Recorded {
        std::fs::write(self.path(name), samples).expect("a recording is written");
        self
    }

    /// The events as they were printed; fails when the replay does, or says anything is wrong.
    #[track_caller]
    pub fn replay(&self, flags: &[&str], file: &str) -> String {
        let output = self.run(flags, file);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{flags:?} {file}: {told}");
        assert!(!told.contains("faulted"), "{flags:?} {file}: {told}");
        String::from_utf8(output.stdout).expect("events are text")
    }

    pub fn run(&self, flags: &[&str], file: &str) -> Output {
        watchfire()
            .args(["replay", "--rules"])
            .arg(self.path("rules"))
            .arg("--plugins")
            .arg(self.plugins())
            .args(flags)
            .arg(Path::new(&self.path(file)))
            .output()
            .expect("it runs")
    }
}

/// Events as JSON, in the order in which they were printed.
pub fn events(printed: &str) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    printed.lines().map(read).collect()
}

/// The first line in which two outputs differ; of long outputs all would be unreadable.
#[track_caller]
pub fn assert_same(left: &str, right: &str, what: &str) {
    let (lines, other) = (left.lines().count(), right.lines().count());
    for (number, (a, b)) in left.lines().zip(right.lines()).enumerate() {
        assert_eq!(a, b, "{what}: line {}", number + 1);
    }
    assert_eq!(lines, other, "{what}: lines");
}
