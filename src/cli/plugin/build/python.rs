//! Python: pip in an environment of the plugin's own, and componentize-py on `plugin.py`.

use std::path::Path;

use super::tools;
use crate::cli::exit::{Exit, Failure};
use crate::guest::wasm::manifest::Manifest;

const GET_PYTHON: &str =
    "install Python 3.10 or newer with venv (Debian: `apt install python3 python3-venv`)";

/// Paths inside the plugin's folder, where each command runs.
const TOOL: &str = ".venv/bin/componentize-py";

pub fn build(folder: &Path, about: &Manifest) -> Result<Vec<u8>, Failure> {
    if !folder.join(TOOL).is_file() {
        let mut venv = tools::command("python3", folder);
        tools::run(venv.args(["-m", "venv", ".venv"]), GET_PYTHON)?;
        let mut pip = tools::command("python3", folder);
        pip.args(["-m", "pip", "--python", ".venv/bin/python", "install", "--quiet"]);
        pip.arg("--disable-pip-version-check").args(["--requirement", "requirements.txt"]);
        tools::run(&mut pip, GET_PYTHON)?;
    }
    // A relative program is looked for where the caller stands.
    let tool = std::path::absolute(folder.join(TOOL)).map_err(|error| {
        let what = format!("cannot find {}: {error}", folder.display());
        Failure::bare(Exit::NotStarted, what)
    })?;
    let made = format!("build/{}.wasm", about.name);
    let mut build = tools::command(tool, folder);
    // So it finds the packages that requirements.txt names.
    build.env("VIRTUAL_ENV", ".venv");
    build.args(["--quiet", "--wit-path", "wit", "--world", about.kind.name()]);
    build.args(["componentize", "plugin", "--output", &made]);
    tools::run(&mut build, "name componentize-py in requirements.txt")?;
    tools::made(&folder.join(made))
}
