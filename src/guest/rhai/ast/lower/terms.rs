//! Expressions: constants, names, chains of fields and methods, calls.

use rhai::{ASTFlags, Dynamic, Expr, FnCallExpr, ImmutableString, Position};

use super::super::walk::{Link, chain};
use super::values::Value;
use super::{DEPTH_MAX, Local, Lowered, Lowering, NODES_MAX, PLACES_MAX, Refusal, STATE};
use crate::kernel::expr::{Kind, Node, Text};
use crate::kernel::rule::view::Column;

impl Lowering<'_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Lowered<Value> {
        self.places += 1;
        self.depth += 1;
        if self.places > PLACES_MAX || self.graph.len() > NODES_MAX || self.depth > DEPTH_MAX {
            return Err(Refusal { what: "it is too long".into(), at: expr.start_position() });
        }
        let value = self.term(expr);
        self.depth -= 1;
        value
    }

    /// An expression that must be true or false.
    pub(super) fn truth(&mut self, expr: &Expr) -> Lowered<Node> {
        match self.expr(expr)? {
            Value::Scalar(node) if self.graph.kind(node) == Kind::Bool => Ok(node),
            // After a `return` nobody asks.
            _ if self.is_dead() => Ok(self.graph.bool(false)),
            _ => {
                let what = "this is not always true or false".into();
                Err(Refusal { what, at: expr.start_position() })
            }
        }
    }

    fn term(&mut self, expr: &Expr) -> Lowered<Value> {
        let refused = |what: &str| Err(Refusal { what: what.to_owned(), at: expr.position() });
        match expr {
            Expr::BoolConstant(value, _) => Ok(Value::Scalar(self.graph.bool(*value))),
            Expr::IntegerConstant(value, _) => Ok(Value::Scalar(self.graph.int(*value))),
            Expr::FloatConstant(value, _) => Ok(Value::Scalar(self.graph.float(**value))),
            Expr::StringConstant(text, _) => Ok(Value::Text(Text::Fixed(text.as_str().into()))),
            Expr::Unit(_) => Ok(Value::nothing()),
            Expr::DynamicConstant(value, _) => match self.constant(value) {
                Some(value) => Ok(value),
                None => refused("this constant has no native form"),
            },
            Expr::Variable(name, _, at) => {
                if name.2.is_empty() {
                    self.variable(&name.1, *at)
                } else {
                    self.qualified(name.2.root(), &name.1, *at)
                }
            }
            Expr::Array(items, _) => {
                let items: Lowered<Vec<Value>> = items.iter().map(|item| self.expr(item)).collect();
                Ok(Value::List(items?))
            }
            Expr::And(parts, _) => self.all(parts),
            Expr::Or(parts, _) => self.any(parts),
            Expr::Stmt(block) => self.block(block.statements()),
            Expr::FnCall(call, at) | Expr::MethodCall(call, at) => self.call(call, *at),
            Expr::Dot(..) | Expr::Index(..) => self.chain(expr),
            Expr::ThisPtr(_) => refused(STATE),
            Expr::InterpolatedString(..) => refused("it builds a text"),
            Expr::Map(..) => refused("it builds a map"),
            Expr::CharConstant(..) => refused("a character has no native form"),
            Expr::Coalesce(..) => refused("`??` has no native form"),
            _ => refused("this expression has no native form"),
        }
    }

    /// A value that is known at load.
    pub(super) fn constant(&mut self, value: &Dynamic) -> Option<Value> {
        if let Ok(value) = value.as_bool() {
            return Some(Value::Scalar(self.graph.bool(value)));
        }
        if let Ok(value) = value.as_int() {
            return Some(Value::Scalar(self.graph.int(value)));
        }
        if let Ok(value) = value.as_float() {
            return Some(Value::Scalar(self.graph.float(value)));
        }
        if value.is_unit() {
            return Some(Value::nothing());
        }
        if let Ok(text) = value.as_immutable_string_ref() {
            return Some(Value::Text(Text::Fixed(text.as_str().into())));
        }
        let items = value.as_array_ref().ok()?;
        let items: Option<Vec<Value>> = items.iter().map(|item| self.constant(item)).collect();
        items.map(Value::List)
    }

    fn variable(&mut self, name: &ImmutableString, at: Position) -> Lowered<Value> {
        let local = self.scope.iter().rev().find(|local| local.name == *name);
        match local.map(|local| &local.value) {
            Some(Value::Unknown) => {
                Err(Refusal { what: format!("what `{name}` holds has no native form"), at })
            }
            Some(value) => Ok(value.clone()),
            None => Err(Refusal { what: format!("`{name}` is no local variable"), at }),
        }
    }

    fn qualified(&mut self, root: &str, name: &str, at: Position) -> Lowered<Value> {
        let constant = self.ground.constants.get(name).filter(|_| root == "global");
        let value = constant.and_then(|value| self.constant(value));
        value.ok_or_else(|| Refusal { what: format!("what `{root}::{name}` is"), at })
    }

    /// What a path from a parameter stands for.
    pub(super) fn view(&mut self, param: usize, path: Vec<String>) -> Value {
        let mut fields = self.ground.fields.iter();
        let field = fields.find(|field| field.param == param && field.path == path);
        let Some(field) = field else { return Value::View(param, path) };
        let index = u16::try_from(field.column).expect("a rule reads far fewer columns");
        match &self.ground.columns[field.column] {
            Column::Label(name) => Value::Text(Text::Label(name.clone())),
            column if column.is_whole() => Value::Scalar(self.graph.count(index)),
            Column::Value { .. } | Column::Reduced { .. } | Column::Base { .. } => {
                Value::Scalar(self.graph.column(index))
            }
        }
    }

    fn all(&mut self, parts: &[Expr]) -> Lowered<Value> {
        let Some((first, rest)) = parts.split_first() else {
            return Ok(Value::Scalar(self.graph.bool(true)));
        };
        let first = self.truth(first)?;
        let no = Value::Scalar(self.graph.bool(false));
        self.branch(first, |own| own.all(rest), |_| Ok(no))
    }

    fn any(&mut self, parts: &[Expr]) -> Lowered<Value> {
        let Some((first, rest)) = parts.split_first() else {
            return Ok(Value::Scalar(self.graph.bool(false)));
        };
        let first = self.truth(first)?;
        let yes = Value::Scalar(self.graph.bool(true));
        self.branch(first, |_| Ok(yes), |own| own.any(rest))
    }

    fn chain(&mut self, expr: &Expr) -> Lowered<Value> {
        if asks_first(expr) {
            let what = "`?.` and `?[` have no native form".into();
            return Err(Refusal { what, at: expr.start_position() });
        }
        let (base, links) = chain(expr);
        let mut value = self.expr(base)?;
        for link in links {
            value = match (link, value) {
                (Link::Field(name, at), Value::View(param, mut path)) => {
                    path.push(name.to_owned());
                    let mut fields = self.ground.fields.iter();
                    if !fields.any(|field| field.param == param && field.path.starts_with(&path)) {
                        // A local that nobody asks brings no column.
                        return Err(Refusal { what: format!("nothing uses its `{name}`"), at });
                    }
                    self.view(param, path)
                }
                (Link::Field(name, at), value) => {
                    let done = self.graph.property(name, &value);
                    done.map_err(|what| Refusal { what, at })?
                }
                (Link::Call(call, at), value) => self.method(call, value, at)?,
                (Link::Index(index), _) => {
                    let what = "it looks up an index".into();
                    return Err(Refusal { what, at: index.start_position() });
                }
            };
        }
        Ok(value)
    }

    fn method(&mut self, call: &FnCallExpr, value: Value, at: Position) -> Lowered<Value> {
        if call.is_qualified() || self.ground.script.has_function(&call.name) {
            let what = format!("`{}` is called as a method", call.name);
            return Err(Refusal { what, at });
        }
        let mut args = vec![value];
        for arg in &call.args {
            args.push(self.later_operand(arg)?);
        }
        let done = self.graph.function(self.path, &call.name, &args);
        done.map_err(|what| Refusal { what, at })
    }

    pub(super) fn call(&mut self, call: &FnCallExpr, at: Position) -> Lowered<Value> {
        let refused = |what: String| Refusal { what, at };
        if call.is_qualified() {
            return Err(refused(format!("`{}` is a function of a library", call.name)));
        }
        if call.capture_parent_scope {
            return Err(refused("a function takes over its caller's variables".into()));
        }
        let mut args = Vec::with_capacity(call.args.len());
        for (place, arg) in call.args.iter().enumerate() {
            let value = if place == 0 { self.expr(arg)? } else { self.later_operand(arg)? };
            args.push(value);
        }
        // `in` is an operator by the name of this function.
        let is_in = call.is_operator_call() && call.name == "contains";
        if is_in && self.ground.script.has_function("contains") {
            return Err(refused("the script has a `contains` of its own".into()));
        }
        if call.is_operator_call() && !is_in {
            let done = match args.as_slice() {
                [a] => self.graph.sign(self.path, &call.name, a),
                [a, b] => self.graph.operate(self.path, &call.name, a, b),
                _ => Err(format!("the operator `{}`", call.name)),
            };
            return done.map_err(refused);
        }
        let own = self.ground.script.function(&call.name, args.len());
        if let Some(function) = own.filter(|own| own.params.len() == args.len()) {
            return self.inline(&function, args, at);
        }
        self.graph.function(self.path, &call.name, &args).map_err(refused)
    }

    /// An operand after the first. The interpreter may look at a variable that is the first operand
    /// only when all others are known, so they must not change it.
    fn later_operand(&mut self, expr: &Expr) -> Lowered<Value> {
        let before = self.assignments;
        let value = self.expr(expr)?;
        if self.assignments == before {
            return Ok(value);
        }
        let what = "an assignment stands within an operand".into();
        Err(Refusal { what, at: expr.start_position() })
    }

    /// A function of the script sees its parameters and nothing else.
    fn inline(
        &mut self,
        function: &super::super::Function,
        args: Vec<Value>,
        at: Position,
    ) -> Lowered<Value> {
        if self.open.contains(&function.name) {
            return Err(Refusal { what: format!("`{}` calls itself", function.name), at });
        }
        let params = function.params.iter().zip(args);
        let own = params.map(|(name, value)| Local { name: name.clone(), value, constant: false });
        let outer = std::mem::replace(&mut self.scope, own.collect());
        self.open.push(function.name.clone());
        let value = self.function(&function.body)?;
        self.open.pop();
        self.scope = outer;
        Ok(value)
    }
}

/// Whether a chain has a step that is only taken where there is something.
fn asks_first(expr: &Expr) -> bool {
    match expr {
        Expr::Dot(pair, flags, _) | Expr::Index(pair, flags, _) => {
            flags.contains(ASTFlags::NEGATED) || asks_first(&pair.rhs)
        }
        _ => false,
    }
}
