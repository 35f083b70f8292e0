//! "Did you mean": the known name nearest to a misspelt one.

/// The candidate nearest to `name`, if any is near enough to be a likely slip: at most one edit in
/// three characters. Letter case and `-` for `_` count as no edit.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(name);
    let edits_max = (folded.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .filter(|(edits, _)| *edits <= edits_max)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Names longer than this are not compared in full: no known name comes near it, and the
/// comparison costs the product of both lengths.
const COMPARED_MAX: usize = 64;

fn fold(name: &str) -> Vec<char> {
    name.chars()
        .take(COMPARED_MAX)
        .map(|letter| if letter == '-' { '_' } else { letter.to_ascii_lowercase() })
        .collect()
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substituted = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substituted.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_does_not() {
        let known = ["threshold", "interval", "token_file", "tcp", "udp"];
        for (name, expected) in [
            ("treshold", Some("threshold")),
            ("thershold", Some("threshold")),
            ("Token-File", Some("token_file")),
            ("intervall", Some("interval")),
            ("upd", Some("udp")),
            ("tpc", Some("tcp")),
            ("http", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
