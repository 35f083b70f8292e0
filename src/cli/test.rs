//! `watchfire test`: finds stories, runs them on what the caller builds, and prints how they went.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::exit::{Exit, Failure};
use super::output::printable;
use crate::config::error::ConfigError;
use crate::config::story::junit::{self, Case, Outcome, Suite};
use crate::config::story::run::{Bench, run};
use crate::config::story::{Report, Story, StoryFile, bless};

/// Run the stories beside the rules
///
/// A story feeds a rule under virtual time and lists every change that must come of it. A change
/// that is not listed must not happen.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  watchfire test                            # every story under ./rules
  watchfire test rules/disk.story --bless   # rewrite its expectations to what happens

A story, rules/disk.story beside rules/disk.rhai:
  rule disk-filling
  feed every 1m                             # values from 0m on
    disk_used_ratio{host=\"db1\"}   0.80  0.92x8  0.70x4
  at 1m   pending   {host=\"db1\"}            # changes in small letters
  at 6m   FIRED     {host=\"db1\"}  value 0.92   # events in capitals
  at 9m   cooling   {host=\"db1\"}
  at 11m  RESOLVED  {host=\"db1\"}")]
pub struct Args {
    /// Stories, and folders that hold some
    #[arg(value_name = "PATH", default_value = "rules")]
    pub paths: Vec<PathBuf>,
    /// Rewrite expectations to what happens; feeds and comments stay
    #[arg(long)]
    pub bless: bool,
    /// Write the results for a build server
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Builds engines for stories from rule files.
pub trait Benches {
    /// The names of the rules that the files declare, or what is wrong with them, ready to print.
    fn rules(&mut self, files: &[PathBuf]) -> Result<Vec<String>, String>;
    /// An engine with the files' rules and no past, whose time starts at the story's.
    fn bench(&mut self, files: &[PathBuf], story: &Story) -> Result<Box<dyn Bench>, String>;
}

/// Folders deeper than this are a loop of links.
const DEPTH_MAX: usize = 16;

/// Runs all stories; each story's outcome is a line, and a difference where it failed.
pub fn test(args: &Args, benches: &mut dyn Benches, out: &mut dyn Write) -> Result<Exit, Failure> {
    let start = Instant::now();
    let mut stories = BTreeSet::new();
    for path in &args.paths {
        find_stories(path, DEPTH_MAX, &mut stories)?;
    }
    let mut suites = Vec::new();
    for path in &stories {
        let suite = test_file(path, None, args.bless, benches)?;
        print_suite(&suite, args.bless, out)?;
        suites.push(suite);
    }
    if let Some(file) = &args.junit {
        std::fs::write(file, junit::document(&suites)).map_err(|error| {
            let what = format!("cannot write {}: {error}", file.display());
            Failure::new(Exit::NotStarted, what, "see --junit")
        })?;
    }
    let outcomes = suites.iter().flat_map(|suite| &suite.cases).map(|case| &case.outcome);
    let (passed, failed): (Vec<_>, Vec<_>) = outcomes.partition(|o| **o == Outcome::Passed);
    let seconds = start.elapsed().as_secs_f64();
    writeln!(out, "{} passed, {} failed, in {seconds:.2} s", passed.len(), failed.len())?;
    Ok(if failed.is_empty() { Exit::Ok } else { Exit::Findings })
}

/// Runs the stories of one file on a component, whatever it is called. Of a story that names rule
/// files, on those.
pub fn test_component(
    component: &Path,
    story: &Path,
    benches: &mut dyn Benches,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let suite = test_file(story, Some(component), false, benches)?;
    print_suite(&suite, false, out)?;
    let passed = suite.cases.iter().all(|case| case.outcome == Outcome::Passed);
    Ok(if passed { Exit::Ok } else { Exit::Findings })
}

/// Stories in order of their names. A path that is named must be there.
fn find_stories(path: &Path, depth: usize, stories: &mut BTreeSet<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| {
        let what = format!("cannot read {}: {error}", path.display());
        Failure::new(Exit::Usage, what, "name a story or a folder that holds some")
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        stories.insert(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.is_dir() && depth > 0 {
            find_stories(&path, depth - 1, stories)?;
        } else if !is_hidden && path.extension().is_some_and(|extension| extension == "story") {
            stories.insert(path);
        }
    }
    Ok(())
}

/// The rule files of a story file: those it names, else the one beside it.
pub fn rule_files(path: &Path, file: &StoryFile) -> Result<Vec<PathBuf>, String> {
    let folder = path.parent().unwrap_or(Path::new(""));
    if !file.rules_files.is_empty() {
        return Ok(file.rules_files.iter().map(|name| folder.join(name)).collect());
    }
    let beside = ["rhai", "wasm"].map(|extension| path.with_extension(extension));
    beside.iter().find(|beside| beside.is_file()).map(|beside| vec![beside.clone()]).ok_or_else(
        || {
            let [rhai, wasm] = beside.map(|beside| beside.display().to_string());
            format!(
                "error: neither {rhai} nor {wasm} is there\n  = help: put the story beside its \
                 rule file, or start it with a line `rules FILE`"
            )
        },
    )
}

fn test_file(
    path: &Path,
    component: Option<&Path>,
    blesses: bool,
    benches: &mut dyn Benches,
) -> Result<Suite, Failure> {
    let name = path.display().to_string();
    let broken = |why: String| {
        let outcome = Outcome::Broken(why);
        let case = Case { name: "the whole file".into(), line: 1, seconds: 0.0, outcome };
        Suite { name: name.clone(), cases: vec![case] }
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Ok(broken(format!("error: cannot read {name}: {error}"))),
    };
    let (file, rules) = match prepare(path, component, &name, &text, benches) {
        Ok(prepared) => prepared,
        Err(why) => return Ok(broken(why)),
    };
    let mut cases = Vec::new();
    let mut reports = Vec::new();
    for story in &file.stories {
        let start = Instant::now();
        let report = benches.bench(&rules, story).map(|mut bench| run(story, bench.as_mut()));
        let outcome = match &report {
            Ok(report) if report.passed() => Outcome::Passed,
            Ok(report) => Outcome::Failed(report.to_string()),
            Err(why) => Outcome::Broken(why.clone()),
        };
        let seconds = start.elapsed().as_secs_f64();
        cases.push(Case { name: story.name(), line: story.line, seconds, outcome });
        reports.extend(report.ok());
    }
    if blesses && reports.len() == file.stories.len() {
        write_blessed(path, &text, &file, &reports, &mut cases)?;
    }
    Ok(Suite { name, cases })
}

/// The stories and their rule files, or all that is wrong with them, ready to print.
fn prepare(
    path: &Path,
    component: Option<&Path>,
    name: &str,
    text: &str,
    benches: &mut dyn Benches,
) -> Result<(StoryFile, Vec<PathBuf>), String> {
    let all = |errors: Vec<ConfigError>| {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let file = StoryFile::parse(name, text).map_err(all)?;
    let rules = match component {
        Some(component) if file.rules_files.is_empty() => vec![component.to_owned()],
        Some(_) | None => rule_files(path, &file)?,
    };
    let known = benches.rules(&rules)?;
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let unknown = file.check_rules(name, text, &known);
    if unknown.is_empty() { Ok((file, rules)) } else { Err(all(unknown)) }
}

/// What is blessed has passed.
fn write_blessed(
    path: &Path,
    text: &str,
    file: &StoryFile,
    reports: &[Report],
    cases: &mut [Case],
) -> Result<(), Failure> {
    let blessed = bless(text, file, reports);
    if blessed == text {
        return Ok(());
    }
    std::fs::write(path, blessed).map_err(|error| {
        let what = format!("cannot write {}: {error}", path.display());
        Failure::new(Exit::NotStarted, what, "--bless rewrites the stories in place")
    })?;
    cases.iter_mut().for_each(|case| case.outcome = Outcome::Passed);
    Ok(())
}

fn print_suite(suite: &Suite, blesses: bool, out: &mut dyn Write) -> Result<(), Failure> {
    for Case { name, line, outcome, .. } in &suite.cases {
        let place = format!("{}:{line}  {name}", suite.name);
        let place = printable(&place);
        match outcome {
            Outcome::Passed => writeln!(out, "ok      {place}")?,
            Outcome::Failed(difference) => {
                writeln!(out, "FAILED  {place}\n{}", printable(difference))?;
                writeln!(
                    out,
                    "  = help: if what happened (+) is right, `watchfire test --bless {}` writes \
                     it down",
                    printable(&suite.name)
                )?;
            }
            Outcome::Broken(why) if blesses => {
                writeln!(out, "FAILED  {place}, which is not blessed\n{}", printable(why))?;
            }
            Outcome::Broken(why) => writeln!(out, "FAILED  {place}\n{}", printable(why))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
