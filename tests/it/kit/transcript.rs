//! The commands on a page, with what each prints.

use std::sync::LazyLock;

use regex::Regex;

/// A block of a page between lines of three backticks.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    /// Commands, each with the lines that it prints.
    Console(Vec<(String, String)>),
    /// What arrives elsewhere.
    Text(String),
}

/// The blocks that something is to come of; `sh` and the like are for the reader alone.
pub fn blocks(page: &str) -> Vec<Block> {
    let parts = page.split("```").skip(1).step_by(2);
    let blocks = parts.filter_map(|part| {
        let (language, body) = part.split_once('\n')?;
        match language {
            "console" => Some(Block::Console(commands(body))),
            "text" => Some(Block::Text(body.to_owned())),
            _ => None,
        }
    });
    blocks.collect()
}

fn commands(body: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in body.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, printed))) => {
                printed.push_str(line);
                printed.push('\n');
            }
            (None, None) => panic!("a console begins with a command: {line}"),
        }
    }
    commands
}

/// A text without what differs from run to run: sizes, durations, times, digests.
pub fn steady(text: &str) -> String {
    static DIFFERS: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
        [
            (r"[0-9][0-9,]* bytes,", "N bytes,"),
            (r"[0-9.]+ s\b", "N s"),
            (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", "TIME"),
            (r"(size|digest)( +)[0-9a-f,]+", "$1$2 N"),
        ]
        .map(|(pattern, stands)| (Regex::new(pattern).expect("it is written here"), stands))
    });
    let replace = |text: String, (pattern, stands): &(Regex, &str)| {
        pattern.replace_all(&text, *stands).into_owned()
    };
    DIFFERS.iter().fold(text.to_owned(), replace)
}

#[test]
fn a_page_has_commands_and_what_they_print() {
    let page = "a\n```sh\nnot run\n```\n```console\n$ a\n1\n2\n$ b\n```\nx\n```text\nc\n```\n";
    let command = |command: &str, printed: &str| (command.to_owned(), printed.to_owned());
    let expected = [
        Block::Console(vec![command("a", "1\n2\n"), command("b", "")]),
        Block::Text("c\n".to_owned()),
    ];
    assert_eq!(blocks(page), expected);
}

#[test]
fn what_differs_from_run_to_run_is_left_out() {
    let one = "built a: 1,234 bytes, 6.3 s\n  size       12 bytes of at most 4\n  digest     0af\n";
    let other = "built a: 99 bytes, 113.0 s\n  size       9 bytes of at most 4\n  digest     1b\n";
    assert_eq!(steady(one), steady(other));
    assert_eq!(steady("at 2026-11-21T18:04:11.022Z x"), steady("at 2027-01-01T00:00:00Z x"));
    assert_ne!(steady("1 attempts, 0 failed"), steady("1 attempts, 1 failed"));
}
