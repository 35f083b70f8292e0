//! `watchfire plugin check`: what a component is, and whether it would load.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{grouped, printable};
use crate::config::catalog::Scan;
use crate::guest::finding::{Finding, Severity};
use crate::guest::grant::{Request, digest_of};
use crate::guest::wasm::WasmLimits;
use crate::guest::wasm::inspect::Outside;
use crate::guest::wasm::manifest::Kind;
use crate::shell::load;

/// Look at a component: its world, what it imports and asks for, and whether it would load
///
/// It is compiled and tried as a running instance does, with the settings in NAME.toml beside it.
/// What would keep it from loading is a finding.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Example:
  watchfire plugin check plugins/page-me.wasm")]
pub struct Args {
    /// The component
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Prints what the file shows of itself, then what keeps it from loading.
pub fn check(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let bytes = std::fs::read(&args.file).map_err(|error| {
        let what = format!("cannot read {}: {error}", args.file.display());
        Failure::new(Exit::Usage, what, "`watchfire plugin build DIR` makes one")
    })?;
    // What is wrong with it the host says.
    let (outside, _) = Outside::read(&bytes);
    let scan = load::scan(std::slice::from_ref(&args.file))
        .map_err(|error| Failure::bare(Exit::Internal, error))?;
    writeln!(out, "{}", args.file.display())?;
    for (name, value) in facts(&bytes, &outside, &scan) {
        writeln!(out, "  {name:<9}  {}", printable(&value))?;
    }
    let mut findings = scan.findings.clone();
    findings.extend(unasked(&args.file, &outside, &scan));
    if !findings.is_empty() {
        writeln!(out, "{}", load::render(&findings))?;
    }
    writeln!(out, "{} findings", findings.len())?;
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Findings })
}

fn facts(bytes: &[u8], outside: &Outside<'_>, scan: &Scan) -> Vec<(&'static str, String)> {
    let kind = outside.kind();
    let versions: Vec<&str> = outside.versions().into_iter().collect();
    let mut facts = Vec::new();
    if let Some(kind) = kind {
        let version = versions.join(", ");
        facts.push(("world", format!("{} of watchfire:plugin {version}", kind.name())));
    }
    let size = grouped(bytes.len() as u64);
    facts.push((
        "size",
        match kind {
            Some(kind) => format!("{size} bytes of at most {}", grouped(file_bytes_max(kind))),
            None => format!("{size} bytes"),
        },
    ));
    facts.push(("digest", digest_of(bytes)));
    if let Ok(Some(manifest)) = outside.manifest() {
        facts.push(("manifest", format!("{} {}", manifest.name, manifest.version)));
    }
    for need in needs(scan) {
        facts.push(("asks for", need.to_string()));
    }
    for rule in scan.ruleset.rules() {
        facts.push(("rule", rule.name.to_string()));
    }
    let (of_wasi, mut own): (Vec<_>, Vec<_>) =
        outside.imports.iter().copied().partition(|import| import.starts_with("wasi:"));
    // In a component they stand as its linker met them, which differs from machine to machine.
    own.sort_unstable();
    facts.extend(own.into_iter().map(|import| ("imports", import.to_owned())));
    if !of_wasi.is_empty() {
        let count = of_wasi.len();
        facts.push(("imports", format!("{count} of WASI, with no files and no network behind")));
    }
    facts
}

fn file_bytes_max(kind: Kind) -> u64 {
    let limits = WasmLimits::default();
    let limits = match kind {
        Kind::Rule | Kind::WindowRule => limits.rule,
        Kind::Sink | Kind::SampleSink | Kind::Probe | Kind::Source => limits.sink,
    };
    limits.file_bytes as u64
}

fn needs(scan: &Scan) -> impl Iterator<Item = &Request> {
    let sinks = scan.sinks.iter().flat_map(|live| &live.sink.needs);
    let samples = scan.sample_sinks.iter().flat_map(|live| &live.sink.needs);
    sinks.chain(samples).chain(scan.probes.iter().flat_map(|live| &live.probe.needs))
}

/// A plugin that could send and asks for no host can never be granted one.
fn unasked(file: &Path, outside: &Outside<'_>, scan: &Scan) -> Option<Finding> {
    if needs(scan).next().is_some() || !outside.wants("http-client") || !scan.findings.is_empty() {
        return None;
    }
    Some(Finding {
        file: file.display().to_string(),
        line: 0,
        column: 0,
        severity: Severity::Warning,
        what: "it can send requests and asks for no host, so nothing can be granted".to_owned(),
        help: Some("write needs = [\"http:{url}\"] where it says what it needs".to_owned()),
        rule: None,
    })
}
