//! An error in a file that people write: where it is, what is wrong, and what to do.

use std::fmt;
use std::ops::Range;

use super::suggest;

/// A mistake in a settings or story file, an environment variable, or a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as the user named it, or the variable's or flag's name.
    pub file: String,
    /// From 1; 0 when there is no line to point at.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    pub what: String,
    pub help: Option<String>,
    excerpt: Option<Excerpt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    source: String,
    /// Characters under which carets are drawn, from `column` on; at least one.
    width: usize,
}

/// A source line longer than this is not shown: it is data, and the caret would be off screen.
const LINE_SHOWN_MAX: usize = 200;

impl ConfigError {
    /// An error at `span`, in bytes of `text`. A span outside the text points at its end.
    pub fn at(
        file: &str,
        text: &str,
        span: Range<usize>,
        what: impl Into<String>,
        help: Option<String>,
    ) -> ConfigError {
        let start = floor_char(text, span.start);
        let end = floor_char(text, span.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let source = text[line_start..line_end].trim_end_matches('\r');
        let column = text[line_start..start].chars().count();
        let width = text[start..end.min(line_end)].trim_end().chars().count().max(1);
        let shown = source.chars().count() <= LINE_SHOWN_MAX;
        ConfigError {
            file: file.to_owned(),
            line: number(text[..line_start].matches('\n').count() + 1),
            column: number(column + 1),
            what: what.into(),
            help,
            excerpt: shown.then(|| Excerpt { source: source.to_owned(), width }),
        }
    }

    /// An error without a line: a variable, a flag, a file that is not there.
    pub fn of(
        place: impl Into<String>,
        what: impl Into<String>,
        help: Option<String>,
    ) -> ConfigError {
        ConfigError {
            file: place.into(),
            line: 0,
            column: 0,
            what: what.into(),
            help,
            excerpt: None,
        }
    }

    /// The same error without its source line, which must not be printed.
    pub(super) fn without_excerpt(self) -> ConfigError {
        ConfigError { excerpt: None, ..self }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn floor_char(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}

/// In words and with a cure, as people read it; no newline at the end.
impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "error: {}", printable(&self.what))?;
        let gutter = " ".repeat(self.line.to_string().len());
        write!(out, "\n{gutter}--> {}", printable(&self.file))?;
        if self.line > 0 {
            write!(out, ":{}:{}", self.line, self.column)?;
        }
        if let Some(excerpt) = &self.excerpt {
            let source = printable(&excerpt.source);
            let indent = " ".repeat(self.column.saturating_sub(1) as usize);
            write!(out, "\n{gutter} |\n{} | {}", self.line, source.trim_end())?;
            write!(out, "\n{gutter} | {indent}{}", "^".repeat(excerpt.width))?;
        }
        match &self.help {
            Some(help) => write!(out, "\n{gutter} = help: {}", printable(help)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Files come from anywhere: a control character must not reach the terminal. Each becomes one
/// character, so that carets stay in place.
fn printable(text: &str) -> String {
    let safe = |letter: char| match letter {
        '\t' => ' ',
        letter if letter.is_control() => '\u{fffd}',
        letter => letter,
    };
    text.chars().map(safe).collect()
}

/// The cure for a serde message about an unknown name: "unknown field `treshold`, expected one of
/// `threshold`, `every`". `None` when the message is of another kind or nothing comes near.
pub(super) fn did_you_mean(message: &str) -> Option<String> {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let name = quoted.next()?;
    let nearest = suggest::nearest(name, quoted)?;
    Some(format!("did you mean `{nearest}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, span: Range<usize>, expected: &str) {
        let error = ConfigError::at("f.toml", text, span, "it is wrong", Some("mend it".into()));
        assert_eq!(error.to_string(), expected.trim_matches('\n'));
    }

    #[test]
    fn an_error_shows_its_line_and_a_caret() {
        check(
            "a = 1\nbé = \"x\"  \n",
            6..9,
            "
error: it is wrong
 --> f.toml:2:1
  |
2 | bé = \"x\"
  | ^^
  = help: mend it
",
        );
    }

    #[test]
    fn a_span_over_several_lines_or_past_the_end_stays_in_its_line() {
        check(
            "[a\n]",
            0..5,
            "
error: it is wrong
 --> f.toml:1:1
  |
1 | [a
  | ^^
  = help: mend it
",
        );
        check(
            "a",
            90..99,
            "
error: it is wrong
 --> f.toml:1:2
  |
1 | a
  |  ^
  = help: mend it
",
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let error = ConfigError::at("f", "\tx\u{1b}[2J", 1..2, "bad\u{7}", None).to_string();
        assert!(!error.contains('\u{1b}') && !error.contains('\u{7}'), "{error:?}");
        assert!(error.contains("  |  ^"), "{error}");
    }

    #[test]
    fn a_place_without_a_line_is_only_named() {
        let error = ConfigError::of("--shards", "0 is too few", None);
        assert_eq!(error.to_string(), "error: 0 is too few\n --> --shards");
    }
}
