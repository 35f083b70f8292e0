//! What stands in files: an opening sentence, no leftovers, no stray hosts, no bytes that are not
//! text, and a manual whose links lead somewhere.

use std::path::Path;

use super::rust::{code, tokens, without_tests};
use super::tree::{Source, files, programs, root, sources, texts};

/// Marks of unfinished work, written in two halves so that this file does not hold them.
const LEFTOVERS: &[&str] =
    &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

/// Where packages come from is the business of the machine that builds, not of this tree.
const REGISTRIES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("static.rust-", "lang.org"),
    concat!("deb.deb", "ian.org"),
    concat!("pypi", ".org"),
    concat!("npmjs", "."),
    concat!("ghcr", ".io"),
    concat!("docker", ".io"),
    concat!("quay", ".io"),
];

/// The two commands that a newcomer needs, each alone in a block of the README.
const COMMANDS: &[&str] = &["bash .ci/up", "bash .ci/test"];

/// Calls and attributes that the program must not hold, with what to do instead.
fn bad_code(file: &Source) -> Vec<String> {
    let code = without_tests(&code(&file.text));
    let tokens = tokens(&code);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = |count: usize| {
            let words = tokens.iter().skip(at + 1).take(count);
            words.map(|token| token.text).collect::<Vec<_>>()
        };
        let cure = match token.text {
            "unwrap" if next(2) == ["(", ")"] => "unwrap: say with `expect` why it holds",
            "todo" | "unimplemented" | "dbg" if next(1) == ["!"] => "unfinished",
            "allow"
                if next(1) == ["("] && is_attribute(&tokens, at) && !has_reason(&tokens, at) =>
            {
                "allow: add `reason = \"…\"`"
            }
            _ => continue,
        };
        found.push(format!("{}:{} {cure}", file.path, token.line));
    }
    found
}

fn is_attribute(tokens: &[super::rust::Token<'_>], at: usize) -> bool {
    at > 0 && tokens[at - 1].text == "["
}

fn has_reason(tokens: &[super::rust::Token<'_>], at: usize) -> bool {
    let inside = tokens[at..].iter().take_while(|token| token.text != "]");
    inside.into_iter().any(|token| token.text == "reason")
}

fn opens_without_words(file: &Source) -> bool {
    !file.text.starts_with("//! ")
}

/// Words of `list` in a text, as `file:line word`. A word is found whole only, a host anywhere.
fn mentions(file: &Source, list: &[&str], whole: bool) -> Vec<String> {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    let has = |line: &str, word: &str| match whole {
        true => line.split(|char: char| !is_part(char)).any(|part| part == word),
        false => line.contains(word),
    };
    let lines = file.text.lines().enumerate();
    let found = lines.flat_map(|(at, line)| {
        let words = list.iter().filter(move |word| has(line, word));
        words.map(move |word| format!("{}:{} {word}", file.path, at + 1))
    });
    found.collect()
}

/// The blocks of a Markdown text between lines of three backticks.
fn blocks(markdown: &str) -> Vec<String> {
    let parts = markdown.split("```").skip(1).step_by(2);
    let inner = parts.map(|part| part.split_once('\n').map_or("", |(_, body)| body));
    inner.map(|body| body.trim().to_owned()).collect()
}

/// What links lead to, those in code left out.
fn links(markdown: &str) -> Vec<String> {
    let prose: String = markdown.split("```").step_by(2).collect();
    let prose: String = prose.split('`').step_by(2).collect();
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// The name by which a link reaches a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.map(|char| if char == ' ' { '-' } else { char }).collect()
}

/// Links of a page that lead nowhere. `read` gives the text of a file, or `None`.
fn dead_links(page: &Source, read: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let folder = Path::new(&page.path).parent().unwrap_or(Path::new(""));
    let leads = |link: &String| {
        let (path, heading) = link.split_once('#').unwrap_or((link, ""));
        let text = if path.is_empty() { Some(page.text.clone()) } else { read(&folder.join(path)) };
        let has_heading = |text: String| {
            text.lines().any(|line| line.starts_with('#') && anchor(line) == heading)
        };
        text.is_some_and(|text| heading.is_empty() || has_heading(text))
    };
    let links = links(&page.text).into_iter().filter(|link| !link.contains(':'));
    links.filter(|link| !leads(link)).map(|link| format!("{}: {link}", page.path)).collect()
}

fn none(wrong: Vec<String>, cure: &str) {
    assert!(wrong.is_empty(), "{cure}:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let files = sources().into_iter().filter(opens_without_words);
    none(files.map(|file| file.path).collect(), "begin it with `//! `");
}

#[test]
fn every_folder_says_what_it_is_for() {
    let files = sources();
    let has = |path: &str| files.iter().any(|file| file.path == path);
    let folders = files.iter().filter_map(|file| Some(file.path.rsplit_once('/')?.0));
    let lost = folders.filter(|folder| {
        let owners = ["mod.rs", "lib.rs", "main.rs"].map(|name| format!("{folder}/{name}"));
        !owners.iter().any(|owner| has(owner)) && !has(&format!("{folder}.rs"))
    });
    none(lost.map(str::to_owned).collect(), "give it a mod.rs");
}

#[test]
fn nothing_is_left_over() {
    let files = texts().into_iter().filter(|file| !file.path.ends_with("Cargo.lock"));
    let words = files.flat_map(|file| mentions(&file, LEFTOVERS, true)).collect();
    none(words, "do it, or say nothing");
    let sources = sources();
    none(programs(&sources).into_iter().flat_map(bad_code).collect(), "not in the program");
}

#[test]
fn no_registry_is_named() {
    let files = texts().into_iter().filter(|file| !file.path.ends_with("Cargo.lock"));
    none(files.flat_map(|file| mentions(&file, REGISTRIES, false)).collect(), "take it out");
}

#[test]
fn every_file_is_text() {
    let binary = files().into_iter().filter(|(_, bytes)| !is_text(bytes));
    none(binary.map(|(path, _)| path).collect(), "build it, do not keep it");
}

fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}

#[test]
fn the_interface_has_one_version() {
    let wit = texts().into_iter().find(|file| file.path == "wit/watchfire.wit").unwrap();
    let line = wit.text.lines().find(|line| line.starts_with("package ")).unwrap();
    let version = line.trim_end_matches(';').rsplit_once('@').unwrap().1;
    let (major_minor, _) = version.rsplit_once('.').unwrap();
    let adapter = format!("src/guest/wasm/v{}.rs", major_minor.replace('.', "_"));
    let adapter = sources().into_iter().find(|file| file.path == adapter).unwrap();
    let spoken = format!("`watchfire:plugin@{version}`");
    assert!(adapter.text.lines().next().unwrap().contains(&spoken), "{} in its head", spoken);
    let texts = texts().into_iter().filter(|file| file.path.ends_with(".wit"));
    // Guests of published versions keep the text that they were built against.
    let others = texts.filter(|file| !file.path.starts_with("plugins/compat-"));
    assert_eq!(others.count(), 1, "one file is the interface");
}

#[test]
fn the_readme_starts_with_two_commands() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert_eq!(blocks(&readme)[..COMMANDS.len()], *COMMANDS, "its first blocks");
    for command in COMMANDS {
        let script = command.trim_start_matches("bash ");
        let script = std::fs::read_to_string(root().join(script)).unwrap();
        assert!(script.starts_with("#!/usr/bin/env bash\n"), "{command}");
        assert!(script.contains("\nset -euo pipefail\n"), "{command}");
    }
    let more = blocks(&readme)[COMMANDS.len()..].join("\n");
    assert!(!more.contains("bash .ci/"), "no third command");
}

#[test]
fn links_lead_somewhere() {
    let read = |path: &Path| {
        let path = root().join(path);
        if path.is_dir() { Some(String::new()) } else { std::fs::read_to_string(path).ok() }
    };
    let pages = texts().into_iter().filter(|file| file.path.ends_with(".md"));
    none(pages.flat_map(|page| dead_links(&page, read)).collect(), "mend the link");
}

#[test]
fn planted_words_are_caught() {
    let file = |text: &str| Source { path: "a.rs".into(), text: text.into() };
    assert!(opens_without_words(&file("use a;")));
    assert!(!opens_without_words(&file("//! A thing.\n")));
    let text = format!("ok\n// {}: later", LEFTOVERS[0]);
    assert_eq!(mentions(&file(&text), LEFTOVERS, true), [format!("a.rs:2 {}", LEFTOVERS[0])]);
    let host = format!("see https://index.{}/x", REGISTRIES[0]);
    assert_eq!(mentions(&file(&host), REGISTRIES, false).len(), 1);
    assert!(mentions(&file("mastodon toDOs"), LEFTOVERS, true).is_empty());
    assert!(!is_text(b"\0asm") && !is_text(b"\xff") && is_text("é".as_bytes()));
}

#[test]
fn planted_calls_are_caught() {
    let check = |text: &str, expected: &[&str]| {
        let found = bad_code(&Source { path: "a.rs".into(), text: text.into() });
        let found: Vec<&str> = found.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("x.unwrap_or(1); // .unwrap()\n#[cfg(test)]\nmod tests { x.unwrap() }", &[]);
    check("\nx.unwrap();", &["a.rs:2"]);
    check("todo!()\n", &["a.rs:1"]);
    check("#[allow(dead_code)]", &["a.rs:1"]);
    check("#![allow(dead_code, reason = \"x\")] fn allow(x: u8) {}", &[]);
}

#[test]
fn planted_dead_links_are_caught() {
    let text = "[a](b.md#two-words) [c](gone.md) [d](#here) `[e](f)` [g](https://h)\n## Here";
    let page = Source { path: "docs/a.md".into(), text: text.into() };
    let read = |path: &Path| (path == Path::new("docs/b.md")).then(|| "# Two words\n".to_owned());
    assert_eq!(dead_links(&page, read), ["docs/a.md: gone.md"]);
    let lost = dead_links(&page, |_| Some("# Other".to_owned()));
    assert_eq!(lost, ["docs/a.md: b.md#two-words"]);
    assert_eq!(blocks("a\n```sh\nx\ny\n```\nb\n```\nz\n```"), ["x\ny", "z"]);
}
