//! Which events a subscriber wants.

use crate::kernel::event::{Event, Kind};
use crate::kernel::model::Level;
use crate::kernel::rule::selector::{Matcher, NamePattern};

/// All parts must hold. The default is what sinks get: every event that is told, none of a shadow
/// rule.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// A rule's name or a glob over names; `None` takes every rule.
    pub rule: Option<NamePattern>,
    pub kinds: Kinds,
    pub level_min: Option<Level>,
    /// Over the alert's labels: its key, and where that lacks one, the rule's static labels.
    pub matchers: Vec<Matcher>,
    pub shadow: Shadow,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kinds {
    /// Those that sinks are told.
    #[default]
    Told,
    All,
    Only(Vec<Kind>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shadow {
    #[default]
    Without,
    With,
    Only,
}

impl Filter {
    /// Everything there is.
    pub fn all() -> Filter {
        Filter { kinds: Kinds::All, shadow: Shadow::With, ..Filter::default() }
    }

    pub fn takes(&self, event: &Event) -> bool {
        self.shadow.takes(event.shadow)
            && self.kinds.takes(event.kind)
            && self.level_min.is_none_or(|least| event.level >= least)
            && self.rule.as_ref().is_none_or(|pattern| pattern.takes(&event.rule))
            && self.matchers.iter().all(|matcher| takes_labels(matcher, event))
    }
}

impl Kinds {
    fn takes(&self, kind: Kind) -> bool {
        match self {
            Kinds::Told => kind.is_told(),
            Kinds::All => true,
            Kinds::Only(kinds) => kinds.contains(&kind),
        }
    }
}

impl Shadow {
    fn takes(self, shadow: bool) -> bool {
        match self {
            Shadow::Without => !shadow,
            Shadow::With => true,
            Shadow::Only => shadow,
        }
    }
}

fn takes_labels(matcher: &Matcher, event: &Event) -> bool {
    matcher.admits(event.key.get(&matcher.label).or_else(|| event.labels.get(&matcher.label)))
}
