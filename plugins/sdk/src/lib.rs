//! Write a Watchfire plugin in Rust and build it as a WebAssembly component.
//!
//! | a plugin that | implements | and names itself with |
//! |---|---|---|
//! | judges samples | [`Rule`] | [`export_rule!`] |
//! | judges windows of samples | [`WindowRule`] | [`export_window_rule!`] |
//! | carries alerts out | [`Sink`] | [`export_sink!`] |
//! | carries samples out | [`SampleSink`] | [`export_sample_sink!`] |
//! | measures on a period | [`Probe`] | [`export_probe!`] |
//! | reads a format of its own | [`Source`] | [`export_source!`] |
//!
//! Build with `cargo build --target wasm32-wasip2 --release` and drop the `.wasm` into the plugins
//! folder.
//!
//! ```ignore
//! use watchfire_plugin::{Columns, Declaration, Failure, Judgement, Level, Rule, export_rule};
//!
//! struct TooHot;
//!
//! impl Rule for TooHot {
//!     fn configure(_settings: &str) -> Result<TooHot, Failure> {
//!         Ok(TooHot)
//!     }
//!
//!     fn describe(&self) -> Vec<Declaration> {
//!         vec![Declaration::new("too-hot", "room.celsius").by(["room"])]
//!     }
//!
//!     fn evaluate(&mut self, _rule: u32, rows: Columns<'_>, out: &mut Judgement)
//!     -> Result<(), Failure> {
//!         for (row, value) in rows.value.iter().enumerate() {
//!             if *value > 30.0 {
//!                 out.breach(row, Level::Warning);
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export_rule!(TooHot);
//! ```
//!
//! A guest has no clock, no files and no network of its own: [`host`] and, in sinks and probes,
//! [`http`] are the whole outside world. A panic ends the instance; its text goes to the host's
//! log.

#[doc(hidden)]
pub mod bindings;
pub mod host;
pub mod http;
#[macro_use]
mod lifecycle;
mod manifest;
pub mod probe;
pub mod rule;
pub mod sample_sink;
mod series;
pub mod sink;
pub mod source;
mod time;
pub mod window_rule;

pub use bindings::base::watchfire::plugin::model::{
    Annotation, Failure, Label, Reading, Series, Severity as Level, Snapshot,
};
#[doc(hidden)]
pub use manifest::bytes_of as manifest_bytes;
pub use probe::Probe;
pub use rule::{Columns, Declaration, Judgement, OnNoData, Rule};
pub use sample_sink::{SampleSink, SampleTerms};
pub use series::SeriesTable;
pub use sink::{Alert, DeliveryError, Receipt, Sink, Terms};
pub use source::{Decoded, Source};
pub use time::parse_duration;
pub use window_rule::{Across, GroupTable, Shape, WindowDeclaration, WindowRule, Windows};

/// The host's number for a series.
pub type SeriesId = u32;

/// Nanoseconds since the Unix epoch, UTC.
pub type Timestamp = i64;

/// A length of time in nanoseconds.
pub type Duration = u64;

impl Failure {
    /// `code` is a short word for machines (`settings`, `state`, `data`), `message` for people.
    pub fn new(code: &str, message: impl Into<String>) -> Failure {
        Failure { code: code.to_owned(), message: message.into() }
    }

    /// Settings that cannot be used; say which one and what to write.
    pub fn settings(message: impl std::fmt::Display) -> Failure {
        Failure::new("settings", message.to_string())
    }
}

impl Level {
    /// Reads `info`, `warning` or `critical`.
    pub fn parse(text: &str) -> Result<Level, Failure> {
        match text {
            "info" => Ok(Level::Info),
            "warning" => Ok(Level::Warning),
            "critical" => Ok(Level::Critical),
            other => Err(Failure::settings(format!(
                "`{other}` is no level; write info, warning or critical"
            ))),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Critical => "critical",
        }
    }
}

impl Reading {
    /// A value as of the time at which the host takes it.
    pub fn new<'a>(
        metric: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: f64,
    ) -> Reading {
        let label = |(name, value): (&str, &str)| Label { name: name.into(), value: value.into() };
        let labels = labels.into_iter().map(label).collect();
        Reading { metric: metric.to_owned(), labels, at: None, value }
    }

    /// The time at which it happened.
    pub fn at(mut self, at: Timestamp) -> Reading {
        self.at = Some(at);
        self
    }
}

/// Where a component keeps its one plugin value; the export macros implement it.
#[doc(hidden)]
pub trait Held: Sized + 'static {
    fn with<R>(work: impl FnOnce(&mut Option<Self>) -> R) -> R;

    /// The plugin after `configure`. Without it the host broke the order of calls.
    fn held<R>(work: impl FnOnce(&mut Self) -> R) -> R {
        Self::with(|slot| work(slot.as_mut().expect("the host calls configure first")))
    }
}

/// Makes the one value of a component and its place.
#[doc(hidden)]
#[macro_export]
macro_rules! hold {
    ($plugin:ty) => {
        ::std::thread_local! {
            static PLUGIN: ::std::cell::RefCell<::std::option::Option<$plugin>> =
                const { ::std::cell::RefCell::new(::std::option::Option::None) };
        }

        impl $crate::Held for $plugin {
            fn with<R>(work: impl FnOnce(&mut ::std::option::Option<Self>) -> R) -> R {
                PLUGIN.with(|plugin| work(&mut plugin.borrow_mut()))
            }
        }
    };
}
