//! `watchfire check`: looks for mistakes without starting anything.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure};
use crate::config::catalog::{LiveSink, Scan};
use crate::config::error::ConfigError;
use crate::config::forecast;
use crate::config::settings::{Overrides, Settings};
use crate::config::story::StoryFile;
use crate::guest::finding::{Finding, Severity};
use crate::guest::grant::{Blocked, Grants};
use crate::kernel::rule::Origin;
use crate::shell::load;

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

/// What was asked for, by what it is.
#[derive(Default)]
struct Targets {
    /// Folders, rule files and components.
    rules: Vec<PathBuf>,
    stories: Vec<PathBuf>,
    settings: Vec<PathBuf>,
}

pub fn check(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let targets = targets(&args.paths)?;
    let scan = load::scan(&targets.rules).map_err(|error| Failure::bare(Exit::Internal, error))?;
    let mut findings = scan.findings.clone();
    let known: Vec<&str> = scan.ruleset.rules().iter().map(|rule| rule.name.as_ref()).collect();
    for story in &targets.stories {
        findings.extend(story_findings(story, &known));
    }
    let mut settings = Settings::default();
    for file in &targets.settings {
        match Settings::load(Some(file), &Overrides::default()) {
            Ok(loaded) => settings = loaded,
            Err(error) => findings.push(of_config(error)),
        }
    }
    let rules = scan.ruleset.rules().iter().map(|rule| rule.as_ref());
    findings.extend(forecast::findings(rules, &settings.limits));
    findings.extend(sink_findings(&scan, &settings, args.paths.is_empty()));
    findings.sort();
    print(&findings, args.json, out)?;
    if !args.json {
        let rules = scan.ruleset.rules().len();
        let sinks = scan.sinks.len() + scan.sample_sinks.len();
        let findings = findings.len();
        writeln!(out, "{rules} rules, {sinks} sinks, {findings} findings")?;
    }
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Findings })
}

fn print(findings: &[Finding], json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        for finding in findings {
            let line = serde_json::to_string(finding).expect("a finding is plain data");
            writeln!(out, "{line}")?;
        }
    } else if !findings.is_empty() {
        writeln!(out, "{}", load::render(findings))?;
    }
    Ok(())
}

fn targets(paths: &[PathBuf]) -> Result<Targets, Failure> {
    let mut targets = Targets::default();
    if paths.is_empty() {
        targets.rules = ["rules", "plugins"].map(PathBuf::from).into();
        targets.rules.retain(|folder| folder.is_dir());
        targets.stories = stories_in(Path::new("rules"));
        targets.settings = vec![PathBuf::from("watchfire.toml")];
        targets.settings.retain(|file| file.is_file());
        return Ok(targets);
    }
    for path in paths {
        let kind = path.extension().and_then(|extension| extension.to_str());
        match kind {
            _ if path.is_dir() => {
                targets.stories.extend(stories_in(path));
                targets.rules.push(path.clone());
            }
            _ if !path.exists() => {
                let what = format!("{} is not there", path.display());
                return Err(Failure::new(Exit::Usage, what, "name files and folders that are"));
            }
            Some("rhai" | "wasm") => targets.rules.push(path.clone()),
            Some("story") => targets.stories.push(path.clone()),
            Some("toml") => targets.settings.push(path.clone()),
            Some(_) | None => {
                let what = format!("{} is nothing that can be checked", path.display());
                let help = "name folders, or .rhai, .wasm, .story and .toml files";
                return Err(Failure::new(Exit::Usage, what, help));
            }
        }
    }
    Ok(targets)
}

fn stories_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok());
    let mut stories: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "story"))
        .collect();
    stories.sort();
    stories
}

fn story_findings(path: &Path, known: &[&str]) -> Vec<Finding> {
    let name = path.display().to_string();
    let errors = match std::fs::read_to_string(path) {
        Err(error) => vec![ConfigError::of(name, format!("it cannot be read: {error}"), None)],
        Ok(text) => match StoryFile::parse(&name, &text) {
            Ok(file) if known.is_empty() || !file.rules_files.is_empty() => Vec::new(),
            Ok(file) => file.check_rules(&name, &text, known),
            Err(errors) => errors,
        },
    };
    errors.into_iter().map(of_config).collect()
}

fn of_config(error: ConfigError) -> Finding {
    Finding {
        file: error.file,
        line: error.line,
        column: error.column,
        severity: Severity::Error,
        what: error.what,
        help: error.help,
        rule: None,
    }
}

/// Probes that lack a grant, sinks that do though something is sent to them, and, where all sinks
/// are known, names in `.notify` that are none.
fn sink_findings(scan: &Scan, settings: &Settings, all_known: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let named = scan.ruleset.rules().iter().flat_map(|rule| &rule.notify).map(|name| name.as_ref());
    let default =
        settings.sinks.default.iter().chain(&settings.watchdog.notify).map(String::as_str);
    let used: BTreeSet<&str> = named.chain(default).collect();
    let is_used = |live: &&LiveSink| used.contains(live.sink.name.as_ref());
    let text = std::fs::read_to_string(&settings.paths.grants).unwrap_or_default();
    let own = Grants::from_tables(settings.grants.clone(), settings.secrets.0.clone());
    match own.and_then(|own| Grants::parse(&text).map(|file| own.with(file))) {
        Ok(grants) => {
            findings.extend(scan.sinks.iter().filter(is_used).filter_map(|live| {
                let (sink, digest) = (&live.sink, live.digest.as_deref());
                let effective = grants.effective(&sink.name, &sink.needs, digest);
                Some(blocked("sink", &sink.name, &sink.origin, effective.err()?))
            }));
            // Nobody names a sink of samples or a probe: it is used by being there.
            findings.extend(scan.sample_sinks.iter().filter_map(|live| {
                let (sink, digest) = (&live.sink, live.digest.as_deref());
                let effective = grants.effective(&sink.name, &sink.needs, digest);
                Some(blocked("sample sink", &sink.name, &sink.origin, effective.err()?))
            }));
            findings.extend(scan.probes.iter().filter_map(|live| {
                let (probe, digest) = (&live.probe, live.digest.as_deref());
                let effective = grants.effective(&probe.name, &probe.needs, digest);
                Some(blocked("probe", &probe.name, &probe.origin, effective.err()?))
            }));
        }
        Err(error) => {
            let file = settings.paths.grants.display().to_string();
            findings.push(at(
                &file,
                0,
                error,
                "see docs/sinks.md for what grants look like".into(),
            ));
        }
    }
    if all_known {
        let built_in = settings.sinks.file.iter().map(|sink| sink.name.as_str());
        let built_in = built_in.chain(settings.sinks.webhook.iter().map(|sink| sink.name.as_str()));
        let mut known: Vec<&str> = built_in.chain(["terminal"]).collect();
        known.extend(scan.sinks.iter().map(|live| live.sink.name.as_ref()));
        for rule in scan.ruleset.rules() {
            for sink in rule.notify.iter().filter(|sink| !known.contains(&sink.as_ref())) {
                let what = format!("rule `{}` notifies `{sink}`, which is no sink", rule.name);
                let help =
                    format!("its events go to the default sinks; sinks are {}", known.join(", "));
                findings.push(at(&rule.origin.file, rule.origin.line, what, help));
            }
        }
    }
    findings
}

fn blocked(world: &str, name: &str, origin: &Origin, blocked: Blocked) -> Finding {
    let what = format!("{world} `{name}` is blocked: {}", blocked.why);
    at(&origin.file, origin.line, what, blocked.cure)
}

fn at(file: &str, line: u32, what: String, help: String) -> Finding {
    let (file, severity) = (file.to_owned(), Severity::Warning);
    Finding { file, line, column: 0, severity, what, help: Some(help), rule: None }
}
