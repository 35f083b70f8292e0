//! A walk over a function's body that knows which names stand for a parameter or a field of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::{
    ASTFlags, Dynamic, Expr, FnCallExpr, FnPtr, ImmutableString, Position, Stmt, StmtBlock,
};

use super::{Function, Script, Use, Uses};

/// How deep helper functions are followed; past it a parameter counts as used whole.
pub const CALLS_MAX: usize = 16;

/// One step along `a.b.c(d)[e]`.
pub enum Link<'a> {
    Field(&'a str, Position),
    Call(&'a FnCallExpr, Position),
    Index(&'a Expr),
}

/// Takes a chain apart: what it starts from, and its steps.
pub fn chain(expr: &Expr) -> (&Expr, Vec<Link<'_>>) {
    let mut links = Vec::new();
    match expr {
        Expr::Dot(pair, flags, _) => {
            steps(&pair.rhs, true, flags.contains(ASTFlags::BREAK), &mut links);
            (&pair.lhs, links)
        }
        Expr::Index(pair, flags, _) => {
            steps(&pair.rhs, false, flags.contains(ASTFlags::BREAK), &mut links);
            (&pair.lhs, links)
        }
        other => (other, links),
    }
}

fn steps<'a>(rest: &'a Expr, dot: bool, last: bool, links: &mut Vec<Link<'a>>) {
    match rest {
        Expr::Dot(pair, flags, _) if !last => {
            links.push(step(&pair.lhs, dot));
            steps(&pair.rhs, true, flags.contains(ASTFlags::BREAK), links);
        }
        Expr::Index(pair, flags, _) if !last => {
            links.push(step(&pair.lhs, dot));
            steps(&pair.rhs, false, flags.contains(ASTFlags::BREAK), links);
        }
        other => links.push(step(other, dot)),
    }
}

fn step(expr: &Expr, dot: bool) -> Link<'_> {
    match expr {
        Expr::Property(property, at) if dot => Link::Field(&property.2, *at),
        Expr::MethodCall(call, at) | Expr::FnCall(call, at) if dot => Link::Call(call, *at),
        Expr::StringConstant(name, at) => Link::Field(name, *at),
        other => Link::Index(other),
    }
}

/// A name in scope: the path it stands for, or `None` for any other value.
pub type Bound = Vec<(ImmutableString, Option<Use>)>;

/// What a function does with the names that are bound to paths.
pub fn uses(
    script: &Script,
    function: &Function,
    bound: Bound,
    libraries: &BTreeMap<String, Arc<Script>>,
) -> Uses {
    let mut walker = Walker { libraries, uses: Uses::default(), open: Vec::new() };
    walker.function(script, function, bound);
    walker.uses
}

struct Walker<'a> {
    libraries: &'a BTreeMap<String, Arc<Script>>,
    uses: Uses,
    /// Functions being walked, against recursion.
    open: Vec<ImmutableString>,
}

/// The names in scope of one function body.
struct Frame<'a> {
    script: &'a Script,
    bound: Bound,
}

impl Frame<'_> {
    fn find(&self, name: &str) -> Option<Use> {
        let (_, path) = self.bound.iter().rev().find(|(bound, _)| bound.as_str() == name)?;
        path.clone()
    }

    /// The path that an expression is, when it is nothing else.
    fn path(&self, expr: &Expr) -> Option<Use> {
        match expr {
            Expr::Variable(name, _, at) if name.2.is_empty() => {
                self.find(&name.1).map(|path| Use { at: *at, ..path })
            }
            Expr::Dot(..) | Expr::Index(..) => {
                let (base, links) = chain(expr);
                let mut path = self.path(base)?;
                for link in links {
                    let Link::Field(name, at) = link else { return None };
                    path.fields.push((name.to_owned(), at));
                }
                Some(path)
            }
            _ => None,
        }
    }
}

impl Walker<'_> {
    fn function(&mut self, script: &Script, function: &Function, bound: Bound) {
        if self.open.len() >= CALLS_MAX || self.open.contains(&function.name) {
            let lost = bound.into_iter().filter_map(|(_, path)| path);
            self.uses.reads.extend(lost);
            return;
        }
        self.open.push(function.name.clone());
        self.expr(&mut Frame { script, bound }, &function.body);
        self.open.pop();
    }

    fn block(&mut self, frame: &mut Frame<'_>, block: &StmtBlock) {
        let depth = frame.bound.len();
        for statement in block.iter() {
            self.stmt(frame, statement);
        }
        frame.bound.truncate(depth);
    }

    fn stmt(&mut self, frame: &mut Frame<'_>, stmt: &Stmt) {
        match stmt {
            Stmt::If(parts, _) | Stmt::While(parts, _) | Stmt::Do(parts, ..) => {
                self.expr(frame, &parts.expr);
                self.block(frame, &parts.body);
                self.block(frame, &parts.branch);
            }
            Stmt::TryCatch(parts, _) => {
                self.block(frame, &parts.body);
                let depth = frame.bound.len();
                if let Expr::Variable(name, ..) = &parts.expr {
                    frame.bound.push((name.1.clone(), None));
                }
                self.block(frame, &parts.branch);
                frame.bound.truncate(depth);
            }
            Stmt::Switch(parts, _) => {
                self.expr(frame, &parts.0);
                for case in parts.1.expressions.iter() {
                    self.expr(frame, &case.lhs);
                    self.expr(frame, &case.rhs);
                }
            }
            Stmt::For(parts, _) => {
                let (item, counter, flow) = &**parts;
                self.expr(frame, &flow.expr);
                let depth = frame.bound.len();
                frame.bound.push((item.name.clone(), None));
                frame.bound.extend(counter.iter().map(|ident| (ident.name.clone(), None)));
                self.block(frame, &flow.body);
                frame.bound.truncate(depth);
            }
            Stmt::Var(parts, ..) => {
                let path = frame.path(&parts.1);
                if path.is_none() {
                    self.expr(frame, &parts.1);
                }
                frame.bound.push((parts.0.name.clone(), path));
            }
            Stmt::Assignment(parts) => {
                self.expr(frame, &parts.1.rhs);
                self.assigned(frame, &parts.1.lhs);
            }
            Stmt::FnCall(call, at) => self.call(frame, call, *at),
            Stmt::Block(block) => self.block(frame, block),
            Stmt::Expr(expr) => self.expr(frame, expr),
            Stmt::Return(Some(expr), ..) | Stmt::BreakLoop(Some(expr), ..) => {
                self.expr(frame, expr);
            }
            _ => {}
        }
    }

    fn assigned(&mut self, frame: &mut Frame<'_>, target: &Expr) {
        match (frame.path(target), target) {
            // A local that stood for a path is a plain variable from here on.
            (Some(path), Expr::Variable(name, ..)) => {
                self.uses.reads.push(path);
                let bound = frame.bound.iter_mut().rev().find(|(bound, _)| *bound == name.1);
                bound.expect("its path was just found there").1 = None;
            }
            (Some(path), _) => self.uses.writes.push(path),
            (None, _) => self.expr(frame, target),
        }
    }

    fn expr(&mut self, frame: &mut Frame<'_>, expr: &Expr) {
        if let Some(path) = frame.path(expr) {
            self.uses.reads.push(path);
            return;
        }
        match expr {
            Expr::ThisPtr(at) => {
                self.uses.this.get_or_insert(*at);
            }
            Expr::InterpolatedString(parts, _) | Expr::Array(parts, _) => {
                parts.iter().for_each(|part| self.expr(frame, part));
            }
            Expr::Map(entries, _) => entries.0.iter().for_each(|(_, part)| self.expr(frame, part)),
            Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => {
                parts.iter().for_each(|part| self.expr(frame, part));
            }
            Expr::Stmt(block) => self.block(frame, block),
            Expr::FnCall(call, at) | Expr::MethodCall(call, at) => self.call(frame, call, *at),
            Expr::Dot(..) | Expr::Index(..) => self.chain(frame, expr),
            _ => {}
        }
    }

    /// A chain with a call or a computed index in it: as far as it is a path, that path is read.
    fn chain(&mut self, frame: &mut Frame<'_>, expr: &Expr) {
        let (base, links) = chain(expr);
        let mut open = frame.path(base);
        if open.is_none() {
            self.expr(frame, base);
        }
        for link in links {
            match (link, &mut open) {
                (Link::Field(name, at), Some(path)) => path.fields.push((name.to_owned(), at)),
                (Link::Field(..), None) => {}
                (Link::Call(call, _), _) => {
                    self.uses.reads.extend(open.take());
                    call.args.iter().for_each(|arg| self.expr(frame, arg));
                }
                (Link::Index(index), _) => {
                    self.uses.reads.extend(open.take());
                    self.expr(frame, index);
                }
            }
        }
        self.uses.reads.extend(open);
    }

    fn call(&mut self, frame: &mut Frame<'_>, call: &FnCallExpr, at: Position) {
        self.comparison(frame, call);
        if let Some((script, function, args)) = self.callee(frame, call) {
            let mut bound = Bound::new();
            for (name, arg) in function.params.iter().zip(args) {
                let path = frame.path(arg);
                if path.is_none() {
                    self.expr(frame, arg);
                }
                bound.push((name.clone(), path));
            }
            // A closure's own parameters come after what it captured.
            let missing = function.params.iter().skip(bound.len()).cloned();
            let missing: Bound = missing.map(|name| (name, None)).collect();
            bound.extend(missing);
            let Some(library) = script else {
                return self.function(frame.script, &function, bound);
            };
            // Places in another file mean nothing in this one: it all happens at the call.
            let known = (self.uses.reads.len(), self.uses.writes.len(), self.uses.below.len());
            self.function(&library, &function, bound);
            let reads = self.uses.reads[known.0..].iter_mut();
            let others = self.uses.writes[known.1..].iter_mut();
            for found in reads.chain(others).chain(&mut self.uses.below[known.2..]) {
                found.at = at;
                found.fields.iter_mut().for_each(|field| field.1 = at);
            }
            return;
        }
        call.args.iter().for_each(|arg| self.expr(frame, arg));
    }

    fn comparison(&mut self, frame: &Frame<'_>, call: &FnCallExpr) {
        if let ([left, right], true) = (call.args.as_slice(), call.is_operator_call()) {
            let low = match call.name.as_str() {
                "<" | "<=" => frame.path(left),
                ">" | ">=" => frame.path(right),
                _ => None,
            };
            self.uses.below.extend(low);
        }
    }

    /// The function of a script that a call reaches, with the arguments that bind its parameters.
    #[allow(clippy::type_complexity, reason = "one caller, which takes the three apart at once")]
    fn callee<'c>(
        &self,
        frame: &Frame<'_>,
        call: &'c FnCallExpr,
    ) -> Option<(Option<Arc<Script>>, Function, &'c [Expr])> {
        if call.is_operator_call() {
            return None;
        }
        let exact = |script: &Script, args: usize| {
            script.function(&call.name, args).filter(|found| found.params.len() == args)
        };
        if call.is_qualified() {
            let path = frame.script.imports.get(call.namespace.root())?;
            let library = self.libraries.get(path)?;
            let function = exact(library, call.args.len())?;
            return Some((Some(library.clone()), function, &call.args));
        }
        if call.name == "curry" {
            let (Expr::DynamicConstant(closure, _), captured) = call.args.split_first()? else {
                return None;
            };
            let name = closure_name(closure)?;
            return Some((None, frame.script.function(&name, captured.len())?, captured));
        }
        Some((None, exact(frame.script, call.args.len())?, &call.args))
    }
}

fn closure_name(closure: &Dynamic) -> Option<String> {
    closure.read_lock::<FnPtr>().map(|closure| closure.fn_name().to_owned())
}
