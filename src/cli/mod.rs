//! The command line: one file for each command, and what they print with.
//!
//! Never decides anything about samples, rules or alerts: it reads flags, calls the library, and
//! prints. Results go to standard output, everything else to standard error.
//!
//! Invariant: what a label, a text or a server says reaches the terminal without control
//! characters.

mod exit;
mod output;

pub mod progress;

mod client;

pub mod check;
mod completions;
pub mod explain;
mod forget;
pub mod plugin;
pub mod replay;
mod rules;
pub mod run;
mod sinks;
mod stories;
pub mod test;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use client::Remote;
pub use exit::{Exit, Failure};
pub use output::{Table, grouped, printable};

/// Watches metric streams, judges them by rules, and tells people.
#[derive(Debug, Parser)]
#[command(name = "watchfire", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Start with `watchfire run`: without a file it watches this machine, listens for StatsD on UDP
127.0.0.1:8125 and for everything else on http://127.0.0.1:9820, and loads ./rules and ./plugins.

Exit codes: 0 ok, 1 findings or failed stories, 2 usage or settings, 3 could not start,
4 stopped by an internal error.";

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Args),
    Check(check::Args),
    Test(test::Args),
    Replay(replay::Args),
    Explain(explain::Args),
    #[command(subcommand)]
    Plugin(plugin::Command),
    #[command(subcommand)]
    Rules(rules::Command),
    #[command(subcommand)]
    Sinks(sinks::Command),
    Forget(forget::Args),
    Completions(completions::Args),
}

/// Reads the command line, does what it says, and says how it went.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            // Nothing is left to tell it to when even this cannot be printed.
            let _ = error.print();
            return exit.into();
        }
    };
    match dispatch(cli.command, &mut std::io::stdout()) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if failure.exit != Exit::Ok {
                let _ = writeln!(std::io::stderr(), "{failure}");
            }
            failure.exit.into()
        }
    }
}

fn dispatch(command: Command, out: &mut dyn Write) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args, out),
        Command::Test(args) => test::test(&args, &mut stories::RuleFiles, out),
        Command::Replay(args) => replay::replay(&args),
        Command::Explain(args) => explain::explain(&args, out),
        Command::Plugin(command) => plugin::run(&command, out),
        Command::Rules(rules::Command::List(remote)) => rules::list(&remote, out),
        Command::Rules(rules::Command::AcceptEmpty(remote)) => rules::accept_empty(&remote, out),
        Command::Sinks(sinks::Command::List(remote)) => sinks::list(&remote, out),
        Command::Sinks(sinks::Command::Test(args)) => sinks::test(&args, out),
        Command::Forget(args) => forget::forget(&args, out),
        Command::Completions(args) => completions::print(&args, out),
    }
}

#[cfg(test)]
mod tests;
