//! `watchfire explain`: the flags of the explanation of a rule.

use std::path::PathBuf;

/// Say how a rule is judged: inputs, windows, timing, and which conditions run native
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  watchfire explain disk-filling --rules /etc/watchfire/rules")]
pub struct Args {
    /// The rule's name
    pub rule: String,
    /// Folder of rules
    #[arg(long, value_name = "DIR", default_value = "rules")]
    pub rules: PathBuf,
    /// Folder of plugins
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    pub plugins: PathBuf,
}
