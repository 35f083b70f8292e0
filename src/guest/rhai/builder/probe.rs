//! What can be said of a probe, and the check of the whole.

use std::sync::Arc;

use rhai::{Engine, Position};

use super::super::ast::Script;
use super::super::call::Closure;
use super::super::probe::ScriptProbes;
use super::args::{Call, Problem, Said};
use super::sink::requests;
use super::{Draft, Papers, Word};
use crate::guest::finding::Finding;
use crate::guest::grant::Request;
use crate::guest::probe::{EVERY, Probe};
use crate::kernel::model::{Duration, Version};
use crate::kernel::rule::Origin;

#[derive(Debug)]
pub struct ProbeDraft {
    pub name: Arc<str>,
    pub at: Position,
    pub broken: bool,
    pub needs: Vec<Request>,
    pub every: Option<Said<Duration>>,
    pub collect: Option<Said<Arc<Closure>>>,
}

const WORDS: &[(&str, Word<ProbeDraft>)] =
    &[("needs", needs), ("every", every), ("collect", collect)];

impl Draft for ProbeDraft {
    const KIND: &'static str = "probe";
    const WORDS: &'static [(&'static str, Word<ProbeDraft>)] = WORDS;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn spoil(&mut self) {
        self.broken = true;
    }

    fn on(papers: &mut Papers) -> &mut Vec<ProbeDraft> {
        &mut papers.probes
    }

    fn engine(papers: &Papers) -> &Arc<Engine> {
        &papers.send
    }

    fn new(name: &str, at: Position) -> ProbeDraft {
        let needs = Vec::new();
        ProbeDraft { name: name.into(), at, broken: false, needs, every: None, collect: None }
    }
}

fn needs(draft: &mut ProbeDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    requests(&mut draft.needs, call)
}

fn every(draft: &mut ProbeDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(1..=1, ".every(\"10s\")")?;
    let every = call.positive_duration(0)?;
    let (shortest, longest) = EVERY;
    if every < shortest || every > longest {
        let what = format!("a probe is asked every {shortest} to {longest}, not every {every}");
        return Err(Problem::new(what));
    }
    call.once(&mut draft.every, every)
}

fn collect(draft: &mut ProbeDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    let form = ".collect(|cap| [reading(\"queue.depth\", #{ queue: \"orders\" }, 1.0)])";
    call.takes(1..=1, form)?;
    let closure = call.closure_of_one(0, form)?;
    call.once(&mut draft.collect, closure)
}

/// Checks one draft; `None` when something is missing, which is then among `findings`.
pub fn check(
    draft: &ProbeDraft,
    script: &Script,
    version: Version,
    findings: &mut Vec<Finding>,
) -> Option<Probe> {
    let mut missing = |what: &str, help: &str| {
        let finding = script.source.error(draft.at, what);
        let help = Some(help.to_owned());
        findings.push(Finding { help, rule: Some(draft.name.to_string()), ..finding });
    };
    if draft.every.is_none() {
        missing("the probe does not say how often it measures", "add .every(\"10s\")");
    }
    if draft.collect.is_none() {
        missing("the probe does not say what it measures", "add .collect(|cap| [..])");
    }
    let (every, collect) = (draft.every.as_ref()?, draft.collect.as_ref()?);
    let line = draft.at.line().and_then(|line| u32::try_from(line).ok()).unwrap_or(0);
    Some(Probe {
        name: draft.name.clone(),
        version,
        origin: Origin { file: script.source.file.clone(), line },
        kind: "rhai",
        every: every.value,
        needs: draft.needs.clone(),
        opener: Arc::new(ScriptProbes::new(draft.name.clone(), collect.value.clone())),
    })
}
