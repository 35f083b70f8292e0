//! A remark on a file that someone wrote: where, what is wrong, and what to do about it.
//!
//! `check`, `run`, the reload report and the API all show the same findings.

use std::fmt::Write;

use serde::Serialize;

/// Ordered by place, so that a file's findings read from top to bottom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    pub file: String,
    /// From 1; 0 when the finding is about the file as a whole.
    pub line: u32,
    /// In characters from 1; 0 when it is about the line as a whole.
    pub column: u32,
    pub severity: Severity,
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The rule or sink that it is about, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file is not taken; its last good version keeps running.
    Error,
    /// The file is taken, and probably does not do what its author meant.
    Warning,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

impl Finding {
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The finding as people read it, over several lines; with the file's text, the line at fault
    /// and a caret under the place.
    pub fn render(&self, source: Option<&str>) -> String {
        let mut out = format!("{}: {}\n", self.severity.name(), self.what);
        let shown = source.and_then(|text| self.line_of(text));
        let width = if shown.is_some() { digits(self.line) } else { 2 };
        let _ = write!(out, "{:width$}--> {}", "", self.file);
        if self.line > 0 {
            let _ = write!(out, ":{}", self.line);
        }
        if self.line > 0 && self.column > 0 {
            let _ = write!(out, ":{}", self.column);
        }
        out.push('\n');
        if let Some(line) = shown {
            let _ = writeln!(out, "{:width$} |", "");
            let _ = writeln!(out, "{} | {}", self.line, printable(line));
            let _ = writeln!(out, "{:width$} | {}^", "", self.indent(line));
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "{:width$} = help: {help}", "");
        }
        out
    }

    fn line_of<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.lines().nth(self.line.checked_sub(1)? as usize)
    }

    /// What stands before the caret: as wide as the text above it, tabs kept.
    fn indent(&self, line: &str) -> String {
        let before = self.column.saturating_sub(1) as usize;
        line.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect()
    }
}

fn digits(number: u32) -> usize {
    number.to_string().len()
}

/// A source line must not steer the terminal it is shown on.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(line: u32, column: u32) -> Finding {
        Finding {
            file: "rules/cpu.rhai".into(),
            line,
            column,
            severity: Severity::Error,
            what: "`windw` is not known".into(),
            help: Some("did you mean `window`?".into()),
            rule: Some("cpu".into()),
        }
    }

    #[test]
    fn a_finding_shows_the_line_with_a_caret() {
        let source = "\n".repeat(11) + "\trule(\"cpu\").windw(\"5m\")";
        assert_eq!(
            finding(12, 14).render(Some(&source)),
            "error: `windw` is not known\n  --> rules/cpu.rhai:12:14\n   |\n12 | \trule(\"cpu\")\
             .windw(\"5m\")\n   | \t            ^\n   = help: did you mean `window`?\n"
        );
    }

    #[test]
    fn a_finding_without_a_place_or_text_says_less() {
        let whole = finding(0, 0).render(Some("x"));
        assert!(whole.contains("--> rules/cpu.rhai\n") && !whole.contains('^'), "{whole}");
        let past_the_end = finding(9, 1).render(Some("x"));
        assert!(past_the_end.contains("rules/cpu.rhai:9:1\n"), "{past_the_end}");
    }

    #[test]
    fn control_characters_are_not_shown() {
        let shown = finding(1, 1).render(Some("a\u{1b}[2Jb"));
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }

    #[test]
    fn findings_are_json_with_lower_case_severities() {
        let json = serde_json::to_value(finding(3, 4)).expect("plain fields");
        assert_eq!((json["severity"].as_str(), json["line"].as_u64()), (Some("error"), Some(3)));
    }
}
