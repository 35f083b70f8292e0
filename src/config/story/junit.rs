//! Story results as JUnit XML, which build servers read.

/// One story file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suite {
    pub name: String,
    pub cases: Vec<Case>,
}

/// One story, or a file that could not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub name: String,
    pub line: u32,
    pub seconds: f64,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Passed,
    /// With the difference.
    Failed(String),
    /// It could not be run at all.
    Broken(String),
}

/// The whole document.
pub fn document(suites: &[Suite]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = Counts::of(suites.iter().flat_map(|suite| &suite.cases));
    xml += &format!("<testsuites name=\"watchfire\" {counts}>\n");
    for suite in suites {
        let name = escape(&suite.name);
        let counts = Counts::of(&suite.cases);
        xml += &format!("  <testsuite name=\"{name}\" {counts}>\n");
        for case in &suite.cases {
            xml += &case_element(&name, case);
        }
        xml += "  </testsuite>\n";
    }
    xml + "</testsuites>\n"
}

fn case_element(suite: &str, case: &Case) -> String {
    let head = format!(
        "    <testcase name=\"{}\" classname=\"{suite}\" file=\"{suite}\" line=\"{}\" \
         time=\"{:.3}\"",
        escape(&case.name),
        case.line,
        case.seconds
    );
    let (element, message, text) = match &case.outcome {
        Outcome::Passed => return format!("{head}/>\n"),
        Outcome::Failed(text) => ("failure", "the story went another way", text),
        Outcome::Broken(text) => ("error", "the story could not be run", text),
    };
    let text = escape(text);
    format!("{head}>\n      <{element} message=\"{message}\">{text}</{element}>\n    </testcase>\n")
}

struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    seconds: f64,
}

impl Counts {
    fn of<'a>(cases: impl IntoIterator<Item = &'a Case>) -> Counts {
        let mut counts = Counts { tests: 0, failures: 0, errors: 0, seconds: 0.0 };
        for case in cases {
            counts.tests += 1;
            counts.failures += usize::from(matches!(case.outcome, Outcome::Failed(_)));
            counts.errors += usize::from(matches!(case.outcome, Outcome::Broken(_)));
            counts.seconds += case.seconds;
        }
        counts
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { tests, failures, errors, seconds } = self;
        write!(
            out,
            "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{seconds:.3}\""
        )
    }
}

/// XML 1.0 cannot hold most control characters, not even escaped.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(letter),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_counts_and_escapes() {
        let case =
            |name: &str, outcome| Case { name: name.into(), line: 3, seconds: 0.25, outcome };
        let suite = Suite {
            name: "disk.story".into(),
            cases: vec![
                case("disk", Outcome::Passed),
                case("a<b", Outcome::Failed("- {host=\"a\"}\n+ \u{1b}".into())),
                case("c", Outcome::Broken("no rule & no file".into())),
            ],
        };
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="watchfire" tests="3" failures="1" errors="1" time="0.750">
  <testsuite name="disk.story" tests="3" failures="1" errors="1" time="0.750">
    <testcase name="disk" classname="disk.story" file="disk.story" line="3" time="0.250"/>
    <testcase name="a&lt;b" classname="disk.story" file="disk.story" line="3" time="0.250">
      <failure message="the story went another way">- {host=&quot;a&quot;}
+ �</failure>
    </testcase>
    <testcase name="c" classname="disk.story" file="disk.story" line="3" time="0.250">
      <error message="the story could not be run">no rule &amp; no file</error>
    </testcase>
  </testsuite>
</testsuites>
"#;
        assert_eq!(document(&[suite]), expected);
    }
}
