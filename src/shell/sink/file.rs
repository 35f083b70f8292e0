//! The file sink: events as JSON lines, the file rotated by size.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::rotating::Rotating;
use crate::guest::sink::{Batching, Deliver, Delivery, Opener, Outcome, Retry, Sink, SinkEnv};
use crate::kernel::event::Event;
use crate::kernel::model::Version;
use crate::kernel::rule::Origin;
use crate::kernel::rule::program::Fault;

/// Where to write, and how much is kept: `keep` files set aside at `rotate_bytes` each, besides the
/// one in use. A path that is not absolute is in the sink's own folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSink {
    pub path: PathBuf,
    pub rotate_bytes: u64,
    pub keep: u32,
}

impl FileSink {
    pub fn declare(self, name: &str, origin: Origin) -> Sink {
        Sink {
            name: name.into(),
            version: version_of(&self),
            origin,
            kind: "file",
            batching: Batching::default(),
            retry: Retry::default(),
            rate: None,
            needs: Vec::new(),
            opener: Arc::new(self),
        }
    }
}

/// A built-in sink's version: equal settings, equal version.
pub(super) fn version_of(settings: &impl std::fmt::Debug) -> Version {
    Version(xxhash_rust::xxh3::xxh3_64(format!("{settings:?}").as_bytes()))
}

impl Opener for FileSink {
    fn open(&self, env: &SinkEnv) -> Result<Box<dyn Deliver>, Fault> {
        let path = env.folder.join(&self.path);
        let log = Rotating::open(&path, self.rotate_bytes, self.keep)
            .map_err(|error| Fault::new(format!("{}: {error}", path.display())))?;
        Ok(Box::new(Open { log: Arc::new(Mutex::new(log)) }))
    }
}

struct Open {
    log: Arc<Mutex<Rotating>>,
}

impl Deliver for Open {
    /// Delivered means on the disk: each attempt ends in a sync.
    fn deliver<'a>(&'a mut self, _key: &'a str, events: &'a [Arc<Event>]) -> Delivery<'a> {
        let log = self.log.clone();
        let lines = json_lines(events);
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || {
                let mut log = log.lock().expect("writing does not panic");
                log.append(&lines?)?;
                log.sync()
            });
            match written.await.expect("writing does not panic") {
                Ok(()) => Outcome::Delivered { note: None },
                Err(error) => Outcome::Retry { after: None, why: error.to_string() },
            }
        })
    }
}

fn json_lines(events: &[Arc<Event>]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::grant::Granted;
    use crate::kernel::delivery::own;
    use crate::kernel::model::Now;

    #[tokio::test]
    async fn events_are_lines_of_json_in_the_sink_s_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let env = SinkEnv {
            granted: Granted::default(),
            folder: folder.path().to_owned(),
            settings: serde_json::Value::Null,
        };
        let sink = FileSink { path: "alerts.jsonl".into(), rotate_bytes: 10_000, keep: 1 };
        let mut open = sink.open(&env).expect("the folder can be written");
        let events: Vec<Arc<Event>> =
            (0..3).map(|at| Arc::new(own::test("archive", Now::from_nanos(at)))).collect();
        for batch in [&events[..2], &events[2..]] {
            assert_eq!(open.deliver("k", batch).await, Outcome::Delivered { note: None });
        }
        let text = std::fs::read_to_string(folder.path().join("alerts.jsonl")).expect("a file");
        let read: Vec<Event> =
            text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert!(read.iter().eq(events.iter().map(|event| &**event)));
    }

    #[test]
    fn a_path_that_cannot_be_written_is_a_fault_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("taken"), "").expect("a file");
        let env = SinkEnv {
            granted: Granted::default(),
            folder: folder.path().to_owned(),
            settings: serde_json::Value::Null,
        };
        let sink = FileSink { path: "taken/alerts.jsonl".into(), rotate_bytes: 1, keep: 1 };
        let fault = sink.open(&env).err().expect("a file is no folder");
        assert!(fault.what.contains("taken/alerts.jsonl"), "{fault}");
    }
}
