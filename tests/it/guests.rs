//! The guests of `plugins/`, built once by cargo before the first test that wants one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The bytes of a guest, by its file's name without `.wasm`.
pub fn guest(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let file = BUILT.get_or_init(build).join(format!("{name}.wasm"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The same component under another digest: a custom section that nobody reads is added.
pub fn rebuilt(mut bytes: Vec<u8>, mark: &str) -> Vec<u8> {
    let name = b"build";
    let payload = 1 + name.len() + mark.len();
    assert!(payload < 128, "one byte of length is enough");
    bytes.extend([0, payload as u8, name.len() as u8]);
    bytes.extend(name);
    bytes.extend(mark.as_bytes());
    bytes
}

/// Puts a guest into a folder, with its settings beside it.
pub fn drop_into(folder: &Path, file: &str, bytes: &[u8], settings: &str) {
    std::fs::write(folder.join(format!("{file}.toml")), settings).expect("settings are written");
    std::fs::write(folder.join(format!("{file}.wasm")), bytes).expect("a guest is written");
}

fn build() -> PathBuf {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    let output = Command::new(env!("CARGO"))
        .current_dir(&plugins)
        .args(["build", "--release", "--locked", "--target", "wasm32-wasip2"])
        // The caller's flags and folders are for another machine, and its target folder is locked.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .env("CARGO_TARGET_DIR", plugins.join("target"))
        .output()
        .expect("cargo runs");
    let told = String::from_utf8_lossy(&output.stderr);
    let fix = "rustup target add wasm32-wasip2";
    assert!(!told.contains("may not be installed"), "the guests' target is missing; run: {fix}");
    assert!(output.status.success(), "the guests do not build:\n{told}");
    plugins.join("target/wasm32-wasip2/release")
}
