//! The windows that a component declares: what kind, and what of them it reads.

use std::sync::Arc;

use super::v0_1::window_evaluator::{self, WindowDeclaration};
use crate::kernel::model::Duration;
use crate::kernel::rule::view::{BaseStat, Column, Reduction};
use crate::kernel::rule::{Across, Baseline, Declared, Distinct, Shape};
use crate::kernel::window::baseline::BaselineSpec;
use crate::kernel::window::every;

/// Columns that cross over for each window; nobody reads more of one.
const READS_MAX: usize = 32;

/// What a window rule has and a rule of samples has not.
pub struct Windows {
    pub shape: Shape,
    pub across: Option<Across>,
    pub lateness: Duration,
    pub baseline: Option<Baseline>,
    pub declared: Declared,
    /// In the component's own order.
    pub reads: Arc<[Column]>,
}

impl Windows {
    /// Of a rule that judges samples.
    pub fn none() -> Windows {
        Windows {
            shape: Shape::Each,
            across: None,
            lateness: Duration::ZERO,
            baseline: None,
            declared: Declared::default(),
            reads: Arc::default(),
        }
    }

    pub fn of(declaration: &WindowDeclaration) -> Result<Windows, String> {
        let reads = reads(declaration)?;
        let reductions: Vec<Reduction> = reads.iter().filter_map(reduction_of).collect();
        let shape = shape(declaration, &reductions)?;
        let distinct = declaration.distinct.as_ref().map(|label| match label.as_str() {
            "" => Distinct::Value,
            label => Distinct::Label(label.into()),
        });
        Ok(Windows {
            shape,
            across: declaration.across.map(|wanted| across(wanted, declaration)).transpose()?,
            lateness: length("lateness", declaration.lateness)?,
            baseline: declaration.baseline.map(|span| baseline(span, shape)).transpose()?,
            declared: Declared {
                share: None,
                ewma: declaration.ewma.map(|half| positive("ewma", half)).transpose()?,
                distinct,
            },
            reads: reads.into(),
        })
    }
}

fn reads(declaration: &WindowDeclaration) -> Result<Vec<Column>, String> {
    let names = &declaration.reads;
    if names.is_empty() || names.len() > READS_MAX {
        let count = names.len();
        return Err(format!("it reads {count} figures of a window; 1 to {READS_MAX} are possible"));
    }
    let mut columns: Vec<Column> = Vec::new();
    for name in names {
        let column = column(name).ok_or_else(|| {
            format!("`{name}` is nothing of a window; read for example mean, p99 or base.mean.max")
        })?;
        if columns.contains(&column) {
            return Err(format!("it reads `{name}` twice"));
        }
        needs(name, &column, declaration)?;
        columns.push(column);
    }
    Ok(columns)
}

fn column(name: &str) -> Option<Column> {
    let Some(past) = name.strip_prefix("base.") else {
        return Some(Column::Reduced { input: 0, reduction: Reduction::parse(name)? });
    };
    let (reduction, stat) = past.split_once('.')?;
    let (reduction, stat) = (Reduction::parse(reduction)?, BaseStat::parse(stat)?);
    Some(Column::Base { input: 0, reduction, stat })
}

/// What a figure cannot be had without.
fn needs(name: &str, column: &Column, declaration: &WindowDeclaration) -> Result<(), String> {
    if matches!(column, Column::Base { .. }) && declaration.baseline.is_none() {
        return Err(format!("`{name}` needs a `baseline`"));
    }
    match reduction_of(column) {
        Some(Reduction::Share) => {
            Err("`share` needs a condition on samples, which only scripts can give".to_owned())
        }
        Some(Reduction::Ewma) if declaration.ewma.is_none() => {
            Err(format!("`{name}` needs a half-life in `ewma`"))
        }
        Some(Reduction::Distinct) if declaration.distinct.is_none() => {
            Err(format!("`{name}` needs a label in `distinct`"))
        }
        Some(_) | None => Ok(()),
    }
}

fn reduction_of(column: &Column) -> Option<Reduction> {
    match column {
        Column::Reduced { reduction, .. } | Column::Base { reduction, .. } => Some(*reduction),
        Column::Value { .. } | Column::Label(_) => None,
    }
}

fn shape(declaration: &WindowDeclaration, reads: &[Reduction]) -> Result<Shape, String> {
    use window_evaluator::Shape as Wanted;
    let every = declaration.every.map(|every| positive("every", every)).transpose()?;
    let sketched = reads.iter().copied().any(every::is_sketched);
    let without_every = || match every {
        None => Ok(()),
        Some(_) => Err("`every` is for sliding windows and sessions".to_owned()),
    };
    match declaration.shape {
        Wanted::Sliding(nanos) => {
            every::resolve_sliding(positive("a window", nanos)?, every, sketched)
        }
        Wanted::Tumbling(nanos) => {
            without_every()?;
            let length = positive("a window", nanos)?;
            every::resolve_sliding(length, Some(length), sketched)
        }
        Wanted::Session(nanos) => {
            every::resolve_session(positive("a session's gap", nanos)?, every)
        }
        Wanted::Last(count) => {
            without_every()?;
            let shape = Shape::Count { count: count as usize };
            every::check(shape, reads).map(|()| shape)
        }
    }
}

fn baseline(nanos: u64, shape: Shape) -> Result<Baseline, String> {
    let span = positive("baseline", nanos)?;
    BaselineSpec::new(shape, span).map(|_| Baseline { span })
}

fn across(
    wanted: window_evaluator::Across,
    declaration: &WindowDeclaration,
) -> Result<Across, String> {
    use window_evaluator::{Across as Wanted, Shape};
    if declaration.rule.by.is_none() {
        return Err("`across` folds over the series of a group; say which by `by`".to_owned());
    }
    if matches!(declaration.shape, Shape::Session(_) | Shape::Last(_)) {
        return Err("`across` does not go with this window".to_owned());
    }
    Ok(match wanted {
        Wanted::Sum => Across::Sum,
        Wanted::Mean => Across::Mean,
        Wanted::Min => Across::Min,
        Wanted::Max => Across::Max,
        Wanted::Count => Across::Count,
        Wanted::Quantile(rank) if (0.0..=1.0).contains(&rank) => Across::Quantile(rank),
        Wanted::Quantile(rank) => return Err(format!("a quantile lies in 0 to 1, not at {rank}")),
    })
}

/// A length of time that may be zero.
pub fn length(name: &str, nanos: u64) -> Result<Duration, String> {
    i64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_| format!("`{name}` is longer than 292 years"))
}

/// A length of time that may not.
pub fn positive(name: &str, nanos: u64) -> Result<Duration, String> {
    match nanos {
        0 => Err(format!("`{name}` must be longer than 0s")),
        nanos => length(name, nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::super::v0_1::rules;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn declaration(reads: &[&str]) -> WindowDeclaration {
        let rule = rules::Declaration {
            name: "a".into(),
            metric: "m".into(),
            only: String::new(),
            by: None,
            levels: Vec::new(),
            soak: 0,
            cool: 0,
            repeat: None,
            expire: None,
            forget: None,
            on_no_data: rules::OnNoData::Hold,
            flapping: None,
            during: None,
            labels: Vec::new(),
            annotations: Vec::new(),
            notify: Vec::new(),
            shadow: false,
        };
        WindowDeclaration {
            rule,
            shape: window_evaluator::Shape::Sliding(60 * SECOND),
            every: None,
            reads: reads.iter().map(|name| (*name).to_owned()).collect(),
            across: None,
            baseline: None,
            lateness: 0,
            ewma: None,
            distinct: None,
        }
    }

    fn shape_of(change: impl FnOnce(&mut WindowDeclaration)) -> Shape {
        let mut declaration = declaration(&["mean"]);
        change(&mut declaration);
        Windows::of(&declaration).expect("a good declaration").shape
    }

    #[test]
    fn shapes_are_those_of_scripts() {
        use window_evaluator::Shape as Wanted;
        let seconds = |seconds: i64| Duration::from_secs(seconds);
        let sliding = |length, every| Shape::Sliding { length, every };
        assert_eq!(shape_of(|_| {}), sliding(seconds(60), seconds(1)));
        assert_eq!(
            shape_of(|wanted| wanted.every = Some(30 * SECOND)),
            sliding(seconds(60), seconds(30))
        );
        assert_eq!(
            shape_of(|wanted| wanted.shape = Wanted::Tumbling(10 * SECOND)),
            sliding(seconds(10), seconds(10))
        );
        assert_eq!(
            shape_of(|wanted| {
                (wanted.shape, wanted.every) = (Wanted::Session(10 * SECOND), Some(SECOND));
            }),
            Shape::Session { gap: seconds(10), every: seconds(1) }
        );
        assert_eq!(shape_of(|wanted| wanted.shape = Wanted::Last(20)), Shape::Count { count: 20 });
    }

    #[test]
    fn what_cannot_be_is_told_in_words() {
        use window_evaluator::{Across, Shape as Wanted};
        type Change = fn(&mut WindowDeclaration);
        let cases: &[(&[&str], Change, &str)] = &[
            (&[], |_| {}, "it reads 0 figures"),
            (&["mean"; 33], |_| {}, "it reads 33 figures"),
            (&["mean", "mean"], |_| {}, "it reads `mean` twice"),
            (&["median"], |_| {}, "`median` is nothing of a window"),
            (&["base.mean"], |_| {}, "`base.mean` is nothing of a window"),
            (&["base.mean.max"], |_| {}, "`base.mean.max` needs a `baseline`"),
            (&["share"], |_| {}, "`share` needs a condition"),
            (&["ewma"], |_| {}, "`ewma` needs a half-life"),
            (&["distinct"], |_| {}, "`distinct` needs a label"),
            (&["mean"], |it| it.shape = Wanted::Sliding(0), "`a window` must be longer"),
            (&["mean"], |it| it.shape = Wanted::Sliding(u64::MAX), "`a window` is longer than 292"),
            (&["mean"], |it| it.every = Some(0), "`every` must be longer"),
            (&["mean"], |it| it.every = Some(7 * SECOND), "`every` must divide"),
            (&["mean"], |it| it.shape = Wanted::Last(0), "last(0) is out of range"),
            (&["rate"], |it| it.shape = Wanted::Last(5), "last(5) has no length in time"),
            (
                &["mean"],
                |it| (it.shape, it.every) = (Wanted::Tumbling(SECOND), Some(SECOND)),
                "`every` is for sliding windows",
            ),
            (&["mean"], |it| it.across = Some(Across::Sum), "`across` folds over the series"),
            (
                &["mean"],
                |it| {
                    it.rule.by = Some(Vec::new());
                    it.across = Some(Across::Quantile(1.5));
                },
                "a quantile lies in 0 to 1",
            ),
            (
                &["mean"],
                |it| (it.shape, it.baseline) = (Wanted::Session(SECOND), Some(SECOND)),
                "a baseline needs",
            ),
            (&["mean"], |it| it.baseline = Some(SECOND), "a baseline of 1s holds no window"),
        ];
        for (reads, change, says) in cases {
            let mut declaration = declaration(reads);
            change(&mut declaration);
            let why = Windows::of(&declaration).err().unwrap_or_default();
            assert!(why.starts_with(says), "{says}: {why}");
        }
    }
}
