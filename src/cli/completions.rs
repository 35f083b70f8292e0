//! `watchfire completions`: a script for the shell.

use std::io::Write;

use clap::CommandFactory;

use super::exit::{Exit, Failure};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  watchfire completions bash > /etc/bash_completion.d/watchfire
  watchfire completions fish > ~/.config/fish/completions/watchfire.fish")]
pub struct Args {
    pub shell: clap_complete::Shell,
}

pub fn print(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    // The generator panics when it cannot write, so it writes to memory.
    let mut script = Vec::new();
    let mut command = super::Cli::command();
    clap_complete::generate(args.shell, &mut command, "watchfire", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Ok)
}
