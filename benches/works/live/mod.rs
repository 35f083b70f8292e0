//! Works on a program that runs: an instance in a folder of its own, and what drives it.

pub mod churn;
pub mod latency;
pub mod plugins;
pub mod reload;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::{process, web};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// And one that compiles a thousand components first.
const PATIENCE_TO_COMPILE: Duration = Duration::from_secs(900);

/// A running `watchfire run` that listens for JSON lines over TCP; its default sink writes to a
/// pipe. It ends when this is dropped, and its folder goes.
pub struct Instance {
    folder: PathBuf,
    child: Child,
    http: SocketAddr,
    lines: SocketAddr,
}

impl Instance {
    /// `rules` are files by name and text.
    pub fn start(program: &str, rules: &[(String, String)]) -> Result<Instance, String> {
        Instance::start_with(program, rules, &[])
    }

    /// With components too, and their settings: files by name and content.
    pub fn start_with(
        program: &str,
        rules: &[(String, String)],
        plugins: &[(String, Vec<u8>)],
    ) -> Result<Instance, String> {
        let name = format!("watchfire-works-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let (http, lines) = (free()?, free()?);
        for inner in ["rules", "plugins"] {
            fs::create_dir_all(folder.join(inner)).map_err(|error| error.to_string())?;
        }
        let settings = format!(
            "[listen]\nhttp = \"{http}\"\n[sources.host]\nenabled = false\n\
             [sources.statsd]\nudp = \"off\"\n[log]\nlevel = \"warn\"\n\
             [[sources.tcp]]\nlisten = \"{lines}\"\nformat = \"json\"\nname = \"driver\"\n"
        );
        write(&folder.join("watchfire.toml"), settings.as_bytes())?;
        for (file, text) in rules {
            write(&folder.join("rules").join(file), text.as_bytes())?;
        }
        for (file, bytes) in plugins {
            write(&folder.join("plugins").join(file), bytes)?;
        }
        let child = spawn(program, &folder)?;
        let instance = Instance { folder, child, http, lines };
        instance.await_start()?;
        Ok(instance)
    }

    /// Ends it, and starts it again in its folder with what it kept there.
    pub fn restart(&mut self, program: &str) -> Result<(), String> {
        self.child.kill().and_then(|()| self.child.wait()).map_err(|error| error.to_string())?;
        self.child = spawn(program, &self.folder)?;
        self.await_start()
    }

    fn await_start(&self) -> Result<(), String> {
        let begun = Instant::now();
        while web::ask(self.http, "GET", "/-/ready").is_err() {
            if begun.elapsed() > PATIENCE_TO_COMPILE {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(format!("it does not start:\n{log}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// A connection that takes JSON lines.
    pub fn connect(&self) -> Result<TcpStream, String> {
        let stream = TcpStream::connect(self.lines).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(stream)
    }

    /// Where the alerts come out; once.
    pub fn alerts(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("it was piped, and is taken once")
    }

    /// Waits until all that was sent is judged and told.
    pub fn flush(&self) -> Result<(), String> {
        web::ask(self.http, "POST", "/api/v1/flush").map(|_| ())
    }

    pub fn reload(&self) -> Result<(), String> {
        web::ask(self.http, "POST", "/api/v1/reload").map(|_| ())
    }

    pub fn metrics(&self) -> Result<String, String> {
        web::ask(self.http, "GET", "/metrics")
    }

    pub fn replace_rules(&self, file: &str, text: &str) -> Result<(), String> {
        self.replace("rules", file, text.as_bytes())
    }

    pub fn replace_plugin(&self, file: &str, bytes: &[u8]) -> Result<(), String> {
        self.replace("plugins", file, bytes)
    }

    fn replace(&self, folder: &str, file: &str, bytes: &[u8]) -> Result<(), String> {
        let folder = self.folder.join(folder);
        let hidden = folder.join(format!(".{file}"));
        write(&hidden, bytes)?;
        fs::rename(hidden, folder.join(file)).map_err(|error| error.to_string())
    }

    pub fn cpu_seconds(&self) -> f64 {
        process::cpu_seconds(self.child.id()).unwrap_or(f64::NAN)
    }

    pub fn resident_mib(&self) -> f64 {
        process::resident_mib(self.child.id()).unwrap_or(f64::NAN)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It may have ended, and a folder that stays harms nobody.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(program: &str, folder: &Path) -> Result<Child, String> {
    let log = fs::File::create(folder.join("log")).map_err(|error| error.to_string())?;
    Command::new(program)
        .current_dir(folder)
        .args(["run", "--config", "watchfire.toml"])
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// An address that nobody has just now.
fn free() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}
