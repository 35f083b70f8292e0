//! From drafts to checked rules: what only the whole rule can tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::{EvalAltResult, Position};

use super::super::ast::{Script, Uses};
use super::super::call::Closure;
use super::super::condition::{Condition, as_number, as_truth};
use super::super::reads::{self, Offer};
use super::super::suggest::did_you_mean;
use super::super::text::{Filter, Fixed, Text};
use super::super::{alert, errors};
use super::args::Said;
use super::rule::{JoinInput, RuleDraft, Window, Words};
use crate::guest::finding::Finding;
use crate::kernel::expr::Kind;
use crate::kernel::model::{Duration, Labels, Level, Version};
use crate::kernel::rule::program::{Program, SeriesFilter, Template};
use crate::kernel::rule::selector::Selector;
use crate::kernel::rule::view::{Column, Reduction};
use crate::kernel::rule::{
    Baseline, Declared, Grouping, Input, Judge, LevelRule, OnNoData, Origin, Record, Rule, Shape,
    Timing,
};
use crate::kernel::window::every;

/// How often a fold across series is judged when the rule does not say.
const ACROSS_EVERY: Duration = Duration::from_secs(10);

/// Checks one draft. `None` when there are errors, which are then among `findings`.
pub fn rule(
    draft: &RuleDraft,
    script: &Arc<Script>,
    libraries: &BTreeMap<String, Arc<Script>>,
    version: Version,
    findings: &mut Vec<Finding>,
) -> Option<Rule> {
    let mut checker = Checker { draft, script, libraries, findings: Vec::new() };
    let rule = checker.rule(version);
    let failed = checker.findings.iter().any(Finding::is_error);
    findings.append(&mut checker.findings);
    rule.filter(|_| !failed)
}

pub(super) struct Checker<'a> {
    pub draft: &'a RuleDraft,
    script: &'a Arc<Script>,
    libraries: &'a BTreeMap<String, Arc<Script>>,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    pub fn error(&mut self, at: Position, what: impl Into<String>, help: Option<String>) {
        let finding = self.script.source.error(at, what);
        let rule = Some(self.draft.name.to_string());
        self.findings.push(Finding { help, rule, ..finding });
    }

    fn warning(&mut self, at: Position, what: impl Into<String>, help: &str) {
        let finding = self.script.source.warning(at, what);
        let rule = Some(self.draft.name.to_string());
        self.findings.push(Finding { help: Some(help.to_owned()), rule, ..finding });
    }

    fn rule(&mut self, version: Version) -> Option<Rule> {
        let draft = self.draft;
        self.belongs_together();
        let inputs = self.inputs();
        let offer = self.offer(&inputs);
        let judge = self.judge(&offer);
        let record = draft.record.as_ref().and_then(|said| {
            let (name, closure) = &said.value;
            let value = self.program(closure, said.at, &offer, Kind::Float)?;
            Some(Record { name: name.clone(), value })
        });
        let declared = self.declared();
        let annotations = self.annotations();
        let labels = self.labels();
        // The shape depends on what is read, so it comes after all that reads.
        let reads = reductions(judge.as_ref(), record.as_ref());
        let shape = self.shape(&reads);
        Some(Rule {
            name: draft.name.clone(),
            version,
            origin: self.origin(),
            inputs,
            by: self.grouping(),
            shape: shape?,
            across: value_of(&draft.across),
            lateness: value_of(&draft.lateness).unwrap_or(Duration::ZERO),
            tolerance: value_of(&draft.tolerance),
            baseline: value_of(&draft.baseline).map(|span| Baseline { span }),
            declared,
            judge: judge?,
            state: value_of(&draft.state),
            timing: self.timing(),
            flapping: value_of(&draft.flapping),
            during: value_of(&draft.during),
            labels,
            annotations,
            notify: draft.notify.clone(),
            record,
            shadow: draft.shadow,
        })
    }

    fn origin(&self) -> Origin {
        let line = self.draft.at.line().and_then(|line| u32::try_from(line).ok()).unwrap_or(0);
        Origin { file: self.script.source.file.clone(), line }
    }

    fn inputs(&mut self) -> Vec<Input> {
        let draft = self.draft;
        let filter = draft.filter.as_ref().map(|said| {
            let closure = said.value.clone();
            let text = closure.text();
            Arc::new(Filter { closure, text }) as Arc<dyn SeriesFilter>
        });
        let selector = |metric: &str| Selector {
            matchers: draft.matchers.clone(),
            filter: filter.clone(),
            ..Selector::metric(metric)
        };
        if let Some(join) = &draft.join {
            let inputs = join.value.iter();
            let input = |input: &JoinInput| Input {
                name: input.name.clone(),
                selector: selector(&input.metric),
            };
            return inputs.map(input).collect();
        }
        let metric = draft.on.iter().map(|on| on.value.as_str());
        metric.map(|metric| Input { name: "".into(), selector: selector(metric) }).collect()
    }

    fn offer(&self, inputs: &[Input]) -> Offer {
        let draft = self.draft;
        let joined = draft.join.is_some();
        Offer {
            inputs: inputs.iter().filter(|_| joined).map(|input| input.name.clone()).collect(),
            windowed: !draft.windows.is_empty(),
            baseline: draft.baseline.is_some(),
            share: draft.share.is_some(),
            ewma: draft.ewma.is_some(),
            distinct: draft.distinct.is_some(),
            state: draft.state.is_some(),
        }
    }

    fn grouping(&self) -> Grouping {
        match &self.draft.by {
            Some(labels) => Grouping::By(labels.value.clone()),
            // A join without labels has nothing to tell its groups apart by.
            None if self.draft.join.is_some() => Grouping::By(Vec::new()),
            None => Grouping::EachSeries,
        }
    }

    fn judge(&mut self, offer: &Offer) -> Option<Judge> {
        let draft = self.draft;
        let severity = value_of(&draft.severity).unwrap_or(Level::Warning);
        let mut levels = [None, None, None];
        if let Some(when) = &draft.when {
            let reset = draft.clear.as_ref().map(|clear| (&clear.value, clear.at));
            levels[severity.index()] = self.level(&when.value, when.at, reset, offer);
        }
        for level in Level::ALL {
            if let Some(said) = &draft.levels[level.index()] {
                let reset = said.value.reset.as_ref().map(|reset| (reset, said.at));
                levels[level.index()] = self.level(&said.value.when, said.at, reset, offer);
            }
        }
        if levels.iter().any(Option::is_some) {
            return Some(Judge::Levels(levels));
        }
        Some(if draft.absent.is_some() { Judge::Absent(severity) } else { Judge::Never })
    }

    fn level(
        &mut self,
        when: &Arc<Closure>,
        at: Position,
        reset: Option<(&Arc<Closure>, Position)>,
        offer: &Offer,
    ) -> Option<LevelRule> {
        let condition = self.program(when, at, offer, Kind::Bool);
        self.never_empty(when, offer);
        let reset = match reset {
            Some((reset, at)) => Some(self.program(reset, at, offer, Kind::Bool)?),
            None => None,
        };
        Some(LevelRule { when: condition?, reset })
    }

    /// A closure as a program, once it is sure what it reads and that it can give what it must.
    fn program(
        &mut self,
        closure: &Arc<Closure>,
        at: Position,
        offer: &Offer,
        gives: Kind,
    ) -> Option<Arc<dyn Program>> {
        let uses = self.uses(closure);
        let reads = match reads::resolve(offer, closure.params(), closure.function.at, &uses) {
            Ok(reads) => reads,
            Err(complaints) => {
                for complaint in complaints {
                    self.error(complaint.at, complaint.what, complaint.help);
                }
                return None;
            }
        };
        let condition = Condition::new(closure.clone(), reads);
        let state = self.draft.state.as_ref().map(|said| &said.value);
        let start = if closure.function.at.is_none() { at } else { closure.function.at };
        match condition.trial(state) {
            Ok(value) => {
                let wrong = match gives {
                    Kind::Bool => as_truth(&value).err(),
                    Kind::Float | Kind::Int => as_number(&value).err(),
                };
                if let Some(what) = wrong {
                    self.error(start, what, None);
                    return None;
                }
            }
            Err(error) if is_hopeless(&error) => {
                let finding = errors::load_finding(&self.script.source, &error);
                let rule = Some(self.draft.name.to_string());
                self.findings.push(Finding { rule, ..finding });
                return None;
            }
            // With other numbers it may well work.
            Err(_) => {}
        }
        Some(condition.program(gives))
    }

    fn uses(&self, closure: &Closure) -> Uses {
        self.script.uses(&closure.function, closure.captures(), self.libraries)
    }

    fn never_empty(&mut self, when: &Closure, offer: &Offer) {
        if !offer.windowed || self.draft.on_no_data.is_some() {
            return;
        }
        let below = self.uses(when).below;
        let counts = below.iter().find(|read| {
            let field = read.fields.last().map(|(name, _)| name.as_str());
            let view = when.params().get(read.param).map(|name| name.as_str());
            field == Some("count") && view != Some("base")
        });
        if let Some(count) = counts {
            self.warning(
                count.at,
                "an empty window is no data, so this never sees a count of 0",
                "use .absent(..), or say .on_no_data(\"breach\")",
            );
        }
    }

    fn declared(&mut self) -> Declared {
        let draft = self.draft;
        let each = Offer::default();
        let share = draft.share.as_ref();
        let share = share.and_then(|said| self.program(&said.value, said.at, &each, Kind::Bool));
        Declared { share, ewma: value_of(&draft.ewma), distinct: value_of(&draft.distinct) }
    }

    fn shape(&mut self, reads: &[Reduction]) -> Option<Shape> {
        let every = value_of(&self.draft.every);
        let Some(window) = self.draft.windows.first() else {
            return Some(match self.draft.across {
                Some(_) => Shape::Latest { every: every.unwrap_or(ACROSS_EVERY) },
                None => Shape::Each,
            });
        };
        let sketched = reads.iter().copied().any(every::is_sketched);
        let resolved = match window.value {
            Window::Sliding(length) => every::resolve_sliding(length, every, sketched),
            Window::Tumbling(length) => every::resolve_sliding(length, Some(length), sketched),
            Window::Session(gap) => every::resolve_session(gap, every),
            Window::Last(count) => {
                let shape = Shape::Count { count };
                every::check(shape, reads).map(|()| shape)
            }
        };
        resolved
            .map_err(|what| {
                let at = at_of(&self.draft.every).unwrap_or(window.at);
                self.error(at, what, None);
            })
            .ok()
    }

    fn timing(&self) -> Timing {
        let draft = self.draft;
        let usual = Timing::default();
        Timing {
            soak: value_of(&draft.soak).unwrap_or(usual.soak),
            cool: value_of(&draft.cool).unwrap_or(usual.cool),
            repeat: value_of(&draft.repeat),
            expire: value_of(&draft.expire).unwrap_or(usual.expire),
            forget: value_of(&draft.forget).unwrap_or(usual.forget),
            forget_firing: draft.forget.is_some(),
            absent: value_of(&draft.absent),
            on_no_data: value_of(&draft.on_no_data).unwrap_or(OnNoData::Hold),
        }
    }

    fn labels(&mut self) -> Labels {
        let draft = self.draft;
        for (name, _) in &draft.labels {
            if draft.by.as_ref().is_some_and(|by| by.value.contains(name)) {
                let what = format!("`{name}` is a label of the group and a static one");
                self.error(draft.at, what, None);
            }
        }
        Labels::new(draft.labels.iter().map(|(name, value)| (name.as_ref(), value.as_str())))
    }

    fn annotations(&mut self) -> Vec<(Arc<str>, Arc<dyn Template>)> {
        let draft = self.draft;
        let mut annotations: Vec<(Arc<str>, Arc<dyn Template>)> = Vec::new();
        for said in &draft.annotations {
            let (name, words) = &said.value;
            let template: Arc<dyn Template> = match words {
                Words::Fixed(text) => Arc::new(Fixed(text.clone())),
                Words::Written(closure) => {
                    self.alert_fields(closure);
                    let absent = value_of(&draft.absent);
                    Arc::new(Text { closure: closure.clone(), absent })
                }
            };
            annotations.push((name.clone(), template));
        }
        annotations
    }

    /// A field that no alert has is a slip of the fingers, and would print as nothing.
    fn alert_fields(&mut self, closure: &Closure) {
        for read in self.uses(closure).reads {
            let Some((field, at)) = read.fields.first() else { continue };
            if read.param == 0 && !alert::FIELDS.contains(&field.as_str()) {
                let help = did_you_mean(field, alert::FIELDS)
                    .unwrap_or_else(|| format!("it has {}", alert::FIELDS.join(" ")));
                self.error(*at, format!("an alert has no field `{field}`"), Some(help));
            }
        }
    }
}

pub(super) fn value_of<T: Clone>(said: &Option<Said<T>>) -> Option<T> {
    said.as_ref().map(|said| said.value.clone())
}

pub(super) fn at_of<T>(said: &Option<Said<T>>) -> Option<Position> {
    said.as_ref().map(|said| said.at)
}

/// Whether any condition or recorded value reads a reduction that costs more a pane.
/// Every reduction that a rule's programs read.
fn reductions(judge: Option<&Judge>, record: Option<&Record>) -> Vec<Reduction> {
    let mut programs: Vec<&Arc<dyn Program>> = Vec::new();
    if let Some(Judge::Levels(levels)) = judge {
        for level in levels.iter().flatten() {
            programs.push(&level.when);
            programs.extend(&level.reset);
        }
    }
    programs.extend(record.map(|record| &record.value));
    let columns = programs.iter().flat_map(|program| program.reads());
    columns
        .filter_map(|column| match column {
            Column::Reduced { reduction, .. } | Column::Base { reduction, .. } => Some(*reduction),
            Column::Value { .. } | Column::Label(_) => None,
        })
        .collect()
}

/// Errors that do not depend on the numbers that were tried.
fn is_hopeless(error: &EvalAltResult) -> bool {
    use EvalAltResult as E;
    match error {
        E::ErrorInFunctionCall(_, _, inner, _) => is_hopeless(inner),
        E::ErrorFunctionNotFound(..)
        | E::ErrorVariableNotFound(..)
        | E::ErrorModuleNotFound(..)
        | E::ErrorMismatchDataType(..)
        | E::ErrorAssignmentToConstant(..)
        | E::ErrorNonPureMethodCallOnConstant(..)
        | E::ErrorIndexingType(..)
        | E::ErrorDotExpr(..)
        | E::ErrorUnboundThis(..)
        | E::ErrorTooManyOperations(..)
        | E::ErrorStackOverflow(..) => true,
        _ => false,
    }
}
