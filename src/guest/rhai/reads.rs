//! From what a closure does with its parameters to the columns that it reads.
//!
//! The first parameter is the view; further ones are matched by name: `base` and `labels`. Nobody
//! pays for a reduction that no rule reads, so a read that cannot be named is a load error.

use std::sync::Arc;

use rhai::{Dynamic, ImmutableString, Map, Position};

use super::ast::{Use, Uses};
use super::suggest::did_you_mean;
use crate::kernel::rule::view::{BaseStat, Column, Reduction};

const REDUCTIONS: [&str; 20] = [
    "count", "sum", "mean", "min", "max", "first", "last", "delta", "rate", "increase", "stddev",
    "slope", "share", "ewma", "distinct", "p50", "p90", "p95", "p99", "p99_9",
];
const STATS: [&str; 5] = ["count", "mean", "stddev", "min", "max"];

/// What a rule offers to its conditions.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// Names of a join's inputs; empty for the one input of `on`.
    pub inputs: Vec<Arc<str>>,
    pub windowed: bool,
    pub baseline: bool,
    pub share: bool,
    pub ewma: bool,
    pub distinct: bool,
    pub state: bool,
}

/// The columns of a program, and where in its parameters each value goes.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    pub columns: Vec<Column>,
    pub slots: Vec<Slot>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// An index into [`Reads::columns`].
    pub column: usize,
    pub param: usize,
    /// Fields from the parameter on; empty when the parameter is the number itself.
    pub path: Vec<String>,
}

/// What is wrong with a read, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Complaint {
    pub at: Position,
    pub what: String,
    pub help: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    View,
    Base,
    Labels,
}

/// The columns that a closure with these parameters reads, or every complaint about it.
pub fn resolve(
    offer: &Offer,
    params: &[ImmutableString],
    at: Position,
    uses: &Uses,
) -> Result<Reads, Vec<Complaint>> {
    let mut reader = Reader { offer, params, complaints: Vec::new(), found: Vec::new() };
    let roles = reader.roles(at);
    for write in &uses.writes {
        let name = &params[write.param];
        reader.complain(write.at, format!("`{name}` cannot be changed"), None);
    }
    if let (Some(at), false) = (uses.this, offer.state) {
        let help = Some("give it its first value: .state(#{ last: 0.0 })".into());
        reader.complain(at, "this rule keeps no state of its own".into(), help);
    }
    let (base, other): (Vec<&Use>, Vec<&Use>) =
        uses.reads.iter().partition(|read| roles[read.param] == Role::Base);
    for read in other {
        match roles[read.param] {
            Role::View => reader.view(read),
            Role::Labels | Role::Base => reader.label(read),
        }
    }
    reader.at_least_one(&roles);
    let main = reader.reductions();
    // Without a baseline that was the complaint.
    for read in base.into_iter().filter(|_| offer.baseline) {
        reader.base(read, &main);
    }
    reader.finish()
}

struct Reader<'a> {
    offer: &'a Offer,
    params: &'a [ImmutableString],
    complaints: Vec<Complaint>,
    /// With the parameter and the path that its value goes to, if any.
    found: Vec<(Column, Option<usize>, Vec<String>)>,
}

impl Reader<'_> {
    fn complain(&mut self, at: Position, what: String, help: Option<String>) {
        self.complaints.push(Complaint { at, what, help });
    }

    fn roles(&mut self, at: Position) -> Vec<Role> {
        let mut roles = Vec::new();
        for (index, name) in self.params.iter().enumerate() {
            let role = match name.as_str() {
                "base" => Role::Base,
                "labels" => Role::Labels,
                _ => Role::View,
            };
            if role == Role::View && index > 0 {
                let what = format!("`{name}` is no parameter that a condition can have");
                let help = "after the view they are called `base` and `labels`";
                self.complain(at, what, Some(help.into()));
            }
            if role == Role::Base && !self.offer.baseline {
                let help = "add a baseline: .baseline(\"1d\")";
                self.complain(at, "this rule has no baseline".into(), Some(help.into()));
            }
            roles.push(role);
        }
        roles
    }

    /// A window without a single read field still has a count; a value is always shown.
    fn at_least_one(&mut self, roles: &[Role]) {
        if !self.found.iter().any(|(column, ..)| !matches!(column, Column::Label(_))) {
            let inputs = self.offer.inputs.len().max(1) as u8;
            let param = roles.iter().position(|role| *role == Role::View);
            for input in 0..inputs {
                let column = match self.offer.windowed {
                    true => Column::Reduced { input, reduction: Reduction::Count },
                    false => Column::Value { input },
                };
                let mut path: Vec<String> = Vec::new();
                path.extend(self.offer.inputs.get(input as usize).map(|name| name.to_string()));
                path.extend(self.offer.windowed.then(|| "count".to_owned()));
                // Without a parameter the value is read for the event alone.
                self.found.push((column, param, path));
            }
        }
    }

    fn view(&mut self, read: &Use) {
        let fields = without_is_nan(&read.fields);
        let path: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
        let Some((input, rest)) = self.input(read, fields) else { return };
        let column = match (self.offer.windowed, rest) {
            (false, []) => Column::Value { input },
            (true, [(field, at)]) => {
                let Some(reduction) = self.reduction(field, *at) else { return };
                Column::Reduced { input, reduction }
            }
            (true, []) => return self.escapes(read),
            (false, [(field, at), ..]) => {
                let help = match self.offer.inputs.is_empty() {
                    true => {
                        "a rule without a window judges each value; .window(\"5m\") gives fields"
                    }
                    false => "a join without a window holds each input's value",
                };
                let what = format!("a number has no field `{field}`");
                return self.complain(*at, what, Some(help.into()));
            }
            (true, [_, (field, at), ..]) => {
                return self.complain(*at, format!("a number has no field `{field}`"), None);
            }
        };
        self.found.push((column, Some(read.param), path));
    }

    /// Which input a read is about, and the fields after its name.
    fn input<'f>(
        &mut self,
        read: &Use,
        fields: &'f [(String, Position)],
    ) -> Option<(u8, &'f [(String, Position)])> {
        if self.offer.inputs.is_empty() {
            return Some((0, fields));
        }
        let Some(((name, at), rest)) = fields.split_first() else {
            self.escapes(read);
            return None;
        };
        let known = self.offer.inputs.iter().position(|input| input.as_ref() == name);
        if known.is_none() {
            let inputs: Vec<&str> = self.offer.inputs.iter().map(AsRef::as_ref).collect();
            let help = did_you_mean(name, inputs.iter().copied())
                .unwrap_or_else(|| format!("the join's inputs are {}", inputs.join(", ")));
            self.complain(*at, format!("the join has no input `{name}`"), Some(help));
        }
        known.map(|input| (input as u8, rest))
    }

    fn reduction(&mut self, field: &str, at: Position) -> Option<Reduction> {
        let Some(reduction) = Reduction::parse(field) else {
            let help = did_you_mean(field, REDUCTIONS).unwrap_or_else(|| {
                "it has count sum mean min max first last delta rate increase stddev slope p0-p100"
                    .into()
            });
            self.complain(at, format!("a window has no field `{field}`"), Some(help));
            return None;
        };
        let declared = [
            (Reduction::Share, self.offer.share, ".share(|v| v > 0.5)"),
            (Reduction::Ewma, self.offer.ewma, ".ewma(\"5m\")"),
            (Reduction::Distinct, self.offer.distinct, ".distinct(\"user\")"),
        ];
        let missing = declared.into_iter().find(|(of, said, _)| *of == reduction && !said);
        let Some((_, _, missing)) = missing else { return Some(reduction) };
        let what = format!("the rule does not declare `{field}`");
        self.complain(at, what, Some(format!("add {missing}")));
        None
    }

    fn label(&mut self, read: &Use) {
        match without_is_nan(&read.fields) {
            [] => self.escapes(read),
            [(name, _), ..] => {
                let column = Column::Label(name.as_str().into());
                self.found.push((column, Some(read.param), vec![name.clone()]));
            }
        }
    }

    fn escapes(&mut self, read: &Use) {
        let name = &self.params[read.param];
        let what = format!("`{name}` is used as a whole, so what is read of it cannot be told");
        let field = if name == "labels" { "host" } else { "mean" };
        let field = self.offer.inputs.first().map_or(field, |input| input.as_ref());
        let help = format!("name the field, as in `{name}.{field}`, here or in a function");
        self.complain(read.at, what, Some(help));
    }

    /// What the condition reads, leaving out counts where there is anything else.
    fn reductions(&self) -> Vec<(u8, Reduction)> {
        let mut all: Vec<(u8, Reduction)> = self
            .found
            .iter()
            .filter_map(|(column, ..)| match column {
                Column::Reduced { input, reduction } => Some((*input, *reduction)),
                Column::Value { .. } | Column::Base { .. } | Column::Label(_) => None,
            })
            .collect();
        all.sort();
        all.dedup();
        if all.iter().any(|(_, reduction)| *reduction != Reduction::Count) {
            all.retain(|(_, reduction)| *reduction != Reduction::Count);
        }
        all
    }

    /// `base.mean` of the one reduction that is read, `base.rate.mean`, or of a join
    /// `base.all.rate.mean`.
    fn base(&mut self, read: &Use, main: &[(u8, Reduction)]) {
        let fields = without_is_nan(&read.fields);
        let path: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
        let Some((stat, at)) = fields.last() else { return self.escapes(read) };
        let Some(stat) = BaseStat::parse(stat) else {
            let help = did_you_mean(stat, STATS)
                .unwrap_or_else(|| "it has count mean stddev min max".into());
            let what = format!("a baseline has no field `{stat}`");
            return self.complain(*at, what, Some(help));
        };
        let (input, reduction) = match &fields[..fields.len() - 1] {
            [] => match main {
                [one] => *one,
                _ => return self.ambiguous(*at, stat, main),
            },
            named => {
                let Some((input, rest)) = self.input(read, named) else { return };
                let [(field, at)] = rest else { return self.escapes(read) };
                let Some(reduction) = self.reduction(field, *at) else { return };
                (input, reduction)
            }
        };
        self.found.push((Column::Base { input, reduction, stat }, Some(read.param), path));
    }

    fn ambiguous(&mut self, at: Position, stat: BaseStat, main: &[(u8, Reduction)]) {
        let (input, reduction) = main.last().copied().unwrap_or((0, Reduction::Mean));
        let input = self.offer.inputs.get(input as usize);
        let input = input.map_or(String::new(), |name| format!("{name}."));
        let help = format!("write which one: base.{input}{}.{}", reduction.name(), stat.name());
        let what = "the condition reads several reductions, so `base` could be of any of them";
        self.complain(at, what.into(), Some(help));
    }

    fn finish(mut self) -> Result<Reads, Vec<Complaint>> {
        if !self.complaints.is_empty() {
            self.complaints.sort_by_key(|complaint| complaint.at);
            self.complaints.dedup();
            return Err(self.complaints);
        }
        let mut columns: Vec<Column> =
            self.found.iter().map(|(column, ..)| column.clone()).collect();
        columns.sort();
        columns.dedup();
        let mut slots = Vec::new();
        for (column, param, path) in self.found {
            let column = columns.binary_search(&column).expect("it was collected from here");
            let slot = param.map(|param| Slot { column, param, path });
            slots.extend(slot.filter(|slot| !slots.contains(slot)));
        }
        Ok(Reads { columns, slots })
    }
}

/// `x.is_nan` is a property that every number has.
fn without_is_nan(fields: &[(String, Position)]) -> &[(String, Position)] {
    match fields {
        [front @ .., (last, _)] if last == "is_nan" => front,
        all => all,
    }
}

/// Puts a value where a slot's path leads, making maps on the way.
pub fn put(target: &mut Dynamic, path: &[String], value: Dynamic) {
    let Some((field, rest)) = path.split_first() else {
        *target = value;
        return;
    };
    if !target.is_map() {
        *target = Dynamic::from_map(Map::new());
    }
    let mut map = target.write_lock::<Map>().expect("it was just made a map");
    if let Some(inner) = map.get_mut(field.as_str()) {
        return put(inner, rest, value);
    }
    let mut inner = Dynamic::UNIT;
    put(&mut inner, rest, value);
    map.insert(field.as_str().into(), inner);
}
