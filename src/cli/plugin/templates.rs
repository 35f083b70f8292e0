//! What `watchfire plugin new` writes: the files of `templates/` with the plugin's names filled in.

use super::{Language, WIT, sdk};
use crate::guest::wasm::manifest::Kind;

/// One plugin's name in the forms that files want it.
pub struct Names {
    /// `too-hot`
    name: String,
}

impl Names {
    pub fn of(name: &str) -> Names {
        Names { name: name.to_owned() }
    }

    /// `TooHot`
    fn type_name(&self) -> String {
        let upper = |part: &str| {
            let (first, rest) = part.split_at(part.len().min(1));
            first.to_uppercase() + rest
        };
        self.name.split('-').map(upper).collect()
    }

    fn fill(&self, text: &str) -> String {
        text.replace("@NAME@", &self.name).replace("@TYPE@", &self.type_name())
    }
}

type Files = &'static [(&'static str, &'static str)];

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("templates/", $path))
    };
}

/// What every plugin in a language has, whatever it does.
fn of_language(language: Language) -> Files {
    match language {
        Language::Rust => &[
            ("Cargo.toml", template!("rust/Cargo.toml.in")),
            // The versions that our own plugins are built with; cargo takes out what is not used.
            ("Cargo.lock", include_str!("../../../plugins/Cargo.lock")),
            (".gitignore", template!("rust/gitignore.in")),
        ],
        Language::Js => &[
            ("package.json", template!("js/package.json.in")),
            (".gitignore", template!("js/gitignore.in")),
        ],
        Language::Python => &[
            ("requirements.txt", template!("python/requirements.txt.in")),
            (".gitignore", template!("python/gitignore.in")),
        ],
        Language::C => {
            &[(".gitignore", template!("c/gitignore.in")), ("src/text.h", template!("c/text.h.in"))]
        }
    }
}

/// What tries a plugin of a kind, and its settings, in whatever language.
fn of_kind(kind: Kind) -> Files {
    match kind {
        Kind::Rule => &[
            ("@NAME@.toml", template!("rule.toml.in")),
            ("@NAME@.story", template!("rule.story.in")),
            ("README.md", template!("rule.md.in")),
        ],
        Kind::WindowRule => &[
            ("@NAME@.toml", template!("window-rule.toml.in")),
            ("@NAME@.story", template!("window-rule.story.in")),
            ("README.md", template!("window-rule.md.in")),
        ],
        Kind::Sink => &[
            ("@NAME@.toml", template!("sink.toml.in")),
            ("@NAME@.alerts.jsonl", template!("sink.alerts.jsonl.in")),
            ("README.md", template!("sink.md.in")),
        ],
        Kind::SampleSink => &[
            ("@NAME@.toml", template!("sample-sink.toml.in")),
            ("@NAME@.samples.jsonl", template!("samples.jsonl.in")),
            ("README.md", template!("sample-sink.md.in")),
        ],
        Kind::Probe => {
            &[("@NAME@.toml", template!("probe.toml.in")), ("README.md", template!("probe.md.in"))]
        }
        Kind::Source => &[
            ("@NAME@.toml", template!("source.toml.in")),
            ("@NAME@.payload", template!("source.payload.in")),
            ("README.md", template!("source.md.in")),
        ],
    }
}

/// The plugin itself; `None` where there is no template.
fn source(language: Language, kind: Kind) -> Option<&'static str> {
    match (language, kind) {
        (Language::Rust, Kind::Rule) => Some(template!("rust/rule.rs.in")),
        (Language::Rust, Kind::WindowRule) => Some(template!("rust/window-rule.rs.in")),
        (Language::Rust, Kind::Sink) => Some(template!("rust/sink.rs.in")),
        (Language::Rust, Kind::SampleSink) => Some(template!("rust/sample-sink.rs.in")),
        (Language::Rust, Kind::Probe) => Some(template!("rust/probe.rs.in")),
        (Language::Rust, Kind::Source) => Some(template!("rust/source.rs.in")),
        (Language::Js, Kind::Sink) => Some(template!("js/sink.js.in")),
        (Language::Js, Kind::Probe) => Some(template!("js/probe.js.in")),
        (Language::Python, Kind::Sink) => Some(template!("python/sink.py.in")),
        (Language::Python, Kind::Probe) => Some(template!("python/probe.py.in")),
        (Language::C, Kind::Sink) => Some(template!("c/sink.c.in")),
        (Language::C, Kind::Probe) => Some(template!("c/probe.c.in")),
        (
            Language::Js | Language::Python | Language::C,
            Kind::Rule | Kind::WindowRule | Kind::SampleSink | Kind::Source,
        ) => None,
    }
}

/// Where an author finds the plugin itself.
fn source_path(language: Language) -> &'static str {
    match language {
        Language::Rust => "src/lib.rs",
        Language::Js => "plugin.js",
        Language::Python => "plugin.py",
        Language::C => "src/plugin.c",
    }
}

/// What a component says about itself, where no macro writes it.
fn manifest(kind: Kind) -> &'static str {
    match kind {
        Kind::Sink | Kind::SampleSink => template!("sink.plugin.toml.in"),
        Kind::Probe => template!("probe.plugin.toml.in"),
        Kind::Rule | Kind::WindowRule | Kind::Source => template!("rule.plugin.toml.in"),
    }
}

pub fn has(language: Language, kind: Kind) -> bool {
    source(language, kind).is_some()
}

/// The files of a new plugin by path, or `None` where there is no template.
pub fn files(language: Language, kind: Kind, names: &Names) -> Option<Vec<(String, String)>> {
    let source = source(language, kind)?;
    let fill = |text: &str| {
        let text = names.fill(text).replace("@KIND@", kind.name());
        let path = format!("`{}`", source_path(language));
        text.replace("@LANGUAGE@", language.name()).replace("@SOURCE@", &path)
    };
    let source = [(source_path(language), source)];
    let parts = of_language(language).iter().chain(of_kind(kind)).chain(&source);
    let mut files: Vec<(String, String)> =
        parts.map(|(path, text)| (fill(path), fill(text))).collect();
    match language {
        Language::Rust => {
            let sdk = sdk::files().into_iter();
            files.extend(sdk.map(|(path, text)| (format!("watchfire-plugin/{path}"), text)));
        }
        Language::Js | Language::Python | Language::C => {
            files.push(("plugin.toml".to_owned(), fill(manifest(kind))));
            files.push(("wit/watchfire.wit".to_owned(), WIT.to_owned()));
        }
    }
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_has_every_kind_and_the_others_have_sinks_and_probes() {
        for kind in Kind::ALL {
            assert!(has(Language::Rust, kind), "{}", kind.name());
        }
        for language in Language::ALL {
            for kind in [Kind::Sink, Kind::Probe] {
                assert!(has(language, kind), "{} in {}", kind.name(), language.name());
            }
        }
    }

    #[test]
    fn every_mark_is_filled_in() {
        let names = Names::of("too-hot");
        assert_eq!(names.type_name(), "TooHot");
        for language in Language::ALL {
            for kind in Kind::ALL {
                for (path, text) in files(language, kind, &names).into_iter().flatten() {
                    for mark in ["@NAME@", "@TYPE@", "@KIND@", "@LANGUAGE@", "@SOURCE@"] {
                        assert!(!path.contains(mark) && !text.contains(mark), "{path}: {mark}");
                    }
                }
            }
        }
    }
}
