//! C: clang with wasi-libc makes a core module, which becomes a component here.
//!
//! The interface's C side is generated from `wit/` into `build/bindings` at each build.

use std::path::{Path, PathBuf};

use wasi_preview1_component_adapter_provider as adapter;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;
use wit_component::ComponentEncoder;

use super::tools;
use crate::cli::exit::{Exit, Failure};
use crate::guest::wasm::manifest::Manifest;

const GET_CLANG: &str =
    "install them (Debian: `apt install clang lld wasi-libc libclang-rt-dev-wasm32`)";

pub fn build(folder: &Path, about: &Manifest) -> Result<Vec<u8>, Failure> {
    let (kind, out) = (about.kind.name(), folder.join("build"));
    bindings(&folder.join("wit/watchfire.wit"), kind, &out.join("bindings"))?;
    if !tools::is_there("wasm-ld", folder) {
        return Err(Failure::new(Exit::NotStarted, "there is no `wasm-ld` here", GET_CLANG));
    }
    let mut clang = tools::command("clang", folder);
    clang.args(["--target=wasm32-wasi", "-mexec-model=reactor", "-std=c11", "-Oz", "-Wall"]);
    clang.args(["-Wextra", "-Wl,--strip-all", "-Ibuild/bindings", "-o", "build/core.wasm"]);
    clang.args(sources(folder)?);
    let world = kind.replace('-', "_");
    clang.arg(format!("build/bindings/{world}.c"));
    clang.arg(format!("build/bindings/{world}_component_type.o"));
    tools::run(&mut clang, GET_CLANG)?;
    componentized(&tools::made(&out.join("core.wasm"))?)
}

/// Every C file of `src`, in order of name, as seen from the plugin's folder.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::bare(Exit::Usage, format!("cannot read {}/src: {error}", folder.display()))
    };
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder.join("src")).map_err(unreadable)? {
        let name = PathBuf::from(entry.map_err(unreadable)?.file_name());
        if name.extension().is_some_and(|extension| extension == "c") {
            sources.push(Path::new("src").join(name));
        }
    }
    sources.sort();
    Ok(sources)
}

/// Writes `WORLD.h`, `WORLD.c` and the object that names the world's types.
fn bindings(wit: &Path, world: &str, out: &Path) -> Result<(), Failure> {
    let wrong = |why: String| {
        let what = format!("{}: {why}", wit.display());
        Failure::new(Exit::Findings, what, "remove the folder `wit`; the build writes it anew")
    };
    let text = std::fs::read_to_string(wit).map_err(|error| wrong(error.to_string()))?;
    let files = generated(&text, world).map_err(wrong)?;
    let unwritten = |error: std::io::Error| {
        Failure::bare(Exit::NotStarted, format!("cannot write {}: {error}", out.display()))
    };
    std::fs::create_dir_all(out).map_err(unwritten)?;
    for (name, bytes) in files.iter() {
        std::fs::write(out.join(name), bytes).map_err(unwritten)?;
    }
    Ok(())
}

fn generated(wit: &str, world: &str) -> Result<Files, String> {
    let (mut resolve, mut files) = (Resolve::default(), Files::default());
    let package = resolve.push_str("watchfire.wit", wit).map_err(|error| format!("{error:#}"))?;
    let world =
        resolve.select_world(&[package], Some(world)).map_err(|error| format!("{error:#}"))?;
    let mut generator = wit_bindgen_c::Opts::default().build();
    generator.generate(&mut resolve, world, &mut files).map_err(|error| format!("{error:#}"))?;
    Ok(files)
}

/// What the C library wants of WASI's first version is given by an adapter to its second.
fn componentized(module: &[u8]) -> Result<Vec<u8>, Failure> {
    let name = adapter::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
    let reactor = adapter::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
    let encoded = ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.adapter(name, reactor))
        .and_then(|encoder| encoder.validate(true).encode());
    encoded.map_err(|error| {
        let what = format!("the module is no plugin: {error:#}");
        Failure::new(Exit::Findings, what, "export all that build/bindings/*.h declares")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plugin::WIT;
    use crate::guest::wasm::manifest::Kind;

    #[test]
    fn every_world_has_a_side_in_c() {
        for kind in Kind::ALL {
            let files = generated(WIT, kind.name()).expect("the interface has it");
            let names: Vec<&str> = files.iter().map(|(name, _)| name).collect();
            let world = kind.name().replace('-', "_");
            let expected = [".c", ".h", "_component_type.o"].map(|end| format!("{world}{end}"));
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn a_module_that_is_none_is_a_finding() {
        let failure = componentized(b"no module").expect_err("it is none");
        assert_eq!(failure.exit, Exit::Findings);
    }
}
