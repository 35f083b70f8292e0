//! Each page by itself, and what they have in common.

use std::path::Path;

use super::page::check;
use super::tools::has_all;
use super::transcript::{Block, blocks};

#[test]
fn a_newcomer_writes_a_rule_and_a_sink_in_rust() {
    check("rust.md");
}

#[test]
fn a_newcomer_writes_a_sink_in_javascript() {
    if has_all(&["node", "npm"]) {
        check("javascript.md");
    }
}

#[test]
fn a_newcomer_writes_a_sink_in_python() {
    if has_all(&["python3"]) {
        check("python.md");
    }
}

#[test]
fn a_newcomer_writes_a_sink_in_c() {
    if has_all(&["clang", "wasm-ld"]) {
        check("c.md");
    }
}

/// What `watchfire plugin test` printed on a page for the sink `page-me`.
fn requests(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plugins").join(name);
    let page = std::fs::read_to_string(file).expect("the page is there");
    let commands = blocks(&page).into_iter().filter_map(|block| match block {
        Block::Console(commands) => Some(commands),
        Block::Text(_) => None,
    });
    let command = "watchfire plugin test page-me/page-me.wasm";
    let tested = commands.flatten().find(|(typed, _)| typed == command);
    tested.expect("the page tests its sink").1
}

/// The pages are held to what happens, so it is enough to hold them to each other.
#[test]
fn the_same_sink_makes_the_same_requests_in_every_language() {
    let rust = requests("rust.md");
    assert!(rust.starts_with("POST "), "{rust}");
    for name in ["javascript.md", "python.md", "c.md"] {
        assert_eq!(requests(name), rust, "{name}");
    }
}
