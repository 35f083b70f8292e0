//! `watchfire explain`: says what a rule does.

use std::io::Write;
use std::path::PathBuf;

use super::exit::{Exit, Failure};
use crate::config::describe;
use crate::config::suggest::nearest;
use crate::shell::load;

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

/// Prints what the rule of this name does.
pub fn explain(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let mut paths = vec![args.rules.clone()];
    paths.extend(args.plugins.is_dir().then(|| args.plugins.clone()));
    let scan = load::scan(&paths).map_err(|error| Failure::bare(Exit::Internal, error))?;
    if let Some(index) = scan.ruleset.find(&args.rule) {
        write!(out, "{}", describe::explain(scan.ruleset.rule(index)))?;
        return Ok(Exit::Ok);
    }
    if !scan.findings.is_empty() {
        writeln!(out, "{}", load::render(&scan.findings))?;
    }
    let names = scan.ruleset.rules().iter().map(|rule| rule.name.as_ref());
    let help = match nearest(&args.rule, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the rules are in {}", args.rules.display()),
    };
    Err(Failure::new(Exit::Findings, format!("there is no rule `{}`", args.rule), help))
}
