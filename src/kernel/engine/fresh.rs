//! What a shard needs of rules that a swap adds or edits, made where no shard waits for it.

use std::fmt;
use std::sync::Arc;

use crate::kernel::rule::ruleset::RuleIndex;
use crate::kernel::rule::succession::{Change, Edit, Succession};
use crate::kernel::rule::{Judge, Rule, State};
use crate::kernel::window::WindowSpec;

use super::run::RuleRun;

/// In the order of a ruleset.
#[allow(clippy::vec_box, reason = "a swap moves all of them")]
pub type Runs = Vec<Box<RuleRun>>;

/// One shard's new runs, in the order of the new rules.
#[derive(Default)]
pub struct Fresh {
    pub added: Runs,
    pub edited: Vec<FreshRun>,
}

/// A rule under its new text. Once the shard took over what it needs, its old parts lie here.
pub struct FreshRun {
    pub index: RuleIndex,
    pub edit: Edit,
    pub run: Box<RuleRun>,
    /// Why windows and `this` cannot go on under the new text; alerts always do.
    pub lost: Option<&'static str>,
}

impl Fresh {
    pub fn new(succession: &Succession) -> Fresh {
        let (old, new) = (succession.old(), succession.new_set());
        let mut fresh = Fresh::default();
        for index in succession.touched() {
            let rule = new.rule(*index);
            let run = || Box::new(RuleRun::new(rule.clone(), new.delay(*index)));
            match succession.changes()[index.index()] {
                Change::Added => fresh.added.push(run()),
                Change::Same { .. } => {}
                Change::Edited { was, edit } => {
                    let lost = lost(old.rule(was), rule);
                    fresh.edited.push(FreshRun { index: *index, edit, run: run(), lost });
                }
            }
        }
        fresh
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} rules added, {} edited", self.added.len(), self.edited.len())
    }
}

/// Why windows and `this` of the old rule cannot go on under the new one.
fn lost(old: &Arc<Rule>, new: &Arc<Rule>) -> Option<&'static str> {
    let (specs, old_specs) = (WindowSpec::all(new), WindowSpec::all(old));
    let continues = specs.len() == old_specs.len()
        && specs.iter().zip(&old_specs).all(|(new, old)| new.continues(old));
    if old.shape != new.shape {
        return Some("the window is another one");
    }
    let bases = |rule: &Rule| RuleRun::bases_among(&rule.columns());
    if !continues || bases(old) != bases(new) || old.baseline != new.baseline {
        return Some("its conditions read figures that were not kept before");
    }
    if old.across != new.across || old.declared.distinct != new.declared.distinct {
        return Some("series are folded in another way");
    }
    if matches!(old.judge, Judge::Guest(_)) != matches!(new.judge, Judge::Guest(_)) {
        return Some("it is judged by another kind of program");
    }
    if !same_form(old.state.as_ref(), new.state.as_ref()) {
        return Some("`this` has other keys or types");
    }
    None
}

/// The same keys with the same types of values.
fn same_form(old: Option<&State>, new: Option<&State>) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(State::Map(old)), Some(State::Map(new))) => {
            old.len() == new.len()
                && old.iter().zip(new).all(|((old_key, old), (new_key, new))| {
                    old_key == new_key && same_form(Some(old), Some(new))
                })
        }
        (Some(old), Some(new)) => std::mem::discriminant(old) == std::mem::discriminant(new),
        (None, Some(_)) | (Some(_), None) => false,
    }
}
