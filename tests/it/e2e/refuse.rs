//! Starts that cannot be: the exit code, the place, and the cure.

use std::net::TcpListener;
use std::path::Path;

use super::instance::Place;
use crate::instance::Site;

/// Runs a service that must end by itself, with this code and these words.
#[track_caller]
fn check(place: &Place, code: i32, words: &[&str]) {
    let output = place.ended(&["run"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    for word in words {
        assert!(told.contains(word), "`{word}` is missing in:\n{told}");
    }
}

#[test]
fn a_port_that_somebody_else_has() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let place = Place::new();
    let settings = std::fs::read_to_string(place.path("watchfire.toml")).expect("settings");
    place.write("watchfire.toml", settings.replace("127.0.0.1:0", &address));
    check(&place, 3, &[&address, "is in use", "--listen"]);
}

#[test]
fn a_key_that_does_not_exist() {
    let place = Place::new();
    place.set("[bus]\nhistroy = 5\n");
    check(&place, 2, &["watchfire.toml:12:1", "histroy", "did you mean `history`"]);
}

#[test]
fn a_value_that_is_none() {
    let place = Place::new();
    place.set("[watchdog]\nevery = \"soon\"\n");
    check(&place, 2, &["watchfire.toml:12:9", "every = \"soon\"", "write for example"]);
}

#[test]
fn a_webhook_whose_secret_nobody_set() {
    let place = Place::new();
    let headers = "{ authorization = \"Bearer {{ secret.TOKEN }}\" }";
    let sink = format!("name = \"pager\"\nurl = \"http://127.0.0.1:1/\"\nheaders = {headers}\n");
    place.set(&format!("[[sinks.webhook]]\n{sink}"));
    check(&place, 3, &["[[sinks.webhook]] pager", "TOKEN"]);
}

#[test]
#[cfg(unix)]
fn a_folder_that_others_may_write_to() {
    // Only this machine reaches the first one, so it may be a developer's.
    let site = Site::new();
    set_mode(&site.path("plugins"), 0o777);
    let log = site.start("").stop().read("log");
    assert!(log.contains("\"path\":\"plugins\",\"why\":\"everybody may write to it"), "{log}");

    let place = Place::new();
    place.write("token", "0123456789abcdef");
    let settings = std::fs::read_to_string(place.path("watchfire.toml")).expect("settings");
    let open = "\"0.0.0.0:0\"\ntoken_file = \"token\"";
    place.write("watchfire.toml", settings.replace("\"127.0.0.1:0\"", open));
    set_mode(&place.path("plugins"), 0o777);
    set_mode(&place.path("rules"), 0o755);
    let why = "everybody may write to it (mode 777); `chmod go-w plugins`";
    check(&place, 3, &["cannot start the rules: plugins: ", why]);

    set_mode(&place.path("plugins"), 0o755);
    let mut instance = place.start();
    set_mode(&place.path("rules"), 0o775);
    let why = instance.logged(|line| {
        let is_it = line["folder"] == "rules";
        is_it.then(|| line["message"].as_str().map(str::to_owned))?
    });
    let cure = "its group may write to it (mode 775); `chmod go-w rules`";
    assert_eq!(why, format!("{cure}; no rule of it is live"));
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("it is ours");
}
