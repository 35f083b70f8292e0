//! The `watchfire` command: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    watchfire::cli::main()
}
