//! Text to stories. Every line is read for itself, so one mistake does not hide the next.

use std::ops::Range;
use std::sync::Arc;

use super::cursor::{Cursor, Mistake};
use super::phrase::{clause, done, duration, feed_head, keyword, kind, labels, terms};
use super::{CLAUSES, Expectation, Feed, FeedLine, Story, StoryFile};
use crate::config::error::ConfigError;
use crate::config::suggest;
use crate::kernel::model::{Duration, EventTime, Series};

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
        let kind = kind(cursor)?;
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
