//! From a closure's syntax tree to a native plan, or the place and the reason why not.
//!
//! One walk in the order of evaluation. A name in scope stands for a value of the graph, so
//! assignments only change what a name stands for. Where a choice is not known at load both sides
//! are walked, and what they left differently is chosen by its condition. `path` is the condition
//! under which the place that is being walked is reached: an early `return` ends it, and what might
//! fail traps only where it is reached.

mod terms;
mod values;

use std::collections::BTreeMap;

use rhai::{ASTFlags, Dynamic, Expr, ImmutableString, Position, Stmt};

use super::walk::chain;
use super::{Function, Script};
use crate::kernel::expr::{Graph, Kind, Node, Plan};
use crate::kernel::rule::view::Column;
use values::Value;

/// Operations of one condition; beyond it, interpreting is no slower.
const NODES_MAX: usize = 512;
/// Places walked, those of inlined functions included. A program that would end at the
/// interpreter's limit of operations is far longer.
const PLACES_MAX: usize = 4_000;
/// Expressions within each other, those of inlined functions included.
const DEPTH_MAX: usize = 100;

/// A closure and what it stands on.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    pub script: &'a Script,
    pub function: &'a Function,
    /// The values of the function's first parameters.
    pub captures: &'a [Dynamic],
    /// What `global::NAME` reaches.
    pub constants: &'a BTreeMap<ImmutableString, Dynamic>,
    pub columns: &'a [Column],
    /// Which column each path from a parameter is.
    pub fields: &'a [Field<'a>],
}

#[derive(Clone, Copy)]
pub struct Field<'a> {
    /// Counts the parameters that are not captured.
    pub param: usize,
    pub path: &'a [String],
    pub column: usize,
}

/// Why a closure stays interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub what: String,
    pub at: Position,
}

const STATE: &str = "it keeps state in `this`";

type Lowered<T> = Result<T, Refusal>;

/// A plan that gives `Bool` or `Float`.
pub fn lower(ground: Ground<'_>, gives: Kind) -> Lowered<Plan> {
    let mut graph = Graph::default();
    let path = graph.bool(true);
    let mut lowering = Lowering {
        ground,
        graph,
        path,
        scope: Vec::new(),
        returned: None,
        open: Vec::new(),
        places: 0,
        depth: 0,
        assignments: 0,
    };
    let value = lowering.closure()?;
    let refused = |what: &str| Refusal { what: what.to_owned(), at: ground.function.at };
    let value = match (value, gives) {
        (Value::Scalar(node), Kind::Float) if lowering.graph.kind(node) != Kind::Bool => {
            lowering.graph.to_float(node)
        }
        (Value::Scalar(node), gives) if lowering.graph.kind(node) == gives => node,
        (Value::Mixed, _) => return Err(refused("it gives values of different kinds")),
        (_, Kind::Bool) => return Err(refused("it does not give true or false")),
        (_, Kind::Float | Kind::Int) => return Err(refused("it does not give a number")),
    };
    Plan::new(&lowering.graph, value).map_err(|_| refused("it asks too much of labels"))
}

struct Lowering<'a> {
    ground: Ground<'a>,
    graph: Graph,
    /// Whether the place being walked is reached.
    path: Node,
    scope: Vec<Local>,
    /// What earlier `return`s of this function gave.
    returned: Option<Value>,
    /// Functions being inlined, against recursion.
    open: Vec<ImmutableString>,
    places: usize,
    depth: usize,
    /// Assignments walked so far.
    assignments: usize,
}

#[derive(Clone)]
struct Local {
    name: ImmutableString,
    value: Value,
    constant: bool,
}

impl Lowering<'_> {
    fn closure(&mut self) -> Lowered<Value> {
        let function = self.ground.function;
        let captures = self.ground.captures.len();
        for (at, name) in function.params.iter().enumerate() {
            let value = match self.ground.captures.get(at) {
                // One that is never used may be anything.
                Some(capture) => self.constant(capture).unwrap_or(Value::Unknown),
                None => self.view(at - captures, Vec::new()),
            };
            self.scope.push(Local { name: name.clone(), value, constant: at < captures });
        }
        self.function(&function.body)
    }

    /// A function's body, with its parameters in scope.
    fn function(&mut self, body: &Expr) -> Lowered<Value> {
        let (entry, outer) = (self.path, self.returned.take());
        let last = self.expr(body)?;
        let value = match self.returned.take() {
            Some(returned) if self.is_dead() => returned,
            Some(returned) => self.graph.merge(self.path, &last, &returned),
            None => last,
        };
        (self.path, self.returned) = (entry, outer);
        Ok(value)
    }

    /// Whether nothing comes here any more.
    fn is_dead(&self) -> bool {
        self.graph.constant(self.path) == Some(0)
    }

    fn block(&mut self, statements: &[Stmt]) -> Lowered<Value> {
        let depth = self.scope.len();
        let mut value = Value::nothing();
        for statement in statements {
            if self.is_dead() {
                break;
            }
            value = self.stmt(statement)?;
        }
        self.scope.truncate(depth);
        Ok(value)
    }

    fn stmt(&mut self, stmt: &Stmt) -> Lowered<Value> {
        let refused = |what: &str| Err(Refusal { what: what.to_owned(), at: stmt.position() });
        match stmt {
            Stmt::Noop(_) => Ok(Value::nothing()),
            Stmt::Expr(expr) => self.expr(expr),
            Stmt::Block(block) => self.block(block.statements()),
            Stmt::FnCall(call, at) => self.call(call, *at),
            Stmt::If(parts, _) => {
                let condition = self.truth(&parts.expr)?;
                let (yes, no) = (parts.body.statements(), parts.branch.statements());
                self.branch(condition, |own| own.block(yes), |own| own.block(no))
            }
            Stmt::Var(parts, flags, _) => {
                let value = self.expr(&parts.1)?;
                let constant = flags.contains(ASTFlags::CONSTANT);
                self.scope.push(Local { name: parts.0.name.clone(), value, constant });
                Ok(Value::nothing())
            }
            Stmt::Assignment(parts) => {
                let (op, sides) = &**parts;
                let Expr::Variable(name, _, at) = &sides.lhs else {
                    let what = match chain(&sides.lhs).0 {
                        Expr::ThisPtr(_) => STATE,
                        _ => "it assigns to a field",
                    };
                    let at = sides.lhs.start_position();
                    return Err(Refusal { what: what.into(), at });
                };
                let mut value = self.expr(&sides.rhs)?;
                if let Some((.., op_text)) = op.get_op_assignment_info() {
                    let old = self.expr(&sides.lhs)?;
                    let done = self.graph.operate(self.path, op_text, &old, &value);
                    value = done.map_err(|what| Refusal { what, at: op.position() })?;
                }
                self.assign(&name.1, value, *at)?;
                Ok(Value::nothing())
            }
            Stmt::Return(value, flags, _) if !flags.contains(ASTFlags::BREAK) => {
                let value = match value {
                    Some(value) => self.expr(value)?,
                    None => Value::nothing(),
                };
                self.returned = Some(match self.returned.take() {
                    Some(earlier) => self.graph.merge(self.path, &value, &earlier),
                    None => value,
                });
                self.path = self.graph.bool(false);
                Ok(Value::nothing())
            }
            Stmt::Return(..) => refused("it throws"),
            Stmt::TryCatch(..) => refused("it catches errors"),
            Stmt::While(..) | Stmt::Do(..) | Stmt::For(..) | Stmt::BreakLoop(..) => {
                refused("it has a loop")
            }
            Stmt::Switch(..) => refused("it has a `switch`; `if` and `else` run native"),
            _ => refused("this statement has no native form"),
        }
    }

    /// Changes what the innermost local of this name stands for.
    fn assign(&mut self, name: &str, value: Value, at: Position) -> Lowered<()> {
        self.assignments += 1;
        let local = self.scope.iter_mut().rev().find(|local| local.name.as_str() == name);
        match local {
            Some(local) if !local.constant => local.value = value,
            Some(_) | None => {
                return Err(Refusal { what: format!("it assigns to the constant `{name}`"), at });
            }
        }
        Ok(())
    }

    /// Walks both sides of a choice, and joins what they leave behind.
    fn branch(
        &mut self,
        condition: Node,
        yes: impl FnOnce(&mut Self) -> Lowered<Value>,
        no: impl FnOnce(&mut Self) -> Lowered<Value>,
    ) -> Lowered<Value> {
        if let Some(lane) = self.graph.constant(condition) {
            return if lane == 0 { no(self) } else { yes(self) };
        }
        let (entry, scope) = (self.path, self.scope.clone());
        let not = self.graph.not(condition);
        let (yes_entry, no_entry) = (self.graph.and(entry, condition), self.graph.and(entry, not));
        self.path = yes_entry;
        let yes = yes(self)?;
        let yes_path = self.path;
        let yes_scope = std::mem::replace(&mut self.scope, scope);
        self.path = no_entry;
        let no = no(self)?;
        if self.graph.constant(yes_path) == Some(0) {
            return Ok(no);
        }
        if self.is_dead() {
            (self.path, self.scope) = (yes_path, yes_scope);
            return Ok(yes);
        }
        self.path = match yes_path == yes_entry && self.path == no_entry {
            true => entry,
            false => self.graph.or(yes_path, self.path),
        };
        for (local, other) in self.scope.iter_mut().zip(yes_scope) {
            local.value = self.graph.merge(condition, &other.value, &local.value);
        }
        Ok(self.graph.merge(condition, &yes, &no))
    }
}
