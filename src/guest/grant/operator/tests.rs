//! What a guest gets, and what blocks it.

use super::*;

const GRANTS: &str = r#"
[grants.chat]
http = ["https://chat.example.net", "*.eu.example.net"]
secrets = ["CHAT_URL"]
files = ["*.jsonl"]

[grants.pinned]
sha256 = "AB12"
[grants.pinned.limits]
memory_mib = 128

[secrets]
CHAT_URL = "https://chat.example.net/hook/s3cret"
"#;

fn requests(needs: &[&str]) -> Vec<Request> {
    needs.iter().map(|need| Request::parse(need).expect(need)).collect()
}

/// Prints what the guest `chat` gets, or what it misses.
fn check(needs: &[&str], expected: &str) {
    let grants = Grants::parse(GRANTS).expect("the table above is well-formed");
    let got = match grants.effective("chat", &requests(needs), None) {
        Ok(granted) => {
            let secrets: Vec<&str> = granted.secrets.keys().map(AsRef::as_ref).collect();
            format!(
                "{} | {} | {}",
                granted.http.join(" "),
                secrets.join(" "),
                granted.files.join(" ")
            )
        }
        Err(blocked) => {
            let missing: Vec<String> = blocked.missing.iter().map(ToString::to_string).collect();
            format!("missing {}", missing.join(" "))
        }
    };
    assert_eq!(got, expected, "{needs:?}");
}

#[test]
fn a_guest_gets_the_intersection_of_asked_and_granted() {
    check(&[], " |  | ");
    check(&["http:chat.example.net"], "https://chat.example.net |  | ");
    check(&["http:https://chat.example.net"], "https://chat.example.net |  | ");
    check(&["http:*"], "https://chat.example.net *.eu.example.net |  | ");
    check(&["http:a.eu.example.net"], "a.eu.example.net |  | ");
    check(&["secret:CHAT_URL", "file:alerts-*.jsonl"], " | CHAT_URL | alerts-*.jsonl");
    check(&["http:http://chat.example.net"], "missing http:http://chat.example.net");
    check(&["http:chat.example.net:8443"], "missing http:chat.example.net:8443");
    check(&["secret:OTHER", "file:../x"], "missing secret:OTHER file:../x");
}

#[test]
fn a_blocked_guest_says_which_lines_are_needed() {
    let grants = Grants::parse(GRANTS).expect("well-formed");
    let blocked = grants
        .effective("chat", &requests(&["http:other.org", "secret:TOKEN"]), None)
        .expect_err("neither is granted");
    assert_eq!(
        blocked.cure,
        "[grants.chat]\n\
         http = [\"https://chat.example.net\", \"*.eu.example.net\", \"other.org\"]\n\
         secrets = [\"CHAT_URL\", \"TOKEN\"]\n\
         files = [\"*.jsonl\"]\n\
         [secrets]\n\
         TOKEN = { env = \"TOKEN\" }\n"
    );
    // The cure cures, but for the value of the secret.
    let cured = Grants::parse(&blocked.cure).expect("the cure is itself a grants file");
    let next = cured
        .effective("chat", &requests(&["http:other.org", "secret:TOKEN"]), None)
        .expect_err("no such environment variable");
    assert!(next.why.contains("TOKEN is not set"), "{next}");
    let unknown = grants.effective("a b", &requests(&["http:x.org"]), None).expect_err("unknown");
    assert_eq!(unknown.cure, "[grants.\"a b\"]\nhttp = [\"x.org\"]\n");
}

#[test]
fn a_pin_holds_a_grant_to_one_file() {
    let grants = Grants::parse(GRANTS).expect("well-formed");
    assert!(grants.effective("pinned", &[], Some("ab12")).is_ok());
    let blocked = grants.effective("pinned", &[], Some("cd34")).expect_err("another file");
    assert_eq!(blocked.cure, "[grants.pinned]\nsha256 = \"cd34\"\n");
    let terms = grants.terms("pinned");
    assert_eq!(terms.limits.memory_mib, Some(128));
    assert!(terms.take("AB12") && !terms.take("cd34"), "however it is written");
    assert_eq!(grants.terms("nobody"), GuestTerms::default());
    assert!(grants.terms("nobody").take("cd34"));
}

#[test]
fn no_message_holds_a_secret() {
    let grants = Grants::parse(GRANTS).expect("well-formed");
    let granted = grants.effective("chat", &requests(&["secret:CHAT_URL"]), None).expect("granted");
    assert_eq!(granted.secrets["CHAT_URL"].expose(), "https://chat.example.net/hook/s3cret");
    assert!(!format!("{grants:?} {granted:?}").contains("s3cret"));
    for broken in ["[secrets]\nA = [\"s3cret\"]", "[secrets]\nA = \"s3cret", "s3cret = 1"] {
        let error = Grants::parse(broken).expect_err(broken);
        assert!(!error.contains("\"s3cret"), "{error}");
    }
}

#[test]
fn a_secret_may_lie_in_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "s3cret\n").expect("written");
    let text = format!(
        "[grants.a]\nsecrets = [\"T\"]\n[secrets]\nT = {{ file = {:?} }}",
        path.display().to_string()
    );
    let grants = Grants::parse(&text).expect("well-formed");
    let granted = grants.effective("a", &requests(&["secret:T"]), None).expect("granted");
    assert_eq!(granted.secrets["T"].expose(), "s3cret");
    std::fs::remove_file(&path).expect("removed");
    let blocked = grants.effective("a", &requests(&["secret:T"]), None).expect_err("no file");
    assert!(blocked.why.contains("token"), "{}", blocked.why);
}

#[test]
fn a_malformed_grant_is_refused_with_its_place() {
    for (text, says) in [
        ("[grants.a]\nhttp = [\"a/b\"]", "[grants.a]: `a/b` is no host pattern"),
        ("[grants.a]\nfiles = [\"../x\"]", "[grants.a]: `../x` is no file pattern"),
        ("[grants.a]\nhtpp = []", "line 2: unknown field `htpp`"),
        ("[grants.a.limits]\nmemory_mib = -1", "line 2: "),
    ] {
        let error = Grants::parse(text).expect_err(text);
        assert!(error.starts_with(says), "{text}: {error}");
    }
}
