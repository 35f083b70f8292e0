//! What can be said of a sink, and the check of the whole.

use std::sync::Arc;

use rhai::{Engine, Position};

use super::super::ast::Script;
use super::super::call::Closure;
use super::super::sink::ScriptOpener;
use super::args::{Call, Problem, Said};
use super::{Draft, Papers, Word};
use crate::guest::finding::Finding;
use crate::guest::grant::Request;
use crate::guest::sink::{Batching, Rate, Retry, Sink};
use crate::kernel::model::Version;
use crate::kernel::rule::Origin;

/// Events of one attempt.
const BATCH_MAX: i64 = 10_000;
const ATTEMPTS_MAX: i64 = 1_000;

#[derive(Debug)]
pub struct SinkDraft {
    pub name: Arc<str>,
    pub at: Position,
    pub broken: bool,
    pub needs: Vec<Request>,
    pub batch: Option<Said<Batching>>,
    pub retry: Option<Said<Retry>>,
    pub rate: Option<Said<Rate>>,
    pub send: Option<Said<Arc<Closure>>>,
}

const WORDS: &[(&str, Word<SinkDraft>)] =
    &[("needs", needs), ("batch", batch), ("retry", retry), ("rate", rate), ("send", send)];

impl Draft for SinkDraft {
    const KIND: &'static str = "sink";
    const WORDS: &'static [(&'static str, Word<SinkDraft>)] = WORDS;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn spoil(&mut self) {
        self.broken = true;
    }

    fn on(papers: &mut Papers) -> &mut Vec<SinkDraft> {
        &mut papers.sinks
    }

    fn engine(papers: &Papers) -> &Arc<Engine> {
        &papers.send
    }

    fn new(name: &str, at: Position) -> SinkDraft {
        SinkDraft {
            name: name.into(),
            at,
            broken: false,
            needs: Vec::new(),
            batch: None,
            retry: None,
            rate: None,
            send: None,
        }
    }
}

fn needs(draft: &mut SinkDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    requests(&mut draft.needs, call)
}

/// What a sink or probe asks for.
pub fn requests(needs: &mut Vec<Request>, call: &Call<'_>) -> Result<(), Problem> {
    let form = ".needs(\"http:chat.example.net\", \"secret:CHAT_URL\")";
    call.takes(1..=usize::MAX, form)?;
    for text in call.names(0)? {
        let request = Request::parse(&text).map_err(Problem::of)?;
        if !needs.contains(&request) {
            needs.push(request);
        }
    }
    Ok(())
}

fn batch(draft: &mut SinkDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(2..=2, ".batch(20, \"2s\")")?;
    let max = within(call, 0, BATCH_MAX)?;
    let age = call.duration(1)?;
    call.once(&mut draft.batch, Batching { max: max as usize, age })
}

fn retry(draft: &mut SinkDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(2..=2, ".retry(8, \"1s\")")?;
    let attempts = within(call, 0, ATTEMPTS_MAX)? as u32;
    let base = call.positive_duration(1)?;
    call.once(&mut draft.retry, Retry { attempts, base })
}

fn rate(draft: &mut SinkDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(2..=2, ".rate(30, \"1m\")")?;
    let count = within(call, 0, i64::from(u32::MAX))? as u32;
    let per = call.positive_duration(1)?;
    call.once(&mut draft.rate, Rate { count, per })
}

fn send(draft: &mut SinkDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    let form = ".send(|alerts, cap| cap.http.post(url, #{ text: alerts[0].text }))";
    call.takes(1..=1, form)?;
    let closure = call.closure(0, form)?;
    let given = closure.params().len();
    if given > 2 {
        let what = format!("`send` calls its closure with `alerts` and `cap`, not {given} values");
        return Err(Problem::new(what).help(format!("write {form}")));
    }
    call.once(&mut draft.send, closure)
}

fn within(call: &Call<'_>, index: usize, max: i64) -> Result<i64, Problem> {
    let number = call.whole(index)?;
    if !(1..=max).contains(&number) {
        return Err(Problem::new(format!("`{}` takes 1 to {max}, not {number}", call.name)));
    }
    Ok(number)
}

/// Checks one draft; `None` when something is missing, which is then among `findings`.
pub fn check(
    draft: &SinkDraft,
    script: &Script,
    version: Version,
    findings: &mut Vec<Finding>,
) -> Option<Sink> {
    let Some(send) = &draft.send else {
        let finding = script.source.error(draft.at, "the sink does not say what it sends");
        let help = Some("add .send(|alerts, cap| ..)".to_owned());
        findings.push(Finding { help, rule: Some(draft.name.to_string()), ..finding });
        return None;
    };
    let line = draft.at.line().and_then(|line| u32::try_from(line).ok()).unwrap_or(0);
    Some(Sink {
        name: draft.name.clone(),
        version,
        origin: Origin { file: script.source.file.clone(), line },
        kind: "rhai",
        batching: draft.batch.as_ref().map_or_else(Batching::default, |said| said.value),
        retry: draft.retry.as_ref().map_or_else(Retry::default, |said| said.value),
        rate: draft.rate.as_ref().map(|said| said.value),
        needs: draft.needs.clone(),
        opener: Arc::new(ScriptOpener::new(draft.name.clone(), send.value.clone())),
    })
}
