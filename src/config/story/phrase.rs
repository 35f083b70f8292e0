//! The parts of a story's lines: times, labels, changes, clauses and values.

use std::ops::Range;

use super::cursor::{Cursor, Mistake};
use super::{CAUSES, CLAUSES, Expectation, KINDS, Printed, Term, word_of};
use crate::config::suggest;
use crate::kernel::event::Kind;
use crate::kernel::model::{Duration, Labels, Level};

/// Labels alone, with nothing after them.
pub fn parse_labels(text: &str) -> Result<Labels, String> {
    let mut cursor = Cursor::new(text, 0..text.len());
    labels(&mut cursor)
        .and_then(|labels| done(&mut cursor).map(|()| labels))
        .map_err(|mistake| format!("{}; {}", mistake.what, mistake.help))
}

/// `FIRED`, `pending`, …
pub fn kind(cursor: &mut Cursor<'_>) -> Result<Kind, Mistake> {
    let (word, span) = cursor.word();
    let kind = KINDS.into_iter().find(|kind| word_of(*kind) == word);
    kind.ok_or_else(|| unknown_change(word, span))
}

fn unknown_change(word: &str, span: Range<usize>) -> Mistake {
    let words = KINDS.map(word_of);
    let same = words.iter().find(|known| known.eq_ignore_ascii_case(word));
    let near = suggest::nearest(word, words.iter().map(String::as_str));
    let help = match (same, near) {
        (Some(known), _) => {
            format!("write `{known}`: events stand in capitals, changes in small letters")
        }
        (None, Some(nearest)) => format!("did you mean `{nearest}`?"),
        (None, None) => format!("choose one of {}", words.join(", ")),
    };
    let span = if span.is_empty() { span.start..span.start + 1 } else { span };
    Mistake { span, what: format!("`{word}` is no change of an alert"), help }
}

pub fn keyword(cursor: &mut Cursor<'_>, word: &str) -> Result<(), Mistake> {
    if cursor.peek() == word {
        cursor.word();
        return Ok(());
    }
    Err(cursor.mistake(format!("`{word}` is missing"), "see `watchfire test --help`"))
}

pub fn duration(cursor: &mut Cursor<'_>) -> Result<(Duration, Range<usize>), Mistake> {
    let (word, span) = cursor.word();
    match Duration::parse(word) {
        Ok(duration) => Ok((duration, span)),
        Err(_) if span.is_empty() => {
            Err(cursor.mistake("a time is missing".into(), "write for example 90s or 1h30m"))
        }
        Err(_) => Err(Mistake {
            span,
            what: format!("`{word}` is not a time"),
            help: "write for example 90s or 1h30m".into(),
        }),
    }
}

/// `every 1m [from 5m]`: the cadence and the first sample's time.
pub fn feed_head(cursor: &mut Cursor<'_>) -> Result<(Duration, Duration), Mistake> {
    keyword(cursor, "every")?;
    let (every, span) = duration(cursor)?;
    if every.is_zero() {
        let what = "samples every 0s would all have one time".into();
        return Err(Mistake { span, what, help: "write for example `feed every 1m`".into() });
    }
    if cursor.peek() != "from" {
        return Ok((every, Duration::ZERO));
    }
    cursor.word();
    Ok((every, duration(cursor)?.0))
}

pub fn done(cursor: &mut Cursor<'_>) -> Result<(), Mistake> {
    if cursor.is_done() {
        return Ok(());
    }
    Err(cursor.mistake("the line should end here".into(), "start a comment with `#`"))
}

/// `{name="value", …}`, or nothing at all.
pub fn labels(cursor: &mut Cursor<'_>) -> Result<Labels, Mistake> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    if !cursor.takes('{') {
        return Ok(Labels::empty());
    }
    while !cursor.takes('}') {
        let (name, span) = cursor.name("a label's name or `}`")?;
        if !cursor.takes('=') {
            let what = format!("`=` is missing after `{name}`");
            return Err(cursor.mistake(what, "write labels as {host=\"db1\"}"));
        }
        if pairs.iter().any(|(known, _)| *known == name) {
            let what = format!("the label `{name}` stands here twice");
            return Err(Mistake { span, what, help: "a series has each label once".into() });
        }
        pairs.push((name, cursor.quoted()?));
        if !cursor.takes(',') && !cursor.comes('}') {
            return Err(cursor.mistake("`,` or `}` is missing".into(), "labels end with `}`"));
        }
    }
    Ok(Labels::new(pairs))
}

/// One `level critical`, `value 0.92`, `text "…"`, `cause "no data"` or `fired at 5m`.
pub fn clause(cursor: &mut Cursor<'_>, expectation: &mut Expectation) -> Result<(), Mistake> {
    let (word, span) = cursor.word();
    match word {
        "level" => {
            let (level, span) = cursor.word();
            expectation.level = Some(Level::parse(level).ok_or_else(|| Mistake {
                span,
                what: format!("`{level}` is no level"),
                help: "the levels are info, warning and critical".into(),
            })?);
        }
        "value" => {
            let (value, span) = cursor.word();
            expectation.value = Some(Printed::parse(value).ok_or_else(|| Mistake {
                span,
                what: format!("`{value}` is no number"),
                help: "write for example 0.92; it holds to the digits written".into(),
            })?);
        }
        "text" => expectation.text = Some(cursor.quoted()?),
        "cause" => {
            let start = cursor.place();
            let (cause, span) = cursor.name("the cause")?;
            let known = CAUSES.into_iter().find(|known| known.words() == cause);
            expectation.cause = Some(known.ok_or_else(|| Mistake {
                span: start..span.end,
                what: format!("`{cause}` is no cause"),
                help: format!("choose one of {}", CAUSES.map(|known| known.words()).join(", ")),
            })?);
        }
        "fired" => {
            keyword(cursor, "at")?;
            expectation.fired_at = Some(duration(cursor)?.0);
        }
        _ => {
            let nearest = suggest::nearest(word, CLAUSES);
            let span = if span.is_empty() { span.start..span.start + 1 } else { span };
            return Err(Mistake {
                span,
                what: format!("`{word}` is nothing that an expectation can say"),
                help: match nearest {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("after the labels stands one of {}", CLAUSES.join(", ")),
                },
            });
        }
    }
    Ok(())
}

pub fn terms(cursor: &mut Cursor<'_>) -> Result<Vec<Term>, Mistake> {
    let mut terms = Vec::new();
    while !cursor.is_done() {
        let (word, span) = cursor.word();
        terms.push(term(word).ok_or_else(|| {
            Mistake {
                span: if span.is_empty() { span.start..span.start + 1 } else { span },
                what: format!("`{word}` is no value"),
                help: "write a number, 0.92x8 (8 times), _ or _x3 (missing), 1+2x5 (and 5 more), \
                   stale"
                    .into(),
            }
        })?);
    }
    if terms.is_empty() {
        let help = "write them after the labels, `_` for a missing one";
        return Err(cursor.mistake("the series has no values".into(), help));
    }
    Ok(terms)
}

fn term(word: &str) -> Option<Term> {
    if word == "stale" {
        return Some(Term::Stale);
    }
    if let Some(rest) = word.strip_prefix('_') {
        return Some(Term::Missing { times: times(rest)? });
    }
    let (first, rest) = number(word)?;
    if rest.is_empty() || rest.starts_with('x') {
        return Some(Term::Value { value: first, times: times(rest)? });
    }
    let (step, rest) = rest.starts_with(['+', '-']).then(|| number(rest)).flatten()?;
    let more = rest.strip_prefix('x')?.parse().ok()?;
    Some(Term::Ramp { first, step, more })
}

/// `x8`, or nothing for once.
fn times(text: &str) -> Option<u32> {
    if text.is_empty() {
        return Some(1);
    }
    text.strip_prefix('x')?.parse().ok().filter(|times| *times > 0)
}

/// The number at the front, and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = text.len() - unsigned.len();
    let digits =
        |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let is_word =
        |word: &str| unsigned.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(word));
    let mut length = sign;
    if is_word("inf") || is_word("nan") {
        length += 3;
    } else {
        length += digits(unsigned);
        if text[length..].starts_with('.') {
            length += 1 + digits(&text[length + 1..]);
        }
        if let Some(exponent) = text[length..].strip_prefix(['e', 'E']) {
            let signed = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            let count = digits(signed);
            if count > 0 {
                length += 1 + (exponent.len() - signed.len()) + count;
            }
        }
    }
    let (number, rest) = text.split_at(length);
    Some((number.parse().ok()?, rest))
}
