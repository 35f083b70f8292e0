//! Imports point left: in each folder a module uses its children and those that stand before it.
//!
//! The order is that of the `mod` lines. In the folders of [`RANKED`] a blank line between two of
//! them begins a new rank, and a module uses only its own rank and those above. Everywhere, modules
//! of one folder must not use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::rust::{code, paths, tokens, without_tests};
use super::tree::{Source, programs, sources};

const RANKED: &[&str] = &["", "kernel", "guest", "config", "shell", "cli"];

/// Arrows that point the wrong way and may, as `folder: from -> to`, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("config::settings: read -> check", "reading ends by checking what the file wrote"),
    ("config::story: report -> print", "a report shows expectations as a story writes them"),
    ("guest::rhai: errors -> builder", "an unknown word is compared with the builder's words"),
    ("guest::rhai: host -> builder", "the engine that loads files knows the builder's words"),
    ("guest::rhai: json -> cap", "JSON withholds secrets, whose type is the outside world's"),
    ("guest::wasm: shard -> rule", "what was asked of a guest is defined beside its answer"),
    ("kernel::decode: decimal -> number", "a time's digits are read for the unit they stand in"),
    ("kernel::sequence: samples -> sequencer", "the way of one sample, apart for its length"),
    ("kernel::window: parts -> pane", "what is folded is defined beside the pane"),
    ("kernel::window: record -> pane", "what is folded is defined beside the pane"),
    ("shell: figures -> facts", "the office's figures, in a file of their own for their length"),
];

/// What the pure kernel must not name, as the beginning of a path.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "crossbeam",
    "rand",
    "reqwest",
    "rhai",
    "tokio",
    "wasmtime",
    "wasmtime_wasi",
];

/// The one file that may wrap a hash map: it offers no way to walk through it.
const LOOKUP: &str = "src/kernel/model/lookup.rs";

/// What changes between versions of Rhai, and the one folder that may know it.
const SYNTAX: &[&str] =
    &["rhai::ASTNode", "rhai::Expr", "rhai::FnCallExpr", "rhai::Stmt", "rhai::StmtBlock"];
const SYNTAX_FOLDER: &str = "src/guest/rhai/ast";

type Module = Vec<String>;

/// `src/kernel/rule/mod.rs` is `kernel::rule`; the crate's root has no name.
fn module(path: &str) -> Option<Module> {
    let inner = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    match inner {
        "main" => None,
        "lib" => Some(Vec::new()),
        inner => Some(inner.split('/').map(str::to_owned).collect()),
    }
}

/// The rank of each child by the `mod` lines of its parent.
fn ranks(parent: &str) -> BTreeMap<String, usize> {
    let (mut ranks, mut rank, mut is_open) = (BTreeMap::new(), 0, false);
    for line in parent.lines() {
        let words = line.trim_end_matches(';').split_whitespace();
        let words: Vec<&str> = words.filter(|word| !word.starts_with("pub")).collect();
        match words.as_slice() {
            ["mod", name] if line.ends_with(';') => {
                ranks.insert((*name).to_owned(), rank);
                is_open = true;
            }
            [] if is_open => (rank, is_open) = (rank + 1, false),
            _ => {}
        }
    }
    ranks
}

/// Which module a path leads to, from the names in it; `None` when it leaves the crate.
fn target(from: &Module, path: &[&str], known: &BTreeSet<Module>) -> Option<Module> {
    let (mut module, rest) = match path[0] {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (from.clone(), &path[1..]),
        "super" => {
            let ups = path.iter().take_while(|name| **name == "super").count();
            (from[..from.len().checked_sub(ups)?].to_vec(), &path[ups..])
        }
        _ => return None,
    };
    for name in rest {
        module.push((*name).to_owned());
        if !known.contains(&module) {
            module.pop();
            break;
        }
    }
    Some(module)
}

/// Folder → (from, to) → where it is written.
type Arrows = BTreeMap<String, BTreeMap<(String, String), String>>;

fn arrows(files: &[Source]) -> Arrows {
    let known: BTreeSet<Module> = files.iter().filter_map(|file| module(&file.path)).collect();
    let programs = programs(files);
    let modules = programs.iter().filter_map(|file| Some((module(&file.path)?, file)));
    let mut arrows = Arrows::new();
    for (from, file) in modules {
        let code = without_tests(&code(&file.text));
        for (line, path) in paths(&tokens(&code)) {
            let Some(to) = target(&from, &path, &known) else { continue };
            let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            // Between parents and children there is no direction to keep.
            if let (Some(own), Some(other)) = (from.get(shared), to.get(shared)) {
                let found = format!("{}:{line} {}", file.path, path.join("::"));
                let folder = arrows.entry(from[..shared].join("::")).or_default();
                folder.entry((own.clone(), other.clone())).or_insert(found);
            }
        }
    }
    arrows
}

/// Every arrow that points right or takes part in a circle.
fn wrong_arrows(files: &[Source], exceptions: &[(&str, &str)]) -> Vec<String> {
    let parents: BTreeMap<String, &Source> =
        files.iter().filter_map(|file| Some((module(&file.path)?.join("::"), file))).collect();
    let mut wrong = Vec::new();
    for (folder, mut arrows) in arrows(files) {
        arrows.retain(|(from, to), _| {
            let arrow = format!("{folder}: {from} -> {to}");
            exceptions.iter().all(|(exception, _)| *exception != arrow)
        });
        let told = |(from, to): &(String, String), at: &str, why: &str| {
            format!("{folder}: {from} -> {to} {why} ({at})")
        };
        if RANKED.contains(&folder.as_str()) {
            let ranks = ranks(&parents[&folder].text);
            let points_right = |from: &str, to: &str| ranks.get(from) < ranks.get(to);
            wrong.extend(
                arrows
                    .iter()
                    .filter(|((from, to), _)| points_right(from, to))
                    .map(|(arrow, at)| told(arrow, at, "points right")),
            );
            arrows.retain(|(from, to), _| !points_right(from, to));
        }
        wrong
            .extend(in_circles(arrows).iter().map(|(arrow, at)| told(arrow, at, "is in a circle")));
    }
    wrong
}

/// Takes away modules that nobody uses or that use nobody, until only circles are left.
fn in_circles(
    mut arrows: BTreeMap<(String, String), String>,
) -> BTreeMap<(String, String), String> {
    loop {
        let users: BTreeSet<String> = arrows.keys().map(|(from, _)| from.clone()).collect();
        let used: BTreeSet<String> = arrows.keys().map(|(_, to)| to.clone()).collect();
        let before = arrows.len();
        arrows.retain(|(from, to), _| used.contains(from) && users.contains(to));
        if arrows.len() == before {
            return arrows;
        }
    }
}

/// What a kernel file names though the kernel is pure.
fn impurities(file: &Source) -> Vec<String> {
    let code = code(&file.text);
    let tokens = tokens(&code);
    let allowed = |start: &str| file.path == LOOKUP && start == "std::collections::HashMap";
    let begins = |path: &str, start: &str| {
        path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let named = paths(&tokens).into_iter().filter_map(|(line, path)| {
        let path = path.join("::");
        let is_impure = |start: &&str| begins(&path, start) && !allowed(start);
        IMPURE.iter().any(is_impure).then(|| format!("{line} {path}"))
    });
    let words = tokens.iter().filter(|token| matches!(token.text, "async" | "await"));
    let words = words.map(|token| format!("{} {}", token.line, token.text));
    named.chain(words).map(|found| format!("{}:{found}", file.path)).collect()
}

#[test]
fn imports_point_left() {
    let wrong = wrong_arrows(&sources(), EXCEPTIONS);
    assert!(wrong.is_empty(), "move what is shared to the left:\n{}", wrong.join("\n"));
}

#[test]
fn one_folder_knows_the_syntax_tree_of_rhai() {
    let named = |file: &Source| {
        let code = code(&file.text);
        let named = paths(&tokens(&code)).into_iter().map(|(_, path)| path.join("::"));
        named.filter(|path| SYNTAX.contains(&path.as_str())).collect::<Vec<_>>()
    };
    let (inside, outside): (Vec<Source>, Vec<Source>) =
        sources().into_iter().partition(|file| file.path.starts_with(SYNTAX_FOLDER));
    assert!(inside.iter().any(|file| !named(file).is_empty()), "the search still finds them");
    let wrong = outside.iter().filter(|file| !named(file).is_empty());
    let wrong: Vec<&str> = wrong.map(|file| file.path.as_str()).collect();
    assert_eq!(wrong, [""; 0], "ask {SYNTAX_FOLDER} instead");
}

#[test]
fn every_exception_is_still_needed() {
    let arrows = arrows(&sources());
    for (exception, _) in EXCEPTIONS {
        let is_used = arrows.iter().any(|(folder, arrows)| {
            arrows.keys().any(|(from, to)| format!("{folder}: {from} -> {to}") == *exception)
        });
        assert!(is_used, "delete the exception `{exception}`");
    }
}

#[test]
fn the_kernel_is_pure() {
    let files = sources();
    // Tests may be told by their surroundings what to repeat; they are no part of the kernel.
    let in_kernel =
        |file: &&Source| file.path.starts_with("src/kernel/") && !file.path.contains("/tests");
    let kernel = files.iter().filter(in_kernel);
    let impure: Vec<String> = kernel.flat_map(impurities).collect();
    assert!(impure.is_empty(), "the kernel takes time and I/O as input:\n{}", impure.join("\n"));
}

#[test]
fn planted_arrows_are_caught() {
    let check = |kernel: &str, event: &str, model: &str, expected: &[&str]| {
        let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let files = [
            file("src/lib.rs", "pub mod kernel;"),
            file("src/kernel/mod.rs", kernel),
            file("src/kernel/event.rs", event),
            file("src/kernel/model/mod.rs", model),
            file("src/kernel/model/time.rs", "use super::super::event;"),
        ];
        let wrong = wrong_arrows(&files, &[("kernel: excused -> x", "")]);
        let wrong: Vec<&str> =
            wrong.iter().map(|found| found.split(" (").next().unwrap()).collect();
        assert_eq!(wrong, expected);
    };
    let (ranked, together) = ("pub mod model;\n\npub mod event;", "pub mod event;\npub mod model;");
    check(ranked, "use crate::kernel::model::Time;", "", &["kernel: model -> event points right"]);
    check(together, "", "", &[]);
    let circle = ["kernel: event -> model is in a circle", "kernel: model -> event is in a circle"];
    check(together, "fn f() { super::model::now() }", "", &circle);
    check(together, "#[cfg(test)] mod tests { use super::super::model; }", "", &[]);
}

#[test]
fn planted_impurities_are_caught() {
    let check = |path: &str, text: &str, expected: &[&str]| {
        let file = Source { path: path.into(), text: text.into() };
        let found: Vec<String> =
            impurities(&file).iter().map(|found| found.replace(path, "")).collect();
        assert_eq!(found, expected);
    };
    let path = "src/kernel/x.rs";
    check(
        path,
        "use std::{fs, time::{Duration, Instant}};",
        &[":1 std::fs", ":1 std::time::Instant"],
    );
    check(
        path,
        "// std::fs\nasync fn f() { tokio::spawn(\"rhai::x\") }",
        &[":2 tokio::spawn", ":2 async"],
    );
    check(path, "use std::collections::HashMap;", &[":1 std::collections::HashMap"]);
    check(LOOKUP, "use std::collections::HashMap;", &[]);
}
