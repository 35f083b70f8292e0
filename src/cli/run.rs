//! `watchfire run`: the service itself.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::exit::{Exit, Failure};
use crate::config::settings::{Log, LogFormat, Overrides, Settings, parse_address, parse_shards};
use crate::shell::app::Watchfire;
use crate::shell::board::ALERTS;
use crate::shell::sink::SinkStatus;

/// Watch, judge and tell, until stopped
///
/// SIGHUP looks at the rules and plugins at once. SIGTERM and SIGINT judge what came, leave the
/// sinks 10 s to deliver, write the state that the next start reads, and stop.
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
    /// Folder for the state, sinks' own files and dead letters [default: watchfire-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// HTTP address of the API and of pushed samples [default: 127.0.0.1:9820]
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

/// Runs until a signal to stop.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let settings = Settings::load(args.config.as_deref(), &args.overrides())?;
    let on_terminal = settings.sinks.default.iter().any(|sink| sink == "terminal");
    log_to(&settings.log, on_terminal)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::bare(Exit::NotStarted, error.to_string()))?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<Exit, Failure> {
    let unready = |error: std::io::Error| Failure::bare(Exit::NotStarted, error.to_string());
    let mut hangup = signal(SignalKind::hangup()).map_err(unready)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unready)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unready)?;
    let folder = settings.paths.rules.clone();
    let watchfire = Watchfire::start(settings)
        .await
        .map_err(|error| Failure::bare(Exit::NotStarted, error.to_string()))?;
    greet(&watchfire, &folder);
    loop {
        tokio::select! {
            _ = hangup.recv() => watchfire.reload(),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("stopping; a second signal ends at once");
    tokio::select! {
        stopped = watchfire.stop() => match stopped {
            Ok(()) => Ok(Exit::Ok),
            Err(error) => Err(Failure::bare(Exit::Internal, error)),
        },
        () = second(&mut terminate, &mut interrupt) => {
            Err(Failure::bare(Exit::Internal, "stopped without saving the state"))
        }
    }
}

/// Waits for another signal to stop. Whoever ends a whole group of processes, as `timeout` does,
/// sends the first one twice within a moment: only a later one is somebody's impatience.
async fn second(terminate: &mut Signal, interrupt: &mut Signal) {
    let first = Instant::now();
    while first.elapsed() < Duration::from_millis(500) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// What runs and where it is reached: the first lines that people see.
fn greet(watchfire: &Watchfire, folder: &Path) {
    let rules = watchfire.ruleset().map_or(0, |ruleset| ruleset.rules().len());
    let sink = |status: SinkStatus| match status.state.runs() {
        true => status.name.to_string(),
        false => format!("{} (blocked: watchfire plugin grant {0})", status.name),
    };
    let sinks: Vec<String> = watchfire.sinks().into_iter().map(sink).collect();
    let (sources, sinks) = (watchfire.sources().join(", "), sinks.join(", "));
    let folder = folder.display();
    tracing::info!("{rules} rules from {folder}; sources: {sources}; sinks: {sinks}");
    let url = format!("http://{}", watchfire.address());
    tracing::info!(url, "ready; samples go to POST /ingest, alerts are at /api/v1/alerts");
}

/// Log lines go to standard error, so that standard output is the terminal sink's alone.
fn log_to(log: &Log, alerts_on_terminal: bool) -> Result<(), Failure> {
    let mut filter = EnvFilter::try_new(&log.level)
        .map_err(|error| Failure::bare(Exit::Usage, format!("[log] level: {error}")))?;
    // One screen that shows both needs each alert once.
    if alerts_on_terminal && std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        let off = format!("{ALERTS}=off").parse().expect("a target and a level");
        filter = filter.add_directive(off);
    }
    let writer = BoxMakeWriter::new(std::io::stderr);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let set = match log.format {
        LogFormat::Human => {
            let colored = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colored).with_target(false).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    set.map_err(|error| Failure::bare(Exit::Internal, error.to_string()))
}

fn log_format() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(LogFormat::NAMES)
        .map(|name| LogFormat::parse(&name).expect("every possible value has a format"))
}
