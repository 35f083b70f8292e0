//! `watchfire plugin grant`: what a guest may reach.

use std::io::Write;
use std::path::PathBuf;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::printable;
use crate::config::catalog::Scan;
use crate::config::settings::{Overrides, Settings};
use crate::guest::grant::{Request, edit};
use crate::guest::probe::Probe;
use crate::guest::sample_sink::SampleSink;
use crate::guest::sink::Sink;
use crate::guest::source::GuestSource;
use crate::kernel::rule::Origin;
use crate::shell::load;

/// Give a plugin what it asks for, after showing it
///
/// The grants go to the file outside the watched folders that the settings name, so that dropping
/// a file into a folder never grants anything.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  watchfire plugin grant ops-chat            # shows what it asks for, and asks
  watchfire plugin grant ops-chat --yes      # for scripts")]
pub struct GrantArgs {
    /// A sink or probe: as its script names it, or a component's file name without `.wasm`
    pub name: String,
    /// Settings file [default: watchfire.toml when there is one]
    #[arg(long, env = "WATCHFIRE_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of plugins [default: as in the settings]
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// Grant without asking
    #[arg(long)]
    pub yes: bool,
}

/// Shows what a plugin asks for, asks back, and writes the grant.
pub fn grant(args: &GrantArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = Settings::load(args.config.as_deref(), &Overrides::default())?;
    let plugins = args.plugins.clone().unwrap_or(settings.paths.plugins);
    let folders: Vec<PathBuf> =
        [plugins, settings.paths.rules].into_iter().filter(|folder| folder.is_dir()).collect();
    let scan = load::scan(&folders).map_err(|error| Failure::bare(Exit::Internal, error))?;
    let askers = askers(&scan);
    let Some(Asker { origin, needs, .. }) = askers.iter().find(|asker| asker.name == args.name)
    else {
        let mut names: Vec<&str> = askers.iter().map(|asker| asker.name).collect();
        names.sort_unstable();
        let what = format!("there is no sink, probe or source `{}`", args.name);
        let help = match names.is_empty() {
            true => "none is in the folders of rules and plugins".to_owned(),
            false => format!("there are: {}", names.join(", ")),
        };
        return Err(Failure::new(Exit::Findings, what, help));
    };
    if needs.is_empty() {
        writeln!(out, "{} asks for nothing", args.name)?;
        return Ok(Exit::Ok);
    }
    writeln!(out, "{} ({origin}) asks for:", args.name)?;
    for need in *needs {
        writeln!(out, "  {}", printable(&need.to_string()))?;
    }
    let file = &settings.paths.grants;
    if !args.yes && !agreed(out, &format!("grant this in {}? [y/N] ", file.display()))? {
        writeln!(out, "nothing was granted")?;
        return Ok(Exit::Findings);
    }
    let failed =
        |what: String| Failure::new(Exit::NotStarted, what, format!("see {}", file.display()));
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error.to_string())),
    };
    let text = edit::add(&text, &args.name, needs).map_err(&failed)?;
    std::fs::write(file, text).map_err(|error| failed(error.to_string()))?;
    writeln!(out, "granted in {}; a running instance takes it up by itself", file.display())?;
    for need in *needs {
        if let Request::Secret(name) = need {
            let name = printable(name);
            writeln!(
                out,
                "  where [secrets] there says {name} = {{ env = .. }}, restart the instance with \
                 that variable; a file needs no restart: {name} = {{ file = \"/path\" }}"
            )?;
        }
    }
    Ok(Exit::Ok)
}

/// Whatever may be granted something.
struct Asker<'a> {
    name: &'a str,
    origin: &'a Origin,
    needs: &'a [Request],
}

fn askers(scan: &Scan) -> Vec<Asker<'_>> {
    let sinks = scan.sinks.iter().map(|live| {
        let Sink { name, origin, needs, .. } = &live.sink;
        Asker { name, origin, needs }
    });
    let sample_sinks = scan.sample_sinks.iter().map(|live| {
        let SampleSink { name, origin, needs, .. } = &live.sink;
        Asker { name, origin, needs }
    });
    let probes = scan.probes.iter().map(|live| {
        let Probe { name, origin, needs, .. } = &live.probe;
        Asker { name, origin, needs }
    });
    let sources = scan.sources.iter().map(|live| {
        let GuestSource { name, origin, .. } = &live.source;
        Asker { name, origin, needs: &[] }
    });
    sinks.chain(sample_sinks).chain(probes).chain(sources).collect()
}

fn agreed(out: &mut dyn Write, question: &str) -> Result<bool, Failure> {
    write!(out, "{question}")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
