//! Whatever a file holds, reading it ends, and never in a panic. The same damage in every run.

use std::path::Path;

use watchfire::config::settings::{File, Overrides, Settings};
use watchfire::config::story::StoryFile;
use watchfire::guest::grant::Grants;
use watchfire::guest::rhai;
use watchfire::kernel::machine::Snapshot;
use watchfire::shell::state;

use crate::random::Random;

/// Bits of every language here, to be put anywhere.
const PIECES: &[&[u8]] = &[
    b"(",
    b")",
    b"{",
    b"}",
    b"[",
    b"]",
    b"|",
    b"\"",
    b"`",
    b"${",
    b"'",
    b"\\",
    b"=",
    b"#{",
    b",",
    b".",
    b"..",
    b";",
    b":",
    b"\n",
    b"\t",
    b"\0",
    b"\xff",
    "ä".as_bytes(),
    "\u{202e}".as_bytes(),
    b"0",
    b"-1",
    b"1e999",
    b"9223372036854775807",
    b"1h",
    b"0s",
    b"99999999999d",
    b"NaN",
    b".when(|v| v > 1)",
    b".by()",
    b".window(\"5m\")",
    b".last(0)",
    b"rule(\"\")",
    b"this",
    b"loop",
    b"fn f() { f() }",
    b"at",
    b"feed",
    b"x9999999999",
    b"[[",
    b"]]",
    b"true",
];

/// One to four places cut out, doubled, swapped or filled with something.
fn damaged(random: &mut Random, text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=random.below(4) {
        let from = random.below(text.len() as u64 + 1) as usize;
        let to = (from + random.below(30) as usize).min(text.len());
        let piece = PIECES[random.below(PIECES.len() as u64) as usize];
        match random.below(5) {
            0 => drop(text.drain(from..to)),
            1 => drop(text.splice(from..to, piece.iter().copied())),
            2 => drop(text.splice(from..from, piece.iter().copied())),
            3 => text.truncate(to),
            _ => {
                let doubled = text[from..to].to_vec();
                drop(text.splice(from..from, doubled));
            }
        }
    }
    text
}

/// Gives `read` each seed whole and then damaged, `rounds` times in all.
fn fuzz(seeds: &[String], rounds: u64, mut read: impl FnMut(&[u8])) {
    let mut random = Random::new(1);
    for seed in seeds {
        read(seed.as_bytes());
    }
    for round in 0..rounds {
        let seed = &seeds[(round % seeds.len() as u64) as usize];
        read(&damaged(&mut random, seed.as_bytes()));
    }
}

/// All files below a folder of the package that end so.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let mut texts = Vec::new();
    for path in paths {
        if path.is_dir() {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("it is below");
            texts.extend(files(&name.to_string_lossy(), ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            texts.push(std::fs::read_to_string(&path).expect("a text"));
        }
    }
    texts
}

#[test]
fn damaged_rule_files_are_findings() {
    let mut seeds = files("rules", "rhai");
    seeds.extend(files("tests/it", "rhai"));
    seeds.extend(files("src/guest/rhai/tests", "rhai"));
    assert!(seeds.len() >= 4, "{}", seeds.len());
    let host = rhai::Host::new(Path::new("/nonexistent"));
    let (mut good, mut bad) = (0, 0);
    fuzz(&seeds, 600, |text| {
        let Ok(text) = std::str::from_utf8(text) else { return };
        let loaded = rhai::load("rules/fuzz.rhai", text, &host);
        for finding in &loaded.findings {
            assert!(!finding.render(Some(text)).is_empty());
        }
        *(if loaded.is_good() { &mut good } else { &mut bad }) += 1;
    });
    assert!(good > 20 && bad > 20, "{good} good, {bad} bad: the damage is too small or too large");
}

#[test]
fn damaged_stories_are_errors() {
    let mut seeds = files("rules", "story");
    seeds.push(
        "rule disk-filling # soak 5m\nfeed every 1m\n  \
         disk_used_ratio{host=\"db1\"}   0.80  0.92x8  0.70x4  _ 1+2x5 stale\n\
         at 1m   pending   {host=\"db1\"}\nat 6m   FIRED     {host=\"db1\"}  value 0.92\n\
         at 9m   cooling   {host=\"db1\"}\nat 11m  RESOLVED  {host=\"db1\"}\n"
            .to_owned(),
    );
    fuzz(&seeds, 20_000, |text| {
        let text = String::from_utf8_lossy(text);
        match StoryFile::parse("fuzz.story", &text) {
            Ok(_) => {}
            Err(errors) => assert!(errors.iter().all(|error| !error.to_string().is_empty())),
        }
    });
}

#[test]
fn damaged_settings_are_errors() {
    let seeds = files("docs", "toml");
    assert!(!seeds.is_empty());
    // Every line that is only an example counts as well.
    let open = seeds[0].replace("\n# ", "\n");
    fuzz(&[seeds[0].clone(), open], 1_500, |text| {
        let Ok(text) = std::str::from_utf8(text) else { return };
        let file = File { name: "watchfire.toml", text, folder: None };
        if let Err(error) = Settings::parse(file, &[], &Overrides::default()) {
            assert!(!error.to_string().is_empty());
        }
    });
}

#[test]
fn damaged_grants_are_errors_that_tell_no_secret() {
    let seed = "[grants.ops-chat]\nhttp = [\"https://chat.example.net\", \"*.example.net:8080\"]\n\
                secrets = [\"CHAT_URL\"]\nfiles = [\"alerts-*.jsonl\"]\nprivate_addresses = false\n\
                sha256 = \"9f86d081\"\n[grants.ops-chat.limits]\nmemory_mib = 128\n\
                [secrets]\nCHAT_URL = { env = \"CHAT_URL\" }\nTOKEN = \"hunter2\"\n";
    fuzz(&[seed.to_owned()], 10_000, |text| {
        let text = String::from_utf8_lossy(text);
        if let Err(error) = Grants::parse(&text) {
            assert!(!error.contains("hunter2"), "{error}\n{text}");
        }
    });
}

#[test]
fn a_damaged_state_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.bin");
    state::save(folder.path(), &Snapshot::default()).expect("it is written");
    let whole = std::fs::read(&path).expect("it is there");
    let mut random = Random::new(5);
    for _ in 0..2_000 {
        let bytes = damaged(&mut random, &whole);
        std::fs::write(&path, &bytes).expect("it is written");
        let loaded = state::load(folder.path());
        assert!(bytes == whole || loaded.is_err(), "{bytes:?}");
    }
    // With a sum that is right, only the shape can be wrong.
    for _ in 0..5_000 {
        let body = damaged(&mut random, &whole[16..]);
        let sum = xxhash_rust::xxh3::xxh3_64(&body).to_le_bytes();
        std::fs::write(&path, [&whole[..8], &sum[..], &body[..]].concat()).expect("it is written");
        let _ = state::load(folder.path());
    }
}
