//! Rust: cargo, for the target `wasm32-wasip2`, which links a component by itself.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Built, tools};
use crate::cli::exit::{Exit, Failure};

const TARGET: &str = "wasm32-wasip2";
const GET_CARGO: &str = "install Rust with rustup, then run `rustup target add wasm32-wasip2`";

pub fn build(folder: &Path) -> Result<Built, Failure> {
    check_target(folder)?;
    let mut cargo = tools::command("cargo", folder);
    cargo.args(["build", "--release", "--target", TARGET]);
    cargo.arg("--message-format=json-render-diagnostics");
    let told = tools::read(&mut cargo, GET_CARGO)?;
    let file = artifact(&told).ok_or_else(|| {
        let what = format!("{} makes no component", folder.join("Cargo.toml").display());
        Failure::new(Exit::Findings, what, "it needs `[lib]` with `crate-type = [\"cdylib\"]`")
    })?;
    Ok(Built { name: file.name, bytes: tools::made(&file.path)? })
}

/// Where the target is missing, the compiler's own words are about a missing crate `core`.
fn check_target(folder: &Path) -> Result<(), Failure> {
    let mut rustc = tools::command("rustc", folder);
    rustc.args(["--print", "sysroot"]);
    let sysroot = tools::read(&mut rustc, GET_CARGO)?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    let what = format!("Rust's target {TARGET} is not here");
    Err(Failure::new(Exit::NotStarted, what, format!("run `rustup target add {TARGET}`")))
}

struct Artifact {
    name: String,
    path: PathBuf,
}

/// The last component that cargo says it made: dependencies come before what needs them.
fn artifact(messages: &str) -> Option<Artifact> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let artifacts = messages.filter(|message| message["reason"] == "compiler-artifact");
    let mut components = artifacts.filter_map(|message| {
        let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
        let path = files.rev().find(|file| file.ends_with(".wasm"))?.into();
        Some(Artifact { name: package(&message)?, path })
    });
    components.next_back()
}

/// The package's name stands in its identity: `path+file:///a/too-hot#0.1.0`, or, where the folder
/// has another name, `path+file:///a/b#too-hot@0.1.0`.
fn package(message: &Value) -> Option<String> {
    let (path, after) = message["package_id"].as_str()?.split_once('#')?;
    let name = after.split_once('@').map(|(name, _)| name);
    Some(name.or_else(|| path.rsplit('/').next())?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_found_among_the_messages() {
        let message = |package: &str, file: &str| {
            let (reason, filenames) = ("compiler-artifact", [file]);
            serde_json::json!({ "reason": reason, "package_id": package, "filenames": filenames })
        };
        for (package, name) in
            [("path+file:///a/too-hot#0.1.0", "too-hot"), ("path+file:///a/b#hot@0.1.0", "hot")]
        {
            let dependency = message("registry+x#serde@1.0.0", "/t/libserde.rlib");
            let own = message(package, "/t/too_hot.wasm");
            let text = format!("{dependency}\n{own}\n{{\"reason\":\"build-finished\"}}\n");
            let found = artifact(&text).expect("it is there");
            assert_eq!((found.name.as_str(), found.path), (name, "/t/too_hot.wasm".into()));
        }
        assert!(artifact("no JSON\n").is_none());
    }
}
