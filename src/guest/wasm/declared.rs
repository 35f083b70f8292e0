//! From what a component declares to the kernel's [`Rule`]: checked in full, or refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::declared_windows::{Windows, length, positive};
use super::error::LoadError;
use super::judge::Declarations;
use super::template::FilledText;
use super::v0_1::window_evaluator::WindowDeclaration;
use super::v0_1::{level_from, model, rules};
use crate::kernel::model::{Labels, Level, Version};
use crate::kernel::rule::calendar::Calendar;
use crate::kernel::rule::program::Template;
use crate::kernel::rule::selector::{Matcher, NamePattern, Selector};
use crate::kernel::rule::{
    Flapping, Grouping, GuestRule, Input, Judge, OnNoData, Origin, Rule, Timing,
};

/// One component is one subject; more rules than this are a mistake in a loop.
const RULES_MAX: usize = 256;

/// A name becomes a label and a line on a screen.
const NAME_BYTES_MAX: usize = 200;

/// The levels that a rule's verdicts may have.
pub type Levels = [bool; 3];

/// What all rules of one component have in common.
pub struct Common<'a> {
    pub plugin: &'a Arc<str>,
    pub version: Version,
}

/// Checks a component's declarations; the levels come in the same order as the rules.
pub fn rules(
    declarations: Declarations,
    common: &Common<'_>,
) -> Result<(Vec<Rule>, Vec<Levels>), LoadError> {
    let of_samples = |declaration| (declaration, Ok(Windows::none()));
    let of_windows = |declaration: WindowDeclaration| {
        let windows = Windows::of(&declaration);
        (declaration.rule, windows)
    };
    let all: Vec<(rules::Declaration, Result<Windows, String>)> = match declarations {
        Declarations::Samples(all) => all.into_iter().map(of_samples).collect(),
        Declarations::Windows(all) => all.into_iter().map(of_windows).collect(),
    };
    let count = all.len();
    if count == 0 || count > RULES_MAX {
        return Err(LoadError::RuleCount { count, max: RULES_MAX });
    }
    let (mut rules, mut levels, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (index, (declaration, windows)) in all.into_iter().enumerate() {
        let name = match declaration.name.as_str() {
            "" => format!("number {index}"),
            name => format!("`{name}`"),
        };
        let place = |why: String| LoadError::Declaration { rule: name.clone(), why };
        if !names.insert(declaration.name.clone()) {
            return Err(place("it is declared twice".to_owned()));
        }
        let windows = windows.map_err(place)?;
        levels.push(levels_of(&declaration.levels).map_err(place)?);
        rules.push(rule(declaration, windows, index as u32, common).map_err(place)?);
    }
    Ok((rules, levels))
}

fn rule(
    declaration: rules::Declaration,
    windows: Windows,
    index: u32,
    common: &Common<'_>,
) -> Result<Rule, String> {
    let name = &declaration.name;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err("its name must be 1 to 200 bytes of plain text".to_owned());
    }
    let highest = declaration.levels.iter().map(|level| level_from(*level)).max();
    Ok(Rule {
        name: name.as_str().into(),
        version: common.version,
        origin: Origin { file: format!("{}.wasm", common.plugin).into(), line: 1 },
        inputs: vec![Input {
            name: "".into(),
            selector: selector(&declaration.metric, &declaration.only)?,
        }],
        by: grouping(declaration.by.as_deref())?,
        shape: windows.shape,
        across: windows.across,
        lateness: windows.lateness,
        tolerance: None,
        baseline: windows.baseline,
        declared: windows.declared,
        judge: Judge::Guest(GuestRule {
            plugin: common.plugin.clone(),
            index,
            reads: windows.reads,
            highest: highest.ok_or("it declares no level")?,
        }),
        state: None,
        timing: timing(&declaration)?,
        flapping: declaration.flapping.map(flapping).transpose()?,
        during: declaration.during.as_deref().map(Calendar::parse).transpose()?,
        labels: Labels::new(
            declaration.labels.iter().map(|label| (label.name.as_str(), label.value.as_str())),
        ),
        annotations: annotations(&declaration)?,
        notify: declaration.notify.iter().map(|sink| sink.as_str().into()).collect(),
        record: None,
        shadow: declaration.shadow,
    })
}

/// Series by a metric's name or glob and by matchers, as every world writes them.
pub fn selector(metric: &str, only: &str) -> Result<Selector, String> {
    if metric.is_empty() {
        return Err("it names no metric".to_owned());
    }
    let matchers = match only.trim() {
        "" => Vec::new(),
        only => Matcher::parse_list(only)?,
    };
    Ok(Selector { metric: NamePattern::parse(metric), matchers, filter: None })
}

fn grouping(by: Option<&[String]>) -> Result<Grouping, String> {
    let Some(labels) = by else { return Ok(Grouping::EachSeries) };
    if labels.iter().any(String::is_empty) {
        return Err("a label in `by` has no name".to_owned());
    }
    let labels: BTreeSet<Arc<str>> = labels.iter().map(|label| label.as_str().into()).collect();
    Ok(Grouping::By(labels.into_iter().collect()))
}

fn timing(declaration: &rules::Declaration) -> Result<Timing, String> {
    let usual = Timing::default();
    let given =
        |name: &str, nanos: Option<u64>| nanos.map(|nanos| positive(name, nanos)).transpose();
    Ok(Timing {
        soak: length("soak", declaration.soak)?,
        cool: length("cool", declaration.cool)?,
        repeat: given("repeat", declaration.repeat)?,
        expire: given("expire", declaration.expire)?.unwrap_or(usual.expire),
        forget: given("forget", declaration.forget)?.unwrap_or(usual.forget),
        forget_firing: declaration.forget.is_some(),
        absent: None,
        on_no_data: match declaration.on_no_data {
            rules::OnNoData::Hold => OnNoData::Hold,
            rules::OnNoData::Clear => OnNoData::Clear,
            rules::OnNoData::Breach => OnNoData::Breach,
        },
    })
}

fn flapping(bounds: rules::Flapping) -> Result<Flapping, String> {
    let rules::Flapping { high, low } = bounds;
    if 0.0 <= low && low <= high && high <= 100.0 {
        return Ok(Flapping { high, low });
    }
    Err(format!("flapping needs 0 <= low <= high <= 100, not low {low} and high {high}"))
}

type Annotations = Vec<(Arc<str>, Arc<dyn Template>)>;

fn annotations(declaration: &rules::Declaration) -> Result<Annotations, String> {
    let one = |annotation: &model::Annotation| {
        let text = FilledText::parse(&annotation.text)?;
        Ok((annotation.name.as_str().into(), Arc::new(text) as Arc<dyn Template>))
    };
    declaration.annotations.iter().map(one).collect()
}

fn levels_of(declared: &[model::Severity]) -> Result<Levels, String> {
    let mut levels = [false; 3];
    for level in declared {
        let level: Level = level_from(*level);
        levels[level.index()] = true;
    }
    if declared.is_empty() { Err("it declares no level".to_owned()) } else { Ok(levels) }
}
