//! Files and pipes: to the end, followed through rotation, and gone.

use std::io::Write;

use super::*;
use crate::kernel::model::Limits;
use crate::shell::inlet::Inbound;
use crate::shell::source::toy::{Sequencer, ToyDecoder, eventually, in_time};

fn begin(sequencer: &Sequencer, from: Origin) -> Result<Running, StartError> {
    let settings = Stream { name: Arc::from("file"), from, lateness: None };
    start(&sequencer.surroundings(), settings, ToyDecoder::default())
}

#[tokio::test]
async fn a_file_is_read_to_its_end_and_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.txt");
    let text: String = (0..20_000).map(|n| format!("s{} {n}\n", n % 7)).collect();
    std::fs::write(&path, text.trim_end()).expect("written");
    // A budget of one read: the file waits for the sequencer.
    let limits = Limits { in_flight_bytes_max: READ_BYTES, ..Limits::default() };
    let mut sequencer = Sequencer::new(limits);
    let running = begin(&sequencer, Origin::File(path)).expect("the file is there");
    let samples = sequencer.samples(20_000).await;
    assert!(samples.iter().map(String::as_str).eq(text.lines()), "every line once, in order");
    in_time("its own end", running.ended()).await;
    let last = std::iter::from_fn(|| sequencer.next()).last();
    assert!(matches!(last, Some(Inbound::Closed { .. })), "{last:?}");
}

#[tokio::test]
async fn a_followed_file_is_read_from_now_on_through_rotation_and_truncation() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.txt");
    let append = |text: &str| {
        let mut file = File::options().create(true).append(true).open(&path).expect("writable");
        file.write_all(text.as_bytes()).expect("written");
    };
    append("old 0\n");
    let mut sequencer = Sequencer::new(Limits::default());
    let running = begin(&sequencer, Origin::Followed(path.clone())).expect("the file is there");
    let mut seen = Vec::new();
    // The file is open, but its end is looked up by the thread: what is added must come after.
    let mut written = 0;
    eventually("the first sample", || {
        written += 1;
        append(&format!("load {written}\n"));
        seen.extend(drain(&mut sequencer));
        (!seen.is_empty()).then_some(())
    })
    .await;
    append("load 100000\nbegun 7");
    expect(&mut sequencer, &mut seen, "load 100000").await;
    // Rotated: the old file's last line is complete without its end, and the new one read whole.
    std::fs::rename(&path, folder.path().join("a.txt.1")).expect("renamed");
    append("load 100001\n");
    expect(&mut sequencer, &mut seen, "load 100001").await;
    // Truncated and written anew, shorter than before.
    std::fs::write(&path, "b 1\n").expect("written");
    expect(&mut sequencer, &mut seen, "b 1").await;
    let (followed, rest) = seen.split_at(seen.len() - 4);
    assert_eq!(rest, ["load 100000", "begun 7", "load 100001", "b 1"]);
    assert!(followed.iter().all(|sample| sample.starts_with("load ")), "{followed:?}");
    in_time("a clean stop", running.stop()).await;
}

fn drain(sequencer: &mut Sequencer) -> Vec<String> {
    let mut samples = Vec::new();
    while let Some(inbound) = sequencer.next() {
        if let Inbound::Batch { batch, .. } = inbound {
            samples.extend(sequencer.read(&batch));
        }
    }
    samples
}

async fn expect(sequencer: &mut Sequencer, seen: &mut Vec<String>, wanted: &str) {
    eventually(wanted, || {
        seen.extend(drain(sequencer));
        seen.iter().any(|sample| sample == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_leaves_a_reader_that_waits_behind() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let mut sequencer = Sequencer::new(Limits::default());
    let (sender, pieces) = mpsc::channel(1);
    let thread = Reader { clock: sequencer.clock.clone(), pieces: sender };
    let mut reader = reader;
    spawn(Path::new("a pipe"), thread, move |thread| thread.read_to_end(&mut reader).map(drop))
        .expect("a thread");
    let kind = SourceKind::Stdin;
    let feed = Feed::open(&sequencer.surroundings(), "stdin", kind, None, ToyDecoder::default());
    let running = Running::spawn(None, |stop| async move {
        carry(&feed, pieces, stop).await.ok();
    });
    writer.write_all(b"load 1\n").expect("written");
    assert_eq!(sequencer.samples(1).await, ["load 1"]);
    // The writer is still there, so the thread waits for it; the source does not.
    in_time("a clean stop", running.stop()).await;
    assert!(!sequencer.gate.sources()[0].tally.open);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_says_why() {
    let sequencer = Sequencer::new(Limits::default());
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing.txt");
    let check = |path: &Path| {
        begin(&sequencer, Origin::File(path.to_owned())).err().expect("unreadable").to_string()
    };
    let (missing_text, folder_text) = (check(&missing), check(folder.path()));
    let shown = missing.display();
    assert_eq!(missing_text, format!("{shown} does not exist; create it or correct the path"));
    let shown = folder.path().display();
    assert_eq!(folder_text, format!("{shown} is a folder; name a file in it"));
    let error = io::Error::from(io::ErrorKind::PermissionDenied);
    assert_eq!(
        StartError::file(Path::new("/var/log/a"), &error).to_string(),
        "/var/log/a may not be read by this user; allow it, for example by `chmod o+r /var/log/a`"
    );
    assert_eq!(sequencer.gate.sources(), []);
}
