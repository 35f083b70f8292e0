//! The terminal sink: a line for each event.
//!
//! Labels and texts come from strangers, so whatever could steer a terminal is escaped.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};

use crate::guest::sink::{Batching, Deliver, Delivery, Opener, Outcome, Retry, Sink, SinkEnv};
use crate::kernel::event::{Event, Kind};
use crate::kernel::model::{Duration, Level, Version};
use crate::kernel::rule::Origin;
use crate::kernel::rule::program::Fault;

type Out = Arc<Mutex<dyn Write + Send>>;

/// Writes to the standard output, or wherever it was told to.
pub struct Terminal {
    out: Out,
    color: bool,
}

/// The sink `terminal` on the standard output.
pub fn declare() -> Sink {
    let out = std::io::stdout();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    let color = out.is_terminal() && !no_color && !dumb;
    Sink {
        name: "terminal".into(),
        version: Version(u64::from(color)),
        origin: Origin { file: "built-in".into(), line: 0 },
        kind: "terminal",
        batching: Batching { max: 100, age: Duration::ZERO },
        retry: Retry::default(),
        rate: None,
        needs: Vec::new(),
        opener: Arc::new(Terminal::new(out, color)),
    }
}

impl Terminal {
    pub fn new(out: impl Write + Send + 'static, color: bool) -> Terminal {
        Terminal { out: Arc::new(Mutex::new(out)), color }
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Terminal").field("color", &self.color).finish_non_exhaustive()
    }
}

impl Opener for Terminal {
    fn open(&self, _env: &SinkEnv) -> Result<Box<dyn Deliver>, Fault> {
        Ok(Box::new(Terminal { out: self.out.clone(), color: self.color }))
    }
}

impl Deliver for Terminal {
    fn deliver<'a>(&'a mut self, _key: &'a str, events: &'a [Arc<Event>]) -> Delivery<'a> {
        let lines: String = events.iter().map(|event| line(event, self.color) + "\n").collect();
        let out = self.out.clone();
        Box::pin(async move {
            // A terminal that is paused blocks its writer.
            let written = tokio::task::spawn_blocking(move || {
                let mut out = out.lock().expect("writing does not panic");
                out.write_all(lines.as_bytes()).and_then(|()| out.flush())
            });
            match written.await.expect("writing does not panic") {
                Ok(()) => Outcome::Delivered { note: None },
                Err(error) => Outcome::Retry { after: None, why: error.to_string() },
            }
        })
    }
}

/// `2023-11-14T22:13:20Z FIRED    critical cpu-high{host="a"} 91.5  cpu is high`
pub fn line(event: &Event, color: bool) -> String {
    let (start, end) = if color { (paint(event), "\x1b[0m") } else { ("", "") };
    let kind = event.kind.name().to_uppercase();
    let mut line = format!("{} {start}{kind:<8} {:<8}{end} ", event.at, event.level);
    line.push_str(&escape(&format!("{}{}", event.rule, event.key)));
    if let Some(value) = event.value {
        let _ = write!(line, " {value}");
    }
    if !event.text.is_empty() {
        let _ = write!(line, "  {}", escape(&event.text));
    }
    line
}

fn paint(event: &Event) -> &'static str {
    match (event.kind, event.level) {
        (Kind::Resolved, _) => "\x1b[32m",
        (_, Level::Critical) => "\x1b[1;31m",
        (_, Level::Warning) => "\x1b[33m",
        (_, Level::Info) => "\x1b[36m",
    }
}

/// Control characters, line separators and marks that turn the direction of text become
/// `\u{..}`: shown, not obeyed.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        let steers = matches!(
            char,
            '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        match char {
            '\n' => safe.push_str("\\n"),
            '\t' => safe.push_str("\\t"),
            _ if steers || char.is_control() => safe.extend(char.escape_unicode()),
            _ => safe.push(char),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::model::{EventTime, Labels};

    fn event(kind: Kind, level: Level, value: Option<f64>, text: &str) -> Event {
        let key = Labels::new([("host", "a")]);
        let at = EventTime::from_nanos(1_700_000_000_500_000_000);
        Event { value, ..Event::own("cpu-high", key, kind, level, at, text.to_owned()) }
    }

    #[test]
    fn a_line_tells_when_what_how_bad_where_and_why() {
        let lines = [
            event(Kind::Fired, Level::Critical, Some(91.5), "cpu is at 91.5 %"),
            event(Kind::Resolved, Level::Critical, Some(12.0), ""),
            event(Kind::Reminded, Level::Warning, None, "still absent"),
            event(Kind::Flapping, Level::Info, Some(-0.25), "up and down"),
        ]
        .map(|event| line(&event, false));
        assert_eq!(
            lines.join("\n"),
            "\
2023-11-14T22:13:20.5Z FIRED    critical cpu-high{host=\"a\"} 91.5  cpu is at 91.5 %
2023-11-14T22:13:20.5Z RESOLVED critical cpu-high{host=\"a\"} 12
2023-11-14T22:13:20.5Z REMINDED warning  cpu-high{host=\"a\"}  still absent
2023-11-14T22:13:20.5Z FLAPPING info     cpu-high{host=\"a\"} -0.25  up and down"
        );
    }

    #[test]
    fn colour_wraps_the_kind_and_the_level_only() {
        let fired = line(&event(Kind::Fired, Level::Warning, None, "x"), true);
        assert_eq!(
            fired,
            "2023-11-14T22:13:20.5Z \x1b[33mFIRED    warning \x1b[0m cpu-high{host=\"a\"}  x"
        );
        let resolved = line(&event(Kind::Resolved, Level::Critical, None, ""), true);
        assert!(resolved.contains("\x1b[32mRESOLVED"), "{resolved:?}");
    }

    #[test]
    fn nothing_in_an_event_steers_the_terminal() {
        for (text, safe) in [
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("two\r\nlines\t", "two\\u{d}\\nlines\\t"),
            ("c1 \u{9b}31m", "c1 \\u{9b}31m"),
            ("turned \u{202e}txt", "turned \\u{202e}txt"),
            ("plain ü 漢 🔥", "plain ü 漢 🔥"),
        ] {
            assert_eq!(escape(text), safe);
        }
        let key = Labels::new([("ho\x1bst", "a\x07\u{9d}")]);
        let at = EventTime::from_nanos(0);
        let event = Event::own("r\n", key, Kind::Fired, Level::Info, at, "\0".to_owned());
        assert!(!line(&event, false).chars().any(char::is_control));
    }

    #[tokio::test]
    async fn events_are_written_whole_and_a_closed_pipe_is_tried_again() {
        let written = Arc::new(Mutex::new(Vec::new()));
        struct Shared(Arc<Mutex<Vec<u8>>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let mut written = self.0.lock().expect("no panics");
                if written.len() > 100 {
                    return Err(std::io::ErrorKind::BrokenPipe.into());
                }
                written.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut terminal = Terminal::new(Shared(written.clone()), false);
        let event = Arc::new(event(Kind::Fired, Level::Info, None, "x"));
        let events = [event.clone(), event.clone()];
        assert_eq!(terminal.deliver("k", &events).await, Outcome::Delivered { note: None });
        let line = line(&event, false);
        let text = String::from_utf8(written.lock().expect("no panics").clone());
        assert_eq!(text.expect("text"), format!("{line}\n{line}\n"));
        let outcome = terminal.deliver("k", &events).await;
        assert!(matches!(outcome, Outcome::Retry { after: None, .. }), "{outcome:?}");
    }
}
