//! Loads rules for commands that run no service: check, test, replay, explain.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::catalog::{Catalog, Folder, Scan};
use crate::guest::finding::Finding;
use crate::guest::wasm::{WasmHost, WasmLimits};
use crate::kernel::model::{Duration, Now};

use super::folders;

/// Everything in these files and folders, once. The error is our own: the Wasm host did not start.
pub fn scan(paths: &[PathBuf]) -> Result<Scan, String> {
    let folders: Vec<Folder> = paths.iter().map(|path| folder(path)).collect();
    let wasm = Arc::new(WasmHost::new(WasmLimits::default())?);
    if let Some(folder) = cache_folder() {
        // Without it a command takes longer, which is all.
        let _ = wasm.keep_compiled_in(&folder.join("compiled"));
    }
    let mut catalog = Catalog::new(Duration::ZERO, wasm);
    let mut scan = catalog.scan(&folders, Now::from_nanos(0), true);
    for folder in &folders {
        if let Err(error) = &folder.files {
            scan.findings.push(Finding {
                file: folder.path.to_string(),
                line: 0,
                column: 0,
                severity: crate::guest::finding::Severity::Error,
                what: error.why.clone(),
                help: Some("name a file or a folder that is there".into()),
                rule: None,
            });
        }
    }
    Ok(scan)
}

/// Where this user's programs keep what they can make anew, after the XDG Base Directory
/// Specification.
fn cache_folder() -> Option<PathBuf> {
    let path = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")))?;
    Some(caches.join("watchfire"))
}

fn folder(path: &Path) -> Folder {
    if path.is_file() { folders::read_file(path) } else { folders::read(path, &BTreeSet::new()) }
}

/// Findings as people read them, each with the line that it is about.
pub fn render(findings: &[Finding]) -> String {
    let text = |finding: &Finding| {
        let source = std::fs::read_to_string(&finding.file).ok();
        finding.render(source.as_deref())
    };
    findings.iter().map(text).collect::<Vec<_>>().join("\n")
}
