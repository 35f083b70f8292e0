//! What a plugin can be, and what it can be written in.

/// The worlds of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Judges samples
    Rule,
    /// Judges windows of samples
    WindowRule,
    /// Carries alerts out
    Sink,
    /// Carries samples out
    SampleSink,
    /// Measures on a period
    Probe,
    /// Reads a format
    Source,
}

impl Kind {
    pub const ALL: [Kind; 6] =
        [Kind::Rule, Kind::WindowRule, Kind::Sink, Kind::SampleSink, Kind::Probe, Kind::Source];

    /// The world's name.
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

    /// The interface that only this world exports.
    pub fn interface(self) -> &'static str {
        match self {
            Kind::Rule => "evaluator",
            Kind::WindowRule => "window-evaluator",
            Kind::Sink => "delivery",
            Kind::SampleSink => "sample-delivery",
            Kind::Probe => "collector",
            Kind::Source => "decoder",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    Rust,
    Js,
    Python,
    C,
}

impl Language {
    pub const ALL: [Language; 4] = [Language::Rust, Language::Js, Language::Python, Language::C];

    pub fn name(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::Js => "JavaScript",
            Language::Python => "Python",
            Language::C => "C",
        }
    }
}
