//! Rules and sinks written in Rhai: a file runs once in a sandbox and declares them.
//!
//! ```text
//!  text ─▶ script ─▶ drafts ─▶ checked rules, sinks ─▶ programs, texts, attempts
//!  source  ast       builder   builder::check          condition, text, sink
//! ```
//!
//! What a file does at load and what its closures do later are kept apart: a closure that was
//! handed over is taken out of its script with the values it captured (`call`), so a rule is a
//! value like any other. Never reads a file but a library that an `import` names, and never touches
//! the network but through a sink's grants.
//!
//! Invariants: the same text gives the same rules; a closure leaves nothing behind but through
//! `this`; no input makes this module panic.

mod alert;
mod ast;
mod builder;
mod call;
mod cap;
mod condition;
mod errors;
mod host;
mod json;
mod library;
mod numbers;
mod probe;
mod reading;
mod reads;
mod sink;
mod source;
mod state;
mod suggest;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::Dynamic;

use crate::guest::finding::Finding;
use crate::guest::probe::Probe;
use crate::guest::sink::Sink;
use crate::kernel::model::Version;
use crate::kernel::rule::Rule;
use ast::Script;
use builder::{Desk, Papers};
pub use host::Host;
pub use library::hash_of as library_hash;
pub use source::Imports;
use source::Source;

type SharedModule = rhai::Shared<rhai::Module>;

/// What a file declares.
#[derive(Debug, Default)]
pub struct Loaded {
    /// In the order in which they were declared; those with errors are left out.
    pub rules: Vec<Rule>,
    pub sinks: Vec<Sink>,
    pub probes: Vec<Probe>,
    /// From top to bottom. With an error among them the file is not to be taken.
    pub findings: Vec<Finding>,
    /// What was imported or asked for, as it was read.
    pub imports: Imports,
}

impl Loaded {
    pub fn is_good(&self) -> bool {
        !self.findings.iter().any(Finding::is_error)
    }
}

/// Runs a file once and checks all that it declares. `file` is the path to show.
pub fn load(file: &str, text: &str, host: &Host) -> Loaded {
    let source = Source::new(file, text);
    let mut loaded = Loaded::default();
    if text.len() > library::FILE_BYTES_MAX {
        let what = format!("a file is at most {} bytes", library::FILE_BYTES_MAX);
        loaded.findings.push(source.error(rhai::Position::NONE, what));
        return loaded;
    }
    let script = match Script::compile(host.judge(), source.clone()) {
        Ok(script) => Arc::new(script),
        Err(error) => {
            loaded.findings.push(errors::parse_finding(&source, &error));
            return loaded;
        }
    };
    loaded.findings.extend(lost_escapes(&source));
    let unknown = unknown_words(&script);
    if unknown.is_empty() {
        run(script, host, &mut loaded);
    } else {
        loaded.findings.extend(unknown);
    }
    loaded.findings.sort();
    loaded.findings.dedup();
    loaded
}

fn lost_escapes(source: &Source) -> Vec<Finding> {
    let finding = |offset: usize| {
        let escape = &source.text[offset..offset + 2];
        let what = format!("`{escape}` is no escape between back-ticks");
        let finding = source.warning(source.position(offset), what);
        Finding { help: Some(format!("write ${{\"{escape}\"}}, or a line break")), ..finding }
    };
    source.lost_escapes().into_iter().map(finding).collect()
}

/// Words of a chain that the builder does not know, all at once: a run would end at the first.
fn unknown_words(script: &Script) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (start, name, at) in script.chain_calls(&builder::STARTS) {
        if !builder::words_of(&start).contains(&name.as_str()) {
            let (what, help) = errors::unknown_method(&start, &name);
            findings.push(Finding { help, ..script.source.error(at, what) });
        }
    }
    for (name, at) in script.calls_of(&builder::LATER) {
        findings.push(script.source.error(at, builder::later(&name)));
    }
    findings
}

fn run(script: Arc<Script>, host: &Host, loaded: &mut Loaded) {
    let desk = Desk::new(script.clone(), host.judge().clone(), host.send().clone());
    let mut engine = host.load(Dynamic::from(desk.clone()));
    let folder = host.folder().to_owned();
    engine.set_module_resolver(library::Libraries { folder, desk: desk.clone() });
    let result = engine.run_ast(script.ast());
    let mut papers = desk.papers();
    match result {
        Ok(()) => check(&mut papers, loaded),
        // What was said so far is not all that the author says, so it is not judged.
        Err(error) => papers.note(errors::load_finding(&script.source, &error)),
    }
    loaded.findings.append(&mut papers.findings);
    loaded.imports = std::mem::take(&mut papers.imports);
}

/// Of the file and its libraries: what changes with either is another version.
fn version(papers: &Papers) -> Version {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(papers.script.source.text.as_bytes());
    for hash in papers.imports.values().flatten() {
        hasher.update(&hash.to_le_bytes());
    }
    Version(hasher.digest())
}

/// The file has run to its end: what lies on the desk is checked as a whole.
fn check(papers: &mut Papers, loaded: &mut Loaded) {
    let script = papers.script.clone();
    let version = version(papers);
    let mut findings = Vec::new();
    let mut names: BTreeMap<(&str, Arc<str>), rhai::Position> = BTreeMap::new();
    let declared = papers.rules.iter().map(|rule| ("rule", rule.name.clone(), rule.at));
    let declared = declared.chain(papers.sinks.iter().map(|s| ("sink", s.name.clone(), s.at)));
    let declared = declared.chain(papers.probes.iter().map(|p| ("probe", p.name.clone(), p.at)));
    for (kind, name, at) in declared {
        if let Some(first) = names.insert((kind, name.clone()), at) {
            let what = format!("the {kind} `{name}` is declared twice");
            let help = Some(format!("the first one is at {}", script.source.place(first)));
            let rule = Some(name.to_string());
            findings.push(Finding { help, rule, ..script.source.error(at, what) });
        }
    }
    for draft in papers.rules.iter().filter(|draft| !draft.broken) {
        let rule = builder::check::rule(draft, &script, &papers.libraries, version, &mut findings);
        loaded.rules.extend(rule);
    }
    for draft in papers.sinks.iter().filter(|draft| !draft.broken) {
        loaded.sinks.extend(builder::sink::check(draft, &script, version, &mut findings));
    }
    for draft in papers.probes.iter().filter(|draft| !draft.broken) {
        loaded.probes.extend(builder::probe::check(draft, &script, version, &mut findings));
    }
    for finding in findings {
        papers.note(finding);
    }
}
