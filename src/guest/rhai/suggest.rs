//! "Did you mean": the known word nearest to one that is not known.

/// The nearest of `known`, when it is near enough to be a slip of the fingers.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = match word.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// The help line for a word that is not known.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|near| format!("did you mean `{near}`?"))
}

/// Single-letter changes and swaps of neighbours (the restricted Damerau-Levenshtein distance).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for at in 1..=from.len() {
        let mut row = vec![at];
        for other in 1..=to.len() {
            let differs = usize::from(from[at - 1] != to[other - 1]);
            let above = &rows[at - 1];
            let mut best =
                (above[other] + 1).min(row[other - 1] + 1).min(above[other - 1] + differs);
            let swapped = at > 1
                && other > 1
                && from[at - 1] == to[other - 2]
                && from[at - 2] == to[other - 1];
            if swapped {
                best = best.min(rows[at - 2][other - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word() {
        let known = ["window", "when", "warning", "mean", "max", "p99", "soak"];
        for (word, near) in [
            ("windw", Some("window")),
            ("maen", Some("mean")),
            ("p999", Some("p99")),
            ("waring", Some("warning")),
            ("sok", Some("soak")),
            ("frobnicate", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), near, "{word}");
        }
    }
}
