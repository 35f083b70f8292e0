//! Questions to a group's labels: the only texts that a native program knows.

use std::sync::Arc;

use crate::kernel::model::Labels;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Text {
    /// The label's value, or nothing where the group has no such label.
    Label(Arc<str>),
    Fixed(Arc<str>),
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    Equal,
    /// By bytes. Nothing is neither less than a text nor more, nor than nothing.
    Less,
    LessOrEqual,
    StartsWith,
    EndsWith,
    Contains,
}

/// Whether a relation holds between two texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TextTest {
    pub relation: Relation,
    pub left: Text,
    pub right: Text,
}

impl TextTest {
    pub fn equal(left: Text, right: Text) -> TextTest {
        TextTest { relation: Relation::Equal, left, right }
    }

    /// The answer, where no label is asked.
    pub fn fixed(&self) -> Option<bool> {
        let asks = |text: &Text| matches!(text, Text::Label(_));
        (!asks(&self.left) && !asks(&self.right)).then(|| self.holds(&Labels::empty()))
    }

    pub fn holds(&self, key: &Labels) -> bool {
        match (self.left.of(key), self.right.of(key)) {
            (Some(left), Some(right)) => match self.relation {
                Relation::Equal => left == right,
                Relation::Less => left < right,
                Relation::LessOrEqual => left <= right,
                Relation::StartsWith => left.starts_with(right),
                Relation::EndsWith => left.ends_with(right),
                Relation::Contains => left.contains(right),
            },
            (None, None) => self.relation == Relation::Equal,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl Text {
    fn of<'a>(&'a self, key: &'a Labels) -> Option<&'a str> {
        match self {
            Text::Label(name) => key.get(name),
            Text::Fixed(text) => Some(text),
            Text::Nothing => None,
        }
    }
}
