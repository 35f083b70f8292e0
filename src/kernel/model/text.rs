//! Text that came from outside, made safe to print.
//!
//! A label's value or an error message may hold an escape sequence that repaints a terminal, a
//! line end that forges a log line, or a direction mark that shows text in another order than it
//! has. Whatever goes to a terminal or a log passes through here.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with every character that steers a terminal or a reader written out: `\n`, `\t`,
/// `\r`, else `\u{1b}`. Borrowed when there is none, which is nearly always.
///
/// A backslash stays as it is, so paths and patterns remain readable; the result is for people and
/// is not meant to be read back.
pub fn escape_control(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(steers) else { return Cow::Borrowed(text) };
    let mut safe = String::with_capacity(text.len() + 8);
    safe.push_str(&text[..first]);
    for character in text[first..].chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            other if steers(other) => {
                write!(safe, "\\u{{{:x}}}", u32::from(other)).expect("a String takes all text");
            }
            other => safe.push(other),
        }
    }
    Cow::Owned(safe)
}

/// The C0 and C1 controls with DEL, the line and paragraph separators, and the marks that change
/// the direction of text. Joiners stay: scripts and emoji need them.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_written_out_and_the_rest_is_left_alone() {
        for (text, safe) in [
            ("disk /var is 91 % full", "disk /var is 91 % full"),
            ("", ""),
            ("Zürich 東京 👩‍💻 C:\\temp", "Zürich 東京 👩‍💻 C:\\temp"),
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("one\ntwo\r\nthree\tx", "one\\ntwo\\r\\nthree\\tx"),
            ("\0\x07\x7f\u{9b}31m", "\\u{0}\\u{7}\\u{7f}\\u{9b}31m"),
            ("user\u{202e}gpj.exe", "user\\u{202e}gpj.exe"),
            ("a\u{2028}b\u{2066}c\u{200f}", "a\\u{2028}b\\u{2066}c\\u{200f}"),
        ] {
            assert_eq!(escape_control(text), safe);
        }
    }

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(escape_control("cpu.usage"), Cow::Borrowed("cpu.usage")));
    }
}
