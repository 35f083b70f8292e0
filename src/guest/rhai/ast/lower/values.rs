//! What names stand for while a closure is lowered, and what Rhai's operators and functions make
//! of it. An error is the reason why something has no native form.

use crate::kernel::expr::{Binary, Graph, Kind, Node, Relation, Text, TextTest, Unary};

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number or a truth.
    Scalar(Node),
    Text(Text),
    /// A parameter and the fields that were asked of it; not yet a column.
    View(usize, Vec<String>),
    List(Vec<Value>),
    /// Of one kind or another, by a condition.
    Mixed,
    /// Something that only the interpreter can hold.
    Unknown,
}

impl Value {
    pub fn nothing() -> Value {
        Value::Text(Text::Nothing)
    }
}

/// Two values as operators see them.
enum Pair {
    Floats(Node, Node),
    Ints(Node, Node),
    Truths(Node, Node),
    Texts(Text, Text),
    /// Of kinds that are never equal.
    Apart,
}

type Made = Result<Value, String>;

impl Graph {
    /// `yes` where the condition holds, else `no`.
    pub(super) fn merge(&mut self, condition: Node, yes: &Value, no: &Value) -> Value {
        match (yes, no) {
            _ if yes == no => yes.clone(),
            (Value::Scalar(a), Value::Scalar(b)) if self.kind(*a) == self.kind(*b) => {
                Value::Scalar(self.select(condition, *a, *b))
            }
            _ => Value::Mixed,
        }
    }

    fn pair(&mut self, a: &Value, b: &Value) -> Result<Pair, String> {
        for value in [a, b] {
            match value {
                Value::Scalar(_) | Value::Text(_) => {}
                Value::Mixed => return Err("a value is of one kind or another".into()),
                Value::View(..) => return Err("a view is used as a whole".into()),
                Value::List(_) | Value::Unknown => {
                    return Err("an operand has no native form".into());
                }
            }
        }
        Ok(match (a, b) {
            (Value::Text(a), Value::Text(b)) => Pair::Texts(a.clone(), b.clone()),
            (Value::Scalar(a), Value::Scalar(b)) => match (self.kind(*a), self.kind(*b)) {
                (Kind::Bool, Kind::Bool) => Pair::Truths(*a, *b),
                (Kind::Int, Kind::Int) => Pair::Ints(*a, *b),
                (Kind::Bool, _) | (_, Kind::Bool) => Pair::Apart,
                (Kind::Float | Kind::Int, Kind::Float | Kind::Int) => {
                    Pair::Floats(self.to_float(*a), self.to_float(*b))
                }
            },
            _ => Pair::Apart,
        })
    }

    /// `a op b`, reached where `path` holds.
    pub(super) fn operate(&mut self, path: Node, op: &str, a: &Value, b: &Value) -> Made {
        let pair = self.pair(a, b)?;
        let node = match op {
            "==" => self.equal(pair),
            "!=" => {
                let equal = self.equal(pair);
                self.not(equal)
            }
            "<" => self.less(pair, false),
            "<=" => self.less(pair, true),
            ">" | ">=" => {
                let turned = self.pair(b, a)?;
                self.less(turned, op == ">=")
            }
            "+" | "-" | "*" | "/" | "%" => return self.calculate(path, op, pair),
            "&" | "|" | "^" => return self.bitwise(op, pair),
            other => return Err(format!("the operator `{other}` has no native form")),
        };
        Ok(Value::Scalar(node))
    }

    fn equal(&mut self, pair: Pair) -> Node {
        match pair {
            Pair::Floats(a, b) => self.binary(Binary::FloatEqual, a, b),
            Pair::Ints(a, b) => self.binary(Binary::IntEqual, a, b),
            Pair::Truths(a, b) => {
                let differ = self.binary(Binary::Xor, a, b);
                self.not(differ)
            }
            Pair::Texts(a, b) => self.text(TextTest::equal(a, b)),
            Pair::Apart => self.bool(false),
        }
    }

    fn less(&mut self, pair: Pair, or_equal: bool) -> Node {
        match (pair, or_equal) {
            (Pair::Floats(a, b), false) => self.binary(Binary::FloatLess, a, b),
            (Pair::Floats(a, b), true) => self.binary(Binary::FloatLessOrEqual, a, b),
            (Pair::Ints(a, b), false) => self.binary(Binary::IntLess, a, b),
            (Pair::Ints(a, b), true) => self.binary(Binary::IntLessOrEqual, a, b),
            (Pair::Truths(a, b), or_equal) => {
                let op = if or_equal { Binary::Or } else { Binary::And };
                let a = self.not(a);
                self.binary(op, a, b)
            }
            (Pair::Texts(left, right), or_equal) => {
                let relation = if or_equal { Relation::LessOrEqual } else { Relation::Less };
                self.text(TextTest { relation, left, right })
            }
            (Pair::Apart, _) => self.bool(false),
        }
    }

    fn calculate(&mut self, path: Node, op: &str, pair: Pair) -> Made {
        let node = match pair {
            Pair::Floats(a, b) => {
                let op = match op {
                    "+" => Binary::FloatAdd,
                    "-" => Binary::FloatSubtract,
                    "*" => Binary::FloatMultiply,
                    "/" => Binary::FloatDivide,
                    _ => Binary::FloatRemainder,
                };
                self.binary(op, a, b)
            }
            Pair::Ints(a, b) => {
                let (op, fails) = match op {
                    "+" => (Binary::IntAdd, Binary::AddOverflows),
                    "-" => (Binary::IntSubtract, Binary::SubtractOverflows),
                    "*" => (Binary::IntMultiply, Binary::MultiplyOverflows),
                    "/" => (Binary::IntDivide, Binary::HasNoQuotient),
                    _ => (Binary::IntRemainder, Binary::HasNoQuotient),
                };
                let fails = self.binary(fails, a, b);
                self.trap(path, fails);
                self.binary(op, a, b)
            }
            Pair::Texts(..) => return Err("it builds a text".into()),
            Pair::Truths(..) | Pair::Apart => return Err(format!("`{op}` of such operands")),
        };
        Ok(Value::Scalar(node))
    }

    fn bitwise(&mut self, op: &str, pair: Pair) -> Made {
        let (Pair::Truths(a, b) | Pair::Ints(a, b)) = pair else {
            return Err(format!("`{op}` of such operands"));
        };
        let op = match op {
            "&" => Binary::And,
            "|" => Binary::Or,
            _ => Binary::Xor,
        };
        Ok(Value::Scalar(self.binary(op, a, b)))
    }

    /// `op a`.
    pub(super) fn sign(&mut self, path: Node, op: &str, a: &Value) -> Made {
        let Value::Scalar(a) = *a else { return Err(format!("`{op}` of such an operand")) };
        let node = match (op, self.kind(a)) {
            ("!", Kind::Bool) => self.not(a),
            ("+", Kind::Int | Kind::Float) => a,
            ("-", Kind::Float) => self.unary(Unary::FloatNegate, a),
            ("-", Kind::Int) => self.without_least(path, Unary::IntNegate, a),
            _ => return Err(format!("`{op}` of such an operand")),
        };
        Ok(Value::Scalar(node))
    }

    /// The least whole number has no opposite.
    fn without_least(&mut self, path: Node, op: Unary, a: Node) -> Node {
        let least = self.int(i64::MIN);
        let fails = self.binary(Binary::IntEqual, a, least);
        self.trap(path, fails);
        self.unary(op, a)
    }

    /// `value.name` of a number.
    pub(super) fn property(&mut self, name: &str, value: &Value) -> Made {
        match value {
            Value::Scalar(node) if self.kind(*node) == Kind::Float => {
                let node = self.of_float(name, *node);
                node.map(Value::Scalar).ok_or_else(|| format!("the field `{name}`"))
            }
            _ => Err(format!("the field `{name}` has no native form")),
        }
    }

    /// What floats have as a property and as a function.
    fn of_float(&mut self, name: &str, a: Node) -> Option<Node> {
        let infinity = self.float(f64::INFINITY);
        Some(match name {
            "floor" => self.unary(Unary::Floor, a),
            "ceiling" => self.unary(Unary::Ceiling, a),
            "is_nan" => self.unary(Unary::IsNan, a),
            "is_finite" => {
                let size = self.unary(Unary::FloatAbs, a);
                self.binary(Binary::FloatLess, size, infinity)
            }
            "is_infinite" => {
                let size = self.unary(Unary::FloatAbs, a);
                self.binary(Binary::FloatEqual, size, infinity)
            }
            _ => return None,
        })
    }

    /// A call of one of Rhai's own functions, as a function or as a method.
    pub(super) fn function(&mut self, path: Node, name: &str, args: &[Value]) -> Made {
        let unknown = || Err(format!("`{name}` has no native form here"));
        match args {
            [Value::Scalar(a)] => match self.of_number(path, name, *a) {
                Some(node) => Ok(Value::Scalar(node)),
                None => unknown(),
            },
            [Value::List(items), wanted] if name == "contains" => self.contains(items, wanted),
            [Value::Text(a), Value::Text(b)] => self.texts(path, name, a, b),
            [a @ Value::Scalar(_), b @ Value::Scalar(_)] => {
                let pair = self.pair(a, b)?;
                let node = match (name, pair) {
                    ("max", Pair::Floats(a, b)) => self.binary(Binary::FloatMax, a, b),
                    ("min", Pair::Floats(a, b)) => self.binary(Binary::FloatMin, a, b),
                    ("max", Pair::Ints(a, b)) => self.binary(Binary::IntMax, a, b),
                    ("min", Pair::Ints(a, b)) => self.binary(Binary::IntMin, a, b),
                    _ => return unknown(),
                };
                Ok(Value::Scalar(node))
            }
            _ => unknown(),
        }
    }

    fn of_number(&mut self, path: Node, name: &str, a: Node) -> Option<Node> {
        Some(match (name, self.kind(a)) {
            ("abs", Kind::Float) => self.unary(Unary::FloatAbs, a),
            ("abs", Kind::Int) => self.without_least(path, Unary::IntAbs, a),
            ("sqrt", Kind::Float | Kind::Int) => {
                let a = self.to_float(a);
                self.unary(Unary::Sqrt, a)
            }
            ("to_float", Kind::Float | Kind::Int) => self.to_float(a),
            ("floor" | "ceiling", Kind::Int) => a,
            ("is_nan", Kind::Int) => self.bool(false),
            ("to_int", Kind::Float) => {
                // 2^63, from which on no whole number is left; NaN is in no order with it.
                let (low, high) =
                    (self.float(-9.223_372_036_854_776e18), self.float(9.223_372_036_854_776e18));
                let above = self.binary(Binary::FloatLessOrEqual, low, a);
                let below = self.binary(Binary::FloatLess, a, high);
                let inside = self.and(above, below);
                let fails = self.not(inside);
                self.trap(path, fails);
                self.unary(Unary::FloatToInt, a)
            }
            (name, Kind::Float) => return self.of_float(name, a),
            (_, Kind::Int | Kind::Bool) => return None,
        })
    }

    /// `wanted in items`.
    fn contains(&mut self, items: &[Value], wanted: &Value) -> Made {
        let mut found = self.bool(false);
        for item in items {
            let pair = self.pair(item, wanted)?;
            let equal = self.equal(pair);
            found = self.or(found, equal);
        }
        Ok(Value::Scalar(found))
    }

    /// A label that is not there has no such function.
    fn texts(&mut self, path: Node, name: &str, left: &Text, right: &Text) -> Made {
        let relation = match name {
            "starts_with" => Relation::StartsWith,
            "ends_with" => Relation::EndsWith,
            "contains" => Relation::Contains,
            _ => return Err(format!("`{name}` has no native form here")),
        };
        for text in [left, right] {
            match text {
                Text::Label(label) => {
                    let fails = self.lacks(label);
                    self.trap(path, fails);
                }
                Text::Fixed(_) => {}
                Text::Nothing => return Err(format!("`{name}` of nothing")),
            }
        }
        let test = TextTest { relation, left: left.clone(), right: right.clone() };
        Ok(Value::Scalar(self.text(test)))
    }
}
