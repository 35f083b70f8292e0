//! Ratchets: files, functions and lines that a person can take in, with lists of what is too long
//! still. An entry may shrink or go; a new one, or a larger number, needs a very good reason.

use super::rust::{code, functions, tokens};
use super::tree::{Source, sources};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARS_MAX: usize = 100;

/// Files that are longer than the limit, and how long each may be.
const LONG_FILES: &[(&str, usize)] = &[
    ("src/config/catalog.rs", 410),
    ("src/config/settings/tests.rs", 420),
    ("src/guest/rhai/builder/check.rs", 401),
    ("src/guest/rhai/builder/rule.rs", 495),
    ("src/guest/rhai/cap.rs", 471),
    ("src/guest/rhai/tests/findings.rs", 417),
    ("src/kernel/decode/tests.rs", 474),
    ("src/kernel/delivery/outbox/tests.rs", 485),
    ("src/kernel/engine/each.rs", 465),
    ("src/kernel/engine/tests/kit.rs", 412),
    ("src/kernel/engine/tests/simulation/reference.rs", 414),
    ("src/shell/bus/tests.rs", 406),
    ("src/shell/sink/hub/tests.rs", 492),
];

/// Functions that are longer than the limit, as `file name`, and how long each may be.
const LONG_FUNCTIONS: &[(&str, usize)] = &[
    ("src/guest/rhai/tests/findings.rs fields_that_are_not_there", 72),
    ("src/guest/rhai/tests/findings.rs words_that_do_not_go_together", 73),
];

/// What of `found` is over `max` and not excused, and entries of `excused` that excuse nothing.
fn over(found: &[(String, usize)], max: usize, excused: &[(&str, usize)]) -> Vec<String> {
    let limit = |name: &str| {
        let entry = excused.iter().find(|(excused, _)| *excused == name);
        entry.map_or(max, |(_, lines)| *lines)
    };
    let too_long = found.iter().filter(|(name, lines)| *lines > limit(name));
    let too_long = too_long
        .map(|(name, lines)| format!("{name} has {lines} lines, more than {}", limit(name)));
    let is_stale = |name: &str| !found.iter().any(|(found, lines)| found == name && *lines > max);
    let stale = excused.iter().filter(|(name, _)| is_stale(name));
    too_long.chain(stale.map(|(name, _)| format!("delete the entry of {name}"))).collect()
}

fn file_lengths(files: &[Source]) -> Vec<(String, usize)> {
    files.iter().map(|file| (file.path.clone(), file.text.lines().count())).collect()
}

fn function_lengths(files: &[Source]) -> Vec<(String, usize)> {
    let lengths = files.iter().flat_map(|file| {
        let code = code(&file.text);
        let functions = functions(&tokens(&code));
        functions.into_iter().map(|found| (format!("{} {}", file.path, found.name), found.lines))
    });
    lengths.collect()
}

/// A line that lies wholly within a text is as long as what it quotes.
fn long_lines(file: &Source) -> Vec<String> {
    let code = code(&file.text);
    let lines = file.text.lines().zip(code.lines()).enumerate();
    let long = lines.filter(|(_, (line, code))| {
        let is_quoted = code.trim().is_empty() && !line.trim_start().starts_with("//");
        !is_quoted && line.chars().count() > LINE_CHARS_MAX
    });
    long.map(|(at, _)| format!("{}:{}", file.path, at + 1)).collect()
}

#[test]
fn files_have_one_idea() {
    let wrong = over(&file_lengths(&sources()), FILE_LINES_MAX, LONG_FILES);
    assert!(wrong.is_empty(), "split it, or shrink it:\n{}", wrong.join("\n"));
}

#[test]
fn functions_fit_a_screen() {
    let wrong = over(&function_lengths(&sources()), FUNCTION_LINES_MAX, LONG_FUNCTIONS);
    assert!(wrong.is_empty(), "give its steps names:\n{}", wrong.join("\n"));
}

#[test]
fn lines_are_short() {
    let wrong: Vec<String> = sources().iter().flat_map(long_lines).collect();
    assert!(wrong.is_empty(), "over {LINE_CHARS_MAX} characters:\n{}", wrong.join("\n"));
}

#[test]
fn planted_growth_is_caught() {
    let found = [("a".to_owned(), 5), ("b".to_owned(), 9), ("c".to_owned(), 2)];
    let check = |excused: &[(&str, usize)], expected: &[&str]| {
        assert_eq!(over(&found, 5, excused), expected);
    };
    check(&[("b", 9)], &[]);
    check(&[], &["b has 9 lines, more than 5"]);
    check(&[("b", 8)], &["b has 9 lines, more than 8"]);
    check(
        &[("b", 9), ("c", 7), ("gone", 9)],
        &["delete the entry of c", "delete the entry of gone"],
    );
}

#[test]
fn a_planted_long_function_and_a_long_line_are_caught() {
    let body = "\n    // A remark.".repeat(FUNCTION_LINES_MAX - 1);
    let text = format!("fn fits() {{{body}}}\nfn long() {{{body}\n\n}}\n{}", "x".repeat(101));
    let file = Source { path: "a.rs".into(), text };
    let wrong = over(&function_lengths(std::slice::from_ref(&file)), FUNCTION_LINES_MAX, &[]);
    assert_eq!(wrong, ["a.rs long has 72 lines, more than 70"]);
    assert_eq!(long_lines(&file), [format!("a.rs:{}", file.text.lines().count())]);
    let (quoted, remark) = ("\"\nx\n\"".replace('x', &"x".repeat(101)), "/".repeat(101));
    let check = |text: String| long_lines(&Source { path: "a.rs".into(), text }).len();
    assert_eq!((check(quoted), check(remark)), (0, 1));
}
