//! Runs one page of the manual beside a running instance, as its reader would.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver as Lines, channel};
use std::time::{Duration, Instant};

use super::transcript::{Block, blocks, steady};
use crate::e2e::instance::Place;
use crate::e2e::receiver::Receiver;

/// Addresses on the pages, which every reader has for himself and tests have not.
const API: &str = "127.0.0.1:9820";
const HOOK: &str = "127.0.0.1:9999";

/// For what the program does by itself; a component of 18 MB is compiled meanwhile.
const PATIENCE: Duration = Duration::from_secs(180);

/// A folder with a running instance, and a server that takes what sinks post.
struct Reader {
    place: Place,
    instance: Child,
    printed: Lines<String>,
    api: String,
    receiver: Receiver,
}

/// Runs every command and holds what comes of it to the page.
pub fn check(name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plugins").join(name);
    let page = std::fs::read_to_string(&file).expect("the page is there");
    let reader = Reader::start();
    for block in blocks(&page) {
        match block {
            Block::Console(commands) => {
                for (command, printed) in commands {
                    reader.settled();
                    let output = reader.run(&command);
                    assert_eq!(steady(&output), steady(&printed), "{name}: $ {command}");
                }
            }
            Block::Text(expected) => {
                let arrived =
                    if expected.starts_with("POST ") { reader.posted() } else { reader.told() };
                assert_eq!(steady(&arrived), steady(&expected), "{name}: what arrived");
            }
        }
    }
}

impl Reader {
    fn start() -> Reader {
        let place = Place::new();
        let mut command = place.command(&["run"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut instance = command.spawn().expect("the program starts");
        let printed = lines(instance.stdout.take().expect("it is piped"));
        let log = lines(instance.stderr.take().expect("it is piped"));
        let url = loop {
            let line = log.recv_timeout(PATIENCE).expect("it says where it listens");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(url) = line["url"].as_str() {
                break url.to_owned();
            }
        };
        let api = url.trim_start_matches("http://").to_owned();
        // The log is read on, so that the program never waits for us.
        std::thread::spawn(move || while log.recv().is_ok() {});
        Reader { place, instance, printed, api, receiver: Receiver::start() }
    }

    /// Runs a command of the page and gives what it printed.
    #[track_caller]
    fn run(&self, command: &str) -> String {
        let hook = self.receiver.address.to_string();
        let text = command.replace(API, &self.api).replace(HOOK, &hook);
        let output = self.shell(&text).output().expect("there is a shell");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "$ {text}\n{told}");
        let printed = String::from_utf8_lossy(&output.stdout);
        let mut printed = printed.replace(&self.api, API).replace(&hook, HOOK);
        if !printed.is_empty() && !printed.ends_with('\n') {
            printed.push('\n');
        }
        printed
    }

    fn shell(&self, text: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_watchfire"));
        let folder = program.parent().expect("it lies in a folder").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        // What the shipped plugins were built with is there already, in the same versions.
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/target");
        let mut command = Command::new("sh");
        command.args(["-c", text]).current_dir(self.place.path("."));
        command.env("PATH", format!("{folder}:{path}")).env("CARGO_TARGET_DIR", target);
        command.env("WATCHFIRE_URL", format!("http://{}", self.api)).stdin(Stdio::null());
        command
    }

    /// Waits until the instance has taken up what lies in its folders; a reader is slower than it.
    #[track_caller]
    fn settled(&self) {
        let ask = format!("curl -s -o reload.json -X POST http://{}/api/v1/reload", self.api);
        let status = self.shell(&ask).status().expect("there is curl");
        assert!(status.success(), "the instance answers");
    }

    /// The next request that a sink made, as the pages show it.
    #[track_caller]
    fn posted(&self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(post) = self.receiver.poll() {
                return format!("POST {}\n  {}\n", post.path, post.body);
            }
            assert!(Instant::now() < deadline, "a request comes in time");
        }
    }

    /// The next alert on the instance's terminal.
    #[track_caller]
    fn told(&self) -> String {
        self.printed.recv_timeout(PATIENCE).expect("an alert comes in time") + "\n"
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.instance.kill();
        let _ = self.instance.wait();
    }
}

fn lines(output: impl std::io::Read + Send + 'static) -> Lines<String> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Whoever listened may be gone; the program goes on.
            let _ = tell.send(line);
        }
    });
    told
}
