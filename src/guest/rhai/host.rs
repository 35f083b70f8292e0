//! The sandbox: engines without a clock, files, `eval` or other ways out, and with limits on all
//! that a script can use up.
//!
//! Three engines share one base: *load* runs a file once and knows the builder's words, *judge*
//! runs conditions and texts, *send* runs sinks and knows what `cap` offers. An engine never
//! changes after it was made, so shards share one without a lock.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use rhai::module_resolvers::DummyModuleResolver;
use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage,
    BasicMathPackage, BasicStringPackage, LanguageCorePackage, LogicPackage, MoreStringPackage,
    Package,
};
use rhai::{Dynamic, Engine, EvalAltResult, OptimizationLevel};

use super::SharedModule;
use super::{builder, cap, numbers, reading};

/// What a script may use up in one run.
#[derive(Clone, Copy)]
struct Budget {
    operations: u64,
    /// Bytes of all texts within one value.
    text: usize,
    /// Items of all arrays, and entries of all maps, within one value.
    items: usize,
}

/// One load: enough for thousands of rules from loops.
const LOAD: Budget = Budget { operations: 2_000_000, text: 256 * 1024, items: 10_000 };
/// One evaluation of a condition or a text; some milliseconds.
const JUDGE: Budget = Budget { operations: 100_000, text: 256 * 1024, items: 10_000 };
/// One attempt of a sink, over a whole batch and what it makes of it.
const SEND: Budget = Budget { operations: 5_000_000, text: 16 * 1024 * 1024, items: 1_000_000 };
/// The clock is asked once in so many operations.
const DEADLINE_EVERY: u64 = 1_024;

/// What all Rhai files of one folder share.
#[derive(Clone)]
pub struct Host {
    /// Where `import` looks.
    folder: PathBuf,
    judge: Arc<Engine>,
    send: Arc<Engine>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Host").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Host {
    /// `folder` is the rules (or plugins) folder; an `import` reads below it and nowhere else.
    pub fn new(folder: &Path) -> Host {
        let judge = base(JUDGE);
        let mut send = base(SEND);
        send.register_global_module(cap::module());
        reading::register(&mut send);
        send.on_progress(past_deadline);
        Host { folder: folder.to_owned(), judge: Arc::new(judge), send: Arc::new(send) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn judge(&self) -> &Arc<Engine> {
        &self.judge
    }

    pub fn send(&self) -> &Arc<Engine> {
        &self.send
    }

    /// An engine for one load; `desk` reaches the builder's functions as their tag.
    pub fn load(&self, desk: Dynamic) -> Engine {
        let mut engine = base(LOAD);
        engine.set_max_modules(64);
        engine.register_global_module(builder::module());
        engine.set_default_tag(desk);
        engine
    }
}

thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs `work` such that a script of the *send* engine on this thread ends at `deadline`.
pub fn with_deadline<T>(deadline: Instant, work: impl FnOnce() -> T) -> T {
    let outer = DEADLINE.replace(Some(deadline));
    let result = work();
    DEADLINE.set(outer);
    result
}

fn past_deadline(operations: u64) -> Option<Dynamic> {
    if !operations.is_multiple_of(DEADLINE_EVERY) {
        return None;
    }
    let over = DEADLINE.get().is_some_and(|deadline| Instant::now() >= deadline);
    over.then(|| "took longer than its deadline".into())
}

fn base(budget: Budget) -> Engine {
    let mut engine = Engine::new_raw();
    for module in PACKAGES.iter() {
        engine.register_global_module(module.clone());
    }
    // Registered directly, these go before every package: comparisons must, `sleep` must.
    engine.register_global_module(NUMBERS.clone());
    engine.register_fn("sleep", |_: i64| no_sleep());
    engine.register_fn("sleep", |_: f64| no_sleep());
    engine.register_fn("exit", no_exit);
    engine.register_fn("exit", |_: Dynamic| no_exit());
    engine.set_fast_operators(false);
    engine.set_optimization_level(OptimizationLevel::None);
    // Under `sync` the interner is a lock that all threads would meet at.
    engine.set_max_strings_interned(0);
    engine.set_strict_variables(true);
    engine.set_module_resolver(DummyModuleResolver::new());
    engine.disable_symbol("eval");
    engine.on_print(|_| {});
    engine.on_debug(|_, _, _| {});
    // Every limit is set: Rhai's own differ between debug and release builds.
    engine
        .set_max_operations(budget.operations)
        .set_max_call_levels(32)
        .set_max_expr_depths(128, 64)
        .set_max_string_size(budget.text)
        .set_max_array_size(budget.items)
        .set_max_map_size(budget.items)
        .set_max_variables(1_000)
        .set_max_functions(1_000)
        .set_max_modules(0);
    engine
}

fn no_sleep() -> Result<(), Box<EvalAltResult>> {
    Err("there is no `sleep`: soak, cool, retry and batch do the waiting".into())
}

fn no_exit() -> Result<(), Box<EvalAltResult>> {
    Err("there is no `exit`: what comes after it would be lost without a word".into())
}

static NUMBERS: LazyLock<SharedModule> = LazyLock::new(|| numbers::module().into());

/// The standard functions, without those that ask for the time.
static PACKAGES: LazyLock<Vec<SharedModule>> = LazyLock::new(|| {
    fn shared(package: impl Package) -> SharedModule {
        package.as_shared_module()
    }
    vec![
        shared(LanguageCorePackage::new()),
        shared(ArithmeticPackage::new()),
        shared(BasicStringPackage::new()),
        shared(BasicIteratorPackage::new()),
        shared(BasicFnPackage::new()),
        shared(LogicPackage::new()),
        shared(BasicMathPackage::new()),
        shared(BasicArrayPackage::new()),
        shared(BasicMapPackage::new()),
        shared(MoreStringPackage::new()),
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_ends_what_runs_on_its_thread_only() {
        let host = Host::new(Path::new("/nonexistent"));
        let count = "let n = 0; while n < 10000 { n += 1; } n";
        let run = || host.send().eval::<i64>(count).map_err(|error| error.to_string());
        let past = Instant::now();
        let ended = with_deadline(past, run).expect_err("its time is over");
        assert!(ended.starts_with("Script terminated"), "{ended}");
        assert_eq!(run(), Ok(10_000));
        with_deadline(past, || {
            std::thread::scope(|scope| {
                let elsewhere = scope.spawn(run).join().expect("it does not panic");
                assert_eq!(elsewhere, Ok(10_000));
            });
        });
    }
}
