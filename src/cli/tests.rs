//! The command line as people type it: help, flags, defaults.

use clap::CommandFactory;

use super::*;
use crate::config::error::ConfigError;
use crate::config::settings::{Format, LogFormat};

fn parse(line: &str) -> Result<Command, String> {
    let words = line.split_whitespace();
    Cli::try_parse_from(words).map(|cli| cli.command).map_err(|error| error.to_string())
}

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

/// Every help text, as people see it. After a wanted change, run the test once with
/// `WATCHFIRE_BLESS=1` and read the difference.
#[test]
fn help_reads_as_it_was_reviewed() {
    fn append(command: &mut clap::Command, path: &str, text: &mut String) {
        let path = format!("{path}{}", command.get_name());
        text.push_str(&format!("$ {path} --help\n{}\n", command.render_long_help()));
        for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
            append(inner, &format!("{path} "), text);
        }
    }
    let mut text = String::new();
    let mut command = Cli::command().term_width(100);
    command.build();
    append(&mut command, "", &mut text);
    let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/help.txt");
    if std::env::var_os("WATCHFIRE_BLESS").is_some() {
        std::fs::write(file, &text).expect("the snapshot can be written");
    }
    let reviewed = std::fs::read_to_string(file).expect("the snapshot is there");
    assert!(text == reviewed, "help changed:\n{text}");
}

#[test]
fn flags_of_run_become_overrides() {
    let line = "watchfire run --config w.toml --rules r --data d --listen localhost:1 \
                --shards 3 --log json";
    let Ok(Command::Run(args)) = parse(line) else { panic!("{line}") };
    let overrides = args.overrides();
    assert_eq!(overrides.rules.as_deref(), Some(std::path::Path::new("r")));
    assert_eq!(overrides.plugins, None);
    assert_eq!(overrides.listen.map(|at| at.to_string()).as_deref(), Some("127.0.0.1:1"));
    assert_eq!((overrides.shards, overrides.log), (Some(3), Some(LogFormat::Json)));
}

#[test]
fn flags_of_replay_have_defaults() {
    let Ok(Command::Replay(args)) = parse("watchfire replay --rules r -") else { panic!("replay") };
    assert_eq!((args.format, args.batch, args.speed, args.all), (Format::Json, 4096, None, false));
    let line = "watchfire replay --rules r --format statsd --speed 60 --batch 1 --all a b";
    let Ok(Command::Replay(args)) = parse(line) else { panic!("{line}") };
    assert_eq!((args.format, args.batch, args.speed), (Format::Statsd, 1, Some(60.0)));
    assert_eq!(args.files.len(), 2);
}

#[test]
fn wrong_flags_are_refused_in_words() {
    for (line, words) in [
        ("watchfire run --shards 0", "0 shards cannot be; choose from 1 to 64"),
        ("watchfire run --listen 9820", "`9820` is not an address; write IP:PORT"),
        ("watchfire run --log loud", "[possible values: human, json]"),
        ("watchfire replay a", "--rules <DIR>"),
        ("watchfire replay --rules r", "<FILE>..."),
        ("watchfire replay --rules r --format xml a", "json, influx, prom, statsd, csv"),
        ("watchfire replay --rules r --speed 0 a", "`0` is no speed"),
        ("watchfire replay --rules r --batch 0 a", "1..=1000000"),
        ("watchfire forget a host", "`host` is not a label"),
        ("watchfire sinks tets x", "a similar subcommand exists: 'test'"),
        ("watchfire completions tcsh", "bash"),
    ] {
        let error = parse(line).expect_err(line);
        assert!(error.contains(words), "{line}:\n{error}");
    }
}

#[test]
fn a_script_completes_every_command() {
    let mut out = Vec::new();
    let Ok(Command::Completions(args)) = parse("watchfire completions bash") else {
        panic!("bash")
    };
    completions::print(&args, &mut out).expect("it prints");
    let script = String::from_utf8(out).expect("a script is text");
    for word in ["run", "replay", "accept-empty", "forget"] {
        assert!(script.contains(word), "{word}");
    }
}

#[test]
fn a_failure_tells_its_cure_and_no_control_characters() {
    let failure = Failure::new(Exit::NotStarted, "no\u{1b}[2J answer", "is it up?");
    assert_eq!(failure.to_string(), "error: no\u{fffd}[2J answer\n  = help: is it up?");
    let wrong = ConfigError::at("w.toml", "a = 1", 0..1, "no `a`", Some("cut it".into()));
    assert_eq!(Failure::from(wrong.clone()).to_string(), wrong.to_string());
    assert_eq!(Failure::from(wrong).exit, Exit::Usage);
    let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    assert_eq!(Failure::from(gone).exit, Exit::Ok);
}

#[test]
fn numbers_stand_in_groups() {
    for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(grouped(number), text);
    }
}
