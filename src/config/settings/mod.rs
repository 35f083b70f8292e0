//! The settings of a running Watchfire: `watchfire.toml`, its sections and their defaults.
//!
//! A flag wins over an environment variable (`WATCHFIRE__LISTEN__HTTP`), that over the file, and
//! the file over the defaults here. Every key is known: a misspelt one is an error, never a
//! default. Never opens a port or a folder.
//!
//! Paths in the file are relative to the file's folder; paths in flags and variables to the
//! working directory.

mod check;
mod plugins;
mod read;
mod text;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use crate::kernel::model::{Duration, Limits};

pub use plugins::{Framing, PluginSource, SampleSinks};
pub use read::{File, Overrides, parse_address, parse_shards};

/// Checked settings. All paths are resolved.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub paths: Paths,
    pub listen: Listen,
    pub sources: Sources,
    pub limits: Limits,
    pub engine: Engine,
    pub log: Log,
    pub sinks: Sinks,
    pub watchdog: Watchdog,
    pub reload: Reload,
    /// As written, a table for each guest.
    pub grants: toml::Table,
    /// As written, by name. Never printed.
    pub secrets: Secrets,
    pub bus: Bus,
}

/// `[paths]`: folders, and the file that grants are kept in.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Paths {
    pub rules: PathBuf,
    pub plugins: PathBuf,
    pub data: PathBuf,
    /// Outside the watched folders, so that dropping a file there grants nothing.
    pub grants: PathBuf,
}

/// `[listen]`: the one HTTP port, for the API, the UI and pushed samples.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    #[serde(deserialize_with = "text::address")]
    pub http: SocketAddr,
    /// Host names under which requests may come, besides loopback's own.
    pub names: Vec<String>,
    /// Holds the bearer token that callers must show. Without one only loopback is served.
    pub token_file: Option<PathBuf>,
}

/// `[sources]`: where samples come from, besides HTTP.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sources {
    pub host: HostSource,
    pub statsd: StatsdSource,
    pub tcp: Vec<TcpSource>,
    pub plugin: Vec<PluginSource>,
    pub file: Vec<FileSource>,
    pub stdin: Option<StdinSource>,
}

/// `[sources.host]`: the machine itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostSource {
    pub enabled: bool,
    #[serde(deserialize_with = "text::period")]
    pub interval: Duration,
}

/// `[sources.statsd]`; `"off"` closes a port.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatsdSource {
    #[serde(deserialize_with = "text::address_or_off")]
    pub udp: Option<SocketAddr>,
    #[serde(deserialize_with = "text::address_or_off")]
    pub tcp: Option<SocketAddr>,
}

/// `[[sources.tcp]]`: lines over TCP.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpSource {
    #[serde(deserialize_with = "text::address")]
    pub listen: SocketAddr,
    #[serde(deserialize_with = "text::format")]
    pub format: Format,
    /// In metrics and messages; `tcp:ADDRESS` when not given.
    #[serde(default)]
    pub name: Option<String>,
    /// How long to wait for samples older than the newest; by kind of time stamp when not given.
    #[serde(default)]
    pub lateness: Option<Duration>,
}

/// `[[sources.file]]`: a file, read once or followed as it grows.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    pub path: PathBuf,
    #[serde(deserialize_with = "text::format")]
    pub format: Format,
    #[serde(default)]
    pub follow: bool,
}

/// `[sources.stdin]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StdinSource {
    #[serde(deserialize_with = "text::format")]
    pub format: Format,
}

/// How samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Influx,
    Prom,
    Statsd,
    Csv,
}

/// `[engine]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Engine {
    /// Threads that judge, 1 to 64; as many as cores when not given. Results do not depend on it.
    #[serde(deserialize_with = "text::shards")]
    pub shards: usize,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    #[serde(deserialize_with = "text::log_format")]
    pub format: LogFormat,
    /// `info`, or one for each part of the program: `info,watchfire::shell=debug`.
    #[serde(deserialize_with = "text::log_level")]
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Human,
    Json,
}

/// `[sinks]`: the built-in ones, and where events go whose rule names no sink.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sinks {
    pub default: Vec<String>,
    pub file: Vec<FileSink>,
    pub webhook: Vec<WebhookSink>,
    pub samples: SampleSinks,
}

/// `[[sinks.file]]`: events as JSON lines.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSink {
    pub name: String,
    pub path: PathBuf,
    /// A file that reached this size is set aside.
    #[serde(default = "FileSink::rotate_bytes_default")]
    pub rotate_bytes: u64,
    /// How many files set aside are kept.
    #[serde(default = "FileSink::keep_default")]
    pub keep: u32,
}

/// `[[sinks.webhook]]`: a POST for each attempt.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSink {
    pub name: String,
    #[serde(deserialize_with = "text::web_address")]
    pub url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A template; the events as JSON when not given.
    #[serde(default)]
    pub body: Option<String>,
}

/// `[watchdog]`: an alert that always fires, for a dead-man service outside.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watchdog {
    /// Sinks; none turns it off.
    pub notify: Vec<String>,
    #[serde(deserialize_with = "text::period")]
    pub every: Duration,
}

/// `[reload]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reload {
    /// A rule counts as removed when its file is still missing after this long.
    pub remove_after: Duration,
    #[serde(deserialize_with = "text::period")]
    pub poll: Duration,
    /// How long the folders must be quiet before they are read.
    pub quiet: Duration,
    #[serde(deserialize_with = "text::reload_mode")]
    pub mode: ReloadMode,
}

/// How changes of the folders are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadMode {
    /// The kernel's notices, and the poll besides.
    Auto,
    /// Only the poll: for network file systems, which send no notices.
    Poll,
}

/// `[bus]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bus {
    /// Events kept for subscribers that come back, 1 to [`Bus::HISTORY_MAX`].
    #[serde(deserialize_with = "text::history")]
    pub history: usize,
}

/// Secrets by name. Prints as `***`.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Secrets(pub toml::Table);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("***")
    }
}

impl Format {
    pub const NAMES: [&'static str; 5] = ["json", "influx", "prom", "statsd", "csv"];
    const ALL: [Format; 5] =
        [Format::Json, Format::Influx, Format::Prom, Format::Statsd, Format::Csv];

    pub fn name(self) -> &'static str {
        Format::NAMES[self as usize]
    }

    pub fn parse(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }
}

impl LogFormat {
    pub const NAMES: [&'static str; 2] = ["human", "json"];

    pub fn parse(name: &str) -> Option<LogFormat> {
        match name {
            "human" => Some(LogFormat::Human),
            "json" => Some(LogFormat::Json),
            _ => None,
        }
    }
}

impl Engine {
    /// More threads than this only wait for each other.
    pub const SHARDS_MAX: usize = 64;
}

impl Bus {
    /// Some 500 MB of events.
    pub const HISTORY_MAX: usize = 1_000_000;
}

impl FileSink {
    fn rotate_bytes_default() -> u64 {
        64 * 1024 * 1024
    }

    fn keep_default() -> u32 {
        5
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Default for Paths {
    fn default() -> Paths {
        Paths {
            rules: "rules".into(),
            plugins: "plugins".into(),
            data: "watchfire-data".into(),
            grants: "grants.toml".into(),
        }
    }
}

impl Listen {
    /// Whether other machines can reach it.
    pub fn is_open(&self) -> bool {
        !self.http.ip().to_canonical().is_loopback()
    }
}

impl Default for Listen {
    fn default() -> Listen {
        Listen { http: loopback(9820), names: Vec::new(), token_file: None }
    }
}

impl Default for HostSource {
    fn default() -> HostSource {
        HostSource { enabled: true, interval: Duration::from_secs(1) }
    }
}

impl Default for StatsdSource {
    fn default() -> StatsdSource {
        StatsdSource { udp: Some(loopback(8125)), tcp: None }
    }
}

impl Default for Engine {
    fn default() -> Engine {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Engine { shards: cores.min(Engine::SHARDS_MAX) }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Human, level: "info".into() }
    }
}

impl Default for Sinks {
    fn default() -> Sinks {
        let (file, webhook, samples) = Default::default();
        Sinks { default: vec!["terminal".into()], file, webhook, samples }
    }
}

impl Default for Watchdog {
    fn default() -> Watchdog {
        Watchdog { notify: Vec::new(), every: Duration::from_secs(60) }
    }
}

impl Default for Reload {
    fn default() -> Reload {
        Reload {
            remove_after: Duration::from_secs(3),
            poll: Duration::from_secs(5),
            quiet: Duration::from_millis(100),
            mode: ReloadMode::Auto,
        }
    }
}

impl Default for Bus {
    fn default() -> Bus {
        Bus { history: 10_000 }
    }
}

#[cfg(test)]
mod tests;
