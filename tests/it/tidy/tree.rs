//! The files of the working tree that are ours: no build output, no data, nothing a user dropped.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file; `path` is relative to the package, with `/`.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: String,
    pub text: String,
}

/// Every Rust file: the program, its tests, the plugins.
pub fn sources() -> Vec<Source> {
    texts().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

/// The Rust files that hold more than tests.
pub fn programs(files: &[Source]) -> Vec<&Source> {
    let tests: Vec<String> = files.iter().flat_map(test_modules).collect();
    let is_test = |path: &str| {
        let below = |test: &String| {
            path.strip_prefix(test.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        path.starts_with("tests/") || tests.iter().any(below)
    };
    files.iter().filter(|file| !is_test(&file.path)).collect()
}

/// The modules in files of their own that a file declares for tests only, as paths without `.rs`.
fn test_modules(file: &Source) -> Vec<String> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let folder = match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        name => format!("{folder}/{}", name.trim_end_matches(".rs")),
    };
    let declared = file.text.split("#[cfg(test)]\n").skip(1).filter_map(|rest| {
        let name = rest.strip_prefix("pub ").unwrap_or(rest).strip_prefix("mod ")?;
        let (name, _) = name.lines().next()?.split_once(';')?;
        Some(format!("{folder}/{name}"))
    });
    declared.collect()
}

/// Every text file.
pub fn texts() -> Vec<Source> {
    let texts = files().into_iter().filter_map(|(path, bytes)| {
        let text = String::from_utf8(bytes).ok()?;
        Some(Source { path, text })
    });
    texts.collect()
}

/// Every file with its bytes, in order of path.
pub fn files() -> Vec<(String, Vec<u8>)> {
    let mut paths = Vec::new();
    walk(root(), &mut paths);
    paths.sort();
    let files = paths.into_iter().filter_map(|path| {
        let bytes = fs::read(&path).ok()?;
        let inner = path.strip_prefix(root()).expect("the walk began there");
        Some((inner.to_string_lossy().into_owned(), bytes))
    });
    files.filter(|(path, _)| !is_dropped(path)).collect()
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the tree can be read") {
        let path = entry.expect("the tree can be read").path();
        // Cargo marks its target folders with this file, wherever they are.
        let is_ours = !path.ends_with(".git")
            && !path.ends_with("watchfire-data")
            && !path.join("CACHEDIR.TAG").exists();
        if is_ours && path.is_dir() {
            walk(&path, paths);
        } else if is_ours {
            paths.push(path);
        }
    }
}

/// What `.gitignore` files leave out: plugins that were dropped to try them, with their settings,
/// and what building the examples leaves in their folders.
fn is_dropped(path: &str) -> bool {
    let Some(inner) = path.strip_prefix("plugins/") else { return path == "grants.toml" };
    match inner.rsplit_once('/') {
        None => inner.ends_with(".wasm") || inner == "webhook.toml",
        Some((folder, name)) => {
            let built = ["node_modules", ".venv", "build", "wit", "__pycache__"];
            folder.split('/').any(|part| built.contains(&part)) || name == "webhook.wasm"
        }
    }
}

#[test]
fn what_was_dropped_is_left_out() {
    assert!(is_dropped("plugins/webhook.wasm"));
    assert!(is_dropped("plugins/webhook.toml"));
    assert!(!is_dropped("plugins/webhook/stored.wasm"));
    assert!(is_dropped("plugins/js/webhook/node_modules/a.js"));
    assert!(is_dropped("plugins/js/webhook/webhook.wasm"));
    assert!(!is_dropped("plugins/js/webhook/plugin.js"));
    assert!(!is_dropped("plugins/Cargo.toml"));
}

#[test]
fn a_module_for_tests_is_no_program() {
    let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let files = [
        file("src/a/mod.rs", "mod b;\n#[cfg(test)]\nmod sim;\n"),
        file("src/a/b.rs", "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod inline {}"),
        file("src/a/sim.rs", ""),
        file("src/a/simple.rs", ""),
        file("src/a/b/tests/more.rs", ""),
        file("tests/it/main.rs", ""),
    ];
    let kept: Vec<&str> = programs(&files).iter().map(|file| file.path.as_str()).collect();
    assert_eq!(kept, ["src/a/mod.rs", "src/a/b.rs", "src/a/simple.rs"]);
}

#[test]
fn the_walk_finds_this_very_file() {
    assert!(sources().iter().any(|source| source.path == "tests/it/tidy/tree.rs"));
    assert!(files().iter().all(|(path, _)| !path.contains("/release/")));
}
