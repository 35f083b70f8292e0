//! `watchfire check`: the flags of the check before the start.

use std::path::PathBuf;

/// Look for mistakes in rules, plugins, stories and settings, without starting anything
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  watchfire check                     # ./rules, ./plugins and ./watchfire.toml
  watchfire check rules/disk.rhai --json")]
pub struct Args {
    /// Files and folders [default: rules, plugins, watchfire.toml]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Findings as JSON, one object a line
    #[arg(long)]
    pub json: bool,
}
