//! `watchfire run`: the flags of the service itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::config::settings::{LogFormat, Overrides, parse_address, parse_shards};

/// Watch, judge and tell, until stopped
///
/// SIGHUP reloads rules and plugins, SIGTERM stops after what is pending was delivered.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  watchfire run                                   # this machine, ./rules, ./plugins
  watchfire run --config /etc/watchfire/watchfire.toml --data /var/lib/watchfire
  WATCHFIRE__LISTEN__HTTP=127.0.0.1:9999 watchfire run

Every key of the settings file has a variable: WATCHFIRE__SECTION__KEY. Flags win over variables,
variables over the file.")]
pub struct Args {
    /// Settings file [default: watchfire.toml when there is one]
    #[arg(long, env = "WATCHFIRE_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of rules, watched for changes [default: rules]
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// Folder of plugins, watched for changes [default: plugins]
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// Folder for state, spools and logs [default: watchfire-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// HTTP address of API, UI and pushed samples [default: 127.0.0.1:9820]
    #[arg(long, value_name = "IP:PORT", value_parser = parse_address)]
    pub listen: Option<SocketAddr>,
    /// File that holds the token callers must show; needed off loopback
    #[arg(long, env = "WATCHFIRE_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Threads that judge, 1 to 64 [default: the machine's cores]
    #[arg(long, value_name = "N", value_parser = parse_shards)]
    pub shards: Option<usize>,
    /// How log lines look [default: human]
    #[arg(long, value_name = "FORMAT", value_parser = log_format())]
    pub log: Option<LogFormat>,
}

impl Args {
    /// What the flags say over file and variables.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            rules: self.rules.clone(),
            plugins: self.plugins.clone(),
            data: self.data.clone(),
            listen: self.listen,
            token_file: self.token_file.clone(),
            shards: self.shards,
            log: self.log,
        }
    }
}

fn log_format() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(LogFormat::NAMES)
        .map(|name| LogFormat::parse(&name).expect("every possible value has a format"))
}
