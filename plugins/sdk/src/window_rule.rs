//! Window rules: what one declares, and how it judges windows that the host keeps.

use crate::bindings::rule::watchfire::plugin::rules;
use crate::bindings::window_rule::exports::watchfire::plugin::window_evaluator;
use crate::series::{Announced, Table};
use crate::{Declaration, Duration, Failure, Held, Judgement, Label, Snapshot, Timestamp};

pub use window_evaluator::{Across, Group, GroupId, Shape, WindowDeclaration};

/// A component that judges windows. The host folds the samples and closes the windows; the guest
/// sees of each what it declared that it reads. The host runs one instance for each of its shards
/// and keeps a group on one of them, so state must be kept by group of a rule.
pub trait WindowRule: Sized + 'static {
    /// Takes the operator's settings, a JSON object.
    fn configure(settings: &str) -> Result<Self, Failure>;

    /// The rules it holds; the place in the list is the number that `evaluate` gets.
    fn describe(&self) -> Vec<WindowDeclaration>;

    /// Announces groups of a rule before their first row.
    fn intern(&mut self, _rule: u32, _added: Vec<Group>) {}

    /// These groups will not come again unless announced anew.
    fn forget(&mut self, _rule: u32, _removed: &[GroupId]) {}

    /// Judges windows of rule number `rule`: a row that is neither breached nor held is clear.
    fn evaluate(
        &mut self,
        rule: u32,
        rows: Windows<'_>,
        out: &mut Judgement,
    ) -> Result<(), Failure>;

    /// The state worth carrying over to a new instance.
    fn save(&mut self) -> Option<Snapshot> {
        None
    }

    /// Takes over saved state; a failure means a cold start.
    fn restore(&mut self, _state: Snapshot) -> Result<(), Failure> {
        Err(Failure::new("state", "this rule keeps no state"))
    }
}

/// Windows of one rule, a row each: columns of equal length.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    pub groups: &'a [GroupId],
    pub ends: &'a [Timestamp],
    /// One column for each name that the rule reads, in the declared order.
    pub values: &'a [Vec<f64>],
}

impl Windows<'_> {
    pub fn rows(&self) -> usize {
        self.groups.len()
    }
}

/// One value for each announced group of each rule.
#[derive(Debug)]
pub struct GroupTable<T>(Vec<Table<Group, T>>);

impl<T> Default for GroupTable<T> {
    fn default() -> GroupTable<T> {
        GroupTable(Vec::new())
    }
}

impl<T: Default> GroupTable<T> {
    /// Takes what the host announced; a group that is there already keeps its value.
    pub fn intern(&mut self, rule: u32, added: Vec<Group>) {
        self.rule(rule).intern(added);
    }

    pub fn forget(&mut self, rule: u32, removed: &[GroupId]) {
        self.rule(rule).forget(removed);
    }

    pub fn get_mut(&mut self, rule: u32, id: GroupId) -> Option<&mut T> {
        self.0.get_mut(rule as usize)?.get_mut(id)
    }

    /// The group as it was announced.
    pub fn group(&self, rule: u32, id: GroupId) -> Option<&Group> {
        self.0.get(rule as usize)?.series(id)
    }

    /// Writes every value under its group's labels, for a snapshot that outlives the numbers.
    /// `write` appends a value's bytes.
    pub fn save(&self, write: impl Fn(&T, &mut Vec<u8>)) -> Vec<u8> {
        let mut data = Vec::new();
        for table in &self.0 {
            crate::series::put(&mut data, |data| data.extend(table.save(&write)));
        }
        data
    }

    /// Reads what [`GroupTable::save`] wrote into the groups that are announced; others are left
    /// out. `None` when the bytes are not what `save` writes.
    pub fn restore(&mut self, data: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Option<()> {
        let (mut rest, mut rule) = (data, 0);
        while !rest.is_empty() {
            let table = crate::series::take(&mut rest)?;
            self.rule(rule).restore(table, &read)?;
            rule += 1;
        }
        Some(())
    }

    fn rule(&mut self, rule: u32) -> &mut Table<Group, T> {
        let rule = rule as usize;
        if self.0.len() <= rule {
            self.0.resize_with(rule + 1, Table::default);
        }
        &mut self.0[rule]
    }
}

impl Announced for Group {
    fn id(&self) -> u32 {
        self.id
    }

    fn name(&self) -> &str {
        ""
    }

    fn labels(&self) -> &[Label] {
        &self.key
    }
}

/// A rule over a sliding window with the host's choice of `every`.
impl WindowDeclaration {
    pub fn new(rule: Declaration, length: Duration, reads: &[&str]) -> WindowDeclaration {
        WindowDeclaration {
            rule,
            shape: Shape::Sliding(length),
            every: None,
            reads: reads.iter().map(|name| (*name).to_owned()).collect(),
            across: None,
            baseline: None,
            lateness: 0,
            ewma: None,
            distinct: None,
        }
    }

    pub fn shape(mut self, shape: Shape) -> WindowDeclaration {
        self.shape = shape;
        self
    }

    /// How often the windows are judged.
    pub fn every(mut self, every: Duration) -> WindowDeclaration {
        self.every = Some(every);
        self
    }

    /// Folds a group's series, each reduced by itself.
    pub fn across(mut self, across: Across) -> WindowDeclaration {
        self.across = Some(across);
        self
    }

    /// Keeps the past of what is read, for `base.NAME.FIGURE`.
    pub fn baseline(mut self, span: Duration) -> WindowDeclaration {
        self.baseline = Some(span);
        self
    }
}

adapter!(WindowRule);

impl<T: WindowRule + Held> window_evaluator::Guest for Adapter<T> {
    fn describe() -> Result<Vec<WindowDeclaration>, Failure> {
        Ok(T::held(|rule| rule.describe()))
    }

    fn intern(rule: u32, added: Vec<Group>) {
        T::held(|held| held.intern(rule, added));
    }

    fn forget(rule: u32, removed: Vec<GroupId>) {
        T::held(|held| held.forget(rule, &removed));
    }

    fn evaluate_windows(
        rule: u32,
        groups: Vec<GroupId>,
        ends: Vec<Timestamp>,
        values: Vec<Vec<f64>>,
    ) -> Result<rules::Judgement, Failure> {
        let rows = Windows { groups: &groups, ends: &ends, values: &values };
        let mut out = Judgement::default();
        T::held(|held| held.evaluate(rule, rows, &mut out))?;
        Ok(out.into())
    }
}

/// Makes a component of a [`WindowRule`]. Once in a crate.
#[macro_export]
macro_rules! export_window_rule {
    ($rule:ty) => {
        $crate::export_world!($rule, window_rule, "window-rule", []);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: GroupId, host: &str) -> Group {
        let key = vec![Label { name: "host".to_owned(), value: host.to_owned() }];
        Group { id, key }
    }

    #[test]
    fn groups_of_two_rules_keep_apart_and_are_found_again_by_label() {
        let mut table = GroupTable::<u32>::default();
        table.intern(0, vec![group(0, "a")]);
        table.intern(2, vec![group(0, "a"), group(1, "b")]);
        for (rule, id, value) in [(0, 0, 1), (2, 0, 2), (2, 1, 3)] {
            *table.get_mut(rule, id).expect("announced") = value;
        }
        let data = table.save(|value, out| out.extend_from_slice(&value.to_le_bytes()));
        let read = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));

        let mut other = GroupTable::<u32>::default();
        other.intern(0, vec![group(9, "a")]);
        other.intern(2, vec![group(4, "b")]);
        assert_eq!(other.restore(&data, read), Some(()));
        assert_eq!(other.get_mut(0, 9), Some(&mut 1));
        assert_eq!(other.get_mut(2, 4), Some(&mut 3));
        assert_eq!(other.restore(&data[..data.len() - 1], read), None);
    }
}
