//! What stands around a guest while it is tried: everything granted, and nobody behind it.

use std::io::Write;
use std::path::PathBuf;

use tokio::runtime::Runtime;

use super::recorder::{Answer, Recorder};
use crate::cli::exit::{Exit, Failure};
use crate::guest::grant::{Granted, Request, Secret};
use crate::guest::sink::SinkEnv;

/// A stage for one guest; its folder goes with it.
pub struct Stage {
    pub env: SinkEnv,
    pub runtime: Runtime,
    recorder: Recorder,
    requests: usize,
}

impl Stage {
    pub fn new(
        name: &str,
        needs: &[Request],
        settings: &serde_json::Value,
        answer: &Answer,
    ) -> Result<Stage, Failure> {
        let internal = |what: String| Failure::bare(Exit::Internal, what);
        let recorder = Recorder::start(answer)
            .map_err(|error| internal(format!("no server can listen here: {error}")))?;
        let folder = own_folder(name).map_err(internal)?;
        let (granted, settings) = (granted(needs, &recorder), settings.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| internal(format!("no runtime: {error}")))?;
        let env = SinkEnv { granted, folder, settings };
        Ok(Stage { env, runtime, recorder, requests: 0 })
    }

    /// Shows the requests that were made since the last call.
    pub fn show(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let made = self.recorder.take();
        self.requests += made.len();
        for request in made {
            write!(out, "{request}")?;
        }
        Ok(())
    }

    /// How many requests were shown; says so when there were more.
    pub fn requests(&self, out: &mut dyn Write) -> Result<usize, Failure> {
        let left_out = self.recorder.left_out();
        if left_out > 0 {
            writeln!(out, "{left_out} more requests are not shown")?;
        }
        Ok(self.requests)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What a guest wrote into its own folder is of no use to anybody.
        let _ = std::fs::remove_dir_all(&self.env.folder);
    }
}

/// Everything that is asked for, with made-up secrets.
fn granted(needs: &[Request], recorder: &Recorder) -> Granted {
    let mut granted =
        Granted { private_addresses: true, stand_in: Some(recorder.address), ..Granted::default() };
    for need in needs {
        match need {
            Request::Http(host) => granted.http.push(host.clone()),
            Request::File(pattern) => granted.files.push(pattern.clone()),
            Request::Secret(name) => {
                let value = Secret::new(&format!("secret-{name}"));
                granted.secrets.insert(name.clone(), value);
            }
        }
    }
    granted
}

fn own_folder(name: &str) -> Result<PathBuf, String> {
    let folder = std::env::temp_dir().join(format!("watchfire-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    Ok(folder)
}
