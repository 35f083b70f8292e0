//! Settings as people write them: every section, and what each mistake is told.

use std::path::Path;

use super::*;

fn parse(
    text: &str,
    variables: &[(&str, &str)],
    overrides: &Overrides,
) -> Result<Settings, String> {
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let file = File { name: "watchfire.toml", text, folder: Some(Path::new("/etc/wf")) };
    Settings::parse(file, &variables, overrides).map_err(|error| error.to_string())
}

fn read(text: &str) -> Settings {
    parse(text, &[], &Overrides::default()).expect(text)
}

/// The rendered error, without the newlines around it.
fn check_error(text: &str, expected: &str) {
    let error = parse(text, &[], &Overrides::default()).expect_err(text);
    assert_eq!(error, expected.trim_matches('\n'), "\n{error}\n");
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let settings = read("");
    assert_eq!(settings.listen.http.to_string(), "127.0.0.1:9820");
    assert_eq!(settings.paths.rules, Path::new("/etc/wf/rules"));
    assert_eq!(settings.paths.data, Path::new("/etc/wf/watchfire-data"));
    assert_eq!(settings.sources.statsd.udp.map(|at| at.port()), Some(8125));
    assert_eq!(settings.sources.statsd.tcp, None);
    assert_eq!(settings.sinks.default, ["terminal"]);
    assert!((1..=64).contains(&settings.engine.shards));
    assert_eq!(settings.reload, Reload::default());
}

/// A value other than the default for a key of every section.
const EVERY_SECTION: &str = r#"
[paths]
rules = "my-rules"
data = "/var/lib/watchfire"
[listen]
http = "localhost:1"
names = ["watchfire.example.net"]
token_file = "token"
[sources.host]
enabled = false
interval = "5s"
[sources.statsd]
udp = "off"
tcp = "[::1]:8125"
[[sources.tcp]]
listen = "127.0.0.1:7000"
format = "influx"
name = "edge"
lateness = "10s"
[[sources.file]]
path = "old.jsonl"
format = "json"
follow = true
[sources.stdin]
format = "csv"
[limits]
series_max = 10
[engine]
shards = 64
[log]
format = "json"
level = "info,watchfire::shell=debug"
[sinks]
default = ["log", "hook"]
[[sinks.file]]
name = "log"
path = "alerts.jsonl"
[[sinks.webhook]]
name = "hook"
url = "https://example.net/x"
headers = { Authorization = "Bearer x" }
[watchdog]
notify = ["hook"]
every = "100ms"
[reload]
mode = "poll"
quiet = "0s"
[grants.ops-chat]
http = ["chat.example.net"]
[secrets]
CHAT_URL = "https://chat.example.net/abc"
[bus]
history = 7
"#;

#[test]
fn every_section_reads() {
    let settings = read(EVERY_SECTION);
    assert_eq!(settings.paths.rules, Path::new("/etc/wf/my-rules"));
    assert_eq!(settings.paths.data, Path::new("/var/lib/watchfire"));
    assert_eq!(settings.listen.token_file.as_deref(), Some(Path::new("/etc/wf/token")));
    assert_eq!(settings.listen.http.to_string(), "127.0.0.1:1");
    assert_eq!(settings.sources.statsd.udp, None);
    assert_eq!(settings.sources.tcp[0].lateness, Some(Duration::from_secs(10)));
    assert_eq!(settings.sources.file[0].path, Path::new("/etc/wf/old.jsonl"));
    assert_eq!(settings.sources.stdin, Some(StdinSource { format: Format::Csv }));
    assert_eq!((settings.limits.series_max, settings.limits.labels_max), (10, 64));
    assert_eq!(settings.sinks.file[0].path, Path::new("/etc/wf/alerts.jsonl"));
    assert_eq!((settings.sinks.file[0].rotate_bytes, settings.sinks.file[0].keep), (67_108_864, 5));
    assert_eq!(settings.reload.mode, ReloadMode::Poll);
    assert_eq!(settings.watchdog.every, Duration::from_millis(100), "the shortest there is");
    assert!(settings.grants.contains_key("ops-chat"));
    assert!(!format!("{settings:?}").contains("/abc"), "secrets never print");
}

#[test]
fn a_misspelt_key_is_shown_with_the_right_one() {
    check_error(
        "[listen]\nhttps = \"127.0.0.1:1\"\n",
        r#"
error: unknown field `https`, expected one of `http`, `names`, `token_file`
 --> watchfire.toml:2:1
  |
2 | https = "127.0.0.1:1"
  | ^^^^^
  = help: did you mean `http`?
"#,
    );
    check_error(
        "\n\n[sources.hots]\n",
        r#"
error: unknown field `hots`, expected one of `host`, `statsd`, `tcp`, `plugin`, `file`, `stdin`
 --> watchfire.toml:3:10
  |
3 | [sources.hots]
  |          ^^^^
  = help: did you mean `host`?
"#,
    );
}

#[test]
fn a_wrong_value_is_shown_with_a_cure() {
    for (text, expected) in [
        (
            "[engine]\nshards = 65",
            r#"
error: 65 shards cannot be
 --> watchfire.toml:2:10
  |
2 | shards = 65
  |          ^^
  = help: choose from 1 to 64
"#,
        ),
        (
            "[listen]\nhttp = \":9820\"",
            r#"
error: `:9820` is not an address
 --> watchfire.toml:2:8
  |
2 | http = ":9820"
  |        ^^^^^^^
  = help: write IP:PORT, for example "127.0.0.1:9820", "0.0.0.0:9820" or "[::1]:9820"
"#,
        ),
        (
            "[watchdog]\nevery = 5",
            r#"
error: invalid type: integer `5`, expected a string
 --> watchfire.toml:2:9
  |
2 | every = 5
  |         ^
  = help: text, durations and addresses stand in quotes, for example "5s"
"#,
        ),
    ] {
        check_error(text, expected);
    }
}

#[test]
fn a_wrong_word_is_shown_with_a_cure() {
    for (text, expected) in [
        (
            "[reload]\nquiet = \"5 minutes\"",
            r#"
error: `5 minutes` is not a duration; write for example "90s" or "1h30m"
 --> watchfire.toml:2:9
  |
2 | quiet = "5 minutes"
  |         ^^^^^^^^^^^
"#,
        ),
        (
            "[reload]\npoll = \"0s\"",
            r#"
error: 0s is too short
 --> watchfire.toml:2:8
  |
2 | poll = "0s"
  |        ^^^^
  = help: the shortest is 100ms
"#,
        ),
        (
            "[sources.stdin]\nformat = \"jsn\"",
            r#"
error: `jsn` is no format
 --> watchfire.toml:2:10
  |
2 | format = "jsn"
  |          ^^^^^
  = help: did you mean `json`?
"#,
        ),
        (
            "[log]\nlevel = \"info,watchfire=loud\"",
            r#"
error: `loud` is no log level
 --> watchfire.toml:2:9
  |
2 | level = "info,watchfire=loud"
  |         ^^^^^^^^^^^^^^^^^^^^^
  = help: choose one of off, error, warn, info, debug, trace
"#,
        ),
    ] {
        check_error(text, expected);
    }
}

#[test]
fn settings_that_contradict_each_other_are_shown() {
    for (text, expected) in [
        (
            "[listen]\nhttp = \"0.0.0.0:9820\"",
            r#"
error: 0.0.0.0:9820 can be reached from other machines, and no token guards it
 --> watchfire.toml:2:8
  |
2 | http = "0.0.0.0:9820"
  |        ^^^^^^^^^^^^^^
  = help: name a file with a token (`token_file` or --token-file), or listen on 127.0.0.1
"#,
        ),
        (
            "[paths]\ngrants = \"plugins/grants.toml\"",
            r#"
error: the grants /etc/wf/plugins/grants.toml lie in the watched folder /etc/wf/plugins
 --> watchfire.toml:2:10
  |
2 | grants = "plugins/grants.toml"
  |          ^^^^^^^^^^^^^^^^^^^^^
  = help: move the file out of it: dropping a file into a watched folder must grant nothing
"#,
        ),
        (
            "[[sinks.file]]\nname = \"a\"\npath = \"a\"\n[[sinks.webhook]]\nname = \"a\"\n\
             url = \"http://x\"",
            r#"
error: two sinks are named `a`
 --> watchfire.toml:5:8
  |
5 | name = "a"
  |        ^^^
  = help: a name stands for one sink; rename one
"#,
        ),
        (
            "[limits]\nseries_max = 0",
            r#"
error: `series_max` is 0, which would refuse everything
 --> watchfire.toml:2:14
  |
2 | series_max = 0
  |              ^
  = help: leave the line out for the default
"#,
        ),
    ] {
        check_error(text, expected);
    }
}

#[test]
fn text_that_is_no_toml_is_shown() {
    check_error(
        "[listen\nhttp = 1",
        r#"
error: unclosed table, expected `]`
 --> watchfire.toml:1:8
  |
1 | [listen
  |        ^
"#,
    );
}

#[test]
fn a_line_that_holds_a_secret_is_not_printed() {
    for text in ["[secrets]\nTOKEN = \"hush", "secrets = { TOKEN = \"hush }", "secrets.T = 'hush"] {
        let error = parse(text, &[], &Overrides::default()).expect_err(text);
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn a_variable_wins_over_the_file_and_a_flag_over_both() {
    let text = "[listen]\nhttp = \"127.0.0.1:1\"\n[paths]\nrules = \"r\"\nplugins = \"p\"\n\
                [watchdog]\nnotify = [\"pager\"]\n";
    let variables = [
        ("WATCHFIRE__LISTEN__HTTP", "127.0.0.1:2"),
        ("WATCHFIRE__PATHS__RULES", "from-env"),
        ("WATCHFIRE__ENGINE__SHARDS", "3"),
        ("WATCHFIRE__SINKS__DEFAULT", "a, b"),
        ("WATCHFIRE__LISTEN__NAMES", "[\"x\"]"),
        ("WATCHFIRE__SOURCES__HOST__ENABLED", "false"),
        ("WATCHFIRE__SECRETS__Pin__2", "1234"),
        ("WATCHFIRE__WATCHDOG__NOTIFY", ""),
        ("WATCHFIRE_OTHER", "left alone"),
    ];
    let settings = parse(text, &variables, &Overrides::default()).expect("all are known");
    assert_eq!(settings.listen.http.port(), 2);
    assert_eq!(settings.paths.rules, Path::new("from-env"), "relative to the working directory");
    assert_eq!(settings.paths.plugins, Path::new("/etc/wf/p"));
    assert_eq!(settings.engine.shards, 3);
    assert_eq!(settings.sinks.default, ["a", "b"]);
    assert_eq!(settings.listen.names, ["x"]);
    assert!(!settings.sources.host.enabled);
    assert_eq!(settings.secrets.0["Pin__2"].as_str(), Some("1234"));
    assert!(settings.watchdog.notify.is_empty());

    let overrides = Overrides {
        listen: Some(loopback(3)),
        rules: Some("from-flag".into()),
        shards: Some(5),
        ..Overrides::default()
    };
    let settings = parse(text, &variables, &overrides).expect("all are known");
    assert_eq!((settings.listen.http.port(), settings.engine.shards), (3, 5));
    assert_eq!(settings.paths.rules, Path::new("from-flag"));
}

#[test]
fn a_wrong_variable_is_named() {
    for (name, value, expected) in [
        (
            "WATCHFIRE__LISTEN__HTPP",
            "x",
            "error: unknown field `htpp`, expected one of `http`, `names`, `token_file`\n \
             --> WATCHFIRE__LISTEN__HTPP\n  = help: did you mean `http`?",
        ),
        (
            "WATCHFIRE__ENGINE__SHARDS",
            "0",
            "error: 0 shards cannot be\n --> WATCHFIRE__ENGINE__SHARDS\n  \
             = help: choose from 1 to 64",
        ),
        (
            "WATCHFIRE__SINKS__FILE__NAME",
            "x",
            "error: `sinks.file` has no keys of its own; set it in the file\n \
             --> WATCHFIRE__SINKS__FILE__NAME",
        ),
        (
            "WATCHFIRE__",
            "x",
            "error: it names no setting\n --> WATCHFIRE__\n  \
             = help: write WATCHFIRE__SECTION__KEY, for example WATCHFIRE__LISTEN__HTTP",
        ),
    ] {
        let text = "[[sinks.file]]\nname = \"a\"\npath = \"a\"\n";
        let error = parse(text, &[(name, value)], &Overrides::default()).expect_err(name);
        assert_eq!(error, expected, "\n{error}\n");
    }
}

#[test]
fn a_flag_s_contradiction_is_not_blamed_on_the_file() {
    let listen = Some("0.0.0.0:1".parse().expect("an address"));
    let overrides = Overrides { listen, ..Overrides::default() };
    let error = parse("[listen]\nhttp = \"127.0.0.1:1\"\n", &[], &overrides).expect_err("open");
    assert!(error.contains("--> setting `listen.http`"), "{error}");
    let overrides = Overrides { token_file: Some("t".into()), ..overrides };
    assert!(parse("", &[], &overrides).is_ok(), "a token guards it");
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let missing = Path::new("/nonexistent/watchfire.toml");
    let error = Settings::load(Some(missing), &Overrides::default()).expect_err("no such file");
    assert!(error.to_string().contains("cannot read the settings"), "{error}");
}

const EXAMPLE: &str = include_str!("../../../docs/watchfire.toml");

#[test]
fn the_example_file_holds_the_defaults() {
    assert_eq!(read(EXAMPLE), read(""));
    let known: toml::Table = toml::from_str(EXAMPLE).expect("it reads");
    let limits = toml::Table::try_from(Limits::default()).expect("limits are plain data");
    assert_eq!(known["limits"].as_table(), Some(&limits), "every limit is there");
}

#[test]
fn what_the_example_file_hides_reads_too() {
    let is_hidden =
        |line: &str| line.starts_with("# ") && (line.contains(" = ") || line[2..].starts_with('['));
    let shown: Vec<String> = EXAMPLE
        .lines()
        .map(|line| if is_hidden(line) { line[2..].to_owned() } else { line.to_owned() })
        .collect();
    let settings = read(&shown.join("\n"));
    assert_eq!((settings.sources.tcp.len(), settings.sources.plugin.len()), (1, 1));
    assert_eq!((settings.sinks.file.len(), settings.sinks.webhook.len()), (1, 1));
    assert_eq!(settings.engine.shards, 4);
}
