//! What a script cannot do.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, finding: &str) {
    let loaded = load("f", text, &host());
    assert!(listed(&loaded.findings).contains(finding), "{text}\n{}", listed(&loaded.findings));
}

#[test]
fn a_load_comes_to_an_end_and_has_no_way_out() {
    check("loop { }", "the script does not come to an end");
    check("fn f(x) { f(x + 1) } f(0);", "functions call each other too deeply");
    check("let s = \"x\"; loop { s += s; }", "length of string too large");
    check("let a = []; loop { a.push(a); }", "too large");
    check("eval(\"1\");", "eval");
    check("sleep(100);", "there is no `sleep`");
    check("timestamp();", "there is no function `timestamp`");
    check("import \"/etc/passwd\" as p;", "is no path below");
    check("import \"../secrets\" as p;", "is no path below");
    check("import \"lib/../../x\" as p;", "is no path below");
    check("import \"lib/none\" as p;", "there is no library `lib/none`");
    check("open(\"/etc/passwd\");", "there is no `open`");
    check("throw \"enough\";", "enough");
    check("for i in 0..20000 { rule(`r${i}`).on(\"m\").absent(\"1m\"); }", "at most 10000");
}

#[test]
fn libraries_declare_nothing_and_do_not_run_in_circles() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("a library");
    };
    write("declares.rhai", "rule(\"r\").on(\"m\").absent(\"1m\");");
    write("a.rhai", "import \"b\" as b;");
    write("b.rhai", "import \"a\" as a;");
    write("broken.rhai", "fn f( {");
    for (library, finding) in [
        ("declares", "a library offers functions and declares no rule"),
        ("a", "libraries import each other in a circle"),
        ("broken", "the library `broken` does not load"),
    ] {
        let text = format!("import \"{library}\" as x;");
        let loaded = load("f", &text, &Host::new(folder.path()));
        assert!(listed(&loaded.findings).contains(finding), "{}", listed(&loaded.findings));
        assert!(loaded.imports.contains_key(&format!("{library}.rhai")), "{:?}", loaded.imports);
    }
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_folder_is_not_followed() {
    let (folder, elsewhere) = (tempfile::tempdir().expect("a"), tempfile::tempdir().expect("b"));
    std::fs::write(elsewhere.path().join("x.rhai"), "fn f() { 1 }").expect("a file");
    let link = folder.path().join("x.rhai");
    std::os::unix::fs::symlink(elsewhere.path().join("x.rhai"), link).expect("a link");
    let loaded = load("f", "import \"x\" as x;", &Host::new(folder.path()));
    assert!(listed(&loaded.findings).contains("there is no library `x`"));
}

#[test]
fn a_file_past_its_limit_is_not_even_parsed() {
    let loaded = load("f", &" ".repeat(1024 * 1024 + 1), &host());
    assert_eq!(listed(&loaded.findings), "0:0 a file is at most 1048576 bytes");
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    let wrap = |open: &str, inside: &str, close: &str, depth: usize| {
        format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
    };
    for text in [
        wrap("(", "1", ")", 2_000),
        wrap("[", "1", "]", 2_000),
        wrap("#{a:", "1", "}", 2_000),
        wrap("{", "1;", "}", 2_000),
        wrap("if true {", "1;", "}", 2_000),
        wrap("if x() {} else ", "{ 1; }", "", 2_000),
        wrap("|a| ", "1", "", 2_000),
        wrap("`${", "1", "}`", 2_000),
        wrap("f(", "1", ")", 2_000),
        wrap("-", "1", "", 2_000),
        wrap("!", "true", "", 2_000),
        wrap("a.", "b", "", 2_000),
        wrap("a[0]", "", "", 2_000),
        wrap("1 + ", "1", "", 20_000),
        wrap("1 ** ", "1", "", 20_000),
        wrap("true && ", "true", "", 20_000),
        wrap(".shadow()", "", "", 2_000).replacen('.', "rule(\"r\").", 1),
    ] {
        for text in [format!("let x = {text};"), format!("rule(\"r\").on(\"m\").when(|v| {text});")]
        {
            load("f", &text, &host());
        }
    }
    // As deep as the parser allows, times as many calls as are allowed.
    for (open, close) in [("[", "]"), ("(1 + ", ")"), ("if true { ", " }"), ("#{a: ", "}")] {
        for depth in [15, 20, 30, 60] {
            let body = wrap(open, "f(x + 1)", close, depth);
            let text = format!("fn f(x) {{ {body} }} rule(\"r\").on(\"m\").when(|v| f(v));");
            load("f", &text, &host());
        }
    }
}

/// Pieces of which files are made, right and wrong ones.
const PIECES: [&str; 44] = [
    "rule(\"a\")",
    ".on(\"m\")",
    ".by(\"h\")",
    ".when(|v| v > 1.0)",
    ".when(|w| w.mean",
    ".window(\"5m\")",
    ".every(\"7s\")",
    ".soak(2m)",
    ".cool(\"x\")",
    ".text(|a| `${a.x}\\n`)",
    ";",
    "\n",
    "(",
    ")",
    "{",
    "}",
    "|",
    "`",
    "\"",
    "'",
    "/*",
    "//",
    "${",
    "\\",
    "fn f(w) { w }",
    ".when(f)",
    "let x = 1;",
    "and",
    "not ",
    "sink(\"s\")",
    ".send(|alerts, cap| 1)",
    ".join(#{ a: \"x\", b: \"y\" })",
    "import \"x\" as y;",
    ".state(#{ a: 1 })",
    "this.a",
    "w.p99x",
    "0x",
    "1e999",
    "ü",
    "\u{0}",
    ".last(0)",
    "counter(\"x\")",
    ".across(\"sum\")",
    "switch x { 1 => 2 }",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_file_makes_the_loader_panic(pieces in prop::collection::vec(0..PIECES.len(), 0..24)) {
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        let loaded = load("f", &text, &host());
        for finding in &loaded.findings {
            prop_assert!(finding.render(Some(&text)).contains("--> f"));
        }
    }

    #[test]
    fn no_bytes_make_the_loader_panic(text in ".{0,80}") {
        load("f", &text, &host());
    }
}
