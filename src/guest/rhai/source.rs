//! A file's text: from Rhai's positions to bytes and back, and the little scanning that needs no
//! parser (where a closure's text ends, which word stands at a place).

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::Position;

use crate::guest::finding::{Finding, Severity};

/// Libraries by their path below the folder, each with a hash of its text; `None` when it cannot be
/// read there.
pub type Imports = BTreeMap<String, Option<u64>>;

#[derive(Clone, Debug)]
pub struct Source {
    pub file: Arc<str>,
    pub text: Arc<str>,
    /// The byte at which each line begins.
    lines: Arc<[usize]>,
}

impl Source {
    pub fn new(file: &str, text: &str) -> Source {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Source { file: file.into(), text: text.into(), lines }
    }

    /// An error at a place; `Position::NONE` makes it one about the whole file.
    pub fn error(&self, at: Position, what: impl Into<String>) -> Finding {
        self.finding(at, Severity::Error, what.into())
    }

    pub fn warning(&self, at: Position, what: impl Into<String>) -> Finding {
        self.finding(at, Severity::Warning, what.into())
    }

    fn finding(&self, at: Position, severity: Severity, what: String) -> Finding {
        let (line, column) = place(at);
        Finding {
            file: self.file.to_string(),
            line,
            column,
            severity,
            what,
            help: None,
            rule: None,
        }
    }

    /// `file:line:column`, as messages of running rules say it.
    pub fn place(&self, at: Position) -> String {
        let (line, column) = place(at);
        match (line, column) {
            (0, _) => self.file.to_string(),
            (line, 0) => format!("{}:{line}", self.file),
            (line, column) => format!("{}:{line}:{column}", self.file),
        }
    }

    /// The byte at a position, or the text's end when it lies past it.
    pub fn offset(&self, at: Position) -> Option<usize> {
        let start = *self.lines.get(at.line()? - 1)?;
        let column = at.position().unwrap_or(1) - 1;
        let rest = &self.text[start..];
        Some(start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at))
    }

    /// The position of a byte; Rhai's own positions end at 65,535 lines and columns.
    pub fn position(&self, offset: usize) -> Position {
        let line = self.lines.partition_point(|start| *start <= offset);
        let column = self.text[self.lines[line - 1]..offset].chars().count() + 1;
        let (Ok(line), Ok(column)) = (u16::try_from(line), u16::try_from(column)) else {
            return Position::NONE;
        };
        Position::new(line, column)
    }

    /// The identifier that begins at, ends at or spans this byte.
    pub fn word_at(&self, offset: usize) -> &str {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let before = &self.text[..offset];
        let start = before
            .rfind(|c| !is_word(c))
            .map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
        let after = &self.text[offset..];
        let end = offset + after.find(|c| !is_word(c)).unwrap_or(after.len());
        &self.text[start..end]
    }

    /// The identifier before the one at this byte, with only blanks between.
    pub fn word_before(&self, offset: usize) -> &str {
        let trimmed = self.text[..offset].trim_end().len();
        if trimmed == 0 || trimmed == offset { "" } else { self.word_at(trimmed) }
    }

    /// The text of the closure with these parameters whose body's first token is at `body`; of a
    /// named function, its body. On one line, blanks folded.
    pub fn closure_text(&self, body: Position, params: &[&str]) -> String {
        let Some(offset) = self.offset(body) else { return String::new() };
        let (from, start) = self.closure_start(offset, params).unwrap_or((offset, offset));
        let end = expression_end(&self.text, start);
        self.text[from..end].split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The first `|` of the parameters before a body, and where the body begins. Between the two
    /// stand only what opens it: blanks, brackets and signs.
    fn closure_start(&self, body: usize, params: &[&str]) -> Option<(usize, usize)> {
        let opens = |c: char| c.is_whitespace() || "({[!-+".contains(c);
        let before = self.text[..body].trim_end_matches(opens);
        let close = before.len().checked_sub(1).filter(|_| before.ends_with('|'))?;
        let open = self.text[..close].rfind('|')?;
        let inside = self.text[open + 1..close].trim();
        let named: Vec<&str> = inside.split(',').map(str::trim).collect();
        let same = if params.is_empty() { inside.is_empty() } else { named == params };
        let blank = self.text[close + 1..].len() - self.text[close + 1..].trim_start().len();
        same.then_some((open, close + 1 + blank))
    }

    /// Bytes of each `\n`, `\t` or `\"` in a back-tick string, where they are no escapes.
    pub fn lost_escapes(&self) -> Vec<usize> {
        let (mut found, mut at) = (Vec::new(), 0);
        while at < self.text.len() {
            at = next(&self.text, at, &mut found);
        }
        found
    }
}

fn place(at: Position) -> (u32, u32) {
    let number = |part: Option<usize>| part.and_then(|part| u32::try_from(part).ok()).unwrap_or(0);
    (number(at.line()), number(at.position()))
}

/// Where the expression or block that begins at `start` ends.
fn expression_end(text: &str, start: usize) -> usize {
    let (mut at, mut depth, block) = (start, 0usize, text[start..].starts_with('{'));
    while at < text.len() {
        match text.as_bytes()[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 0 => return at,
            b')' | b']' | b'}' => {
                depth -= 1;
                if depth == 0 && block {
                    return at + 1;
                }
            }
            b',' | b';' if depth == 0 => return at,
            _ => {}
        }
        at = next(text, at, &mut Vec::new());
    }
    text.len()
}

/// The byte after the string, comment or single character at `at`.
fn next(text: &str, at: usize, lost: &mut Vec<usize>) -> usize {
    let rest = &text[at..];
    let bytes = rest.as_bytes();
    match bytes[0] {
        b'/' if rest.starts_with("//") => at + rest.find('\n').unwrap_or(rest.len()),
        b'/' if rest.starts_with("/*") => at + rest.find("*/").map_or(rest.len(), |end| end + 2),
        b'"' => quoted_end(text, at + 1, b'"'),
        b'#' if rest.trim_start_matches('#').starts_with('"') => at + raw_length(rest),
        b'\'' => quoted_end(text, at + 1, b'\''),
        b'`' => interpolated_end(text, at + 1, lost),
        _ => at + rest.chars().next().map_or(1, char::len_utf8),
    }
}

/// Of `#"..."#`, with as many `#` before as after.
fn raw_length(text: &str) -> usize {
    let hashes = text.len() - text.trim_start_matches('#').len();
    let close = format!("\"{}", "#".repeat(hashes));
    let body = hashes + 1;
    text[body..].find(&close).map_or(text.len(), |end| body + end + close.len())
}

fn quoted_end(text: &str, start: usize, quote: u8) -> usize {
    let (bytes, mut at) = (text.as_bytes(), start);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b if b == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    boundary(text, at)
}

fn interpolated_end(text: &str, start: usize, lost: &mut Vec<usize>) -> usize {
    let (bytes, mut at) = (text.as_bytes(), start);
    while at < bytes.len() {
        match bytes[at] {
            b'`' => return at + 1,
            b'\\' if matches!(bytes.get(at + 1), Some(b'n' | b't' | b'"')) => {
                lost.push(at);
                at += 2;
            }
            b'$' if bytes.get(at + 1) == Some(&b'{') => at = braces_end(text, at + 2, lost),
            _ => at += 1,
        }
    }
    boundary(text, at)
}

fn braces_end(text: &str, start: usize, lost: &mut Vec<usize>) -> usize {
    let (mut at, mut depth) = (start, 1usize);
    while at < text.len() {
        match text.as_bytes()[at] {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        at = next(text, at, lost);
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// An escape at the very end may have stepped past it or into a character.
fn boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_bytes_find_each_other() {
        let source = Source::new("f", "a\nüb = 1;\n");
        for (line, column, offset) in [(1, 1, 0), (2, 1, 2), (2, 2, 4), (2, 5, 7)] {
            let at = Position::new(line, column);
            assert_eq!(source.offset(at), Some(offset));
            assert_eq!(source.position(offset), at);
        }
        assert_eq!(source.offset(Position::new(2, 900)), Some(11));
        assert_eq!(source.offset(Position::new(9, 1)), None);
        assert_eq!(source.place(Position::new(2, 2)), "f:2:2");
    }

    #[test]
    fn a_closure_ends_where_its_argument_does() {
        for (text, body, params, closure) in [
            ("r.when(|v| v > 90.0).soak()", 12, &["v"][..], "|v| v > 90.0"),
            ("r.info(|v| f(v, 1), |v| v)", 12, &["v"], "|v| f(v, 1)"),
            ("r.when(|v, b| {\n  v > 1\n}).x()", 15, &["v", "b"], "|v, b| { v > 1 }"),
            ("r.when(|v| ((v + 1) > 2)).x()", 14, &["v"], "|v| ((v + 1) > 2)"),
            (
                "r.text(|a| `${a.x + \")\"}, )` + \")\").y()",
                12,
                &["a"],
                "|a| `${a.x + \")\"}, )` + \")\"",
            ),
            ("r.when(|| true)", 11, &[], "|| true"),
            ("r.text(|a| #\"a\")\"#)", 12, &["a"], "|a| #\"a\")\"#"),
            ("fn busy(w) { w.mean > 1 }\nr", 12, &["w"], "{ w.mean > 1 }"),
        ] {
            let source = Source::new("f", text);
            assert_eq!(source.closure_text(Position::new(1, body), params), closure);
        }
    }

    #[test]
    fn words_are_found_around_a_place() {
        let source = Source::new("f", "v > 1 and not v");
        assert_eq!(
            (source.word_at(6), source.word_at(7), source.word_at(9)),
            ("and", "and", "and")
        );
        assert_eq!(source.word_before(14), "not");
        assert_eq!((source.word_before(0), source.word_at(4)), ("", "1"));
    }

    #[test]
    fn escapes_are_lost_only_between_back_ticks() {
        let source = Source::new("f", r#""\n" + `a\n${ "\n" + `\t` }` // `\n`"#);
        assert_eq!(source.lost_escapes(), [9, 22]);
    }
}
