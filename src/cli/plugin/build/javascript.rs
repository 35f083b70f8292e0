//! JavaScript: npm, and the script `build` of package.json, which makes `build/NAME.wasm`.

use std::path::Path;

use super::tools;
use crate::cli::exit::Failure;
use crate::guest::wasm::manifest::Manifest;

const GET_NODE: &str = "install Node.js 18 or newer with npm (Debian: `apt install nodejs npm`)";

pub fn build(folder: &Path, about: &Manifest) -> Result<Vec<u8>, Failure> {
    if !folder.join("node_modules").is_dir() {
        let mut install = tools::command("npm", folder);
        install.args(["install", "--no-audit", "--no-fund"]);
        tools::run(&mut install, GET_NODE)?;
    }
    let mut build = tools::command("npm", folder);
    tools::run(build.args(["run", "build"]), GET_NODE)?;
    tools::made(&folder.join("build").join(format!("{}.wasm", about.name)))
}
