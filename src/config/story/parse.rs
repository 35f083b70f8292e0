//! Text to stories. Every line is read for itself, so one mistake does not hide the next.

use std::ops::Range;
use std::sync::Arc;

use super::cursor::{Cursor, Mistake};
use super::{CAUSES, CLAUSES, Expectation, Feed, FeedLine, Printed, Story, StoryFile, Term, WORDS};
use crate::config::error::ConfigError;
use crate::config::suggest;
use crate::kernel::model::{Duration, EventTime, Labels, Level, Series};

const STATEMENTS: [&str; 6] = ["rule", "rules", "starting", "feed", "at", "until"];

/// A file longer than this is data, not a story.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Further mistakes are most likely the first one's children.
const ERRORS_MAX: usize = 50;
/// A hundred years, well within what event time can hold.
const LENGTH_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

pub fn parse(file: &str, text: &str) -> Result<StoryFile, Vec<ConfigError>> {
    if text.len() > TEXT_BYTES_MAX {
        let help = "split it, or replay a recording";
        let what = format!("a story file of more than {TEXT_BYTES_MAX} bytes is not read");
        return Err(vec![ConfigError::of(file, what, Some(help.into()))]);
    }
    let mut reader = Reader {
        text,
        file: StoryFile::default(),
        in_feed: None,
        until_span: None,
        mistakes: vec![],
    };
    for (number, span) in (1..).zip(line_spans(text)) {
        if let Err(mistake) = reader.line(number, span) {
            reader.mistakes.push(mistake);
        }
        if reader.mistakes.len() >= ERRORS_MAX {
            break;
        }
    }
    reader.end_feed();
    reader.end_story();
    if reader.mistakes.is_empty() {
        return Ok(reader.file);
    }
    reader.mistakes.sort_by_key(|mistake| mistake.span.start);
    let error = |mistake: Mistake| {
        ConfigError::at(file, text, mistake.span, mistake.what, Some(mistake.help))
    };
    Err(reader.mistakes.into_iter().map(error).collect())
}

/// Labels alone, with nothing after them.
pub fn parse_labels(text: &str) -> Result<Labels, String> {
    let mut cursor = Cursor::new(text, 0..text.len());
    labels(&mut cursor)
        .and_then(|labels| done(&mut cursor).map(|()| labels))
        .map_err(|mistake| format!("{}; {}", mistake.what, mistake.help))
}

/// The bytes of line `number` (from 1), without its newline.
pub fn line_span(text: &str, number: u32) -> Range<usize> {
    let index = number.saturating_sub(1) as usize;
    line_spans(text).nth(index).unwrap_or(text.len()..text.len())
}

fn line_spans(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    text.split_inclusive('\n').scan(0, |start, line| {
        let begin = *start;
        *start += line.len();
        Some(begin..begin + line.trim_end_matches(['\n', '\r']).len())
    })
}

struct Reader<'a> {
    text: &'a str,
    file: StoryFile,
    /// The line of the `feed` whose series are being read.
    in_feed: Option<Range<usize>>,
    until_span: Option<Range<usize>>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn line(&mut self, number: u32, span: Range<usize>) -> Result<(), Mistake> {
        let mut cursor = Cursor::new(self.text, span.clone());
        if cursor.is_done() {
            return Ok(());
        }
        if self.text[span.clone()].starts_with(char::is_whitespace) {
            return self.series_line(&mut cursor);
        }
        self.end_feed();
        let (word, place) = cursor.word();
        match word {
            "rule" => self.rule(number, &mut cursor)?,
            "rules" => self.rules_file(&mut cursor)?,
            "starting" => self.starting(&mut cursor)?,
            "feed" => self.feed(&mut cursor, &place)?,
            "at" => self.expectation(number, &mut cursor, &place)?,
            "until" => self.until(&mut cursor, &place)?,
            _ => return Err(unknown_statement(word, place, &mut cursor)),
        }
        done(&mut cursor)
    }

    fn rule(&mut self, line: u32, cursor: &mut Cursor<'_>) -> Result<(), Mistake> {
        self.end_story();
        let story = Story {
            line,
            rules: Vec::new(),
            start: Story::START_DEFAULT,
            feeds: Vec::new(),
            expectations: Vec::new(),
            until: None,
        };
        self.file.stories.push(story);
        loop {
            let (name, span) = cursor.name("the rule's name")?;
            let rules = &mut self.story(&span)?.rules;
            if rules.iter().any(|rule| **rule == *name) {
                let what = format!("`{name}` is named twice");
                return Err(Mistake { span, what, help: "name it once".into() });
            }
            rules.push(name.into());
            if !cursor.takes(',') {
                return Ok(());
            }
        }
    }

    fn rules_file(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Mistake> {
        let (name, span) = cursor.name("the rule file")?;
        if !self.file.stories.is_empty() {
            return Err(Mistake {
                span,
                what: "rule files are named before the first story".into(),
                help: "move this line to the top; to start a story write `rule NAME`".into(),
            });
        }
        self.file.rules_files.push(name);
        Ok(())
    }

    fn starting(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Mistake> {
        keyword(cursor, "at")?;
        let (word, span) = cursor.word();
        let start = word.parse::<EventTime>().map_err(|what| Mistake {
            span: span.clone(),
            what,
            help: "write for example 2026-01-01T00:00:00Z".into(),
        })?;
        self.story(&span)?.start = start;
        Ok(())
    }

    /// A feed whose head is wrong is still opened, so that its series are read too.
    fn feed(&mut self, cursor: &mut Cursor<'_>, place: &Range<usize>) -> Result<(), Mistake> {
        let head = feed_head(cursor);
        let (every, from) = *head.as_ref().unwrap_or(&(Duration::from_secs(60), Duration::ZERO));
        self.story(place)?.feeds.push(Feed { every, from, lines: Vec::new() });
        self.in_feed = Some(place.clone());
        head.map(|_| ())
    }

    fn series_line(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Mistake> {
        if self.in_feed.is_none() {
            return Err(cursor.mistake(
                "an indented line is a series, and no `feed` is open".into(),
                "write `feed every 1m` above it, or do not indent the line",
            ));
        }
        let (metric, span) = cursor.name("the metric's name")?;
        let labels = labels(cursor)?;
        let line = FeedLine { series: Series::new(&metric, labels.iter()), terms: terms(cursor)? };
        let story = self.story(&span)?;
        let slots: u64 = story.feeds.iter().flat_map(|feed| &feed.lines).map(FeedLine::slots).sum();
        let slots = slots + line.slots();
        let feed = story.feeds.last_mut().expect("an open feed was pushed");
        feed.lines.push(line);
        if slots > Story::SAMPLES_MAX || feed.length() > LENGTH_MAX {
            feed.lines.pop();
            return Err(Mistake {
                span,
                what: format!("the story is too long: {slots} samples"),
                help: format!("at most {} samples in a hundred years", Story::SAMPLES_MAX),
            });
        }
        Ok(())
    }

    fn until(&mut self, cursor: &mut Cursor<'_>, place: &Range<usize>) -> Result<(), Mistake> {
        let (until, span) = duration(cursor)?;
        self.story(place)?.until = Some(until);
        self.until_span = Some(span);
        Ok(())
    }

    fn expectation(
        &mut self,
        line: u32,
        cursor: &mut Cursor<'_>,
        place: &Range<usize>,
    ) -> Result<(), Mistake> {
        let (at, _) = duration(cursor)?;
        let (word, span) = cursor.word();
        let kind = WORDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
        let kind = kind.ok_or_else(|| unknown_change(word, span))?;
        let rule = self.rule_of(cursor, place)?;
        let key = labels(cursor)?;
        let mut expectation = Expectation {
            line,
            at,
            kind,
            rule,
            key,
            level: None,
            value: None,
            text: None,
            cause: None,
            fired_at: None,
        };
        while !cursor.is_done() {
            clause(cursor, &mut expectation)?;
        }
        self.story(place)?.expectations.push(expectation);
        Ok(())
    }

    /// The rule that an expectation is about: named, or the story's only one.
    fn rule_of(
        &mut self,
        cursor: &mut Cursor<'_>,
        place: &Range<usize>,
    ) -> Result<Arc<str>, Mistake> {
        let is_named =
            cursor.comes('"') || !cursor.peek().is_empty() && !CLAUSES.contains(&cursor.peek());
        let rules = self.story(place)?.rules.clone();
        if is_named {
            let (name, span) = cursor.name("the rule's name")?;
            return rules.iter().find(|rule| ***rule == *name).cloned().ok_or_else(|| Mistake {
                span,
                what: format!("the story is not about a rule `{name}`"),
                help: match suggest::nearest(&name, rules.iter().map(|rule| &**rule)) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("it is about {}", rules.join(", ")),
                },
            });
        }
        match rules.as_slice() {
            [rule] => Ok(rule.clone()),
            _ => Err(cursor.mistake(
                "the story is about several rules, and this line names none".into(),
                "write the rule's name after the change: `at 6m FIRED disk-filling {…}`",
            )),
        }
    }

    fn story(&mut self, place: &Range<usize>) -> Result<&mut Story, Mistake> {
        self.file.stories.last_mut().ok_or_else(|| Mistake {
            span: place.clone(),
            what: "no story has begun".into(),
            help: "write `rule NAME` above it".into(),
        })
    }

    fn end_feed(&mut self) {
        let Some(span) = self.in_feed.take() else { return };
        let feed = self.file.stories.last().and_then(|story| story.feeds.last());
        let has_mistake = self.mistakes.iter().any(|mistake| mistake.span.start > span.start);
        if feed.is_some_and(|feed| feed.lines.is_empty()) && !has_mistake {
            self.mistakes.push(Mistake {
                span,
                what: "this feed has no series".into(),
                help: "write them below it, indented: `  metric{label=\"v\"}  1 2 3`".into(),
            });
        }
    }

    /// What only a whole story tells.
    fn end_story(&mut self) {
        let until_span = self.until_span.take();
        let Some(story) = self.file.stories.last() else { return };
        if story.length() > LENGTH_MAX {
            self.mistakes.push(Mistake {
                span: line_span(self.text, story.line),
                what: "the story is longer than a hundred years".into(),
                help: "look at its longest `at` and `until`".into(),
            });
        }
        let fed = story.feeds.iter().map(Feed::length).max().unwrap_or(Duration::ZERO);
        if let (Some(until), Some(span)) = (story.until, until_span)
            && until < fed
        {
            self.mistakes.push(Mistake {
                span,
                what: format!("the samples go on after {until}, until {fed}"),
                help: "`until` makes a story longer; to shorten it, feed less".into(),
            });
        }
    }
}

fn unknown_statement(word: &str, place: Range<usize>, cursor: &mut Cursor<'_>) -> Mistake {
    let help = match suggest::nearest(word, STATEMENTS) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if cursor.comes('{') => "indent a series below its `feed` by two blanks".into(),
        None => format!("a line starts with one of {}", STATEMENTS.join(", ")),
    };
    let span = if place.is_empty() { place.start..place.start + 1 } else { place };
    Mistake { span, what: format!("`{word}` starts no line of a story"), help }
}

fn unknown_change(word: &str, span: Range<usize>) -> Mistake {
    let same = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
    let near = || suggest::nearest(word, WORDS.map(|(known, _)| known));
    let help = match (same, near()) {
        (Some((known, _)), _) => {
            format!("write `{known}`: events stand in capitals, changes in small letters")
        }
        (None, Some(nearest)) => format!("did you mean `{nearest}`?"),
        (None, None) => format!("choose one of {}", WORDS.map(|(known, _)| known).join(", ")),
    };
    let span = if span.is_empty() { span.start..span.start + 1 } else { span };
    Mistake { span, what: format!("`{word}` is no change of an alert"), help }
}

fn keyword(cursor: &mut Cursor<'_>, word: &str) -> Result<(), Mistake> {
    if cursor.peek() == word {
        cursor.word();
        return Ok(());
    }
    Err(cursor.mistake(format!("`{word}` is missing"), "see `watchfire test --help`"))
}

fn duration(cursor: &mut Cursor<'_>) -> Result<(Duration, Range<usize>), Mistake> {
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
fn feed_head(cursor: &mut Cursor<'_>) -> Result<(Duration, Duration), Mistake> {
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

fn done(cursor: &mut Cursor<'_>) -> Result<(), Mistake> {
    if cursor.is_done() {
        return Ok(());
    }
    Err(cursor.mistake("the line should end here".into(), "start a comment with `#`"))
}

/// `{name="value", …}`, or nothing at all.
fn labels(cursor: &mut Cursor<'_>) -> Result<Labels, Mistake> {
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
fn clause(cursor: &mut Cursor<'_>, expectation: &mut Expectation) -> Result<(), Mistake> {
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

fn terms(cursor: &mut Cursor<'_>) -> Result<Vec<Term>, Mistake> {
    let mut terms = Vec::new();
    while !cursor.is_done() {
        let (word, span) = cursor.word();
        terms.push(term(word).ok_or_else(|| {
            Mistake {
                span: if span.is_empty() { span.start..span.start + 1 } else { span },
                what: format!("`{word}` is no value"),
                help: "write a number, 0.92x8 (eight times), _ or _x3 (missing), 1+2x5 (the first \
                   and five more) or stale"
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
