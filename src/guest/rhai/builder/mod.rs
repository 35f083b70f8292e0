//! The builder's words: `rule(..)`, `sink(..)` and what can be said of them.
//!
//! A file runs once; each call fills a draft that lies on the *desk* of this load. A bad value is
//! noted and the file goes on, so that one load finds as many mistakes as it can. When the file has
//! run to its end, the drafts are checked as wholes and become rules and sinks.

pub mod args;
pub mod check;
pub mod rule;
pub mod sink;
mod together;

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use rhai::{
    Dynamic, Engine, EvalAltResult, FnPtr, FuncRegistration, Module, NativeCallContext, Position,
    RhaiFunc,
};

use super::SharedModule;
use super::ast::Script;
use super::call::Environment;
use crate::guest::finding::Finding;
use args::{Call, Problem, kind};
use rule::RuleDraft;
use sink::SinkDraft;

/// Arguments that a call can have before Rhai itself refuses it.
const ARGS_MAX: usize = 10;
/// Rules and sinks of one file.
const DRAFTS_MAX: usize = 10_000;
/// Findings of one load; further ones would not be read.
const FINDINGS_MAX: usize = 100;

/// Words that start a chain, now and in a later version.
pub const STARTS: [&str; 2] = ["rule", "sink"];
pub const LATER: [&str; 6] = ["counter", "sum", "distribution", "last_value", "flow", "probe"];

/// What a load writes on while it runs.
#[derive(Clone)]
pub struct Desk(Arc<Mutex<Papers>>);

pub struct Papers {
    pub script: Arc<Script>,
    /// Run conditions and texts, and sinks.
    pub judge: Arc<Engine>,
    pub send: Arc<Engine>,
    pub rules: Vec<RuleDraft>,
    pub sinks: Vec<SinkDraft>,
    pub findings: Vec<Finding>,
    /// Imported files by path.
    pub libraries: BTreeMap<String, Arc<Script>>,
    /// Files that an `import` asked for, found or not.
    pub imports: BTreeSet<String>,
    /// The imports being read just now, outermost first.
    pub open: Vec<String>,
}

#[derive(Clone)]
struct RuleHandle(usize);

#[derive(Clone)]
struct SinkHandle(usize);

impl Desk {
    pub fn new(script: Arc<Script>, judge: Arc<Engine>, send: Arc<Engine>) -> Desk {
        Desk(Arc::new(Mutex::new(Papers {
            script,
            judge,
            send,
            rules: Vec::new(),
            sinks: Vec::new(),
            findings: Vec::new(),
            libraries: BTreeMap::new(),
            imports: BTreeSet::new(),
            open: Vec::new(),
        })))
    }

    pub fn papers(&self) -> MutexGuard<'_, Papers> {
        // One thread runs a load; a panic in it has already ended it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Papers {
    pub fn note(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    fn problem(&mut self, at: Position, problem: Problem, rule: Option<&str>) {
        let finding = self.script.source.error(at, problem.what);
        let rule = rule.map(str::to_owned);
        self.note(Finding { help: problem.help, rule, ..finding });
    }
}

pub fn module() -> SharedModule {
    MODULE.clone()
}

static MODULE: LazyLock<SharedModule> = LazyLock::new(|| {
    let mut module = Module::new();
    module.set_custom_type::<RuleHandle>("rule");
    module.set_custom_type::<SinkHandle>("sink");
    for count in 0..=ARGS_MAX {
        start(&mut module, "rule", count, start_rule);
        start(&mut module, "sink", count, start_sink);
        for name in rule::METHODS.iter().map(|(name, _)| *name) {
            method::<RuleHandle>(&mut module, name, count, on_rule);
        }
        for name in sink::METHODS.iter().map(|(name, _)| *name) {
            method::<SinkHandle>(&mut module, name, count, on_sink);
        }
        for name in LATER {
            start(&mut module, name, count, |context, _, _| Err(later(context.fn_name()).into()));
        }
    }
    module.into()
});

/// What can be said of a rule or of a sink.
pub fn words_of(kind: &str) -> Vec<&'static str> {
    match kind {
        "rule" => rule::METHODS.iter().map(|(name, _)| *name).collect(),
        _ => sink::METHODS.iter().map(|(name, _)| *name).collect(),
    }
}

pub fn later(name: &str) -> String {
    format!("`{name}` is not in this version of watchfire")
}

type Outcome = Result<Dynamic, Box<EvalAltResult>>;
type Start = fn(&NativeCallContext<'_>, &mut Papers, Vec<Dynamic>) -> Outcome;

fn start(module: &mut Module, name: &'static str, count: usize, run: Start) {
    let types = vec![TypeId::of::<Dynamic>(); count];
    register(module, name, types, move |context, args| {
        let desk = desk(context)?;
        run(context, &mut desk.papers(), take(args))
    });
}

fn start_rule(context: &NativeCallContext<'_>, papers: &mut Papers, args: Vec<Dynamic>) -> Outcome {
    let name = named(context, papers, "rule", &args)?;
    papers.rules.push(RuleDraft::new(&name, context.call_position()));
    Ok(Dynamic::from(RuleHandle(papers.rules.len() - 1)))
}

fn start_sink(context: &NativeCallContext<'_>, papers: &mut Papers, args: Vec<Dynamic>) -> Outcome {
    let name = named(context, papers, "sink", &args)?;
    papers.sinks.push(SinkDraft::new(&name, context.call_position()));
    Ok(Dynamic::from(SinkHandle(papers.sinks.len() - 1)))
}

/// The one argument of `rule(..)` and `sink(..)`.
fn named(
    context: &NativeCallContext<'_>,
    papers: &Papers,
    what: &str,
    args: &[Dynamic],
) -> Result<String, Box<EvalAltResult>> {
    if !papers.open.is_empty() {
        return Err(format!("a library offers functions and declares no {what}").into());
    }
    if papers.rules.len() + papers.sinks.len() >= DRAFTS_MAX {
        return Err(format!("one file declares at most {DRAFTS_MAX} rules and sinks").into());
    }
    let name = match args {
        [name] => name.clone().into_string().map_err(|_| kind(name)),
        other => Err(format!("{} arguments", other.len())),
    };
    match name {
        Ok(name) if !name.trim().is_empty() => Ok(name),
        Ok(_) => Err(format!("a {what} needs a name that is not empty").into()),
        Err(given) => {
            let what = format!("`{what}` takes a name, not {given}");
            Err(EvalAltResult::ErrorRuntime(what.into(), context.call_position()).into())
        }
    }
}

type Act = fn(&NativeCallContext<'_>, &mut Papers, &'static str, &Dynamic, Vec<Dynamic>);

fn method<T: 'static>(module: &mut Module, name: &'static str, count: usize, act: Act) {
    let mut types = vec![TypeId::of::<T>()];
    types.resize(count + 1, TypeId::of::<Dynamic>());
    register(module, name, types, move |context, args| {
        let desk = desk(context)?;
        let mut args = take(args).into_iter();
        let handle = args.next().expect("a method is registered with its object");
        act(context, &mut desk.papers(), name, &handle, args.collect());
        Ok(handle)
    });
}

fn on_rule(
    context: &NativeCallContext<'_>,
    papers: &mut Papers,
    name: &'static str,
    handle: &Dynamic,
    args: Vec<Dynamic>,
) {
    let index = handle.clone_cast::<RuleHandle>().0;
    let (script, engine) = (papers.script.clone(), papers.judge.clone());
    let mut call = calling(context, name, args, &script, &engine);
    let draft = &mut papers.rules[index];
    let said = rule::METHODS.iter().find(|(known, _)| *known == name).expect("it is registered");
    if let Err(problem) = said.1(draft, &mut call) {
        draft.broken = true;
        let rule = draft.name.clone();
        papers.problem(call.at, problem, Some(&rule));
    }
}

fn on_sink(
    context: &NativeCallContext<'_>,
    papers: &mut Papers,
    name: &'static str,
    handle: &Dynamic,
    args: Vec<Dynamic>,
) {
    let index = handle.clone_cast::<SinkHandle>().0;
    let (script, engine) = (papers.script.clone(), papers.send.clone());
    let mut call = calling(context, name, args, &script, &engine);
    let draft = &mut papers.sinks[index];
    let said = sink::METHODS.iter().find(|(known, _)| *known == name).expect("it is registered");
    if let Err(problem) = said.1(draft, &mut call) {
        draft.broken = true;
        let sink = draft.name.clone();
        papers.problem(call.at, problem, Some(&sink));
    }
}

fn calling<'a>(
    context: &NativeCallContext<'_>,
    name: &'static str,
    args: Vec<Dynamic>,
    script: &'a Arc<Script>,
    engine: &'a Arc<Engine>,
) -> Call<'a> {
    let closures = args.iter().any(|arg| arg.is::<FnPtr>());
    let environment = if closures { Environment::of(context) } else { Environment::default() };
    Call { name, at: context.call_position(), args, script, engine, environment }
}

fn register(
    module: &mut Module,
    name: &str,
    types: Vec<TypeId>,
    run: impl Fn(&NativeCallContext<'_>, &mut [&mut Dynamic]) -> Outcome + Send + Sync + 'static,
) {
    let func = RhaiFunc::Method {
        func: Arc::new(move |context: Option<NativeCallContext<'_>>, args: &mut [&mut Dynamic]| {
            let context = context.expect("it is registered as taking one");
            run(&context, args)
        }),
        has_context: true,
        is_pure: true,
        is_volatile: true,
    };
    FuncRegistration::new(name).in_global_namespace().set_into_module_raw(module, types, func);
}

fn take(args: &mut [&mut Dynamic]) -> Vec<Dynamic> {
    args.iter().map(|arg| arg.flatten_clone()).collect()
}

fn desk(context: &NativeCallContext<'_>) -> Result<Desk, Box<EvalAltResult>> {
    let desk = context.tag().and_then(|tag| tag.clone().try_cast::<Desk>());
    desk.ok_or_else(|| "rules and sinks are declared at load only".into())
}
