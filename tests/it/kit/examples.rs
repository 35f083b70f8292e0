//! The sinks in `plugins/js`, `plugins/python` and `plugins/c`: what `watchfire plugin new` writes,
//! kept where people look for examples.

use std::collections::BTreeMap;
use std::path::Path;

use crate::command::watchfire;

/// What a build adds, and the interface, of which the repository has one copy.
const NOT_KEPT: [&str; 5] = ["wit", "build", "node_modules", ".venv", "webhook.wasm"];

fn texts(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("it has one").to_string_lossy().into_owned();
        if NOT_KEPT.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            let inner = texts(&path).into_iter();
            found.extend(inner.map(|(path, text)| (format!("{name}/{path}"), text)));
        } else {
            found.insert(name, std::fs::read_to_string(&path).expect("text"));
        }
    }
    found
}

#[test]
fn examples_are_what_the_kit_writes() {
    for language in ["js", "python", "c"] {
        let fresh = tempfile::tempdir().expect("a folder");
        let mut new = watchfire();
        new.args(["plugin", "new", "webhook", "--kind", "sink", "--lang", language, "--dir"]);
        let output = new.arg(fresh.path()).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let kept = format!("plugins/{language}/webhook");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(&kept);
        let (kept_texts, fresh_texts) = (texts(&folder), texts(fresh.path()));
        let cure = format!("remove {kept}, write it anew with the kit, and read the difference");
        assert_eq!(kept_texts, fresh_texts, "{cure}");
    }
}
