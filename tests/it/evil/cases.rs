//! The bad guests, what each is set to do, and how it must be told.

use super::world::World;
use crate::guests::guest;

pub struct Case {
    pub name: &'static str,
    /// Of `bad.wasm`.
    pub bytes: Vec<u8>,
    pub settings: String,
    /// With these settings it is there first, does nothing wrong, and gathers state.
    pub before: Option<&'static str>,
    /// A line of its grant.
    pub grant: String,
    pub told: Vec<Told>,
}

/// Where an operator finds the guest named. Texts are how a message begins or what is in it.
#[derive(Debug)]
pub enum Told {
    /// On its file, and nothing of it is live.
    Finding(&'static str),
    /// In the report of the reload that brought it.
    Report(&'static str),
    /// On its page, and counted.
    Death(&'static str),
    /// A field of its page and the least that it says.
    AtLeast(&'static str, f64),
    /// As its rule's last error.
    RuleError(&'static str),
    /// As the sink's last error.
    Sink(&'static str),
    /// So many events at least, by the sink.
    Delivered(f64),
    /// As what keeps the sink from running.
    Blocked(&'static str),
    Log(&'static str),
}

use Told::{AtLeast, Blocked, Death, Delivered, Finding, Log, Report, RuleError, Sink};

/// What the log says once a component's rules are held back.
const QUARANTINE: &str = "the component bad died too often";

pub fn all(world: &World) -> Vec<Case> {
    let mut all = files();
    all.extend(rules_that_do_not_load());
    all.extend(rules());
    all.extend(sinks());
    all.extend(sinks_that_reach_out(world));
    all.extend(probes());
    all
}

fn case(name: &'static str, bytes: Vec<u8>, settings: String, told: Vec<Told>) -> Case {
    Case { name, bytes, settings, before: None, grant: String::new(), told }
}

fn files() -> Vec<Case> {
    let good = guest("threshold");
    let settings = || "name = \"bad\"\nmetric = \"load\"\nlimit = 1.0\n".to_owned();
    let file =
        |name, bytes: &[u8], says| case(name, bytes.to_vec(), settings(), vec![Finding(says)]);
    // Random bytes of custom sections are part of a component, and make it as long as wanted.
    let mut long = good.clone();
    long.extend([0, 0x81, 0x80, 0x80, 0x02, 0]);
    long.resize(long.len() + (4 << 20), 0);
    vec![
        file("an empty file", b"", "this is not WebAssembly"),
        file("a text", b"rule(\"a\").on(\"m\").when(|v| v > 1.0);", "this is not WebAssembly"),
        file("half a file", &good[..good.len() / 2], "the file ends too early"),
        file("a core module", b"\0asm\x01\0\0\0", "this is a core module, not a component"),
        file("no world at all", b"\0asm\x0d\0\x01\0", "it is of none of the worlds"),
        file("machine code", b"\x7fELF\x02\x01\x01", "this is compiled machine code"),
        file("a file too big", &long, "bytes are more than the"),
        file(
            "another version",
            &replaced(&good, "@0.1.0", "@0.3.0"),
            "built for watchfire:plugin 0.3.0, this host speaks",
        ),
        file(
            "another world",
            &replaced(&good, "/evaluator@", "/evoluator@"),
            "it is of none of the worlds",
        ),
        file(
            "an import from elsewhere",
            &replaced(&good, "watchfire:plugin/host@", "watchfire:plugin/hots@"),
            "hots@0.1.0",
        ),
    ]
}

/// The bytes with one text written over by another of the same length.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(from.len()).position(|part| part == from.as_bytes())
    {
        bytes[at + found..][..to.len()].copy_from_slice(to.as_bytes());
        at += found + to.len();
    }
    bytes
}

fn rules_that_do_not_load() -> Vec<Case> {
    let told = [
        ("panic", "configure", "died in configure: panicked"),
        ("spin", "configure", "died in configure: ran past its 300ms"),
        ("panic", "describe", "died in describe: panicked"),
        ("panic", "intern", "died in intern: panicked"),
        ("panic", "evaluate", "died in evaluate: panicked"),
        ("allocate", "evaluate", "died in evaluate: wanted more than its 16 MiB"),
        ("panic", "tick", "died in tick: panicked"),
        ("panic", "forget", "died in forget: panicked"),
        ("panic", "save", "died in save: panicked"),
        ("storm", "evaluate", "broke a promise: 100002 rows were listed of 2"),
        ("huge_state", "save", "its state of 6291456 bytes is more than"),
        ("fail", "configure", "it refused its settings"),
        ("no_rules", "describe", "it declares 0 rules"),
    ];
    let loaded = |(act, call, says)| {
        let settings = format!("act = \"{act}\"\nin = \"{call}\"\n");
        case("a rule that dies as it is tried", guest("evil"), settings, vec![Finding(says)])
    };
    told.into_iter().map(loaded).collect()
}

/// Rules that do their worst on a row of the value 666, long after they were tried.
fn rules() -> Vec<Case> {
    let rule = |name, act: &str, told| {
        let settings = format!("act = \"{act}\"\nvalue = 666.0\n");
        case(name, guest("evil"), settings, told)
    };
    let two_deaths = |says| vec![Death(says), AtLeast("deaths", 2.0), Log(QUARANTINE)];
    let mut bomb = two_deaths("`bad` died in evaluate: wanted more than its 16 MiB");
    bomb.push(AtLeast("growths_denied", 2.0));
    let mut all = vec![
        rule("an endless loop", "spin", two_deaths("`bad` died in evaluate: ran past its 300ms")),
        rule("an allocation bomb", "allocate", bomb),
        rule("a recursion without end", "recurse", two_deaths("`bad` died in evaluate: ")),
        rule("a panic", "panic", two_deaths("`bad` died in evaluate: panicked (it said: panicked")),
        rule("a sleeper", "sleep", two_deaths("`bad` died in evaluate: a guest may not wait")),
        rule("a huge message", "huge_message", two_deaths("`bad` died in evaluate: ")),
        rule(
            "a verdict storm",
            "storm",
            vec![
                AtLeast("faults", 1.0),
                RuleError("`bad` broke a promise: 10"),
                AtLeast("rows", 9.0),
            ],
        ),
        rule(
            "a row twice",
            "twice",
            vec![AtLeast("faults", 1.0), RuleError("`bad` broke a promise: ")],
        ),
        rule(
            "a level it never declared",
            "wrong_level",
            vec![AtLeast("faults", 1.0), RuleError("a verdict has the level critical")],
        ),
        rule("a log flood", "log_flood", vec![AtLeast("log_lines_left_out", 1.0)]),
        rule("a state that outgrows its cap", "huge_state", vec![AtLeast("rows", 9.0)]),
    ];
    all.extend(heirs(
        "evil",
        "act = \"behave\"\n",
        vec![
            ("fail", vec![Report("restore failed (data): does not like these rows")]),
            ("panic", vec![Log("so the one before it is back: `bad` died in restore: panicked")]),
        ],
    ));
    all
}

/// Guests that take the place of a good one and do not take over what it saved.
fn heirs(guest_name: &str, before: &'static str, told: Vec<(&str, Vec<Told>)>) -> Vec<Case> {
    let heir = |(act, told)| {
        let settings = format!("act = \"{act}\"\nin = \"restore\"\n");
        let name = "an heir that refuses the state";
        Case { before: Some(before), ..case(name, guest(guest_name), settings, told) }
    };
    told.into_iter().map(heir).collect()
}

fn sinks() -> Vec<Case> {
    let sink = |name, act: &str, call: &str, told| {
        let settings = format!("act = \"{act}\"\nin = \"{call}\"\n");
        case(name, guest("evil_sink"), settings, told)
    };
    let dies = |says| vec![Death(says), Sink("died in deliver")];
    let mut all = vec![
        sink(
            "a sink that spins",
            "spin",
            "deliver",
            dies("`bad` died in deliver: ran past its 300ms"),
        ),
        sink(
            "a sink that hoards",
            "allocate",
            "deliver",
            dies("`bad` died in deliver: wanted more than its 64 MiB"),
        ),
        sink("a sink that recurses", "recurse", "deliver", dies("`bad` died in deliver: ")),
        sink("a sink that panics", "panic", "deliver", dies("`bad` died in deliver: panicked")),
        sink("a sink that sleeps", "sleep", "deliver", dies("`bad` died in deliver: a guest may")),
        sink("huge receipts", "huge_receipts", "deliver", dies("`bad` died in deliver: ")),
        sink(
            "a sink that floods the log",
            "log_flood",
            "deliver",
            vec![AtLeast("log_lines_left_out", 1.0)],
        ),
        sink("a sink with too much state", "huge_state", "save", vec![AtLeast("faults", 1.0)]),
        sink(
            "a sink that dies as it saves",
            "panic",
            "save",
            vec![Death("`bad` died in save: panicked")],
        ),
        sink("a sink that is not set up", "panic", "configure", vec![Finding("died in configure")]),
        sink("a sink without terms", "panic", "describe", vec![Finding("died in describe")]),
        sink(
            "a sink with absurd terms",
            "no_batch",
            "describe",
            vec![Finding("a batch holds 1 to")],
        ),
    ];
    all.extend(heirs(
        "evil_sink",
        "",
        vec![
            (
                "panic",
                vec![
                    Log("so the one before it is back: `bad` died in restore: panicked"),
                    Delivered(1.0),
                ],
            ),
            (
                "spin",
                vec![
                    Log("so the one before it is back: `bad` died in restore: ran past"),
                    Delivered(1.0),
                ],
            ),
        ],
    ));
    all
}

/// Sinks that want out: to hosts, addresses and secrets that nobody granted them.
fn sinks_that_reach_out(world: &World) -> Vec<Case> {
    let (hook, port) = (world.hook().address, world.hook().address.port());
    let sink = |name, settings: String, grant: String, told| Case {
        grant,
        ..case(name, guest("evil_sink"), settings, told)
    };
    let asking = |asked: &str, url: &str| format!("asked = \"{asked}\"\nurl = \"{url}\"\n");
    let any = || format!("http = [\"*:{port}\"]\n");
    vec![
        sink(
            "a host that nobody granted",
            asking("https://chat.example.net", "https://chat.example.net/"),
            String::new(),
            vec![
                Blocked("it asks for http:https://chat.example.net, which is not granted"),
                Blocked("[grants.bad]\nhttp = [\"https://chat.example.net\"]\n"),
            ],
        ),
        sink(
            "a host that it never asked for",
            asking("https://chat.example.net", &format!("http://{hook}/stolen")),
            "http = [\"https://chat.example.net\"]\n".to_owned(),
            vec![
                Sink("the guest must ask for `http:http://127.0.0.1:"),
                Sink("` under `[grants.bad]`"),
                AtLeast("requests_denied", 1.0),
            ],
        ),
        sink(
            "a private address behind a name",
            asking(&format!("*:{port}"), &format!("http://localhost:{port}/stolen")),
            any(),
            vec![
                Sink("leads to a private address"),
                Sink("`private_addresses = true` under `[grants.bad]`"),
                AtLeast("requests_denied", 1.0),
            ],
        ),
        sink(
            "a private address in disguise",
            asking(&format!("*:{port}"), &format!("http://[::ffff:7f00:1]:{port}/stolen")),
            any(),
            vec![Sink("leads to a private address"), AtLeast("requests_denied", 1.0)],
        ),
        sink(
            "a secret that it never asked for",
            asking(&hook.to_string(), &format!("http://{hook}/stolen")) + "secret = \"TOKEN\"\n",
            format!("http = [\"{hook}\"]\nsecrets = [\"TOKEN\"]\n"),
            vec![Sink("the guest must ask for `secret:TOKEN`"), AtLeast("requests_denied", 1.0)],
        ),
        sink(
            "a request too large to be told",
            asking(&hook.to_string(), &format!("http://{hook}/stolen"))
                + "act = \"huge_request\"\n",
            format!("http = [\"{hook}\"]\n"),
            vec![Death("`bad` died in deliver: ")],
        ),
    ]
}

fn probes() -> Vec<Case> {
    let probe =
        |name, act: &str, told| case(name, guest("evil_probe"), format!("act = \"{act}\"\n"), told);
    vec![
        probe(
            "a probe that spins",
            "spin",
            vec![Death("`bad` died in collect: ran past its 300ms")],
        ),
        probe("a probe that hoards", "allocate", vec![Death("`bad` died in collect: wanted more")]),
        probe("a probe that panics", "panic", vec![Death("`bad` died in collect: panicked")]),
        probe("a probe that tells too much", "flood", vec![AtLeast("rows", 10_001.0)]),
        probe("a probe without a period", "no_period", vec![Finding("period")]),
    ]
}
