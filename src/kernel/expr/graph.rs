//! A condition as a graph of typed operations: what a language's front end builds.
//!
//! Equal operations are one node, and what is known at load is computed at load. All of it is
//! free of effects, so both sides of every choice may be computed. What could go wrong in the
//! language is part of the graph too: [`Graph::trap`] adds a condition under which the lane has
//! to be redone by the language's own interpreter.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ops::{self, Binary, FALSE, Once, TRUE, Unary};
use super::text::{Text, TextTest};

/// An index into a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Float,
    Int,
    Bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expr {
    /// A lane's bits.
    Constant(u64),
    /// A number of the row: an index into what the program reads.
    Column(u16),
    /// The same of a column that counts things, as a whole number.
    Count(u16),
    /// Something asked of the group's labels.
    Text(TextTest),
    Unary(Unary, Node),
    Binary(Binary, Node, Node),
    /// The second where the first holds, else the third.
    Select(Node, Node, Node),
}

/// Children stand before their parents.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<(Expr, Kind)>,
    known: BTreeMap<(Expr, Kind), Node>,
    trap: Option<Node>,
}

impl Node {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Graph {
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub fn kind(&self, node: Node) -> Kind {
        self.nodes[node.index()].1
    }

    pub fn expr(&self, node: Node) -> &Expr {
        &self.nodes[node.index()].0
    }

    /// The node at an index, and what it is.
    pub fn at(&self, index: usize) -> (Node, &Expr) {
        (Node(index as u32), &self.nodes[index].0)
    }

    /// The bits of a node that is known at load.
    pub fn constant(&self, node: Node) -> Option<u64> {
        match self.expr(node) {
            Expr::Constant(lane) => Some(*lane),
            Expr::Column(_)
            | Expr::Count(_)
            | Expr::Text(_)
            | Expr::Unary(..)
            | Expr::Binary(..)
            | Expr::Select(..) => None,
        }
    }

    /// When a lane has to be redone, if ever.
    pub fn traps(&self) -> Option<Node> {
        self.trap
    }

    pub fn float(&mut self, value: f64) -> Node {
        self.add(Expr::Constant(value.to_bits()), Kind::Float)
    }

    pub fn int(&mut self, value: i64) -> Node {
        self.add(Expr::Constant(value as u64), Kind::Int)
    }

    pub fn bool(&mut self, value: bool) -> Node {
        self.add(Expr::Constant(ops::truth(value)), Kind::Bool)
    }

    pub fn column(&mut self, index: u16) -> Node {
        self.add(Expr::Column(index), Kind::Float)
    }

    pub fn count(&mut self, index: u16) -> Node {
        self.add(Expr::Count(index), Kind::Int)
    }

    /// A question to the labels; between two fixed texts it is answered here.
    pub fn text(&mut self, test: TextTest) -> Node {
        match test.fixed() {
            Some(holds) => self.bool(holds),
            None => self.add(Expr::Text(test), Kind::Bool),
        }
    }

    /// Whether a group lacks a label.
    pub fn lacks(&mut self, label: &Arc<str>) -> Node {
        let label = Text::Label(label.clone());
        self.text(TextTest::equal(label, Text::Nothing))
    }

    pub fn unary(&mut self, op: Unary, a: Node) -> Node {
        if let Some(lane) = self.constant(a) {
            return self.add(Expr::Constant(ops::unary(op, Once(lane))), kind_of_unary(op));
        }
        match (op, self.expr(a)) {
            (Unary::Not, Expr::Unary(Unary::Not, inner)) => *inner,
            _ => self.add(Expr::Unary(op, a), kind_of_unary(op)),
        }
    }

    pub fn not(&mut self, a: Node) -> Node {
        self.unary(Unary::Not, a)
    }

    pub fn binary(&mut self, op: Binary, a: Node, b: Node) -> Node {
        let kind = self.kind_of_binary(op, a);
        match (self.constant(a), self.constant(b)) {
            (Some(a), Some(b)) => self.add(Expr::Constant(ops::binary(op, Once((a, b)))), kind),
            (Some(lane), None) | (None, Some(lane)) if kind == Kind::Bool => {
                let other = if self.constant(a).is_some() { b } else { a };
                match (op, lane) {
                    (Binary::And, TRUE) | (Binary::Or, FALSE) => other,
                    (Binary::And, FALSE) => self.bool(false),
                    (Binary::Or, TRUE) => self.bool(true),
                    _ => self.add(Expr::Binary(op, a, b), kind),
                }
            }
            _ if a == b && matches!(op, Binary::And | Binary::Or) => a,
            _ => self.add(Expr::Binary(op, a, b), kind),
        }
    }

    pub fn and(&mut self, a: Node, b: Node) -> Node {
        self.binary(Binary::And, a, b)
    }

    pub fn or(&mut self, a: Node, b: Node) -> Node {
        self.binary(Binary::Or, a, b)
    }

    /// `yes` and `no` are of one kind.
    pub fn select(&mut self, condition: Node, yes: Node, no: Node) -> Node {
        let kind = self.kind(yes);
        assert_eq!(kind, self.kind(no), "a choice is of one kind");
        match (self.constant(condition), self.constant(yes), self.constant(no)) {
            (Some(FALSE), ..) => no,
            (Some(_), ..) => yes,
            _ if yes == no => yes,
            (_, Some(TRUE), _) if kind == Kind::Bool => self.or(condition, no),
            (_, _, Some(FALSE)) if kind == Kind::Bool => self.and(condition, yes),
            _ => self.add(Expr::Select(condition, yes, no), kind),
        }
    }

    /// A number as a float.
    pub fn to_float(&mut self, a: Node) -> Node {
        match self.kind(a) {
            Kind::Int => self.unary(Unary::IntToFloat, a),
            Kind::Float | Kind::Bool => a,
        }
    }

    /// Rows for which both hold are redone.
    pub fn trap(&mut self, reached: Node, fails: Node) {
        let both = self.and(reached, fails);
        let trap = match self.trap {
            Some(trap) => self.or(trap, both),
            None => both,
        };
        self.trap = (self.constant(trap) != Some(FALSE)).then_some(trap);
    }

    fn add(&mut self, expr: Expr, kind: Kind) -> Node {
        let key = (expr, kind);
        if let Some(node) = self.known.get(&key) {
            return *node;
        }
        let node = Node(u32::try_from(self.nodes.len()).expect("a front end stops far earlier"));
        self.nodes.push(key.clone());
        self.known.insert(key, node);
        node
    }

    fn kind_of_binary(&self, op: Binary, a: Node) -> Kind {
        match op {
            Binary::And | Binary::Or | Binary::Xor => self.kind(a),
            Binary::FloatAdd
            | Binary::FloatSubtract
            | Binary::FloatMultiply
            | Binary::FloatDivide
            | Binary::FloatRemainder
            | Binary::FloatMax
            | Binary::FloatMin => Kind::Float,
            Binary::IntAdd
            | Binary::IntSubtract
            | Binary::IntMultiply
            | Binary::IntDivide
            | Binary::IntRemainder
            | Binary::IntMax
            | Binary::IntMin => Kind::Int,
            Binary::FloatEqual
            | Binary::FloatLess
            | Binary::FloatLessOrEqual
            | Binary::IntEqual
            | Binary::IntLess
            | Binary::IntLessOrEqual
            | Binary::AddOverflows
            | Binary::SubtractOverflows
            | Binary::MultiplyOverflows
            | Binary::HasNoQuotient => Kind::Bool,
            #[cfg(test)]
            Binary::Planted(_) => Kind::Bool,
        }
    }
}

fn kind_of_unary(op: Unary) -> Kind {
    match op {
        Unary::Not | Unary::IsNan => Kind::Bool,
        Unary::FloatNegate
        | Unary::FloatAbs
        | Unary::Sqrt
        | Unary::Floor
        | Unary::Ceiling
        | Unary::IntToFloat => Kind::Float,
        Unary::IntNegate | Unary::IntAbs | Unary::FloatToInt => Kind::Int,
    }
}
