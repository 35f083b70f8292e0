//! Reads one line of a story from left to right, and knows where it is.

use std::ops::Range;

/// What is wrong, where in the file (bytes), and the cure.
#[derive(Debug)]
pub struct Mistake {
    pub span: Range<usize>,
    pub what: String,
    pub help: String,
}

/// Letters that end a bare word; a name that holds one is written in quotes.
const STOPS: [char; 6] = ['{', '}', '"', '#', ',', '='];

pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// The line's end, without its newline.
    end: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str, line: Range<usize>) -> Cursor<'a> {
        Cursor { text, at: line.start, end: line.end }
    }

    /// The next byte's place, past white space.
    pub fn place(&mut self) -> usize {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.at
    }

    /// Nothing left but white space or a comment.
    pub fn is_done(&mut self) -> bool {
        self.place();
        self.rest().is_empty() || self.rest().starts_with('#')
    }

    /// Takes the symbol if it comes next.
    pub fn takes(&mut self, symbol: char) -> bool {
        self.place();
        let comes = self.rest().starts_with(symbol);
        if comes {
            self.at += symbol.len_utf8();
        }
        comes
    }

    pub fn comes(&mut self, symbol: char) -> bool {
        self.place();
        self.rest().starts_with(symbol)
    }

    /// The next bare word, empty when there is none, and where it stands.
    pub fn word(&mut self) -> (&'a str, Range<usize>) {
        let start = self.place();
        let rest = self.rest();
        let is_stop = |letter: char| letter.is_whitespace() || STOPS.contains(&letter);
        let length = rest.find(is_stop).unwrap_or(rest.len());
        self.at += length;
        (&rest[..length], start..self.at)
    }

    /// The next word without taking it.
    pub fn peek(&mut self) -> &'a str {
        let before = self.at;
        let (word, _) = self.word();
        self.at = before;
        word
    }

    /// A bare word or a quoted text; `what` says what is missing where neither comes.
    pub fn name(&mut self, what: &str) -> Result<(String, Range<usize>), Mistake> {
        let start = self.place();
        if self.comes('"') {
            let text = self.quoted()?;
            return Ok((text, start..self.at));
        }
        let (word, span) = self.word();
        if word.is_empty() {
            return Err(self.mistake(
                format!("{what} is missing"),
                "a name with blanks or signs \
                stands in quotes",
            ));
        }
        Ok((word.to_owned(), span))
    }

    /// A text in quotes, with the escapes that [`quote`] writes.
    pub fn quoted(&mut self) -> Result<String, Mistake> {
        let start = self.place();
        if !self.takes('"') {
            return Err(self.mistake("a text in quotes is missing".into(), "write \"…\""));
        }
        let mut read = String::new();
        let mut letters = self.rest().char_indices();
        while let Some((offset, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.at += offset + 1;
                    return Ok(read);
                }
                '\\' => {
                    let escape = letters.next().map(|(_, escape)| escape);
                    let plain = match escape {
                        Some('n') => Some('\n'),
                        Some('r') => Some('\r'),
                        Some('t') => Some('\t'),
                        Some('u') => code_point(&mut letters),
                        Some(sign @ ('"' | '\\' | '\'')) => Some(sign),
                        Some(_) | None => None,
                    };
                    read.push(plain.ok_or_else(|| Mistake {
                        span: self.at + offset..self.at + offset + 1,
                        what: "this escape is not known".into(),
                        help: r#"known are \" \\ \n \r \t and \u{1F525}"#.into(),
                    })?);
                }
                letter => read.push(letter),
            }
        }
        Err(Mistake {
            span: start..self.end,
            what: "the quotes are not closed".into(),
            help: "a text ends on its own line; write a line break as \\n".into(),
        })
    }

    /// A mistake at what comes next, or at the line's end.
    pub fn mistake(&mut self, what: String, help: &str) -> Mistake {
        let start = self.place();
        let (_, span) = self.word();
        let span = if span.is_empty() { start..start + 1 } else { span };
        self.at = start;
        Mistake { span, what, help: help.into() }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..self.end]
    }
}

/// `{1F525}`, after `\u`.
fn code_point(letters: &mut std::str::CharIndices<'_>) -> Option<char> {
    let digits = letters.as_str().strip_prefix('{')?;
    let digits = &digits[..digits.find('}')?];
    let letter = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    letters.nth(digits.len() + 1)?;
    Some(letter)
}

/// The text in quotes; control characters become escapes, so that it stays on its line and harms
/// no terminal.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_control() => {
                quoted.push_str(&format!("\\u{{{:x}}}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A name as it is written: bare where that reads back, else in quotes.
pub fn bare_or_quoted(name: &str) -> String {
    let needs_quotes =
        |letter: char| letter.is_whitespace() || letter.is_control() || STOPS.contains(&letter);
    if name.is_empty() || name.contains(needs_quotes) { quote(name) } else { name.to_owned() }
}

/// Where the comment of a line starts, or its end.
pub fn comment_start(line: &str) -> usize {
    let mut in_quotes = false;
    let mut letters = line.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if in_quotes => {
                letters.next();
            }
            '"' => in_quotes = !in_quotes,
            '#' if !in_quotes => return at,
            _ => {}
        }
    }
    line.len()
}
