//! Reads what a component shows to the world: size, exports, imports, and its manifest. Only to
//! show it: whether a component is fit to run is for the host to say.

use std::collections::BTreeSet;

use wasmparser::{Encoding, Parser, Payload};

use super::Kind;
use super::about::About;

const PACKAGE: &str = "watchfire:plugin/";

/// The outermost names of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    pub exports: Vec<String>,
    pub imports: Vec<String>,
    pub manifest: Option<About>,
}

impl Outside {
    /// What can be read of these bytes; of a file that is broken, as much as stands before the
    /// break.
    pub fn read(bytes: &[u8]) -> Outside {
        let mut outside = Outside::default();
        let mut depth = 0usize;
        for payload in Parser::new(0).parse_all(bytes) {
            let Ok(payload) = payload else { break };
            match payload {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => break,
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentExportSection(section) if depth == 1 => {
                    let names = section.into_iter().flatten().map(|e| e.name.name.to_owned());
                    outside.exports.extend(names);
                }
                Payload::ComponentImportSection(section) if depth == 1 => {
                    let names = section.into_iter().flatten().map(|i| i.name.name.to_owned());
                    outside.imports.extend(names);
                }
                Payload::CustomSection(section) if section.name() == "watchfire:manifest" => {
                    outside.manifest = About::parse(section.data()).ok().or(outside.manifest);
                }
                _ => {}
            }
        }
        outside
    }

    /// The world, told by the one interface that only it exports.
    pub fn kind(&self) -> Option<Kind> {
        let names = |name: &str| self.own_exports().any(|(own, _)| own == name);
        Kind::ALL.into_iter().find(|kind| names(kind.interface()))
    }

    /// The versions of our interface that it was built for.
    pub fn versions(&self) -> BTreeSet<&str> {
        self.own_exports().map(|(_, version)| version).collect()
    }

    /// Whether it imports this interface of ours.
    pub fn wants(&self, interface: &str) -> bool {
        let name = format!("{PACKAGE}{interface}@");
        self.imports.iter().any(|import| import.starts_with(&name))
    }

    fn own_exports(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.exports.iter().filter_map(|export| export.strip_prefix(PACKAGE));
        own.map(|name| name.split_once('@').unwrap_or((name, "none")))
    }
}
