//! Writes conditions as an author could, from a seed: well-typed for the most part, with extreme
//! numbers, early returns, helpers, captures, and now and then a term of the wrong kind.

/// Splitmix64: every seed is good, and two seeds have nothing in common.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Float,
    Int,
    Bool,
    Text,
}

const KINDS: [Kind; 4] = [Kind::Float, Kind::Int, Kind::Bool, Kind::Text];

const FLOATS: [&str; 22] = [
    "0.0",
    "-0.0",
    "1.0",
    "-1.0",
    "0.5",
    "-7.0",
    "3.0",
    "90.0",
    "90.00000000000001",
    "89.99999999999999",
    "16777217.0",
    "1e-17",
    "5e-324",
    "-5e-324",
    "1e300",
    "9.3e18",
    "-9223372036854775808.0",
    "9007199254740993.0",
    "(0.0 / 0.0)",
    "(1.0 / 0.0)",
    "(-1.0 / 0.0)",
    "2.0",
];
const INTS: [&str; 14] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-7",
    "7",
    "90",
    "100",
    "16777217",
    "9007199254740993",
    "9223372036854775807",
    "(-9223372036854775807 - 1)",
    "4611686018427387904",
];
const TEXTS: [&str; 6] = ["\"a\"", "\"b\"", "\"web-1\"", "\"prod\"", "\"\"", "`web`"];

/// What a condition can name: its fields by kind.
struct Shape {
    words: &'static str,
    params: &'static str,
    fields: &'static [(&'static str, Kind)],
}

const SHAPES: [Shape; 3] = [
    Shape {
        words: ".on(\"m\").by(\"host\", \"env\")",
        params: "v, labels",
        fields: &[
            ("v", Kind::Float),
            ("v", Kind::Float),
            ("labels.host", Kind::Text),
            ("labels.env", Kind::Text),
        ],
    },
    Shape {
        words: ".join(#{ a: \"x\", b: \"y\" }, \"host\", \"env\").window(\"1m\").baseline(\"1h\")",
        params: "w, base, labels",
        fields: &[
            ("w.a.mean", Kind::Float),
            ("w.b.max", Kind::Float),
            ("w.b.p99", Kind::Float),
            ("w.a.count", Kind::Int),
            ("w.b.count", Kind::Int),
            ("base.a.mean.count", Kind::Int),
            ("base.a.mean.stddev", Kind::Float),
            ("labels.host", Kind::Text),
            ("labels[\"env\"]", Kind::Text),
        ],
    },
    Shape { words: ".on(\"m\").by(\"host\", \"env\")", params: "v", fields: &[("v", Kind::Float)] },
];

struct Helper {
    name: String,
    params: Vec<Kind>,
    gives: Kind,
}

struct Writer<'a> {
    random: &'a mut Random,
    /// Names that may be used here.
    names: Vec<(String, Kind)>,
    helpers: Vec<Helper>,
    /// What a `return` gives here.
    gives: Kind,
}

/// A file with one rule.
pub fn write(random: &mut Random) -> String {
    let shape = &SHAPES[random.below(SHAPES.len())];
    let mut writer = Writer { random, names: Vec::new(), helpers: Vec::new(), gives: Kind::Bool };
    let mut text = String::new();
    for number in 0..writer.random.below(3) {
        text += &writer.helper(number);
    }
    let mut captured = Vec::new();
    for number in 0..writer.random.below(3) {
        let (kind, name) = (writer.kind(), format!("c{number}"));
        let value = writer.leaf_constant(kind);
        let word = writer.random.pick(&["let", "const"]);
        text += &format!("{word} {name} = {value};\n");
        captured.push((name, kind));
    }
    let fields = shape.fields.iter().map(|(name, kind)| ((*name).to_owned(), *kind));
    writer.names = fields.chain(captured).collect();
    let depth = 2 + writer.random.below(3);
    let body = writer.block(Kind::Bool, depth);
    text.push_str(&format!("rule(\"r\"){}.when(|{}| {body});\n", shape.words, shape.params));
    text
}

impl Writer<'_> {
    fn kind(&mut self) -> Kind {
        self.random.pick(&KINDS)
    }

    fn helper(&mut self, number: usize) -> String {
        let gives = self.random.pick(&[Kind::Float, Kind::Int, Kind::Bool]);
        let params: Vec<Kind> = (0..1 + self.random.below(2)).map(|_| self.kind()).collect();
        let names: Vec<String> = (0..params.len()).map(|at| format!("p{at}")).collect();
        self.names = names.iter().cloned().zip(params.iter().copied()).collect();
        self.gives = gives;
        let body = self.block(gives, 2);
        self.gives = Kind::Bool;
        let name = format!("h{number}");
        let text = format!("fn {name}({}) {body}\n", names.join(", "));
        self.helpers.push(Helper { name, params, gives });
        text
    }

    fn block(&mut self, kind: Kind, depth: usize) -> String {
        let known = self.names.clone();
        let mut text = String::from("{ ");
        for _ in 0..self.random.below(3) {
            text += &self.statement(depth.saturating_sub(1));
        }
        text += &match self.random.one_in(6) {
            true => format!("return {};", self.expr(self.gives, depth)),
            false => self.expr(kind, depth),
        };
        self.names = known;
        text + " }"
    }

    fn statement(&mut self, depth: usize) -> String {
        let kind = self.kind();
        let own = ["x", "y"].map(str::to_owned);
        let local = self.random.pick(&[0, 1]);
        let known = self.names.iter().rev().find(|(name, _)| *name == own[local]).cloned();
        match (self.random.below(6), known) {
            (0, Some((name, kind))) => {
                let kind = if self.random.one_in(8) { self.kind() } else { kind };
                format!("{name} = {}; ", self.expr(kind, depth))
            }
            (1, Some((name, kind @ (Kind::Float | Kind::Int)))) => {
                let op = self.random.pick(&["+", "-", "*", "/", "%"]);
                format!("{name} {op}= {}; ", self.expr(kind, depth))
            }
            (2, Some((name, kind))) => {
                let condition = self.expr(Kind::Bool, depth);
                let (yes, no) = (self.expr(kind, depth), self.expr(kind, depth));
                format!("if {condition} {{ {name} = {yes}; }} else {{ {name} = {no}; }} ")
            }
            (3, _) => {
                let condition = self.expr(Kind::Bool, depth);
                format!("if {condition} {{ return {}; }} ", self.expr(self.gives, depth))
            }
            _ => {
                let value = self.expr(kind, depth);
                let name = own[local].clone();
                self.names.push((name.clone(), kind));
                format!("let {name} = {value}; ")
            }
        }
    }

    fn expr(&mut self, kind: Kind, depth: usize) -> String {
        let kind = if self.random.one_in(120) { self.kind() } else { kind };
        if depth == 0 {
            return self.leaf(kind);
        }
        let depth = depth - 1;
        match self.random.below(12) {
            0 => self.leaf(kind),
            1 => {
                let (condition, yes) = (self.expr(Kind::Bool, depth), self.block(kind, depth));
                format!("(if {condition} {yes} else {})", self.block(kind, depth))
            }
            2 if self.helpers.iter().any(|helper| helper.gives == kind) => self.call(kind, depth),
            _ => match kind {
                Kind::Float => self.float(depth),
                Kind::Int => self.int(depth),
                Kind::Bool => self.bool(depth),
                Kind::Text => self.leaf(kind),
            },
        }
    }

    fn call(&mut self, kind: Kind, depth: usize) -> String {
        let able: Vec<usize> =
            (0..self.helpers.len()).filter(|at| self.helpers[*at].gives == kind).collect();
        let at = self.random.pick(&able);
        let (name, params) = (self.helpers[at].name.clone(), self.helpers[at].params.clone());
        let args: Vec<String> = params.iter().map(|kind| self.expr(*kind, depth)).collect();
        format!("{name}({})", args.join(", "))
    }

    fn leaf(&mut self, kind: Kind) -> String {
        let able: Vec<usize> =
            (0..self.names.len()).filter(|at| self.names[*at].1 == kind).collect();
        if !able.is_empty() && !self.random.one_in(3) {
            let at = self.random.pick(&able);
            return self.names[at].0.clone();
        }
        self.leaf_constant(kind)
    }

    fn leaf_constant(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Float => self.random.pick(&FLOATS).to_owned(),
            Kind::Int => self.random.pick(&INTS).to_owned(),
            Kind::Bool => self.random.pick(&["true", "false"]).to_owned(),
            Kind::Text if self.random.one_in(12) => "()".to_owned(),
            Kind::Text => self.random.pick(&TEXTS).to_owned(),
        }
    }

    fn number(&mut self, depth: usize) -> String {
        let kind = self.random.pick(&[Kind::Float, Kind::Float, Kind::Int]);
        self.expr(kind, depth)
    }

    fn float(&mut self, depth: usize) -> String {
        let a = self.expr(Kind::Float, depth);
        match self.random.below(10) {
            0..5 => {
                let op = self.random.pick(&["+", "-", "*", "/", "%"]);
                let b = self.number(depth);
                if self.random.one_in(2) {
                    format!("({a} {op} {b})")
                } else {
                    format!("({b} {op} {a})")
                }
            }
            5 => {
                let (name, b) = (self.random.pick(&["max", "min"]), self.number(depth));
                let turned = self.random.one_in(2);
                if turned { format!("{name}({b}, {a})") } else { format!("{name}({a}, {b})") }
            }
            6 => format!("(-{a})"),
            7 => format!("{}({a})", self.random.pick(&["abs", "sqrt", "floor", "ceiling"])),
            8 => format!("({a}).{}()", self.random.pick(&["abs", "floor", "to_float"])),
            _ => format!("to_float({})", self.expr(Kind::Int, depth)),
        }
    }

    fn int(&mut self, depth: usize) -> String {
        let a = self.expr(Kind::Int, depth);
        match self.random.below(9) {
            0..4 => {
                let op = self.random.pick(&["+", "-", "*", "/", "%"]);
                format!("({a} {op} {})", self.expr(Kind::Int, depth))
            }
            4 => format!("({a} {} {})", self.random.pick(&["&", "|", "^"]), self.leaf(Kind::Int)),
            5 => format!("{}({a}, {})", self.random.pick(&["max", "min"]), self.leaf(Kind::Int)),
            6 => format!("(-{a})"),
            7 => format!("{}({a})", self.random.pick(&["abs", "floor", "ceiling"])),
            _ => format!("to_int({})", self.expr(Kind::Float, depth)),
        }
    }

    fn bool(&mut self, depth: usize) -> String {
        let compare = self.random.pick(&["<", "<=", ">", ">=", "==", "!="]);
        match self.random.below(14) {
            0..4 => format!("({} {compare} {})", self.number(depth), self.number(depth)),
            4..7 => {
                let op = self.random.pick(&["&&", "||"]);
                format!("({} {op} {})", self.expr(Kind::Bool, depth), self.expr(Kind::Bool, depth))
            }
            7 => format!("(!{})", self.expr(Kind::Bool, depth)),
            8 => format!("({} {compare} {})", self.leaf(Kind::Text), self.leaf(Kind::Text)),
            9 => {
                let name = self.random.pick(&["starts_with", "ends_with", "contains"]);
                format!("({}).{name}({})", self.leaf(Kind::Text), self.leaf(Kind::Text))
            }
            10 => {
                let kind = self.kind();
                let items: Vec<String> =
                    (0..self.random.below(4)).map(|_| self.leaf(kind)).collect();
                let word = self.random.pick(&["in", "!in"]);
                format!("({} {word} [{}])", self.leaf(kind), items.join(", "))
            }
            11 => {
                let (a, b) = (self.kind(), self.kind());
                format!("({} {compare} {})", self.leaf(a), self.leaf(b))
            }
            12 => {
                let name = self.random.pick(&["is_nan", "is_finite", "is_infinite"]);
                let end = self.random.pick(&["", "()"]);
                format!("({}).{name}{end}", self.expr(Kind::Float, depth))
            }
            _ => {
                let op = self.random.pick(&["&", "|", "^", "==", "!=", "<", ">="]);
                format!("({} {op} {})", self.expr(Kind::Bool, depth), self.leaf(Kind::Bool))
            }
        }
    }
}
