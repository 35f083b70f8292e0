//! `watchfire forget`: ends one alert of a running instance by hand.

use std::io::Write;

use serde_json::json;

use super::client::Remote;
use super::exit::{Exit, Failure};
use crate::config::story::parse_labels;
use crate::kernel::model::Labels;

/// End one group of a rule by hand; a firing alert resolves
///
/// For a host that is gone for good while its alert fires. The rule starts anew with the group's
/// next sample. Only a group that pends, fires, has no data or is suspended can be named: any other
/// has nothing to end.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  watchfire forget disk-filling '{host=\"db1\",mount=\"/var\"}'
  watchfire forget disk-filling host=db1,mount=/var
  watchfire forget queue-total ''                       # a rule with one group for all")]
pub struct Args {
    /// The rule's name
    pub rule: String,
    /// The group's labels, all of them
    #[arg(value_parser = parse_key)]
    pub key: Labels,
    #[command(flatten)]
    pub remote: Remote,
}

pub fn forget(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let body = json!({ "rule": args.rule, "key": args.key });
    let answer = args.remote.post(&["forget"], Some(body))?;
    let said = match answer["resolved"].as_bool() {
        Some(true) => "forgotten; its alert resolves",
        Some(false) | None => "forgotten; no alert was firing",
    };
    writeln!(out, "{said}")?;
    Ok(Exit::Ok)
}

/// `{host="db1"}` as alerts print it, or `host=db1,mount=/var` as people type it.
fn parse_key(text: &str) -> Result<Labels, String> {
    let text = text.trim();
    if text.starts_with('{') {
        return parse_labels(text);
    }
    let mut pairs = Vec::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            format!("`{pair}` is not a label; write host=db1 or '{{host=\"db1\"}}'")
        })?;
        pairs.push((name.trim(), value.trim()));
    }
    Ok(Labels::new(pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_printed_and_as_typed() {
        for (text, expected) in [
            (r#"{host="db1",mount="/var"}"#, Some(r#"{host="db1",mount="/var"}"#)),
            ("host=db1, mount=/var", Some(r#"{host="db1",mount="/var"}"#)),
            ("", Some("")),
            ("{}", Some("")),
            ("host", None),
            ("{host=db1}", None),
            ("{host=\"a\"} x", None),
        ] {
            let read = parse_key(text).ok().map(|labels| labels.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
