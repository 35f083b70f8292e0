//! The Rust SDK's source, carried in the program, so that a new plugin builds wherever it stands:
//! beside the crate it becomes a path dependency.

use super::WIT;

/// The files of `plugins/sdk`, by their path there.
const FILES: &[(&str, &str)] = &[
    ("src/bindings.rs", include_str!("../../../plugins/sdk/src/bindings.rs")),
    ("src/host.rs", include_str!("../../../plugins/sdk/src/host.rs")),
    ("src/http.rs", include_str!("../../../plugins/sdk/src/http.rs")),
    ("src/lib.rs", include_str!("../../../plugins/sdk/src/lib.rs")),
    ("src/lifecycle.rs", include_str!("../../../plugins/sdk/src/lifecycle.rs")),
    ("src/manifest.rs", include_str!("../../../plugins/sdk/src/manifest.rs")),
    ("src/probe.rs", include_str!("../../../plugins/sdk/src/probe.rs")),
    ("src/rule.rs", include_str!("../../../plugins/sdk/src/rule.rs")),
    ("src/sample_sink.rs", include_str!("../../../plugins/sdk/src/sample_sink.rs")),
    ("src/series.rs", include_str!("../../../plugins/sdk/src/series.rs")),
    ("src/sink.rs", include_str!("../../../plugins/sdk/src/sink.rs")),
    ("src/source.rs", include_str!("../../../plugins/sdk/src/source.rs")),
    ("src/time.rs", include_str!("../../../plugins/sdk/src/time.rs")),
    ("src/window_rule.rs", include_str!("../../../plugins/sdk/src/window_rule.rs")),
];

const MANIFEST: &str = include_str!("../../../plugins/sdk/Cargo.toml");
const WORKSPACE: &str = include_str!("../../../plugins/Cargo.toml");

/// The SDK's files, ready to be written into a folder of their own.
pub fn files() -> Vec<(String, String)> {
    let mut files = vec![
        ("Cargo.toml".to_owned(), on_its_own(MANIFEST, WORKSPACE)),
        ("wit/watchfire.wit".to_owned(), WIT.to_owned()),
    ];
    // In the repository the interface lies two folders up, for every language.
    let here = |text: &str| text.replace("\"../../wit\"", "\"wit\"");
    files.extend(FILES.iter().map(|(path, text)| ((*path).to_owned(), here(text))));
    files
}

/// A manifest with what it takes from its workspace written out.
fn on_its_own(manifest: &str, workspace: &str) -> String {
    let taken = |line: &str| {
        let name = line.strip_suffix(".workspace = true")?;
        let start = format!("{name} = ");
        workspace.lines().find(|line| line.starts_with(&start)).map(str::to_owned)
    };
    let lines = manifest.lines().map(|line| taken(line).unwrap_or_else(|| line.to_owned()));
    lines.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_sdk_is_carried() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/sdk/src");
        let entries = std::fs::read_dir(folder).expect("the SDK").map(|e| e.expect("readable"));
        let there: BTreeSet<String> =
            entries.map(|entry| format!("src/{}", entry.file_name().to_string_lossy())).collect();
        let carried: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(carried, there);
    }

    #[test]
    fn it_stands_on_its_own() {
        let files = files();
        for (path, text) in &files {
            assert!(!text.contains("\"../"), "{path} looks outside");
            assert!(!text.contains("workspace = true"), "{path} wants a workspace");
        }
        let manifest = &files[0].1;
        assert!(manifest.contains("edition = \"2024\"\n"), "{manifest}");
    }
}
