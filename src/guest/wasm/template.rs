//! The texts that a component's rules declare, with places to fill in: `{labels.host}`.

use std::fmt::Write;

use crate::kernel::event::Event;
use crate::kernel::rule::program::{Fault, Template};

/// A text split into what stands and what is filled in.
#[derive(Debug, PartialEq)]
pub struct FilledText {
    pieces: Vec<Piece>,
}

#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Rule,
    Level,
    Kind,
    Value,
    At,
    /// A group label, else a static one, else nothing.
    Label(String),
}

impl FilledText {
    /// Reads `{rule} {level} {kind} {value} {at} {labels.NAME}`, and `{{` and `}}` as braces.
    pub fn parse(text: &str) -> Result<FilledText, String> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, tail) = rest[at..].split_at(1);
            if let Some(tail) = tail.strip_prefix(brace) {
                plain.push_str(brace);
                rest = tail;
                continue;
            }
            let (name, tail) = match (brace, tail.split_once('}')) {
                ("{", Some(found)) => found,
                _ => return Err(format!("`{text}` has a `{brace}` alone; write it twice")),
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::named(name)?);
            rest = tail;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(FilledText { pieces })
    }
}

impl Piece {
    fn named(name: &str) -> Result<Piece, String> {
        Ok(match name {
            "rule" => Piece::Rule,
            "level" => Piece::Level,
            "kind" => Piece::Kind,
            "value" => Piece::Value,
            "at" => Piece::At,
            _ => match name.strip_prefix("labels.") {
                Some(label) if !label.is_empty() => Piece::Label(label.to_owned()),
                Some(_) | None => {
                    return Err(format!(
                        "`{{{name}}}` is not known; write rule, level, kind, value, at or \
                         labels.NAME"
                    ));
                }
            },
        })
    }

    fn write(&self, event: &Event, out: &mut String) -> std::fmt::Result {
        match self {
            Piece::Text(text) => out.write_str(text),
            Piece::Rule => out.write_str(&event.rule),
            Piece::Level => out.write_str(event.level.name()),
            Piece::Kind => out.write_str(event.kind.name()),
            Piece::Value => event.value.map_or(Ok(()), |value| write!(out, "{value}")),
            Piece::At => write!(out, "{}", event.at),
            Piece::Label(name) => {
                let value = event.key.get(name).or_else(|| event.labels.get(name));
                out.write_str(value.unwrap_or(""))
            }
        }
    }
}

impl Template for FilledText {
    fn render(&self, event: &Event) -> Result<String, Fault> {
        let mut out = String::new();
        for piece in &self.pieces {
            piece.write(event, &mut out).expect("writing to a text does not fail");
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::event;
    use super::*;

    #[test]
    fn a_text_is_filled_from_the_event() {
        for (text, expected) in [
            ("plain", "plain"),
            ("{rule} is {level} at {value} on {labels.host}", "cpu-high is critical at 91.5 on a"),
            ("{labels.team}/{labels.none}/{kind}", "ops//fired"),
            ("{{{value}}}", "{91.5}"),
            ("{at}", "1970-01-01T00:00:05Z"),
            ("", ""),
        ] {
            let filled = FilledText::parse(text).expect(text);
            assert_eq!(filled.render(&event()).expect(text), expected, "{text}");
        }
        for broken in ["{", "}", "a}b", "{nope}", "{labels.}", "{}", "{value"] {
            assert!(FilledText::parse(broken).is_err(), "{broken}");
        }
    }
}
