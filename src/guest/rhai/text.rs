//! Texts of alerts and filters over labels.

use std::sync::Arc;

use rhai::Dynamic;

use super::call::Closure;
use super::{alert, errors};
use crate::kernel::event::Event;
use crate::kernel::model::{Duration, Series};
use crate::kernel::rule::program::{Fault, SeriesFilter, Template};

/// A text that is the same for every alert.
#[derive(Debug)]
pub struct Fixed(pub String);

impl Template for Fixed {
    fn render(&self, _event: &Event) -> Result<String, Fault> {
        Ok(self.0.clone())
    }
}

/// A closure over the alert, run once per event.
#[derive(Debug)]
pub struct Text {
    pub closure: Arc<Closure>,
    /// The rule's own `absent`.
    pub absent: Option<Duration>,
}

impl Template for Text {
    fn render(&self, event: &Event) -> Result<String, Fault> {
        let alert = Dynamic::from_map(alert::to_map(event, self.absent));
        one_argument(&self.closure, alert).map(|value| value.to_string())
    }
}

/// `.only(|labels| ..)`: asked once per series, with all of its labels.
#[derive(Debug)]
pub struct Filter {
    pub closure: Arc<Closure>,
    pub text: String,
}

impl SeriesFilter for Filter {
    fn admits(&self, series: &Series) -> Result<bool, Fault> {
        let labels = alert::labels(series.labels());
        let value = one_argument(&self.closure, labels)?;
        value.as_bool().map_err(|_| {
            let place = self.closure.script.source.place(self.closure.function.at);
            Fault::new(format!("`only` must give true or false, not {value} ({place})"))
        })
    }

    fn source(&self) -> &str {
        &self.text
    }
}

fn one_argument(closure: &Arc<Closure>, argument: Dynamic) -> Result<Dynamic, Fault> {
    let mut caller = closure.caller();
    if !closure.params().is_empty() {
        *caller.param(0) = argument;
    }
    caller.call(None).map_err(|error| errors::fault(&closure.script.source, &error))
}
