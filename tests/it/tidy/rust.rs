//! Just enough of Rust's grammar to judge structure: code without its texts, paths, functions.

/// The code of a file with comments, strings and characters blanked out. Lines stay where they are.
pub fn code(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = text_end(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
            continue;
        }
        code.extend(chars[at..end].iter().map(|char| if *char == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    code
}

/// Where the comment or literal that begins at `at` ends; `at` when none begins there.
fn text_end(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let within_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|char| *char == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => at + block_comment_length(rest),
        ['"', ..] => at + quoted_length(rest, '"'),
        ['\'', '\\', ..] => at + quoted_length(rest, '\''),
        ['\'', _, '\'', ..] => at + 3,
        ['r', '"' | '#', ..] if !within_word => at + raw_string_length(rest, 1),
        ['b', 'r', '"' | '#', ..] if !within_word => at + raw_string_length(rest, 2),
        _ => at,
    }
}

fn block_comment_length(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted_length(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Zero for a raw name such as `r#type`.
fn raw_string_length(rest: &[char], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|char| **char == '#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&'"') {
        return 0;
    }
    let mut close = vec!['"'];
    close.extend(std::iter::repeat_n('#', hashes));
    let body = &rest[open + 1..];
    let end = body.windows(close.len()).position(|window| window == close);
    end.map_or(rest.len(), |end| open + 1 + end + close.len())
}

/// Blanked code without the items that are compiled for tests only.
pub fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        kept.push_str(&rest[..start]);
        let item = &rest[start + MARK.len()..];
        let end = item_end(item);
        kept.extend(item[..end].chars().filter(|char| *char == '\n'));
        rest = &item[end..];
    }
    kept + rest
}

/// Behind the `;` or the closing brace of the first item.
fn item_end(code: &str) -> usize {
    let mut depth = 0;
    for (at, char) in code.char_indices() {
        match char {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 && (char == ';' || char == '}') {
            return at + 1;
        }
    }
    code.len()
}

/// A word or a sign of blanked code, with its line from 1 on. `::` is one sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    pub text: &'a str,
    pub line: usize,
}

impl Token<'_> {
    fn is_word(&self) -> bool {
        self.text.starts_with(|char: char| char.is_alphabetic() || char == '_')
    }
}

pub fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (code, 1);
    while let Some(char) = rest.chars().next() {
        let is_word = |char: char| char.is_alphanumeric() || char == '_';
        let length = match char {
            _ if is_word(char) => rest.find(|char| !is_word(char)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => char.len_utf8(),
        };
        if char == '\n' {
            line += 1;
        }
        if !char.is_whitespace() {
            tokens.push(Token { text: &rest[..length], line });
        }
        rest = &rest[length..];
    }
    tokens
}

/// Every path of at least two names, trees of `use` spelt out: `use a::{b, c::d}` gives `a::b` and
/// `a::c::d`.
pub fn paths<'a>(tokens: &[Token<'a>]) -> Vec<(usize, Vec<&'a str>)> {
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token<'a>| token.text);
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts = tokens[at].is_word() && text(at + 1) == "::";
        let goes_on = at > 0 && text(at - 1) == "::";
        at = if starts && !goes_on { branch(tokens, at, &[], &mut paths) } else { at + 1 };
    }
    paths
}

/// Reads one branch of a tree from `at` on; the place behind it.
fn branch<'a>(
    tokens: &[Token<'a>],
    at: usize,
    stem: &[&'a str],
    paths: &mut Vec<(usize, Vec<&'a str>)>,
) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token<'a>| token.text);
    if text(at) == "{" {
        let mut at = at + 1;
        while at < tokens.len() && text(at) != "}" {
            at = branch(tokens, at, stem, paths);
            // Past a new name, as in `a as b`.
            while !matches!(text(at), "," | "}" | "") {
                at += 1;
            }
            at += usize::from(text(at) == ",");
        }
        return at + 1;
    }
    let Some(token) = tokens.get(at).filter(|token| token.is_word()) else {
        // A star, or the types of a call: the path ends before it.
        paths.push((tokens[at.min(tokens.len() - 1)].line, stem.to_vec()));
        return at + 1;
    };
    let path: Vec<&str> = stem.iter().copied().chain([token.text]).collect();
    if text(at + 1) == "::" {
        return branch(tokens, at + 2, &path, paths);
    }
    paths.push((token.line, path));
    at + 1
}

/// A function with a body: its name, its first line, and how many lines it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

pub fn functions(tokens: &[Token<'_>]) -> Vec<Function> {
    let mut functions = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        if keyword.text == "fn" && name.is_word() {
            let last = body_end(&tokens[at..]).map(|token| token.line);
            functions.extend(last.map(|last| Function {
                name: name.text.to_owned(),
                line: keyword.line,
                lines: last + 1 - keyword.line,
            }));
        }
    }
    functions
}

/// The closing brace of the first body; `None` for a declaration that ends in `;`.
fn body_end<'a, 'b>(tokens: &'b [Token<'a>]) -> Option<&'b Token<'a>> {
    let mut depth = 0;
    for token in tokens {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            ";" if depth == 0 => return None,
            _ => {}
        }
        if depth == 0 && token.text == "}" {
            return Some(token);
        }
    }
    None
}

#[test]
fn texts_are_blanked_and_lines_stay() {
    let check = |source: &str, expected: &str| assert_eq!(code(source), expected);
    check("a // b\nc", "a     \nc");
    check("/* a /* b */ c */d", "                 d");
    check(r#"f("a\"b", 'c', '\'')"#, "f(      ,    ,     )");
    check("r#\"a\"b\"# x", "         x");
    check("r#type br\"a\" 'a: for<'a>", "r#type       'a: for<'a>");
    check("\"a\nb\"c", "  \n  c");
}

#[test]
fn what_is_compiled_for_tests_only_is_left_out() {
    let kept = without_tests("a\n#[cfg(test)]\nmod tests {\n fn f() { [0; 2]; }\n}\nb");
    assert_eq!(kept.split_whitespace().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(kept.lines().count(), 6);
    assert_eq!(without_tests("#[cfg(test)] mod tests; c"), " c");
}

#[test]
fn paths_are_read_from_trees_and_from_code() {
    let check = |code: &str, expected: &[&str]| {
        let found: Vec<String> =
            paths(&tokens(code)).into_iter().map(|(_, path)| path.join("::")).collect();
        assert_eq!(found, expected, "{code}");
    };
    check("use a::{b, c::{d as e, f}, g::*};", &["a::b", "a::c::d", "a::c::f", "a::g"]);
    check("let x = crate::m::f::<super::T>(y)", &["crate::m::f", "super::T"]);
    check("pub(super) fn f(x: a::B) -> c { d }", &["a::B"]);
}

#[test]
fn functions_are_measured_without_their_attributes() {
    let found = functions(&tokens("fn a(x: [u8; 2]) {\n\n}\ntrait T { fn b(); }\nfn c() {}"));
    let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
    assert_eq!(found, [("a", 1, 3), ("c", 5, 1)]);
}
