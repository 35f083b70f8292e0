//! The builder's words: `rule(..)`, `sink(..)`, `probe(..)` and what can be said of them.
//!
//! A file runs once; each call fills a draft that lies on the *desk* of this load. A bad value is
//! noted and the file goes on, so that one load finds as many mistakes as it can. When the file has
//! run to its end, the drafts are checked as wholes and become rules and sinks.

pub mod args;
pub mod check;
pub mod probe;
pub mod rule;
pub mod sink;
mod together;

use std::any::TypeId;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use rhai::{
    Dynamic, Engine, EvalAltResult, FnPtr, FuncRegistration, Module, NativeCallContext, Position,
    RhaiFunc,
};

use super::SharedModule;
use super::ast::Script;
use super::call::Environment;
use super::source::Imports;
use crate::guest::finding::Finding;
use args::{Call, Problem, kind};
use probe::ProbeDraft;
use rule::RuleDraft;
use sink::SinkDraft;

/// Arguments that a call can have before Rhai itself refuses it.
const ARGS_MAX: usize = 10;
/// Rules and sinks of one file.
const DRAFTS_MAX: usize = 10_000;
/// Findings of one load; further ones would not be read.
const FINDINGS_MAX: usize = 100;

/// Words that start a chain, now and in a later version.
pub const STARTS: [&str; 3] = [RuleDraft::KIND, SinkDraft::KIND, ProbeDraft::KIND];
pub const LATER: [&str; 5] = ["counter", "sum", "distribution", "last_value", "flow"];

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
    pub probes: Vec<ProbeDraft>,
    pub findings: Vec<Finding>,
    /// Imported files by path.
    pub libraries: BTreeMap<String, Arc<Script>>,
    /// What an `import` asked for, found or not.
    pub imports: Imports,
    /// The imports being read just now, outermost first.
    pub open: Vec<String>,
}

/// One word of a draft.
pub type Word<D> = fn(&mut D, &mut Call<'_>) -> Result<(), Problem>;

/// Something that is told in words: a rule, a sink or a probe.
pub trait Draft: Sized + 'static {
    /// What it is called, and the function that starts one.
    const KIND: &'static str;
    const WORDS: &'static [(&'static str, Word<Self>)];

    fn new(name: &str, at: Position) -> Self;
    fn name(&self) -> &Arc<str>;
    /// A word had a bad value, so the whole is not worth checking yet.
    fn spoil(&mut self);
    fn on(papers: &mut Papers) -> &mut Vec<Self>;
    /// Runs the closures that it is given.
    fn engine(papers: &Papers) -> &Arc<Engine>;
}

/// A draft's place on the desk: what scripts pass from word to word.
struct Handle<D> {
    index: usize,
    of: PhantomData<fn() -> D>,
}

impl<D> Clone for Handle<D> {
    fn clone(&self) -> Handle<D> {
        Handle { index: self.index, of: PhantomData }
    }
}

impl Desk {
    pub fn new(script: Arc<Script>, judge: Arc<Engine>, send: Arc<Engine>) -> Desk {
        Desk(Arc::new(Mutex::new(Papers {
            script,
            judge,
            send,
            rules: Vec::new(),
            sinks: Vec::new(),
            probes: Vec::new(),
            findings: Vec::new(),
            libraries: BTreeMap::new(),
            imports: Imports::new(),
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

    fn problem(&mut self, at: Position, problem: Problem, name: &str) {
        let finding = self.script.source.error(at, problem.what);
        let rule = Some(name.to_owned());
        self.note(Finding { help: problem.help, rule, ..finding });
    }
}

pub fn module() -> SharedModule {
    MODULE.clone()
}

static MODULE: LazyLock<SharedModule> = LazyLock::new(|| {
    let mut module = Module::new();
    vocabulary::<RuleDraft>(&mut module);
    vocabulary::<SinkDraft>(&mut module);
    vocabulary::<ProbeDraft>(&mut module);
    for name in LATER {
        for count in 0..=ARGS_MAX {
            let types = vec![TypeId::of::<Dynamic>(); count];
            register(&mut module, name, types, |context, _| Err(later(context.fn_name()).into()));
        }
    }
    module.into()
});

/// Each word takes any number of values of any kind, so that it can say itself what is wrong.
fn vocabulary<D: Draft>(module: &mut Module) {
    module.set_custom_type::<Handle<D>>(D::KIND);
    for count in 0..=ARGS_MAX {
        let types = vec![TypeId::of::<Dynamic>(); count];
        register(module, D::KIND, types, start::<D>);
        for (name, word) in D::WORDS {
            let mut types = vec![TypeId::of::<Handle<D>>()];
            types.resize(count + 1, TypeId::of::<Dynamic>());
            register(module, name, types, |context, args| said(context, args, name, *word));
        }
    }
}

/// What can be said of a rule, a sink or a probe.
pub fn words_of(kind: &str) -> Vec<&'static str> {
    match kind {
        RuleDraft::KIND => RuleDraft::WORDS.iter().map(|(name, _)| *name).collect(),
        ProbeDraft::KIND => ProbeDraft::WORDS.iter().map(|(name, _)| *name).collect(),
        _ => SinkDraft::WORDS.iter().map(|(name, _)| *name).collect(),
    }
}

pub fn later(name: &str) -> String {
    format!("`{name}` is not in this version of watchfire")
}

type Outcome = Result<Dynamic, Box<EvalAltResult>>;

/// `rule("name")`, `sink("name")`, `probe("name")`.
fn start<D: Draft>(context: &NativeCallContext<'_>, args: &mut [&mut Dynamic]) -> Outcome {
    let desk = desk(context)?;
    let mut papers = desk.papers();
    let name = named(context, &papers, D::KIND, &take(args))?;
    let drafts = D::on(&mut papers);
    drafts.push(D::new(&name, context.call_position()));
    let index = drafts.len() - 1;
    Ok(Dynamic::from(Handle::<D> { index, of: PhantomData }))
}

/// One word of a chain. A bad value is noted, and the chain goes on.
fn said<D: Draft>(
    context: &NativeCallContext<'_>,
    args: &mut [&mut Dynamic],
    name: &'static str,
    word: Word<D>,
) -> Outcome {
    let desk = desk(context)?;
    let mut papers = desk.papers();
    let mut args = take(args).into_iter();
    let handle = args.next().expect("a word is registered with what it is said of");
    let index = handle.clone_cast::<Handle<D>>().index;
    let args: Vec<Dynamic> = args.collect();
    let closures = args.iter().any(|arg| arg.is::<FnPtr>());
    let environment = if closures { Environment::of(context) } else { Environment::default() };
    let (script, engine) = (papers.script.clone(), D::engine(&papers).clone());
    let at = context.call_position();
    let mut call = Call { name, at, args, script: &script, engine: &engine, environment };
    let draft = &mut D::on(&mut papers)[index];
    if let Err(problem) = word(draft, &mut call) {
        draft.spoil();
        let name = draft.name().clone();
        papers.problem(at, problem, &name);
    }
    Ok(handle)
}

/// The one argument of `rule(..)`, `sink(..)` and `probe(..)`.
fn named(
    context: &NativeCallContext<'_>,
    papers: &Papers,
    what: &str,
    args: &[Dynamic],
) -> Result<String, Box<EvalAltResult>> {
    if !papers.open.is_empty() {
        return Err(format!("a library offers functions and declares no {what}").into());
    }
    if papers.rules.len() + papers.sinks.len() + papers.probes.len() >= DRAFTS_MAX {
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
