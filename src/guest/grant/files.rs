//! Patterns of file names in a guest's own folder: `alerts-*.jsonl`, `daily/*.csv`.

/// Whether a path relative to the guest's folder matches. `*` takes any run of characters within
/// one part of the path, so never a `/`. A path that is absolute, or has an empty part, `.` or `..`
/// in it, matches nothing.
pub fn takes(pattern: &str, path: &str) -> bool {
    is_plain(path) && parts_match(pattern, path)
}

/// Whether every path that `asked` takes is taken by `granted` too. A `*` of `asked` stands for a
/// run without `/`, which is what a `*` of `granted` takes; so the pattern is read as if it were a
/// path. Some containments are missed by this; none is invented.
pub fn contains(granted: &str, asked: &str) -> bool {
    is_plain(asked) && parts_match(granted, asked)
}

/// Whether a pattern can match anything at all.
pub fn check(pattern: &str) -> Result<(), String> {
    if is_plain(pattern) {
        return Ok(());
    }
    Err(format!(
        "`{pattern}` is no file pattern; write a name in the guest's own folder, such as \
         `log-*.txt`"
    ))
}

fn is_plain(path: &str) -> bool {
    !path.contains(['\\', '\0']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn parts_match(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if part_matches(pattern, part) => {}
            (Some(_), Some(_)) | (Some(_), None) | (None, Some(_)) => return false,
        }
    }
}

/// Pieces between stars must follow each other; the first and last are held to the ends.
fn part_matches(pattern: &str, part: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == part };
    let Some(mut rest) = part.strip_prefix(head) else { return false };
    let mut pieces: Vec<&str> = tail.split('*').collect();
    let last = pieces.pop().expect("a split has at least one piece");
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_container_takes_all_that_the_contained_takes(
            granted in "[ab*/.]{1,5}",
            asked in "[ab*/.]{1,5}",
            path in "[ab/.]{1,5}",
        ) {
            if contains(&granted, &asked) && takes(&asked, &path) {
                prop_assert!(takes(&granted, &path), "{} {} {}", granted, asked, path);
            }
        }

        #[test]
        fn no_pattern_leads_out_of_the_folder(pattern in "[ab*/.]{1,5}", path in "[ab/.]{1,6}") {
            if takes(&pattern, &path) {
                let parts: Vec<&str> = path.split('/').collect();
                prop_assert!(!parts.contains(&"..") && !path.starts_with('/'), "{}", path);
            }
        }
    }

    #[test]
    fn a_star_stays_within_one_part_of_the_path() {
        for (pattern, path, matches) in [
            ("alerts.jsonl", "alerts.jsonl", true),
            ("alerts-*.jsonl", "alerts-2026-01-02.jsonl", true),
            ("alerts-*.jsonl", "alerts-.jsonl", true),
            ("alerts-*.jsonl", "alerts-a/b.jsonl", false),
            ("alerts-*.jsonl", "alerts-a.jsonl.old", false),
            ("*", "..", false),
            ("*", ".", false),
            ("*", "", false),
            ("*", ".hidden", true),
            ("*/*", "a/b", true),
            ("*/*", "../b", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("ab*b", "ab", false),
            ("*", "/etc", false),
            ("../*", "../x", false),
            ("day/*.csv", "day/1.csv", true),
            ("day/*.csv", "day/x/1.csv", false),
            ("*", "a\\b", false),
        ] {
            assert_eq!(takes(pattern, path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn a_wider_pattern_contains_a_narrower_one() {
        for (granted, asked, contained) in [
            ("*.jsonl", "alerts-*.jsonl", true),
            ("alerts-*.jsonl", "alerts-*.jsonl", true),
            ("alerts-*.jsonl", "*.jsonl", false),
            ("*", "a/*", false),
        ] {
            assert_eq!(contains(granted, asked), contained, "{granted} {asked}");
        }
    }
}
