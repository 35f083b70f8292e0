//! `watchfire plugin`: from an empty folder to a component that runs, and what it may do.
//!
//! `new` writes a folder, `build` makes a component of it with the language's own tools, `check`
//! and `test` look at the component with the host that will run it, `list` shows what runs, and
//! `grant` says what a guest may reach.
//!
//! Never decides whether a component is fit: that is asked of the host, so that what passes here
//! loads there. Never downloads anything itself; package managers do, when a build asks them.

mod language;

pub mod grant;

mod atomic;
mod sdk;
mod templates;

pub mod build;
pub mod check;
pub mod list;
pub mod new;
pub mod test;

use std::io::Write;

pub use language::Language;

use super::exit::{Exit, Failure};

/// The interface, as plugins in every language are built against it.
const WIT: &str = include_str!("../../../wit/watchfire.wit");

/// Write, build, try and list plugins, and say what they may do
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    New(new::Args),
    Build(build::Args),
    Check(check::Args),
    Test(test::Args),
    List(list::Args),
    Grant(grant::GrantArgs),
}

pub fn run(command: &Command, out: &mut dyn Write) -> Result<Exit, Failure> {
    match command {
        Command::New(args) => new::new(args, out),
        Command::Build(args) => build::build(args, out),
        Command::Check(args) => check::check(args, out),
        Command::Test(args) => test::test(args, out),
        Command::List(args) => list::list(args, out),
        Command::Grant(args) => grant::grant(args, out),
    }
}
