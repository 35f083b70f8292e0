//! Runs a language's tools: what they print is shown, what is missing is named.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::cli::exit::{Exit, Failure};

/// A command in the plugin's folder, without what the caller set for other builds.
pub fn command(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end, with its output on standard error. `get` says how to get the program.
pub fn run(command: &mut Command, get: &str) -> Result<(), Failure> {
    command.stdout(std::io::stderr());
    let status = command.status().map_err(|error| missing(command, &error, get))?;
    if status.success() {
        return Ok(());
    }
    let what = format!("{} failed: {status}", shown(command));
    Err(Failure::new(Exit::Findings, what, "what it said stands above"))
}

/// Runs it to its end and gives what it printed to standard output.
pub fn read(command: &mut Command, get: &str) -> Result<String, Failure> {
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| missing(command, &error, get))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let what = format!("{} failed: {}", shown(command), output.status);
    Err(Failure::new(Exit::Findings, what, "what it said stands above"))
}

/// Whether a program can be started at all.
pub fn is_there(program: &str, folder: &Path) -> bool {
    let mut command = command(program, folder);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

fn missing(command: &Command, error: &std::io::Error, get: &str) -> Failure {
    let program = command.get_program().to_string_lossy().into_owned();
    let what = match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no `{program}` here"),
        _ => format!("cannot start `{program}`: {error}"),
    };
    Failure::new(Exit::NotStarted, what, get)
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    format!("`{}`", words.join(" "))
}

/// The file that a tool should have made.
pub fn made(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| {
        let what = format!("the build made no {}: {error}", file.display());
        Failure::new(Exit::Findings, what, "what its tools said stands above")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_missing_is_named_with_its_cure() {
        let mut missing = command("no-such-compiler", Path::new("."));
        let failure = run(&mut missing, "install it").expect_err("it is not there");
        assert_eq!(failure.exit, Exit::NotStarted);
        let text = failure.to_string();
        assert!(text.contains("no `no-such-compiler` here"), "{text}");
        assert!(text.contains("= help: install it"), "{text}");
    }

    #[test]
    fn a_tool_that_fails_is_a_finding() {
        let mut fails = command("false", Path::new("."));
        let failure = run(&mut fails, "").expect_err("it fails");
        assert_eq!(failure.exit, Exit::Findings);
        assert!(failure.what.starts_with("`false` failed"), "{failure}");
    }
}
