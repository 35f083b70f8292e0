//! A closure taken out of its script: frozen captures, and evaluation with kept caches.
//!
//! The one file that uses Rhai's evaluation internals. A body is evaluated as a block with its
//! parameters as scope variables: cheaper than a function call, and `this`, imported libraries and
//! `return` work as in one. Captured variables are constants here, so that no evaluation leaves
//! anything for the next one but through `this`.

use std::fmt;
use std::sync::Arc;

use rhai::{
    Caches, Dynamic, Engine, EvalAltResult, EvalContext, Expression, FnPtr, GlobalRuntimeState,
    ImmutableString, Locked, NativeCallContext, Scope, Shared,
};

use super::SharedModule;
use super::ast::{self, Field, Function, Ground, Refusal, Script};
use crate::kernel::expr::{Kind, Plan};
use crate::kernel::rule::view::Column;

/// A function of a script with the values it captured when it was handed over.
pub struct Closure {
    pub script: Arc<Script>,
    pub function: Function,
    engine: Arc<Engine>,
    captures: Vec<Dynamic>,
    environment: Environment,
}

/// What a function sees besides its parameters.
#[derive(Clone, Default)]
pub struct Environment {
    imports: Vec<(ImmutableString, SharedModule)>,
    /// The script's top-level constants, as `global::NAME`.
    constants: std::collections::BTreeMap<ImmutableString, Dynamic>,
}

impl Environment {
    pub fn of(context: &NativeCallContext<'_>) -> Environment {
        let global = context.global_runtime_state();
        let imports = global.scan_imports_raw();
        let imports = imports.map(|(name, module)| (name.clone(), module.clone())).collect();
        let constants = global
            .constants
            .as_ref()
            .and_then(|constants| rhai::locked_read(constants).map(|constants| constants.clone()));
        Environment { imports, constants: constants.unwrap_or_default() }
    }
}

impl fmt::Debug for Closure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} at {}", self.function.name, self.script.source.place(self.function.at))
    }
}

impl Closure {
    /// `None` when the pointer names no function of the script.
    pub fn new(
        script: &Arc<Script>,
        engine: &Arc<Engine>,
        pointer: &FnPtr,
        environment: Environment,
    ) -> Option<Closure> {
        let function = script.function(pointer.fn_name(), pointer.curry().len())?;
        let captures = pointer.curry().iter().map(frozen).collect();
        let (script, engine) = (script.clone(), engine.clone());
        Some(Closure { script, function, engine, captures, environment })
    }

    pub fn captures(&self) -> usize {
        self.captures.len()
    }

    /// The parameters that are not captured variables.
    pub fn params(&self) -> &[ImmutableString] {
        &self.function.params[self.captures.len()..]
    }

    pub fn text(&self) -> String {
        let params: Vec<&str> = self.params().iter().map(|name| name.as_str()).collect();
        self.script.source.closure_text(self.function.at, &params)
    }

    /// Terms of the body, those of its helpers included.
    pub fn size(&self) -> usize {
        self.script.size(&self.function)
    }

    /// The closure as a native plan over these columns.
    pub fn lower(
        &self,
        columns: &[Column],
        fields: &[Field<'_>],
        gives: Kind,
    ) -> Result<Plan, Refusal> {
        let ground = Ground {
            script: &self.script,
            function: &self.function,
            captures: &self.captures,
            constants: &self.environment.constants,
            columns,
            fields,
        };
        ast::lower(ground, gives)
    }

    /// A caller for one thread, with its parameters all `()`.
    pub fn caller(self: &Arc<Closure>) -> Caller {
        let mut global = self.engine.new_global_runtime_state();
        global.lib.push(self.script.functions().clone());
        for (name, module) in &self.environment.imports {
            global.push_import(name.clone(), module.clone());
        }
        if !self.environment.constants.is_empty() {
            // A lock of its own: threads do not meet here.
            let constants = Locked::new(self.environment.constants.clone());
            global.constants = Some(Shared::new(constants));
        }
        global.level = 1;
        let mut caches = Caches::new();
        caches.push_fn_resolution_cache();
        let mut scope = Scope::new();
        for (name, value) in self.function.params.iter().zip(&self.captures) {
            scope.push_constant_dynamic(name.as_str(), value.clone());
        }
        for name in self.params() {
            scope.push_dynamic(name.as_str(), Dynamic::UNIT);
        }
        Caller { closure: self.clone(), global, caches, scope }
    }
}

/// One thread's way to call a closure again and again.
pub struct Caller {
    closure: Arc<Closure>,
    global: GlobalRuntimeState,
    caches: Caches,
    scope: Scope<'static>,
}

impl Caller {
    /// The value of a parameter that is not captured.
    pub fn param(&mut self, index: usize) -> &mut Dynamic {
        let name = &self.closure.function.params[self.closure.captures.len() + index];
        self.scope.get_mut(name).expect("parameters were pushed as variables")
    }

    pub fn call(&mut self, this: Option<&mut Dynamic>) -> Result<Dynamic, Box<EvalAltResult>> {
        self.global.num_operations = Default::default();
        let body = Expression::from(&*self.closure.function.body);
        let scope = &mut self.scope;
        let mut context =
            EvalContext::new(&self.closure.engine, &mut self.global, &mut self.caches, scope, this);
        let result = context.eval_expression_tree(&body);
        result.or_else(|error| match *error {
            EvalAltResult::Return(value, _) => Ok(value),
            other => Err(Box::new(other)),
        })
    }
}

/// A value on its own: what was shared with the script that made it is copied, all the way down.
pub fn frozen(value: &Dynamic) -> Dynamic {
    let value = value.flatten_clone();
    if let Ok(items) = value.as_array_ref() {
        return Dynamic::from_array(items.iter().map(frozen).collect());
    }
    if let Ok(entries) = value.as_map_ref() {
        let entries = entries.iter().map(|(key, value)| (key.clone(), frozen(value)));
        return Dynamic::from_map(entries.collect());
    }
    if let Some(pointer) = value.read_lock::<FnPtr>() {
        let mut pointer = pointer.clone();
        let captured: Vec<Dynamic> = pointer.curry().iter().map(frozen).collect();
        pointer.set_curry(captured);
        return Dynamic::from(pointer);
    }
    value
}
