//! Which words of a rule need one another, and which exclude one another.

use super::check::{Checker, at_of};
use super::rule::Window;

impl Checker<'_> {
    /// Words that need, or exclude, one another.
    pub fn belongs_together(&mut self) {
        let draft = self.draft;
        match (&draft.on, &draft.join) {
            (None, None) => {
                let help = "say what it watches: .on(\"cpu.usage\")";
                self.error(draft.at, "the rule has no `on` and no `join`", Some(help.into()));
            }
            (Some(_), Some(join)) => {
                self.error(join.at, "a rule has `on` or `join`, not both", None);
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
        if let (Some(at), None) = (at_of(&draft.tolerance), &draft.join) {
            self.error(at, "`tolerance` is for a `join`", None);
        }
        if let (Some(at), Some(_)) = (at_of(&draft.absent), &draft.join) {
            self.error(at, "`absent` watches one `on`, not a `join`", None);
        }
        self.windows();
        self.across();
        self.conditions();
    }

    fn windows(&mut self) {
        let draft = self.draft;
        if let [_, second, ..] = &draft.windows[..] {
            self.error(second.at, "a rule has one window", None);
        }
        let window = draft.windows.first().map(|said| said.value);
        let windowed = "add a window: .window(\"5m\")";
        if window.is_none() {
            let only_windows = [
                (at_of(&draft.baseline), "baseline"),
                (at_of(&draft.share), "share"),
                (at_of(&draft.ewma), "ewma"),
                (at_of(&draft.distinct), "distinct"),
            ];
            for (at, word) in only_windows {
                if let Some(at) = at {
                    self.error(at, format!("`{word}` needs a window"), Some(windowed.into()));
                }
            }
            if draft.across.is_none() {
                for (at, word) in
                    [(at_of(&draft.every), "every"), (at_of(&draft.lateness), "lateness")]
                {
                    if let Some(at) = at {
                        let what = format!("`{word}` needs a window or `across`");
                        self.error(at, what, Some(windowed.into()));
                    }
                }
            }
            return;
        }
        if let Some(at) = at_of(&draft.absent) {
            let help = "put `absent` into a rule of its own, without a window";
            self.error(at, "`absent` does not go with a window", Some(help.into()));
        }
        if let (Some(Window::Tumbling(_) | Window::Last(_)), Some(at)) =
            (window, at_of(&draft.every))
        {
            let help = "only `window` and `session` are judged in between";
            self.error(at, "`every` does not go with this window", Some(help.into()));
        }
        if let (Some(Window::Session(_) | Window::Last(_)), Some(at)) =
            (window, at_of(&draft.baseline))
        {
            self.error(at, "`baseline` needs a window of fixed length", Some(windowed.into()));
        }
        self.baseline_span(window);
    }

    fn baseline_span(&mut self, window: Option<Window>) {
        let (Some(Window::Sliding(length) | Window::Tumbling(length)), Some(span)) =
            (window, &self.draft.baseline)
        else {
            return;
        };
        if span.value < length {
            let what =
                format!("a baseline of {} is shorter than the window's {length}", span.value);
            self.error(span.at, what, None);
        }
    }

    fn across(&mut self) {
        let Some(at) = at_of(&self.draft.across) else { return };
        if self.draft.by.is_none() {
            let help = "say which series belong together: .by(\"service\"), or .by() for all";
            self.error(at, "`across` folds over the series of a group", Some(help.into()));
        }
        if let Some(Window::Session(_) | Window::Last(_)) =
            self.draft.windows.first().map(|w| w.value)
        {
            self.error(at, "`across` does not go with this window", None);
        }
    }

    fn conditions(&mut self) {
        let draft = self.draft;
        let level = draft.levels.iter().flatten().next();
        let shown = "write either .when(..) with .severity(..), or .info, .warning, .critical";
        if let (Some(when), Some(level)) = (&draft.when, level) {
            let at = when.at.max(level.at);
            self.error(at, "`when` and levels do not go together", Some(shown.into()));
        } else if let (Some(at), Some(_)) = (at_of(&draft.severity), level) {
            self.error(at, "levels carry their own severity", Some(shown.into()));
        }
        if let (Some(at), None) = (at_of(&draft.clear), &draft.when) {
            let help = match level {
                Some(_) => "give the reset to its level: .warning(|v| v > 70, |v| v < 60)",
                None => "add .when(..)",
            };
            self.error(at, "`clear` needs a `when`", Some(help.into()));
        }
        let judged = draft.when.is_some() || level.is_some() || draft.absent.is_some();
        if !judged && draft.record.is_none() {
            let help = "add .when(|v| v > 90.0), .absent(\"90s\") or .record(\"name\", |w| w.mean)";
            self.error(draft.at, "the rule has no condition", Some(help.into()));
        }
        if let (Some(at), false) = (at_of(&draft.flapping), draft.when.is_some() || level.is_some())
        {
            self.error(at, "`flapping` needs a condition", None);
        }
    }
}
