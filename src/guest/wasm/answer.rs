//! Which answers of a guest are taken: every row that was asked about is listed once at most.

use std::collections::BTreeMap;

use super::declared::Levels;
use super::v0_1::{level_from, rules};
use crate::kernel::model::Series;

/// What rows of an answer may name.
pub enum Asked<'a> {
    /// Rows of the columns, so many.
    Rows(usize),
    Series(&'a BTreeMap<u32, Series>),
}

impl Asked<'_> {
    fn has(&self, row: u32) -> bool {
        match self {
            Asked::Rows(rows) => (row as usize) < *rows,
            Asked::Series(known) => known.contains_key(&row),
        }
    }

    fn count(&self) -> usize {
        match self {
            Asked::Rows(rows) => *rows,
            Asked::Series(known) => known.len(),
        }
    }
}

/// Why an answer breaks its promises.
pub fn check(answer: &rules::Judgement, asked: &Asked<'_>, levels: &Levels) -> Result<(), String> {
    let listed = answer.verdicts.len() + answer.hold.len();
    if listed > asked.count() {
        return Err(format!("{listed} rows were listed of {}", asked.count()));
    }
    let mut rows: Vec<u32> = answer.verdicts.iter().map(|verdict| verdict.row).collect();
    rows.extend(&answer.hold);
    if let Some(row) = rows.iter().find(|row| !asked.has(**row)) {
        return Err(format!("row {row} was not asked about"));
    }
    // Guests list rows in order; then this is one pass.
    rows.sort_unstable();
    if let Some(pair) = rows.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("row {} was listed twice", pair[0]));
    }
    let level = answer.verdicts.iter().map(|verdict| level_from(verdict.level));
    match level.into_iter().find(|level| !levels[level.index()]) {
        Some(level) => Err(format!("a verdict has the level {level}, which was not declared")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::v0_1::model;
    use super::*;

    #[test]
    fn each_row_that_was_asked_about_is_listed_once_at_a_declared_level() {
        use model::Severity::{Critical, Warning};
        let three_rows = Asked::Rows(3);
        let series = BTreeMap::from([(7, Series::new("a", [("b", "c")]))]);
        let one_series = Asked::Series(&series);
        for (asked, verdicts, hold, says) in [
            (&three_rows, &[(0, Warning), (2, Warning)][..], &[1][..], None),
            (&three_rows, &[], &[], None),
            (&three_rows, &[(3, Warning)], &[], Some("row 3 was not asked about")),
            (&three_rows, &[], &[3], Some("row 3 was not asked about")),
            (&three_rows, &[(1, Warning), (1, Warning)], &[], Some("row 1 was listed twice")),
            (&three_rows, &[(1, Warning)], &[2, 1], Some("row 1 was listed twice")),
            (&three_rows, &[(0, Warning)], &[0, 1, 2], Some("4 rows were listed of 3")),
            (
                &three_rows,
                &[(0, Critical)],
                &[],
                Some("a verdict has the level critical, which was not declared"),
            ),
            (&one_series, &[(7, Warning)], &[], None),
            (&one_series, &[(0, Warning)], &[], Some("row 0 was not asked about")),
        ] {
            let verdict = |(row, level)| rules::Verdict { row, level, value: None, message: None };
            let verdicts = verdicts.iter().copied().map(verdict).collect();
            let answer = rules::Judgement { verdicts, hold: hold.to_vec() };
            let checked = check(&answer, asked, &[false, true, false]);
            assert_eq!(checked.err().as_deref(), says);
        }
    }
}
