//! A running `watchfire run`, in a folder of its own.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::command::watchfire;
use crate::loopback::{get, post, wait_for};

/// A folder in which one will run.
pub struct Site {
    folder: TempDir,
}

pub struct Instance {
    pub site: Site,
    pub address: SocketAddr,
    child: Child,
}

impl Default for Site {
    /// A folder with nothing in it.
    fn default() -> Site {
        Site { folder: tempfile::tempdir().expect("a folder") }
    }
}

impl Site {
    pub fn new() -> Site {
        let site = Site { folder: tempfile::tempdir().expect("a folder") };
        for name in ["rules", "plugins"] {
            std::fs::create_dir(site.path(name)).expect("a folder");
        }
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> &Site {
        std::fs::write(self.path(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
        self
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Starts with these settings and everything else off that would meet other tests: the default
    /// sink is the file `events`.
    pub fn start(self, settings: &str) -> Instance {
        let usual = "[sources.host]\nenabled = false\n[listen]\nhttp = \"127.0.0.1:0\"\n\
                     [[sinks.file]]\nname = \"events\"\npath = \"events\"\n";
        let rest = if settings.contains("[sources.statsd]") {
            ""
        } else {
            "[sources.statsd]\nudp = \"off\"\n"
        };
        let own = format!("sinks.default = [\"events\"]\n{usual}{rest}{settings}");
        self.write("watchfire.toml", &own);
        let log = File::create(self.path("log")).expect("a log");
        let child = watchfire()
            .current_dir(self.folder.path())
            .args(["run", "--config", "watchfire.toml", "--log", "json"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it starts");
        let mut instance = Instance { site: self, address: ([0, 0, 0, 0], 0).into(), child };
        instance.address = wait_for("the start", || {
            let ended = instance.child.try_wait().expect("it is ours");
            assert!(ended.is_none(), "it ended: {}", instance.site.read("log"));
            let log = instance.site.read("log");
            let line = log.lines().find(|line| line.contains(r#""url":"http://"#))?;
            let line: Value = serde_json::from_str(line).expect("log lines are JSON");
            let address = line["url"].as_str()?.strip_prefix("http://")?;
            Some(address.parse().expect("an address"))
        });
        instance
    }
}

impl Instance {
    pub fn reloads(&self) -> Vec<Value> {
        let page = get(self.address, "/api/v1/reloads").json();
        page["reloads"].as_array().expect("a list").clone()
    }

    /// Stops it as a service manager does; what it leaves behind is in its folder.
    pub fn stop(self) -> Site {
        self.end("-TERM")
    }

    pub fn kill(self) -> Site {
        self.end("-KILL")
    }

    fn end(mut self, signal: &str) -> Site {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("there is `kill`");
        assert!(sent.success());
        self.child.wait().expect("it is ours");
        std::mem::take(&mut self.site)
    }

    /// One sink as the API shows it.
    pub fn sink(&self, name: &str) -> Value {
        let page = get(self.address, "/api/v1/sinks").json();
        let sinks = page["sinks"].as_array().expect("a list").clone();
        sinks.into_iter().find(|sink| sink["name"] == name).unwrap_or(Value::Null)
    }

    /// A metric of our own, by its name with labels as `/metrics` writes them.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let page = get(self.address, "/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(|value| value.parse().expect("a number"))
    }

    /// The most memory that it ever held, in MiB.
    pub fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.expect("Linux tells it").trim().trim_end_matches(" kB");
        kib.parse::<u64>().expect("a number") / 1024
    }

    /// Waits until all that was sent so far is judged and delivered.
    pub fn flush(&self) {
        let answer = post(self.address, "/api/v1/flush", b"");
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }

    /// One sink of samples as the API shows it.
    pub fn sample_sink(&self, name: &str) -> Value {
        let page = get(self.address, "/api/v1/sinks").json();
        let sinks = page["sample_sinks"].as_array().expect("a list").clone();
        sinks.into_iter().find(|sink| sink["name"] == name).unwrap_or(Value::Null)
    }

    /// Stops it as a service manager does, and waits for its end.
    pub fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("there is `kill`");
        assert!(sent.success(), "it runs");
        let ended = self.child.wait().expect("it is ours");
        assert!(ended.success(), "{ended}: {}", self.site.read("log"));
    }

    /// What the default sink got.
    pub fn events(&self) -> Vec<Value> {
        crate::command::events(&self.site.read("events"))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            // Without the events, which a test shows in its own words.
            let log = self.site.read("log");
            for line in log.lines().filter(|line| !line.contains("watchfire::shell::board")) {
                eprintln!("{line}");
            }
        }
    }
}

/// A port that nobody has just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
