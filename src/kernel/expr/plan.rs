//! From a graph to steps over a few buffers, and to the facts that a group's labels decide.
//!
//! A truth that depends on labels alone is a *fact*: it is computed once for each group, and rows
//! carry it as a bit. All else becomes a step. A buffer is used again as soon as nobody needs what
//! is in it, so even long conditions stay within the nearest cache.

use super::graph::{Expr, Graph, Kind, Node};
use super::ops::{self, Binary, FALSE, Once, Unary};
use super::text::TextTest;
use crate::kernel::model::Labels;
use crate::kernel::rule::program::{Comparison, Threshold};

/// Facts are the bits of a `u64`.
pub const FACTS_MAX: usize = 64;

/// Where a step finds a lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operand {
    Buffer(u16),
    Constant(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    Column(u16),
    Count(u16),
    /// A bit of the row's facts.
    Fact(u8),
    Unary(Unary, Operand),
    Binary(Binary, Operand, Operand),
    Select(Operand, Operand, Operand),
}

/// Fills buffer `into`, which is none of its operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    pub work: Work,
    pub into: u16,
}

/// A condition, ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub buffers: usize,
    /// The value, of kind `gives`.
    pub value: Operand,
    pub gives: Kind,
    /// Which rows are to be redone.
    pub trap: Operand,
    facts: Facts,
}

#[derive(Clone, Debug, Default)]
struct Facts {
    steps: Vec<FactStep>,
    /// The steps that are facts: bit 0 first.
    bits: Vec<usize>,
}

/// Operands are earlier steps.
#[derive(Clone, Debug)]
enum FactStep {
    Constant(u64),
    Test(TextTest),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    Select(usize, usize, usize),
}

/// The graph asks for more facts than there are bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyFacts;

impl Plan {
    pub fn new(graph: &Graph, value: Node) -> Result<Plan, TooManyFacts> {
        let needed = Needed::of(graph, value);
        let facts = needed.facts(graph);
        if facts.len() > FACTS_MAX {
            return Err(TooManyFacts);
        }
        let mut steps = Steps { graph, needed: &needed, facts: &facts, plan: Vec::new(), slots: 0 };
        let places = steps.write();
        let place = |node: Node| {
            let constant = graph.constant(node).map(Operand::Constant);
            constant.or(places[node.index()]).expect("a root is kept to the end")
        };
        Ok(Plan {
            value: place(value),
            gives: graph.kind(value),
            trap: graph.traps().map_or(Operand::Constant(FALSE), place),
            buffers: steps.slots as usize,
            steps: steps.plan,
            facts: Facts::of(graph, &facts),
        })
    }

    /// How many operations a row costs.
    pub fn operations(&self) -> usize {
        self.steps.len()
    }

    /// The comparison that it comes to, when that is all: a column against a constant.
    pub fn threshold(&self) -> Option<Threshold> {
        let [column, compare] = self.steps.as_slice() else { return None };
        let Work::Binary(op, a, b) = compare.work else { return None };
        let (value, plain) = (Operand::Buffer(column.into), Operand::Buffer(compare.into));
        let bare = matches!(column.work, Work::Column(_)) && self.value == plain;
        if !bare || self.can_trap() || self.has_facts() {
            return None;
        }
        let (comparison, limit) = match (op, a, b) {
            (Binary::FloatLess, a, Operand::Constant(limit)) if a == value => {
                (Comparison::Below, limit)
            }
            (Binary::FloatLess, Operand::Constant(limit), b) if b == value => {
                (Comparison::Above, limit)
            }
            (Binary::FloatLessOrEqual, a, Operand::Constant(limit)) if a == value => {
                (Comparison::AtMost, limit)
            }
            (Binary::FloatLessOrEqual, Operand::Constant(limit), b) if b == value => {
                (Comparison::AtLeast, limit)
            }
            _ => return None,
        };
        Some(Threshold { comparison, limit: f64::from_bits(limit) })
    }

    /// Whether it depends on labels at all.
    pub fn has_facts(&self) -> bool {
        !self.facts.bits.is_empty()
    }

    /// Whether a row of it may ever have to be redone.
    pub fn can_trap(&self) -> bool {
        self.trap != Operand::Constant(FALSE)
    }

    /// The facts of a group, which hold for all of its rows.
    pub fn facts(&self, key: &Labels) -> u64 {
        let mut lanes: Vec<u64> = Vec::with_capacity(self.facts.steps.len());
        for step in &self.facts.steps {
            let lane = match step {
                FactStep::Constant(lane) => *lane,
                FactStep::Test(test) => ops::truth(test.holds(key)),
                FactStep::Unary(op, a) => ops::unary(*op, Once(lanes[*a])),
                FactStep::Binary(op, a, b) => ops::binary(*op, Once((lanes[*a], lanes[*b]))),
                FactStep::Select(c, a, b) => ops::select(lanes[*c], lanes[*a], lanes[*b]),
            };
            lanes.push(lane);
        }
        let bits = self.facts.bits.iter().enumerate();
        bits.fold(0, |facts, (bit, step)| facts | ((lanes[*step] & 1) << bit))
    }
}

fn children(expr: &Expr) -> impl Iterator<Item = Node> {
    let nodes = match expr {
        Expr::Constant(_) | Expr::Column(_) | Expr::Count(_) | Expr::Text(_) => [None; 3],
        Expr::Unary(_, a) => [Some(*a), None, None],
        Expr::Binary(_, a, b) => [Some(*a), Some(*b), None],
        Expr::Select(c, a, b) => [Some(*c), Some(*a), Some(*b)],
    };
    nodes.into_iter().flatten()
}

/// What is asked for in the end, and what the labels alone decide.
struct Needed {
    /// Constants count as decided by labels.
    by_labels: Vec<bool>,
    roots: Vec<Node>,
}

impl Needed {
    fn of(graph: &Graph, value: Node) -> Needed {
        let roots: Vec<Node> = std::iter::once(value).chain(graph.traps()).collect();
        let mut by_labels = vec![false; graph.len()];
        for at in 0..graph.len() {
            by_labels[at] = match graph.at(at).1 {
                Expr::Column(_) | Expr::Count(_) => false,
                other => children(other).all(|child| by_labels[child.index()]),
            };
        }
        Needed { by_labels, roots }
    }

    /// Whether a node can be a fact: a truth that labels alone decide.
    fn may_be_fact(&self, graph: &Graph, at: usize) -> bool {
        let (node, expr) = graph.at(at);
        self.by_labels[at] && graph.kind(node) == Kind::Bool && !matches!(expr, Expr::Constant(_))
    }

    /// The largest such truths: roots, or used by what is none itself.
    fn facts(&self, graph: &Graph) -> Vec<usize> {
        let mut asked = vec![false; graph.len()];
        self.roots.iter().for_each(|root| asked[root.index()] = true);
        for at in (0..graph.len()).rev() {
            if asked[at] && !self.may_be_fact(graph, at) {
                children(graph.at(at).1).for_each(|child| asked[child.index()] = true);
            }
        }
        (0..graph.len()).filter(|at| asked[*at] && self.may_be_fact(graph, *at)).collect()
    }
}

/// Writes steps in the graph's order, which has children first.
struct Steps<'a> {
    graph: &'a Graph,
    needed: &'a Needed,
    facts: &'a [usize],
    plan: Vec<Step>,
    slots: u16,
}

impl Steps<'_> {
    /// Where each node's lanes lie; those that are needed no more may lie where others do.
    fn write(&mut self) -> Vec<Option<Operand>> {
        let last_uses = self.last_uses();
        let mut places: Vec<Option<Operand>> = vec![None; self.graph.len()];
        let mut free: Vec<u16> = Vec::new();
        for at in 0..self.graph.len() {
            let (node, expr) = self.graph.at(at);
            if let Some(lane) = self.graph.constant(node) {
                places[at] = Some(Operand::Constant(lane));
                continue;
            }
            if last_uses[at].is_none() {
                continue;
            }
            let operand = |node: Node| places[node.index()].expect("children stand before");
            let fact = self.facts.binary_search(&at).ok();
            let work = match (fact, expr) {
                (Some(bit), _) => Work::Fact(bit as u8),
                (None, Expr::Column(index)) => Work::Column(*index),
                (None, Expr::Count(index)) => Work::Count(*index),
                (None, Expr::Unary(op, a)) => Work::Unary(*op, operand(*a)),
                (None, Expr::Binary(op, a, b)) => Work::Binary(*op, operand(*a), operand(*b)),
                (None, Expr::Select(c, a, b)) => {
                    Work::Select(operand(*c), operand(*a), operand(*b))
                }
                (None, Expr::Constant(_) | Expr::Text(_)) => {
                    unreachable!("constants have no step, and a question to labels is a fact")
                }
            };
            let into = free.pop().unwrap_or_else(|| {
                self.slots += 1;
                self.slots - 1
            });
            self.plan.push(Step { work, into });
            places[at] = Some(Operand::Buffer(into));
            if fact.is_none() {
                let mut done: Vec<Node> =
                    children(expr).filter(|child| last_uses[child.index()] == Some(at)).collect();
                done.sort();
                done.dedup();
                free.extend(done.iter().filter_map(|child| match places[child.index()] {
                    Some(Operand::Buffer(slot)) => Some(slot),
                    Some(Operand::Constant(_)) | None => None,
                }));
            }
        }
        places
    }

    /// The node that needs each one last; a root is needed beyond all. `None` for what no step
    /// needs.
    fn last_uses(&self) -> Vec<Option<usize>> {
        let mut last: Vec<Option<usize>> = vec![None; self.graph.len()];
        self.needed.roots.iter().for_each(|root| last[root.index()] = Some(usize::MAX));
        for at in (0..self.graph.len()).rev() {
            if last[at].is_some() && self.facts.binary_search(&at).is_err() {
                for child in children(self.graph.at(at).1) {
                    last[child.index()] = last[child.index()].max(Some(at));
                }
            }
        }
        last
    }
}

impl Facts {
    fn of(graph: &Graph, facts: &[usize]) -> Facts {
        let mut wanted = vec![false; graph.len()];
        facts.iter().for_each(|at| wanted[*at] = true);
        for at in (0..graph.len()).rev() {
            if wanted[at] {
                children(graph.at(at).1).for_each(|child| wanted[child.index()] = true);
            }
        }
        let mut steps = Vec::new();
        let mut place = vec![0; graph.len()];
        for at in (0..graph.len()).filter(|at| wanted[*at]) {
            let of = |node: &Node| place[node.index()];
            let step = match graph.at(at).1 {
                Expr::Constant(lane) => FactStep::Constant(*lane),
                Expr::Text(test) => FactStep::Test(test.clone()),
                Expr::Unary(op, a) => FactStep::Unary(*op, of(a)),
                Expr::Binary(op, a, b) => FactStep::Binary(*op, of(a), of(b)),
                Expr::Select(c, a, b) => FactStep::Select(of(c), of(a), of(b)),
                Expr::Column(_) | Expr::Count(_) => {
                    unreachable!("labels alone decide a fact")
                }
            };
            place[at] = steps.len();
            steps.push(step);
        }
        Facts { steps, bits: facts.iter().map(|at| place[*at]).collect() }
    }
}
