//! Reads a component's outside without compiling it: its world, version, imports and manifest.

use std::collections::BTreeSet;

use wasmparser::{Encoding, Parser, Payload};

use super::error::{LoadError, SPEAKS};
use super::manifest::{Kind, Manifest};

/// A manifest is a handful of lines.
const MANIFEST_BYTES_MAX: usize = 16 * 1024;

const PACKAGE: &str = "watchfire:plugin/";

/// What a file turned out to be.
#[derive(Debug)]
pub struct Inspected {
    pub kind: Kind,
    /// The version of the interface that it was built for, "0.1.0".
    pub built_for: String,
    pub manifest: Option<Manifest>,
}

/// Recognises a component of one of our worlds, or says what it is instead.
pub fn inspect(bytes: &[u8]) -> Result<Inspected, LoadError> {
    if bytes.starts_with(b"\x7fELF") {
        return Err(LoadError::Precompiled);
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(LoadError::NotWasm { found: looks_like(bytes) });
    }
    let (outside, whole) = Outside::read(bytes);
    whole?;
    let (kind, built_for) = kind_of(&outside)?;
    check_imports(kind, &outside.imports)?;
    let manifest = outside.manifest()?;
    if let Some(manifest) = &manifest {
        if manifest.kind != kind {
            let (says, is) = (manifest.kind.name(), kind.name());
            return Err(LoadError::Manifest(format!("it says {says}, the exports say {is}")));
        }
        if !SPEAKS.starts_with(&format!("{}.", manifest.api)) {
            return Err(LoadError::OtherVersion { built_for: manifest.api.clone() });
        }
    }
    Ok(Inspected { kind, built_for, manifest })
}

/// What a file is instead of WebAssembly, as far as its first bytes tell.
fn looks_like(bytes: &[u8]) -> &'static str {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).trim_start().to_lowercase();
    if bytes.is_empty() {
        "the file is empty"
    } else if start.starts_with("<!doctype") || start.starts_with("<html") {
        "it is a web page, perhaps that of a download that failed"
    } else if start.starts_with("(module") || start.starts_with("(component") {
        "it is the text format; `wasm-tools parse` makes the binary one"
    } else if bytes.starts_with(b"\x1f\x8b") || bytes.starts_with(b"PK\x03\x04") {
        "it is an archive; unpack it"
    } else if std::str::from_utf8(bytes).is_ok() {
        "it is a text"
    } else {
        "it begins with other bytes"
    }
}

/// The outermost names of a component, and what it says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside<'a> {
    pub exports: Vec<&'a str>,
    pub imports: Vec<&'a str>,
    manifest: Option<&'a [u8]>,
}

impl<'a> Outside<'a> {
    /// What can be read of these bytes: of a file that is broken as much as stands before the
    /// break, with what is wrong there.
    pub fn read(bytes: &'a [u8]) -> (Outside<'a>, Result<(), LoadError>) {
        let mut outside = Outside::default();
        let whole = outside.fill(bytes);
        (outside, whole)
    }

    fn fill(&mut self, bytes: &'a [u8]) -> Result<(), LoadError> {
        // Modules and components lie in one another; names count at the outermost only.
        let mut depth = 0usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(|error| broken(&error, bytes.len()))? {
                Payload::Version { encoding, .. } => {
                    if depth == 0 && encoding == Encoding::Module {
                        return Err(LoadError::CoreModule);
                    }
                    depth += 1;
                }
                Payload::End(_) => depth -= 1,
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        let export = export.map_err(|error| broken(&error, bytes.len()))?;
                        self.exports.push(export.name.name);
                    }
                }
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        let import = import.map_err(|error| broken(&error, bytes.len()))?;
                        self.imports.push(import.name.name);
                    }
                }
                Payload::CustomSection(section) if section.name() == "watchfire:manifest" => {
                    self.manifest.get_or_insert(section.data());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The world, told by the one interface that only it exports.
    pub fn kind(&self) -> Option<Kind> {
        let has = |name: &str| self.own_exports().any(|(own, _)| own == name);
        Kind::ALL.into_iter().find(|kind| has(kind.export()))
    }

    /// The versions of our interface that it was built for.
    pub fn versions(&self) -> BTreeSet<&'a str> {
        self.own_exports().map(|(_, version)| version).collect()
    }

    /// Whether it imports this interface of ours.
    pub fn wants(&self, interface: &str) -> bool {
        let name = format!("{PACKAGE}{interface}@");
        self.imports.iter().any(|import| import.starts_with(&name))
    }

    /// What it says about itself; `None` when it says nothing.
    pub fn manifest(&self) -> Result<Option<Manifest>, LoadError> {
        let Some(bytes) = self.manifest else { return Ok(None) };
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(LoadError::Manifest("it is too long".to_owned()));
        }
        Manifest::parse(bytes).map(Some).map_err(LoadError::Manifest)
    }

    /// Name and version of each export of ours.
    fn own_exports(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let own = self.exports.iter().filter_map(|export| export.strip_prefix(PACKAGE));
        own.map(|name| name.split_once('@').unwrap_or((name, "none")))
    }
}

fn broken(error: &wasmparser::BinaryReaderError, length: usize) -> LoadError {
    let text = error.message();
    if text.contains("unexpected end") || error.offset() >= length {
        return LoadError::Truncated;
    }
    LoadError::Malformed(format!("{text} at byte {}", error.offset()))
}

/// The world, and the version of the interface that its exports are of.
fn kind_of(outside: &Outside<'_>) -> Result<(Kind, String), LoadError> {
    if let Some(other) = outside.versions().into_iter().find(|version| !is_spoken(version)) {
        return Err(LoadError::OtherVersion { built_for: other.to_owned() });
    }
    let version_of = |name: &str| outside.own_exports().find(|(own, _)| *own == name);
    let mut kinds = Kind::ALL.into_iter().filter(|kind| version_of(kind.export()).is_some());
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        let exports = outside.exports.iter().map(ToString::to_string).collect();
        return Err(LoadError::UnknownWorld { exports });
    };
    if version_of("lifecycle").is_none() {
        return Err(LoadError::MissingExport { world: kind.name(), export: "lifecycle" });
    }
    let version = version_of(kind.export()).map_or("", |(_, version)| version);
    Ok((kind, version.to_owned()))
}

/// Up to the second number versions differ in kind, past it only in what was added; so a guest of
/// an older patch runs, and one of a newer patch might call what is not here.
fn is_spoken(version: &str) -> bool {
    let numbers = |text: &str| -> Option<[u32; 3]> {
        let parts: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        parts?.try_into().ok()
    };
    let ours = numbers(SPEAKS).expect("our own version has three numbers");
    numbers(version).is_some_and(|theirs| theirs[..2] == ours[..2] && theirs[2] <= ours[2])
}

fn check_imports(kind: Kind, imports: &[&str]) -> Result<(), LoadError> {
    for import in imports {
        let version = import.strip_prefix(PACKAGE).and_then(|own| own.split_once('@'));
        if let Some((_, version)) = version.filter(|(_, version)| !is_spoken(version)) {
            return Err(LoadError::OtherVersion { built_for: version.to_owned() });
        }
        let known = match import.strip_prefix(PACKAGE) {
            Some(own) => match own.split_once('@').map_or(own, |(name, _)| name) {
                // The others hold types only.
                "host" | "model" | "rules" | "sending" => true,
                "http-client" => kind.sends(),
                _ => false,
            },
            // Runtimes import these without using them; behind them is nothing.
            None => ["cli", "io", "clocks", "random", "filesystem", "sockets"]
                .iter()
                .any(|package| import.starts_with(&format!("wasi:{package}/"))),
        };
        if !known {
            let import = (*import).to_owned();
            return Err(LoadError::UnknownImport { world: kind.name(), import });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_told_by_its_exports() {
        let name =
            |interface: &str, version: &str| format!("watchfire:plugin/{interface}@{version}");
        let check = |interfaces: &[&str], version: &str| {
            let names: Vec<String> = interfaces.iter().map(|it| name(it, version)).collect();
            let exports = names.iter().map(String::as_str).collect();
            let outside = Outside { exports, ..Outside::default() };
            kind_of(&outside).map(|(kind, _)| kind).map_err(|error| error.to_string())
        };
        assert_eq!(check(&["lifecycle", "evaluator"], "0.1.0"), Ok(Kind::Rule));
        assert_eq!(check(&["lifecycle", "window-evaluator"], "0.1.0"), Ok(Kind::WindowRule));
        assert_eq!(check(&["delivery", "lifecycle"], "0.1.0"), Ok(Kind::Sink));
        for (interfaces, version, says) in [
            (
                &["lifecycle", "evaluator"][..],
                "0.3.0",
                "built for watchfire:plugin 0.3.0, this host",
            ),
            (&["lifecycle", "evaluator"], "0.1.1", "built for watchfire:plugin 0.1.1, this host"),
            (&["lifecycle", "evaluator"], "1.1.0", "built for watchfire:plugin 1.1.0, this host"),
            (&["evaluator"], "0.1.0", "a rule must export `lifecycle`"),
            (&["lifecycle"], "0.1.0", "it is of none of the worlds rule, window-rule"),
            (&["lifecycle", "evaluator", "delivery"], "0.1.0", "it is of none of the worlds"),
            (&[], "0.1.0", "it is of none of the worlds"),
        ] {
            let error = check(interfaces, version).expect_err(says);
            assert!(error.starts_with(says), "{error}");
        }
    }

    #[test]
    fn imports_are_held_to_the_world() {
        let http = "watchfire:plugin/http-client@0.1.0";
        for (kind, import, allowed) in [
            (Kind::Sink, http, true),
            (Kind::Rule, http, false),
            (Kind::WindowRule, http, false),
            (Kind::Rule, "watchfire:plugin/host@0.1.0", true),
            (Kind::Rule, "wasi:cli/environment@0.2.6", true),
            (Kind::Sink, "wasi:http/outgoing-handler@0.2.6", false),
            (Kind::Sink, "acme:tools/x", false),
            (Kind::Sink, "watchfire:plugin/http-client@0.3.0", false),
        ] {
            assert_eq!(check_imports(kind, &[import]).is_ok(), allowed, "{import}");
        }
    }
}
