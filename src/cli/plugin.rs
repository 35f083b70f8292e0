//! `watchfire plugin`: the guests, and what they may do.

use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;

use super::client::Remote;
use super::exit::{Exit, Failure};
use super::output::{Table, printable};

/// Plugins and what they may do
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Every plugin of a running instance with its state
    List(Remote),
    /// Give a plugin what it asks for, after showing it
    Grant(GrantArgs),
}

/// The grants go to the file outside the watched folders that the settings name, so that dropping
/// a file into a folder never grants anything.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  watchfire plugin grant ops-chat            # shows what it asks for, and asks
  watchfire plugin grant ops-chat --yes      # for scripts")]
pub struct GrantArgs {
    /// The plugin, as it names itself
    pub name: String,
    /// Settings file [default: watchfire.toml when there is one]
    #[arg(long, env = "WATCHFIRE_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the plugins
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// Grant without asking
    #[arg(long)]
    pub yes: bool,
}

pub fn list(remote: &Remote, out: &mut dyn Write) -> Result<Exit, Failure> {
    let answer = remote.get(&["plugins"])?;
    write!(out, "{}", table(&answer))?;
    Ok(Exit::Ok)
}

fn table(answer: &Value) -> Table {
    let mut table = Table::new(&["PLUGIN", "KIND", "STATE", "VERSION", "WHY"]);
    for plugin in answer["plugins"].as_array().into_iter().flatten() {
        let text = |key: &str| printable(plugin[key].as_str().unwrap_or("-"));
        let why = plugin["why"].as_str().or(plugin["last_error"].as_str()).unwrap_or("");
        table.push([text("name"), text("kind"), text("state"), text("version"), why.to_owned()]);
    }
    table
}
