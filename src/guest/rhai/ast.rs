//! The one place that looks into Rhai's syntax tree (with `walk` below it): functions and their
//! bodies, calls by name, and what a closure does with its parameters.
//!
//! The tree is volatile between Rhai versions (the crate is pinned), so nothing else names it. An
//! unknown kind of node is walked past: its uses of a parameter are then not seen, and reading them
//! gives `()` at run time, which is a fault and never a wrong verdict.

mod lower;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::{
    AST, ASTNode, Engine, Expr, ImmutableString, Module, ParseError, Position, ScriptFuncDef,
    Shared, Stmt, StmtBlock,
};

use super::SharedModule;
use super::source::Source;
pub use lower::{Field, Ground, Refusal, lower};
use walk::{CALLS_MAX, Link, chain};

/// Terms beyond this are not counted.
const TERMS_MAX: usize = 10_000;

/// A compiled file.
#[derive(Debug)]
pub struct Script {
    pub source: Source,
    ast: AST,
    /// What the file imports: alias to path.
    imports: BTreeMap<String, String>,
}

/// A function of a script, closures included.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: ImmutableString,
    /// Captured variables come first.
    pub params: Vec<ImmutableString>,
    /// Where its body begins.
    pub at: Position,
    /// The body as one block, to be evaluated with the parameters in scope.
    pub body: Arc<Expr>,
}

/// What a walk over a function found.
#[derive(Debug, Default)]
pub struct Uses {
    pub reads: Vec<Use>,
    /// Assignments to a field of a parameter.
    pub writes: Vec<Use>,
    /// Paths that are compared with something they must be below of: `w.count < 5`.
    pub below: Vec<Use>,
    /// The first `this`.
    pub this: Option<Position>,
}

/// A parameter and the fields that were asked of it, as far as names alone say.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// Counts the function's own parameters from 0.
    pub param: usize,
    pub fields: Vec<(String, Position)>,
    pub at: Position,
}

impl Script {
    pub fn compile(engine: &Engine, source: Source) -> Result<Script, ParseError> {
        let ast = engine.compile(source.text.as_ref())?;
        let imports = imports_of(&ast);
        Ok(Script { source, ast, imports })
    }

    pub fn ast(&self) -> &AST {
        &self.ast
    }

    /// Makes errors from the script's functions name its file.
    pub fn name_source(&mut self, file: &str) {
        self.ast.set_source(file);
    }

    pub fn functions(&self) -> &SharedModule {
        self.ast.shared_lib()
    }

    pub fn has_function(&self, name: &str) -> bool {
        self.ast.iter_fn_def().any(|def| def.name.as_str() == name)
    }

    /// The function of this name; of several the one with the fewest parameters, but at least
    /// `params_min`.
    pub fn function(&self, name: &str, params_min: usize) -> Option<Function> {
        let found = self
            .ast
            .iter_fn_def()
            .filter(|def| def.name.as_str() == name && def.params.len() >= params_min)
            .min_by_key(|def| def.params.len())?;
        let params: Vec<ImmutableString> = found.params.iter().cloned().collect();
        let (start, end) = (found.body.start_position(), found.body.end_position());
        let statements = body(found);
        let at = match statements.first() {
            // A body without braces has no end of its own.
            Some(Stmt::Expr(expr)) if end.is_none() => leftmost(expr),
            _ => start,
        };
        let body = Arc::new(Expr::Stmt(Box::new(StmtBlock::new(statements, start, end))));
        Some(Function { name: found.name.clone(), params, at, body })
    }

    /// Terms of a function and of those of the script that it calls; a loop counts once.
    pub fn size(&self, function: &Function) -> usize {
        let mut terms = 0;
        self.count_terms(&function.body, CALLS_MAX, &mut terms);
        terms
    }

    fn count_terms(&self, body: &Expr, calls: usize, terms: &mut usize) {
        body.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
            *terms += 1;
            let called = match path.last() {
                Some(ASTNode::Expr(Expr::FnCall(call, _))) => self.function(&call.name, 0),
                _ => None,
            };
            if let Some(function) = called.filter(|_| calls > 0) {
                self.count_terms(&function.body, calls - 1, terms);
            }
            *terms < TERMS_MAX
        });
    }

    /// Method calls on chains that begin with a call of one of `starts`: the start's name, the
    /// method's, and its place.
    pub fn chain_calls(&self, starts: &[&str]) -> Vec<(String, String, Position)> {
        let mut calls = Vec::new();
        self.ast.walk(&mut |path: &[ASTNode]| {
            if let Some(ASTNode::Expr(expr @ Expr::Dot(..))) = path.last() {
                let (base, links) = chain(expr);
                if let Expr::FnCall(start, _) = base
                    && starts.contains(&start.name.as_str())
                {
                    calls.extend(links.iter().filter_map(|link| match link {
                        Link::Call(call, at) => {
                            Some((start.name.to_string(), call.name.to_string(), *at))
                        }
                        Link::Field(..) | Link::Index(_) => None,
                    }));
                }
            }
            true
        });
        calls
    }

    /// Calls of functions that the script does not write itself: name and place.
    pub fn calls_of(&self, names: &[&str]) -> Vec<(String, Position)> {
        let own = |name: &str| self.ast.iter_functions().any(|function| function.name == name);
        let mut calls = Vec::new();
        self.ast.walk(&mut |path: &[ASTNode]| {
            let call = match path.last() {
                Some(ASTNode::Expr(Expr::FnCall(call, at))) => Some((call, *at)),
                Some(ASTNode::Stmt(Stmt::FnCall(call, at))) => Some((call, *at)),
                _ => None,
            };
            if let Some((call, at)) = call
                && !call.is_qualified()
                && names.contains(&call.name.as_str())
                && !own(&call.name)
            {
                calls.push((call.name.to_string(), at));
            }
            true
        });
        calls
    }

    /// What `function` does with its parameters from number `captures` on; helpers of this file and
    /// of `libraries` (by path) are followed.
    pub fn uses(
        &self,
        function: &Function,
        captures: usize,
        libraries: &BTreeMap<String, Arc<Script>>,
    ) -> Uses {
        let bound = function.params.iter().enumerate().map(|(at, name)| {
            let path = at.checked_sub(captures).map(|param| Use {
                param,
                fields: Vec::new(),
                at: function.at,
            });
            (name.clone(), path)
        });
        walk::uses(self, function, bound.collect(), libraries)
    }
}

/// A body's type has no public name, so its statements are reached by a walk over a tree that
/// holds this function only.
fn body(function: &Shared<ScriptFuncDef>) -> Vec<Stmt> {
    let only = AST::new([], Module::from([function.clone()]));
    let mut statements = Vec::new();
    only.walk(&mut |path: &[ASTNode]| {
        if let [ASTNode::Stmt(statement)] = path {
            statements.push((*statement).clone());
        }
        true
    });
    statements
}

/// Where an expression begins; Rhai places an operator's call at the operator.
fn leftmost(expr: &Expr) -> Position {
    match expr {
        Expr::FnCall(call, _) if call.is_operator_call() && call.args.len() > 1 => {
            leftmost(&call.args[0])
        }
        Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => {
            parts.first().map_or(Position::NONE, leftmost)
        }
        Expr::Dot(pair, ..) | Expr::Index(pair, ..) => leftmost(&pair.lhs),
        other => other.start_position(),
    }
}

fn imports_of(ast: &AST) -> BTreeMap<String, String> {
    let mut imports = BTreeMap::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, _))) = path.last()
            && let (Expr::StringConstant(path, _), alias) = &**import
        {
            imports.insert(alias.name.to_string(), path.to_string());
        }
        true
    });
    imports
}
