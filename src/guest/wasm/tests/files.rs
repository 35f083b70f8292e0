//! Files that are no plugins, and what is said of them.

use serde_json::json;

use super::*;

fn check(bytes: &[u8], says: &str) {
    let error = load("some", bytes, &json!({}), &GuestTerms::default(), host())
        .expect_err(says)
        .to_string();
    assert!(error.starts_with(says), "{error}");
}

/// The bytes with each `from` written over by a `to` of the same length.
fn patched(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let (mut bytes, mut at) = (bytes.to_vec(), 0);
    while let Some(found) = bytes[at..].windows(from.len()).position(|part| part == from.as_bytes())
    {
        bytes[at + found..][..to.len()].copy_from_slice(to.as_bytes());
        at += found + to.len();
    }
    bytes
}

#[test]
fn a_bad_file_is_told_in_words_with_its_cure() {
    let good = guest("threshold");
    check(b"", "this is not WebAssembly: the file is empty");
    check(b"rule(\"a\").on(\"m\")", "this is not WebAssembly: it is a text; build a component");
    check(b"<!DOCTYPE html>", "this is not WebAssembly: it is a web page");
    check(b"(component)", "this is not WebAssembly: it is the text format");
    check(b"\x1f\x8b\x08", "this is not WebAssembly: it is an archive");
    check(b"\xff\xfe", "this is not WebAssembly: it begins with other bytes");
    check(b"\0asm\x01\0\0\0", "this is a core module, not a component");
    check(b"\0asm\x0d\0\x01\0", "it is of none of the worlds");
    check(b"\x7fELF\x02\x01\x01", "this is compiled machine code");
    check(b"\0asm\x0d\0", "the file ends too early");
    check(&good[..good.len() / 2], "the file ends too early");
    check(&good[..good.len() - 1], "the file ends too early");
    check(
        &patched(&good, "@0.1.0", "@0.3.0"),
        "built for watchfire:plugin 0.3.0, this host speaks",
    );
    check(&patched(&good, "/evaluator@", "/evoluator@"), "it is of none of the worlds");
    check(
        &patched(&good, "kind = \"rule\"", "kind = \"sink\""),
        "its section `watchfire:manifest`",
    );
    check(&patched(&good, "api = \"0.1\"", "api = \"9.1\""), "built for watchfire:plugin 9.1");

    let mut limits = WasmLimits::default();
    limits.rule.file_bytes = good.len() - 1;
    let narrow = WasmHost::new(limits).expect("an engine");
    let error = load("some", &good, &json!({}), &GuestTerms::default(), &narrow)
        .expect_err("too big")
        .to_string();
    assert!(error.contains("bytes are more than the"), "{error}");
}

#[test]
fn a_guest_of_the_published_interface_runs() {
    let compat = rules("compat_0_1_0", json!({}), host()).expect("0.1.0 is spoken here");
    let mut instance = compat.instance(&[0]);
    let verdicts = judge(&mut *instance, &[(0, 1, 1.0), (0, 2, 2.0)]).expect("good rows");
    assert_eq!(print(&verdicts), "1:warning");
    let state = instance.save().expect("saved").expect("it has state");
    instance.restore(&state).expect("its own bytes");
    assert_eq!(compat.counters.own().get("rows"), Some(&4.0), "the trial's two among them");
}

#[test]
fn a_world_that_is_not_run_is_named_with_those_that_are() {
    let good = guest("threshold");
    let other = patched(&good, "/evaluator@", "/evaporate@");
    let worlds = "rule, window-rule, sink, sample-sink, probe, source";
    check(&other, &format!("it is of none of the worlds {worlds} (exports: "));
}

#[test]
fn a_manifest_is_found_inside_the_component() {
    let settings = json!({ "name": "a", "metric": "m", "limit": 1.0 });
    let loaded =
        load("some", &guest("threshold"), &settings, &GuestTerms::default(), host()).expect("good");
    let manifest = loaded.manifest.expect("the macro wrote one");
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("threshold", "0.1.0"));
    assert_eq!(loaded.digest, crate::guest::grant::digest_of(&guest("threshold")));
}

#[test]
fn unchanged_bytes_are_compiled_once_while_in_use() {
    let bytes = guest("threshold");
    let host = WasmHost::new(WasmLimits::default()).expect("an engine");
    let first = host.compile(&bytes).expect("good");
    let second = host.compile(&bytes).expect("good");
    assert!(Arc::ptr_eq(&first, &second));
}

#[test]
fn what_an_earlier_host_compiled_is_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("compiled");
    let settings = json!({ "name": "a", "metric": "m", "limit": 1.0 });
    let run = || {
        let host = host_with(Duration::from_secs(20));
        host.keep_compiled_in(&kept).expect("a folder of our own");
        let loaded = rules("threshold", settings.clone(), &host).expect("good settings");
        let mut instance = loaded.instance(&[0]);
        print(&judge(&mut *instance, &[(0, 1, 2.0)]).expect("good rows"))
    };
    assert_eq!(run(), "0:warning");
    let files = || std::fs::read_dir(&kept).expect("a folder").count();
    assert_eq!(files(), 1);
    assert_eq!((run().as_str(), files()), ("0:warning", 1));
}

#[test]
fn a_guest_may_have_its_own_limits() {
    let host = host_with(Duration::from_secs(20));
    let settings = json!({ "name": "a", "metric": "m", "limit": 1.0 });
    let limits = GuestLimits { memory_mib: Some(1), ..GuestLimits::default() };
    let own = GuestTerms { limits, sha256: None };
    let common = GuestTerms::default();
    let bytes = guest("threshold");
    let error = load("threshold", &bytes, &settings, &own, &host).expect_err("1 MiB is too little");
    assert!(error.to_string().starts_with("`threshold` died in start"), "{error}");
    let loaded = load("threshold", &bytes, &settings, &common, &host).expect("16 are enough");
    let limits = GuestLimits { memory_mib: Some(17), ..GuestLimits::default() };
    let own = GuestTerms { limits, sha256: None };
    let wider = load("threshold", &bytes, &settings, &own, &host).expect("17 are, too");
    assert_ne!(loaded.version, wider.version, "so that it takes the other's place");
    let limits = GuestLimits { call_ms: Some(17), ..GuestLimits::default() };
    let own = GuestTerms { limits, sha256: None };
    let slower = load("threshold", &bytes, &settings, &own, &host).expect("17 ms are enough");
    assert_ne!(slower.version, wider.version, "the same number of another limit");
}

#[test]
fn rules_may_be_pinned_to_one_file() {
    let settings = json!({ "name": "a", "metric": "m", "limit": 1.0 });
    let (bytes, limits) = (guest("threshold"), GuestLimits::default());
    let digest = crate::guest::grant::digest_of(&bytes);
    let pinned = |pin: String| {
        let terms = GuestTerms { limits, sha256: Some(pin) };
        load("cpu.busy", &bytes, &settings, &terms, host())
    };
    assert!(pinned(digest.to_uppercase()).is_ok());
    let error = pinned("ab".repeat(32)).expect_err("another file").to_string();
    let says = "it is not the file that its grant pins; put that file back, or let \
                [grants.\"cpu.busy\"] say sha256 = ";
    assert_eq!(error, format!("{says}\"{digest}\""));
}
