//! Why a file is not a plugin, in words, with what to do about it.

use std::fmt;

use super::manifest::Kind;

/// A closed list; each prints as what is wrong and, after a semicolon, the cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// Neither a component nor anything else of WebAssembly; `found` says what.
    NotWasm {
        found: &'static str,
    },
    /// A core module, as plain `wasm32` targets make them.
    CoreModule,
    /// Machine code; it is never loaded from a plugins folder.
    Precompiled,
    Truncated,
    /// Not valid, or it uses what this host does not have.
    Malformed(String),
    TooBig {
        bytes: usize,
        cap: usize,
    },
    /// Of another version of the interface: "0.3.0".
    OtherVersion {
        built_for: String,
    },
    /// It exports none of our worlds, or more than one.
    UnknownWorld {
        exports: Vec<String>,
    },
    /// Rules of another file than the one that a grant pins by `sha256`. `name` is the plugin's
    /// as a key of TOML, `digest` that of this file.
    Pinned {
        name: String,
        digest: String,
    },
    MissingExport {
        world: &'static str,
        export: &'static str,
    },
    /// It wants something from the host that its world does not have.
    UnknownImport {
        world: &'static str,
        import: String,
    },
    Manifest(String),
    /// It died before its first sample: which call, and how.
    Died(String),
    /// It refused its settings.
    Settings(String),
    /// It declares no rules, or too many.
    RuleCount {
        count: usize,
        max: usize,
    },
    /// `rule` is a rule's name, or its place in the list when it has none.
    Declaration {
        rule: String,
        why: String,
    },
    /// It broke a promise on the canned batch.
    Trial(String),
}

impl LoadError {
    /// What the engine refuses, in its own words.
    pub(super) fn malformed(error: wasmtime::Error) -> LoadError {
        LoadError::Malformed(format!("{error:#}"))
    }
}

/// The version that this host speaks.
pub const SPEAKS: &str = "0.1.0";

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::NotWasm { found } => write!(
                out,
                "this is not WebAssembly: {found}; build a component with \
                 `watchfire plugin build`, or with `--target wasm32-wasip2`"
            ),
            LoadError::CoreModule => out.write_str(
                "this is a core module, not a component; build with `--target wasm32-wasip2`, or \
                 wrap it with `wasm-tools component new`",
            ),
            LoadError::Precompiled => out.write_str(
                "this is compiled machine code, which is never loaded; put the .wasm file here",
            ),
            LoadError::Truncated => out.write_str(
                "the file ends too early; write it under a temporary name and rename it into place",
            ),
            LoadError::Malformed(why) => {
                write!(out, "this is no valid component: {why}; build it again")
            }
            LoadError::TooBig { bytes, cap } => write!(
                out,
                "{bytes} bytes are more than the {cap} allowed; build with `opt-level = \"s\"`, \
                 `lto` and `strip`"
            ),
            LoadError::OtherVersion { built_for } => write!(
                out,
                "built for watchfire:plugin {built_for}, this host speaks {SPEAKS}; build it \
                 against this host's wit/watchfire.wit, or run a Watchfire that speaks {built_for}"
            ),
            LoadError::UnknownWorld { exports } => write!(
                out,
                "it is of none of the worlds {} (exports: {}); export what one of them in \
                 wit/watchfire.wit exports",
                Kind::ALL.map(Kind::name).join(", "),
                if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") }
            ),
            LoadError::Pinned { name, digest } => write!(
                out,
                "it is not the file that its grant pins; put that file back, or let \
                 [grants.{name}] say sha256 = \"{digest}\""
            ),
            LoadError::MissingExport { world, export } => {
                write!(out, "a {world} must export `{export}`, and this one does not; export it")
            }
            LoadError::UnknownImport { world, import } => write!(
                out,
                "it imports `{import}`, which a {world} does not get; use what wit/watchfire.wit \
                 offers"
            ),
            LoadError::Manifest(why) => {
                write!(out, "its section `watchfire:manifest`: {why}; use the export macro")
            }
            LoadError::Died(why) => write!(out, "{why}; correct it and put it here again"),
            LoadError::Settings(why) => {
                write!(out, "it refused its settings: {why}; correct the TOML file beside it")
            }
            LoadError::RuleCount { count, max } => {
                write!(out, "it declares {count} rules; let `describe` declare 1 to {max}")
            }
            LoadError::Declaration { rule, why } => {
                write!(out, "its rule {rule}: {why}; correct the declaration")
            }
            LoadError::Trial(why) => {
                write!(out, "on a trial batch {why}; correct it and put it here again")
            }
        }
    }
}

impl std::error::Error for LoadError {}
