//! Alerts to try a sink with: events as the program prints them, or as much of one as matters.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::kernel::event::Event;

/// More would not be read by anybody.
const ALERTS_MAX: usize = 10_000;

/// An alert that fires and resolves, for sinks without alerts of their own.
const CANNED: &str = r#"
{"kind":"fired","level":"critical","value":95,"text":"cpu on db1 is 95"}
{"kind":"resolved","level":"critical","value":12,"text":"cpu on db1 is 12"}
"#;

pub fn canned() -> Vec<Arc<Event>> {
    read(CANNED).expect("the canned alerts are well-formed")
}

/// One event for each line that is not empty; the error names the line.
pub fn read(text: &str) -> Result<Vec<Arc<Event>>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut events = Vec::new();
    for (at, line) in lines {
        let wrong = |why: String| format!("line {}: {why}", at + 1);
        let given: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let event = completed(given, events.len() + 1).map_err(wrong)?;
        if events.len() == ALERTS_MAX {
            return Err(wrong(format!("these are more than {ALERTS_MAX} alerts")));
        }
        events.push(Arc::new(event));
    }
    Ok(events)
}

/// The event with all that the line left out. `number` counts from 1.
fn completed(given: Map<String, Value>, number: usize) -> Result<Event, String> {
    let at = given.get("at").cloned().unwrap_or_else(|| "2026-01-01T00:00:00Z".into());
    let kind = given.get("kind").cloned().unwrap_or_else(|| "fired".into());
    let resolved_at = (kind == "resolved").then(|| at.clone());
    let cause = if resolved_at.is_some() { "clear" } else { "breach" };
    let mut event = json!({
        "id": format!("{number:032x}"),
        "seq": number,
        "rule": "cpu-high",
        "version": format!("{:016x}", 1),
        "kind": kind,
        "level": "warning",
        "key": { "host": "db1" },
        "labels": {},
        "at": at,
        "since": at,
        "fired_at": at,
        "resolved_at": resolved_at,
        "cause": cause,
        "text": "a test of this sink",
        "fingerprint": format!("{:016x}", 1),
    });
    let fields = event.as_object_mut().expect("it is written as one");
    if let Some(unknown) = given.keys().find(|name| !is_field(name)) {
        return Err(format!("an alert has no `{unknown}`"));
    }
    fields.extend(given);
    serde_json::from_value(event).map_err(|error| error.to_string())
}

fn is_field(name: &str) -> bool {
    const FIELDS: [&str; 21] = [
        "id",
        "seq",
        "rule",
        "version",
        "kind",
        "level",
        "previous_level",
        "key",
        "labels",
        "value",
        "values",
        "window",
        "at",
        "since",
        "fired_at",
        "resolved_at",
        "cause",
        "text",
        "annotations",
        "shadow",
        "fingerprint",
    ];
    FIELDS.contains(&name) || name == "notify"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::event::{Cause, Kind};

    #[test]
    fn what_a_line_leaves_out_is_made_up() {
        let events = read("\n{\"text\":\"a\"}\n{\"kind\":\"resolved\",\"rule\":\"r\"}\n");
        let events = events.expect("they are alerts");
        let [fired, resolved] = events.as_slice() else { panic!("two lines") };
        assert_eq!(
            (fired.kind, fired.cause, fired.text.as_str()),
            (Kind::Fired, Cause::Breach, "a")
        );
        assert_eq!((resolved.kind, resolved.cause), (Kind::Resolved, Cause::Clear));
        assert!(resolved.resolved_at.is_some() && fired.resolved_at.is_none());
        assert_ne!(fired.id, resolved.id);
        assert_eq!(canned().len(), 2);
    }

    #[test]
    fn an_event_comes_back_as_it_was_printed() {
        for event in canned() {
            let printed = serde_json::to_string(&*event).expect("plain data");
            assert_eq!(read(&printed).expect("it is one"), [event]);
        }
    }

    #[test]
    fn a_line_that_is_no_alert_is_named() {
        for (text, says) in [
            ("{}\nx", "line 2: "),
            ("{\"txet\":\"a\"}", "line 1: an alert has no `txet`"),
            ("{\"kind\":\"melted\"}", "line 1: unknown variant `melted`"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(says), "{error}");
        }
    }
}
