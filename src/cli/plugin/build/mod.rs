//! `watchfire plugin build`: from a plugin's folder to a component, by the language's own tools.
//!
//! The language is told by the files that it always has. What a tool prints goes to standard error
//! as it comes; a tool that is missing is named, with how to get it.

mod c;
mod javascript;
mod python;
mod rust;
mod section;
mod tools;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Language, WIT, atomic};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::grouped;
use crate::guest::wasm::inspect::Outside;
use crate::guest::wasm::manifest::{Kind, Manifest};

/// Build a plugin's folder with its language's own tools
///
/// A folder with Cargo.toml is Rust, one with package.json JavaScript, with requirements.txt
/// Python, with src/plugin.c C. The component lands in the folder, beside its settings and tests.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  watchfire plugin build too-hot                  # makes too-hot/too-hot.wasm
  watchfire plugin build too-hot --into plugins   # and drops it where Watchfire runs")]
pub struct Args {
    /// The plugin's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// Drop the component into this folder too, and its settings when none are there
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
}

/// A component as a language's tools made it.
struct Built {
    name: String,
    bytes: Vec<u8>,
}

pub fn build(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let start = Instant::now();
    let folder = &args.folder;
    let language = language_of(folder)?;
    let Built { name, bytes } = match language {
        Language::Rust => rust::build(folder)?,
        Language::Js => wrapped(folder, javascript::build)?,
        Language::Python => wrapped(folder, python::build)?,
        Language::C => wrapped(folder, c::build)?,
    };
    let seconds = start.elapsed().as_secs_f64();
    let file = folder.join(format!("{name}.wasm"));
    write(&file, &bytes)?;
    let kind = Outside::read(&bytes).0.kind().map_or("of no known kind", Kind::name);
    let (path, size) = (file.display(), grouped(bytes.len() as u64));
    writeln!(out, "built {path}: a {kind} in {}, {size} bytes, {seconds:.1} s", language.name())?;
    if let Some(into) = &args.into {
        drop_into(into, folder, &name, &bytes, out)?;
    }
    Ok(Exit::Ok)
}

/// Settings go first: an instance that sees the component would load it without them.
fn drop_into(
    into: &Path,
    folder: &Path,
    name: &str,
    bytes: &[u8],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if !into.is_dir() {
        let what = format!("{} is no folder", into.display());
        return Err(Failure::new(Exit::Usage, what, "name the folder that Watchfire watches"));
    }
    let (own, settings) = [folder, into].map(|at| at.join(format!("{name}.toml"))).into();
    if own.is_file() && !settings.exists() {
        let text = std::fs::read(&own).map_err(|error| unwritten(&own, &error))?;
        write(&settings, &text)?;
        writeln!(out, "wrote {}; settings there are never overwritten", settings.display())?;
    }
    let file = into.join(format!("{name}.wasm"));
    write(&file, bytes)?;
    writeln!(out, "wrote {}", file.display())?;
    Ok(())
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    atomic::write(file, bytes).map_err(|error| unwritten(file, &error))
}

fn unwritten(file: &Path, error: &std::io::Error) -> Failure {
    Failure::bare(Exit::NotStarted, format!("cannot write {}: {error}", file.display()))
}

fn language_of(folder: &Path) -> Result<Language, Failure> {
    let marks = [
        ("Cargo.toml", Language::Rust),
        ("package.json", Language::Js),
        ("requirements.txt", Language::Python),
        ("src/plugin.c", Language::C),
    ];
    let found = marks.into_iter().find(|(mark, _)| folder.join(mark).is_file());
    found.map(|(_, language)| language).ok_or_else(|| {
        let marks: Vec<&str> = marks.iter().map(|(mark, _)| *mark).collect();
        let what =
            format!("{} is no plugin's folder: none of {}", folder.display(), { marks.join(", ") });
        Failure::new(Exit::Usage, what, "`watchfire plugin new NAME` writes one")
    })
}

/// What a language without our macro needs around its own tools: the interface to build against,
/// and the manifest in the component.
fn wrapped(
    folder: &Path,
    build: impl FnOnce(&Path, &Manifest) -> Result<Vec<u8>, Failure>,
) -> Result<Built, Failure> {
    let file = folder.join("plugin.toml");
    let wrong = |why: String| {
        let what = format!("{}: {why}", file.display());
        Failure::new(Exit::Usage, what, "it needs kind, api, name and version; see docs/plugins")
    };
    let text = std::fs::read(&file).map_err(|error| wrong(error.to_string()))?;
    let about = Manifest::parse(&text).map_err(wrong)?;
    let wit = folder.join("wit");
    if !wit.is_dir() {
        std::fs::create_dir(&wit).map_err(|error| unwritten(&wit, &error))?;
        write(&wit.join("watchfire.wit"), WIT.as_bytes())?;
    }
    let out = folder.join("build");
    std::fs::create_dir_all(&out).map_err(|error| unwritten(&out, &error))?;
    let component = build(folder, &about)?;
    let bytes = section::added(component, "watchfire:manifest", &text);
    Ok(Built { name: about.name, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_told_by_its_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = language_of(folder.path()).expect_err("it is empty");
        assert!(error.what.contains("Cargo.toml, package.json"), "{error}");
        std::fs::write(folder.path().join("requirements.txt"), "").expect("it is ours");
        assert_eq!(language_of(folder.path()).expect("it is told"), Language::Python);
    }

    #[test]
    fn settings_are_dropped_once() {
        let (plugin, into) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let settings = into.path().join("a.toml");
        for (own, expected) in [("limit = 1", "limit = 1"), ("limit = 2", "limit = 1")] {
            std::fs::write(plugin.path().join("a.toml"), own).expect("it is ours");
            drop_into(into.path(), plugin.path(), "a", b"x", &mut Vec::new()).expect("dropped");
            assert_eq!(std::fs::read_to_string(&settings).expect("it is there"), expected);
        }
    }
}
