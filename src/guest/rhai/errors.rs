//! From Rhai's errors to words that say what is wrong, where, and what to do.

use rhai::{EvalAltResult, LexError, ParseError, ParseErrorType, Position};

use super::builder;
use super::source::Source;
use super::suggest::did_you_mean;
use crate::guest::finding::Finding;
use crate::kernel::rule::program::Fault;

/// An error without its wrapping: what went wrong, where, and in which file when that is another
/// one than the script's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Plain {
    pub what: String,
    pub help: Option<String>,
    pub at: Position,
    pub file: Option<String>,
}

/// A file that does not parse.
pub fn parse_finding(source: &Source, error: &ParseError) -> Finding {
    let at = error.position();
    let (what, help, at) = cure(source, error, at);
    Finding { help, ..source.error(at, what) }
}

/// What people write by habit from other languages, told by the word at the error's place.
fn cure(source: &Source, error: &ParseError, at: Position) -> (String, Option<String>, Position) {
    if let Some(offset) = source.offset(at) {
        let (word, before) = (source.word_at(offset), source.word_before(offset));
        for (name, operator) in [("and", "&&"), ("or", "||"), ("not", "!")] {
            if word == name || before == name {
                let at = if word == name { at } else { at_word_before(source, offset, name) };
                return (format!("`{name}` is no operator"), Some(format!("use `{operator}`")), at);
            }
        }
        if let Some(duration) = unquoted_duration(source, offset) {
            let at = source.position(duration.0);
            let help = format!("durations are strings: \"{}\"", duration.1);
            return (format!("`{}` is no number", duration.1), Some(help), at);
        }
    }
    let (what, help) = parse_words(error.err_type());
    (what, help, at)
}

fn at_word_before(source: &Source, offset: usize, word: &str) -> Position {
    source.position(source.text[..offset].trim_end().len() - word.len())
}

/// A number with a unit that ends or begins at this byte: where it begins, and its text.
fn unquoted_duration(source: &Source, offset: usize) -> Option<(usize, &str)> {
    let text = &source.text;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let start = text[..offset].rfind(|c| !is_part(c)).map_or(0, |at| at + 1);
    let start = (start..=offset).find(|at| text.is_char_boundary(*at))?;
    let end = offset + text[offset..].find(|c| !is_part(c)).unwrap_or(text.len() - offset);
    let word = &text[start..end];
    let quoted = text[..start].ends_with('"');
    let is_duration = word.starts_with(|c: char| c.is_ascii_digit())
        && crate::kernel::model::Duration::parse(word).is_ok();
    (is_duration && !quoted).then_some((start, word))
}

fn parse_words(error: &ParseErrorType) -> (String, Option<String>) {
    match error {
        ParseErrorType::VariableUndefined(name) => (format!("`{name}` is not defined"), None),
        ParseErrorType::UnexpectedEOF => (
            "the file ends in the middle of something".into(),
            Some("is a `)` or `}` missing?".into()),
        ),
        ParseErrorType::BadInput(LexError::UnterminatedString) => {
            ("a string is not closed".into(), None)
        }
        ParseErrorType::MissingToken(token, why) if why.contains("function call") => {
            (format!("a `)` or `{token}` is missing before this"), None)
        }
        ParseErrorType::ExprTooDeep => (
            "this is nested or chained too deeply".into(),
            Some("split it into several statements".into()),
        ),
        ParseErrorType::Reserved(word) if word == "eval" => ("there is no `eval`".into(), None),
        other => (lower_first(&other.to_string()), None),
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or(String::new(), |first| first.to_lowercase().collect::<String>() + letters.as_str())
}

/// The error at the bottom of an error from a call in a call in a module.
pub fn plain(error: &EvalAltResult) -> Plain {
    use EvalAltResult as E;
    match error {
        E::ErrorInFunctionCall(_, file, inner, at) => {
            let inner = plain(inner);
            let at = if inner.at.is_none() { *at } else { inner.at };
            let file = inner.file.or_else(|| (!file.is_empty()).then(|| file.clone()));
            Plain { at, file, ..inner }
        }
        E::ErrorInModule(path, inner, at) => {
            let inner = plain(inner);
            let place = place_in(inner.at);
            Plain {
                what: format!("the library `{path}` does not load: {}{place}", inner.what),
                help: inner.help,
                at: *at,
                file: None,
            }
        }
        other => {
            let (what, help) = words(other);
            Plain { what, help, at: other.position(), file: None }
        }
    }
}

fn place_in(at: Position) -> String {
    match (at.line(), at.position()) {
        (Some(line), Some(column)) => format!(" (at {line}:{column})"),
        _ => String::new(),
    }
}

fn words(error: &EvalAltResult) -> (String, Option<String>) {
    use EvalAltResult as E;
    match error {
        E::ErrorFunctionNotFound(signature, _) => not_found(signature),
        E::ErrorVariableNotFound(name, _) => (format!("`{name}` is not defined"), None),
        E::ErrorModuleNotFound(path, _) => (
            format!("there is no library `{path}`"),
            Some("libraries are files below this folder: import \"lib/slo\" as slo".into()),
        ),
        E::ErrorTooManyOperations(_) => (
            "the script does not come to an end".into(),
            Some("it ran past its limit of operations; is a loop endless?".into()),
        ),
        E::ErrorStackOverflow(_) => ("functions call each other too deeply".into(), None),
        E::ErrorUnboundThis(_) => (
            "this rule keeps no state of its own".into(),
            Some("give it its first value: .state(#{ last: 0.0 })".into()),
        ),
        E::ErrorTerminated(why, _) => (why.to_string(), None),
        E::ErrorRuntime(value, _) => (value.to_string(), None),
        other => {
            let text = other.to_string();
            let end = text.rfind(" (line ").unwrap_or(text.len());
            (lower_first(&text[..end]), None)
        }
    }
}

/// Rhai says `windw (Rule, &str | ImmutableString | String)`.
fn not_found(signature: &str) -> (String, Option<String>) {
    let (name, types) = signature.split_once(" (").unwrap_or((signature, ""));
    let types = types.trim_end_matches(')');
    let types: Vec<String> = types.split(", ").map(type_word).collect();
    if types == ["".to_owned()] {
        return (format!("there is no function `{name}`"), None);
    }
    if let Some(kind) = types.first().filter(|kind| builder::STARTS.contains(&kind.as_str())) {
        return unknown_method(kind, name);
    }
    let given = types.join(", ");
    if let Some(near) = did_you_mean(name, builder::STARTS) {
        return (format!("there is no `{name}` for ({given})"), Some(near));
    }
    let help = (given.contains("nothing"))
        .then(|| "a label or field that is not there gives nothing, `()`".to_owned());
    (format!("there is no `{name}` for ({given})"), help)
}

fn type_word(name: &str) -> String {
    match name.trim() {
        "i64" => "int".into(),
        "f64" => "float".into(),
        "()" => "nothing".into(),
        text if text.contains("ImmutableString") || text == "&str" => "string".into(),
        other => other.into(),
    }
}

/// An error while a file is run once to declare things.
pub fn load_finding(source: &Source, error: &EvalAltResult) -> Finding {
    if let EvalAltResult::ErrorParsing(kind, at) = error {
        return parse_finding(source, &ParseError(Box::new(kind.clone()), *at));
    }
    let plain = plain(error);
    Finding { help: plain.help, ..source.error(plain.at, plain.what) }
}

/// An error while a condition, text or sink runs.
pub fn fault(source: &Source, error: &EvalAltResult) -> Fault {
    Fault::new(fault_text(source, error))
}

pub fn fault_text(source: &Source, error: &EvalAltResult) -> String {
    let plain = plain(error);
    let place = match plain.file {
        Some(file) => Source::new(&file, "").place(plain.at),
        None => source.place(plain.at),
    };
    format!("{} ({place})", plain.what)
}

/// A word that the builder does not know of a rule or sink.
pub fn unknown_method(kind: &str, name: &str) -> (String, Option<String>) {
    let known = builder::words_of(kind);
    if known.contains(&name) {
        let help = "hand them over as one array".to_owned();
        return (format!("`{name}` does not take so many arguments"), Some(help));
    }
    (format!("a {kind} has no `{name}`"), did_you_mean(name, known))
}
