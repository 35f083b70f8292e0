//! Texts with `{{ field }}` placeholders: a webhook's body, headers and address.
//!
//! A template is read once, when the sink is made, and never again from what an event says, so no
//! event can write a placeholder. What is filled into a body is escaped as the inside of a JSON
//! string; numbers and whole objects stand as they are.

use std::sync::Arc;

use crate::guest::http::Part;
use crate::kernel::event::Event;

/// A checked template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Secret(String),
    Field(Field),
    Label(String),
    Annotation(String),
    /// The events of the attempt as a JSON array.
    Alerts,
    /// How many events the attempt has.
    Count,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Id,
    Seq,
    Rule,
    Version,
    Kind,
    Level,
    PreviousLevel,
    Key,
    Value,
    At,
    Since,
    FiredAt,
    ResolvedAt,
    Cause,
    Text,
    Fingerprint,
    /// The whole event as a JSON object.
    Event,
}

const FIELDS: [(&str, Field); 17] = [
    ("id", Field::Id),
    ("seq", Field::Seq),
    ("rule", Field::Rule),
    ("version", Field::Version),
    ("kind", Field::Kind),
    ("level", Field::Level),
    ("previous_level", Field::PreviousLevel),
    ("key", Field::Key),
    ("value", Field::Value),
    ("at", Field::At),
    ("since", Field::Since),
    ("fired_at", Field::FiredAt),
    ("resolved_at", Field::ResolvedAt),
    ("cause", Field::Cause),
    ("text", Field::Text),
    ("fingerprint", Field::Fingerprint),
    ("event", Field::Event),
];

impl Template {
    /// The body when none is given.
    pub fn all_alerts() -> Template {
        let text = |text: &str| Piece::Text(text.to_owned());
        Template { pieces: vec![text("{\"alerts\":"), Piece::Alerts, text("}")] }
    }

    /// Any placeholder may stand in a body. The error says which one is wrong and what there is.
    pub fn body(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let after = &rest[start + 2..];
            let end = after.find("}}").ok_or("a `{{` has no `}}`")?;
            pieces.push(Piece::Text(rest[..start].to_owned()));
            pieces.push(piece(after[..end].trim())?);
            rest = &after[end + 2..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Template { pieces })
    }

    /// In an address or a header only secrets are filled in: what an event says must not choose
    /// where it goes.
    pub fn line(text: &str) -> Result<Template, String> {
        let template = Template::body(text)?;
        let plain = |piece: &Piece| matches!(piece, Piece::Text(_) | Piece::Secret(_));
        if template.pieces.iter().all(plain) {
            Ok(template)
        } else {
            Err(format!("only {{{{ secret.NAME }}}} can stand in an address or header: `{text}`"))
        }
    }

    /// Whether it speaks of one event, so that each needs a request of its own.
    pub fn is_per_event(&self) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Field(_) | Piece::Label(_) | Piece::Annotation(_)))
    }

    /// The names of the secrets it uses.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Secret(name) => Some(name.as_str()),
            Piece::Text(_)
            | Piece::Field(_)
            | Piece::Label(_)
            | Piece::Annotation(_)
            | Piece::Alerts
            | Piece::Count => None,
        })
    }

    /// Fills everything in but the secrets. One-event placeholders take the first of `events`.
    pub fn fill(&self, events: &[Arc<Event>]) -> Vec<Part> {
        let mut parts = Vec::new();
        for piece in &self.pieces {
            match (piece, parts.last_mut()) {
                (Piece::Secret(name), _) => parts.push(Part::Secret(name.clone())),
                (_, Some(Part::Text(text))) => text.push_str(&piece.text(events)),
                (_, Some(Part::Secret(_)) | None) => parts.push(Part::Text(piece.text(events))),
            }
        }
        parts
    }
}

fn piece(name: &str) -> Result<Piece, String> {
    if let Some((_, field)) = FIELDS.into_iter().find(|(known, _)| *known == name) {
        return Ok(Piece::Field(field));
    }
    match name.split_once('.') {
        Some(("labels", label)) => return Ok(Piece::Label(label.to_owned())),
        Some(("annotations", name)) => return Ok(Piece::Annotation(name.to_owned())),
        Some(("secret", name)) => return Ok(Piece::Secret(name.to_owned())),
        Some(_) | None => {}
    }
    match name {
        "alerts" => Ok(Piece::Alerts),
        "count" => Ok(Piece::Count),
        _ => {
            let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
            Err(format!(
                "unknown placeholder `{name}`; there are {}, labels.NAME, annotations.NAME, \
                 secret.NAME, alerts and count",
                known.join(", ")
            ))
        }
    }
}

impl Piece {
    fn text(&self, events: &[Arc<Event>]) -> String {
        let first = events.first();
        match self {
            Piece::Text(text) => text.clone(),
            Piece::Secret(_) => String::new(),
            Piece::Field(field) => first.map_or_else(String::new, |event| field.text(event)),
            Piece::Label(name) => first.map_or_else(String::new, |event| {
                let value = event.key.get(name).or_else(|| event.labels.get(name));
                escape(value.unwrap_or(""))
            }),
            Piece::Annotation(name) => first.map_or_else(String::new, |event| {
                let found = event.annotations.iter().find(|(known, _)| **known == **name);
                escape(found.map_or("", |(_, text)| text))
            }),
            Piece::Alerts => json(&events),
            Piece::Count => events.len().to_string(),
        }
    }
}

impl Field {
    /// A field that an event does not have is empty, a value that is not there is `null`.
    fn text(self, event: &Event) -> String {
        match self {
            Field::Id => event.id.to_string(),
            Field::Seq => event.seq.to_string(),
            Field::Rule => escape(&event.rule),
            Field::Version => event.version.to_string(),
            Field::Kind => event.kind.name().to_owned(),
            Field::Level => event.level.name().to_owned(),
            Field::PreviousLevel => {
                event.previous_level.map_or_else(String::new, |level| level.name().to_owned())
            }
            Field::Key => escape(&event.key.to_string()),
            Field::Value => json(&event.value),
            Field::At => event.at.to_string(),
            Field::Since => event.since.to_string(),
            Field::FiredAt => event.fired_at.map_or_else(String::new, |at| at.to_string()),
            Field::ResolvedAt => event.resolved_at.map_or_else(String::new, |at| at.to_string()),
            Field::Cause => event.cause.words().to_owned(),
            Field::Text => escape(&event.text),
            Field::Fingerprint => event.fingerprint.to_string(),
            Field::Event => json(event),
        }
    }
}

/// As the inside of a JSON string.
fn escape(text: &str) -> String {
    let quoted = json(&text);
    quoted[1..quoted.len() - 1].to_owned()
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("events are plain data with text keys")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::event::Kind;
    use crate::kernel::model::{EventTime, Labels, Level};

    fn event() -> Arc<Event> {
        let key = Labels::new([("host", "a\"b")]);
        let at = EventTime::from_nanos(1_700_000_000_000_000_000);
        let text = "line\n{{ secret.X }}".to_owned();
        let event = Event::own("cpu \\ high", key, Kind::Fired, Level::Critical, at, text);
        Arc::new(Event {
            labels: Labels::new([("team", "db"), ("host", "shadowed")]),
            annotations: vec![("runbook".into(), "https://x/é".to_owned())],
            value: Some(91.5),
            ..event
        })
    }

    fn filled(template: &str) -> String {
        let parts = Template::body(template).expect(template).fill(&[event(), event()]);
        let print = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Secret(name) => format!("<{name}>"),
        };
        parts.iter().map(print).collect()
    }

    #[test]
    fn placeholders_are_filled_in_and_escaped() {
        for (template, expected) in [
            ("plain }} {", "plain }} {"),
            ("", ""),
            ("{{rule}}", r"cpu \\ high"),
            ("{{ kind }}/{{  level}}", "fired/critical"),
            ("{{labels.host}}", r#"a\"b"#),
            ("{{labels.team}}{{labels.none}}", "db"),
            ("{{key}}", r#"{host=\"a\\\"b\"}"#),
            ("{{annotations.runbook}}{{annotations.none}}", "https://x/é"),
            ("{{value}} {{count}} {{seq}}", "91.5 2 1"),
            ("{{at}}", "2023-11-14T22:13:20Z"),
            ("{{resolved_at}}{{previous_level}}", ""),
            ("{{text}}", r"line\n{{ secret.X }}"),
            ("a{{secret.TOKEN}}b", "a<TOKEN>b"),
            ("{{cause}}", "breach"),
        ] {
            assert_eq!(filled(template), expected, "{template}");
        }
    }

    #[test]
    fn a_whole_event_and_all_of_them_are_json() {
        for (template, count) in [("[{{event}}]", 1), ("{{alerts}}", 2)] {
            let read: Vec<Event> = serde_json::from_str(&filled(template)).expect(template);
            assert_eq!(read, vec![(*event()).clone(); count], "{template}");
        }
    }

    #[test]
    fn a_wrong_placeholder_is_said_at_once() {
        for (template, what) in [
            ("{{ruel}}", "unknown placeholder `ruel`; there are id, seq, rule"),
            ("{{}}", "unknown placeholder ``"),
            ("{{label.host}}", "unknown placeholder `label.host`"),
            ("{{rule", "a `{{` has no `}}`"),
        ] {
            let error = Template::body(template).expect_err(template);
            assert!(error.contains(what), "{error}");
        }
        assert!(Template::line("Bearer {{secret.TOKEN}}").is_ok());
        let error = Template::line("{{text}}").expect_err("an event in a header");
        assert!(error.contains("only {{ secret.NAME }}"), "{error}");
    }

    #[test]
    fn only_what_speaks_of_one_event_is_per_event() {
        for (template, per_event) in [
            ("{{alerts}} {{count}} {{secret.X}}", false),
            ("{{text}}", true),
            ("{{labels.host}}", true),
            ("{{annotations.x}}", true),
        ] {
            let template = Template::body(template).expect(template);
            assert_eq!(template.is_per_event(), per_event, "{template:?}");
        }
        assert!(!Template::all_alerts().is_per_event());
        let secrets = Template::body("{{secret.A}}{{secret.B}}").expect("two secrets");
        assert_eq!(secrets.secrets().collect::<Vec<_>>(), ["A", "B"]);
    }
}
