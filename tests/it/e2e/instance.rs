//! A folder with settings, rules and plugins, and the program that runs in it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long something may take that takes a fraction of a second on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// No source but the API, any free port, and a short patience with missing files.
const SETTINGS: &str = "\
[listen]
http = \"127.0.0.1:0\"
[sources.host]
enabled = false
[sources.statsd]
udp = \"off\"
[log]
format = \"json\"
[reload]
remove_after = \"1s\"
";

pub struct Place {
    folder: TempDir,
}

impl Place {
    /// With folders for rules and plugins, and settings that suit a test.
    pub fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().expect("a folder") };
        for name in ["rules", "plugins"] {
            fs::create_dir(place.path(name)).expect("a folder");
        }
        place.write("watchfire.toml", SETTINGS);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).expect(name);
    }

    /// More settings, in tables that are not there yet.
    pub fn set(&self, settings: &str) {
        self.write("watchfire.toml", SETTINGS.to_owned() + settings);
    }

    /// The program in this folder, without the caller's own settings.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WATCHFIRE") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.folder.path()).args(args);
        command
    }

    /// Runs a command that ends by itself.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program runs")
    }

    /// Runs what should end by itself, and ends it where it does not.
    pub fn ended(&self, args: &[&str]) -> Output {
        let mut child = self
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("it is our child").is_none() {
            if Instant::now() > deadline {
                child.kill().expect("it runs");
            }
            pause();
        }
        child.wait_with_output().expect("it has ended")
    }

    /// Starts the service and waits until it is ready.
    #[track_caller]
    pub fn start(&self) -> Instance {
        self.start_with(&[])
    }

    #[track_caller]
    pub fn start_with(&self, variables: &[(&str, &str)]) -> Instance {
        let mut child = self
            .command(&["run"])
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = lines(child.stderr.take().expect("its log is piped"));
        let mut instance = Instance { child, log, address: ([127, 0, 0, 1], 0).into() };
        let url = instance.logged(|line| line["url"].as_str().map(str::to_owned));
        let address = url.trim_start_matches("http://").parse();
        instance.address = address.expect("an address with a port");
        assert_eq!(instance.get("/-/ready").0, 200);
        instance
    }
}

/// Lines as they come; those that nobody asked for are forgotten with the receiver.
pub fn lines(log: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            // The program must go on even when the test no longer listens.
            let _ = tell.send(line);
        }
    });
    told
}

/// A running service; dropped, it is killed.
pub struct Instance {
    child: Child,
    log: Receiver<String>,
    address: SocketAddr,
}

impl Instance {
    /// Waits for a log line of which `pick` makes something. Lines before it are gone.
    #[track_caller]
    pub fn logged<T>(&mut self, pick: impl Fn(&Value) -> Option<T>) -> T {
        let mut seen = String::new();
        loop {
            let Ok(line) = self.log.recv_timeout(PATIENCE) else {
                let ended = self.child.try_wait().expect("it is our child");
                panic!("the line did not come; ended: {ended:?}, log:\n{seen}");
            };
            let parsed = serde_json::from_str(&line).unwrap_or(Value::Null);
            if let Some(picked) = pick(&parsed) {
                return picked;
            }
            seen += &line;
            seen.push('\n');
        }
    }

    /// Status and body of an answer; a body that is no JSON becomes a text.
    pub fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, "")
    }

    pub fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.ask("POST", path, body)
    }

    /// One sample of `load{host=..}`, judged before this returns.
    #[track_caller]
    pub fn load(&self, host: &str, value: f64) {
        let line = format!(r#"{{"name":"load","labels":{{"host":"{host}"}},"value":{value}}}"#);
        let (status, answer) = self.post("/ingest", &line);
        assert_eq!(status, 200, "{answer}");
        assert_eq!(self.post("/api/v1/flush", "").0, 200);
    }

    /// The told events so far, one line each: `fired load-high a`, with the cause where asked.
    pub fn events(&self) -> Vec<String> {
        let page = self.get("/api/v1/events").1;
        let line = |entry: &Value| {
            let event = entry.get("event").unwrap_or(entry);
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let host = event["key"]["host"].as_str().unwrap_or_default();
            format!("{} {} {host} ({})", text("kind"), text("rule"), text("cause"))
        };
        let entries = page["events"].as_array().unwrap_or_else(|| panic!("no page: {page}"));
        entries.iter().map(line).collect()
    }

    /// Asks again until `pick` makes something of the answer.
    #[track_caller]
    pub fn until<T>(&self, path: &str, pick: impl Fn(u16, &Value) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, answer) = self.get(path);
            if let Some(picked) = pick(status, &answer) {
                return picked;
            }
            assert!(Instant::now() < deadline, "{path} still says {status} {answer:#}");
            pause();
        }
    }

    /// Waits until the live rules have these names.
    #[track_caller]
    pub fn until_rules(&self, names: &[&str]) {
        self.until("/api/v1/rules", |_, answer| {
            let groups = answer["data"]["groups"].as_array()?;
            let rules = groups.iter().flat_map(|group| group["rules"].as_array());
            let mut live: Vec<&str> = rules.flatten().filter_map(|r| r["name"].as_str()).collect();
            live.sort_unstable();
            (live == names).then_some(())
        });
    }

    /// Stops it as a service manager does.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("there is `kill`");
        assert!(sent.success());
        self.child.wait().expect("it is our child")
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let (host, length) = (self.address, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        let request = format!("{head}content-length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
        (status.unwrap_or_else(|| panic!("no answer: {answer}")), body)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Between two looks at something that will be seen.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(20));
}

/// A link, put in the place of another at once, as Kubernetes swaps a ConfigMap.
pub fn swap_link(link: &Path, target: &str) {
    let fresh = link.with_file_name("..fresh");
    std::os::unix::fs::symlink(target, &fresh).expect("a link");
    fs::rename(&fresh, link).expect("links are swapped");
}
