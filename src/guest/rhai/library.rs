//! `import "lib/slo" as slo`: files below the rules folder, and nothing else.
//!
//! Every path that was asked for is remembered, whether or not it was there, so that a change of a
//! library reloads its users.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope};

use super::SharedModule;
use super::ast::Script;
use super::builder::Desk;
use super::source::Source;

/// Bytes of one file, the main one or a library.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Libraries that import libraries.
const DEPTH_MAX: usize = 8;

/// What [`super::Imports`] says of one library now.
pub fn hash_of(folder: &Path, file: &str) -> Option<u64> {
    read(folder, file).map(|text| hash(&text))
}

fn hash(text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}

pub struct Libraries {
    pub folder: PathBuf,
    pub desk: Desk,
}

type Failure = Box<EvalAltResult>;

impl ModuleResolver for Libraries {
    fn resolve(
        &self,
        engine: &Engine,
        _source: Option<&str>,
        path: &str,
        at: Position,
    ) -> Result<SharedModule, Failure> {
        let wrap = |error: Failure| -> Failure {
            EvalAltResult::ErrorInModule(path.to_owned(), error, at).into()
        };
        let file = relative(path).ok_or_else(|| outside(path, at))?;
        self.open(path, &file).map_err(wrap)?;
        let module = self.load(engine, path, &file, at);
        self.desk.papers().open.pop();
        module
    }
}

impl Libraries {
    /// Notes that a library is being read; one that is open already would read itself.
    fn open(&self, path: &str, file: &str) -> Result<(), Failure> {
        let mut papers = self.desk.papers();
        papers.imports.entry(file.to_owned()).or_default();
        if papers.open.iter().any(|open| open == path) {
            return Err("libraries import each other in a circle".into());
        }
        if papers.open.len() >= DEPTH_MAX {
            return Err(format!("libraries import each other {DEPTH_MAX} deep").into());
        }
        papers.open.push(path.to_owned());
        Ok(())
    }

    fn load(
        &self,
        engine: &Engine,
        path: &str,
        file: &str,
        at: Position,
    ) -> Result<SharedModule, Failure> {
        let missing =
            || -> Failure { EvalAltResult::ErrorModuleNotFound(path.to_owned(), at).into() };
        let wrap = |error: Failure| -> Failure {
            EvalAltResult::ErrorInModule(path.to_owned(), error, at).into()
        };
        let text = read(&self.folder, file).ok_or_else(missing)?;
        self.desk.papers().imports.insert(file.to_owned(), Some(hash(&text)));
        let mut script = Script::compile(engine, Source::new(file, &text))
            .map_err(|error| wrap(EvalAltResult::ErrorParsing(*error.0, error.1).into()))?;
        script.name_source(file);
        let module = Module::eval_ast_as_new(Scope::new(), script.ast(), engine).map_err(wrap)?;
        self.desk.papers().libraries.insert(path.to_owned(), Arc::new(script));
        Ok(module.into())
    }
}

fn outside(path: &str, at: Position) -> Failure {
    let what = format!("`{path}` is no path below the folder of rules");
    EvalAltResult::ErrorRuntime(what.into(), at).into()
}

/// `lib/slo` as `lib/slo.rhai`; `None` for a path that leads, or might lead, elsewhere.
fn relative(path: &str) -> Option<String> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !plain || path.contains(['\\', '\0']) {
        return None;
    }
    Some(if path.ends_with(".rhai") { path.to_owned() } else { format!("{path}.rhai") })
}

/// The text of a file that lies below the folder once links are followed.
fn read(folder: &Path, file: &str) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let path = folder.join(file).canonicalize().ok()?;
    let size = path.metadata().ok()?.len();
    if !path.starts_with(&folder) || size > FILE_BYTES_MAX as u64 {
        return None;
    }
    std::fs::read_to_string(path).ok()
}
