//! Which languages can be tried here.

use std::process::{Command, Stdio};

/// Languages other than Rust are tried where their tools are; a build server has all of them.
pub fn has_all(tools: &[&str]) -> bool {
    let has = |tool: &&str| {
        let mut command = Command::new(tool);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok()
    };
    let missing: Vec<&str> = tools.iter().filter(|tool| !has(tool)).copied().collect();
    let is_server = std::env::var_os("CI").is_some();
    assert!(missing.is_empty() || !is_server, "`bash .ci/test` installs {}", missing.join(", "));
    if !missing.is_empty() {
        println!("not tried: there is no {}", missing.join(", "));
    }
    missing.is_empty()
}
