//! The section `watchfire:manifest`: what a component says about itself before it runs.
//!
//! ```toml
//! kind = "sink"
//! api = "0.1"
//! name = "webhook"
//! version = "0.1.0"
//! needs = ["http:{url}", "secret:TOKEN"]
//! ```
//!
//! A part of a need in braces stands for the value of that setting, so that a generic sink asks for
//! the one host that it was set up with and not for all hosts.

use serde::Deserialize;
use serde_json::Value;

use crate::guest::grant::Request;

/// The worlds that this host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Rule,
    WindowRule,
    Sink,
    SampleSink,
    Probe,
    Source,
}

/// A component may come without one; then it asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub kind: Kind,
    /// The first two numbers of the interface's version.
    pub api: String,
    pub name: String,
    pub version: String,
    #[serde(default)]
    pub needs: Vec<String>,
}

impl Kind {
    pub const ALL: [Kind; 6] =
        [Kind::Rule, Kind::WindowRule, Kind::Sink, Kind::SampleSink, Kind::Probe, Kind::Source];

    /// The world's name in the interface.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Rule => "rule",
            Kind::WindowRule => "window-rule",
            Kind::Sink => "sink",
            Kind::SampleSink => "sample-sink",
            Kind::Probe => "probe",
            Kind::Source => "source",
        }
    }

    /// What a plugin of it does, in a few words.
    pub fn about(self) -> &'static str {
        match self {
            Kind::Rule => "Judges samples",
            Kind::WindowRule => "Judges windows of samples",
            Kind::Sink => "Carries alerts out",
            Kind::SampleSink => "Carries samples out",
            Kind::Probe => "Measures on a period",
            Kind::Source => "Reads a format",
        }
    }

    /// The interface by whose export the world is known.
    pub fn export(self) -> &'static str {
        match self {
            Kind::Rule => "evaluator",
            Kind::WindowRule => "window-evaluator",
            Kind::Sink => "delivery",
            Kind::SampleSink => "sample-delivery",
            Kind::Probe => "collector",
            Kind::Source => "decoder",
        }
    }

    /// Whether it judges samples or windows, in the engine's own order.
    pub fn judges(self) -> bool {
        match self {
            Kind::Rule | Kind::WindowRule => true,
            Kind::Sink | Kind::SampleSink | Kind::Probe | Kind::Source => false,
        }
    }

    /// Whether the world has a way out.
    pub fn sends(self) -> bool {
        match self {
            Kind::Rule | Kind::WindowRule | Kind::Source => false,
            Kind::Sink | Kind::SampleSink | Kind::Probe => true,
        }
    }
}

impl Manifest {
    pub fn parse(bytes: &[u8]) -> Result<Manifest, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    /// What it asks for, given its settings. A need whose setting is absent is none.
    pub fn requests(&self, settings: &Value) -> Result<Vec<Request>, String> {
        let mut requests = Vec::new();
        for need in &self.needs {
            for filled in fill(need, settings)? {
                let request = Request::parse(&filled)?;
                if !requests.contains(&request) {
                    requests.push(request);
                }
            }
        }
        Ok(requests)
    }
}

/// A need with its setting filled in: several when the setting's path holds a `*`.
fn fill(need: &str, settings: &Value) -> Result<Vec<String>, String> {
    let Some((before, rest)) = need.split_once('{') else { return Ok(vec![need.to_owned()]) };
    let (path, after) =
        rest.split_once('}').ok_or_else(|| format!("`{need}` has a brace that is not closed"))?;
    let mut values = vec![settings];
    for step in path.split('.') {
        values = values.into_iter().flat_map(|value| children(value, step)).collect();
    }
    let is_http = before == "http:";
    let texts = values.into_iter().filter_map(Value::as_str);
    Ok(texts
        .map(|text| {
            format!("{before}{}{after}", if is_http { server_of(text) } else { text.into() })
        })
        .collect())
}

fn children<'a>(value: &'a Value, step: &str) -> Vec<&'a Value> {
    match value {
        Value::Object(fields) if step == "*" => fields.values().collect(),
        Value::Object(fields) => fields.get(step).into_iter().collect(),
        Value::Array(items) if step == "*" => items.iter().collect(),
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Vec::new()
        }
    }
}

/// Of a URL its scheme, host and port; another text stays as it is.
fn server_of(text: &str) -> String {
    match reqwest::Url::parse(text) {
        Ok(url) if url.has_host() => url.origin().ascii_serialization(),
        Ok(_) | Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_need_names_the_host_of_a_setting() {
        let settings = json!({
            "url": "https://chat.example.net/hook/abc",
            "odd": "http://10.0.0.1:8080/x",
            "headers": { "a": { "secret": "ONE" }, "b": "plain", "c": { "secret": "TWO" } },
        });
        for (need, requests) in [
            ("http:{url}", vec!["http:https://chat.example.net"]),
            ("http:{odd}", vec!["http:http://10.0.0.1:8080"]),
            ("http:{host}", vec![]),
            ("http:{headers}", vec![]),
            ("secret:{headers.*.secret}", vec!["secret:ONE", "secret:TWO"]),
            ("secret:PLAIN", vec!["secret:PLAIN"]),
        ] {
            let manifest = Manifest {
                kind: Kind::Sink,
                api: "0.1".into(),
                name: "a".into(),
                version: "1".into(),
                needs: vec![need.into()],
            };
            let asked: Vec<String> =
                manifest.requests(&settings).expect(need).iter().map(ToString::to_string).collect();
            assert_eq!(asked, requests, "{need}");
        }
    }

    #[test]
    fn a_manifest_is_read_strictly() {
        let good = "kind = \"rule\"\napi = \"0.1\"\nname = \"a\"\nversion = \"1\"\n";
        assert_eq!(Manifest::parse(good.as_bytes()).map(|manifest| manifest.kind), Ok(Kind::Rule));
        for broken in ["", "kind = \"probe\"", &format!("{good}extra = 1"), "\u{0}"] {
            assert!(Manifest::parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
