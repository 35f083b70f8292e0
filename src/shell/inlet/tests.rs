//! The gate between sources and the sequencer: its order, its budget, its end.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crossbeam::channel::{Receiver, unbounded};

use super::*;
use crate::kernel::model::{EventTime, Op, Slot};

fn gate(in_flight_bytes_max: usize) -> (Gate, Receiver<Inbound>) {
    let (sender, queue) = unbounded();
    (Gate::new(Limits { in_flight_bytes_max, ..Limits::default() }, sender), queue)
}

fn batch(rows: usize, bytes: usize) -> Batch {
    let mut batch = Batch { bytes, arrival: Some(Now::from_nanos(7)), ..Batch::default() };
    (0..rows).for_each(|_| batch.push(Slot(0), EventTime::MIN, 1.0, Op::Set));
    batch
}

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// One line for each message, as the sequencer sees them.
fn told(queue: &Receiver<Inbound>) -> Vec<String> {
    let line = |inbound| match inbound {
        Inbound::Opened { source, name, kind, lateness } => {
            format!("{} opened: {name}, {}, {lateness:?}", source.0, kind.name())
        }
        Inbound::Listening { source, on } => format!("{} listening: {on}", source.0),
        Inbound::Batch { source, batch, .. } => format!("{} batch of {}", source.0, batch.rows()),
        Inbound::Closed { source } => format!("{} closed", source.0),
    };
    queue.try_iter().map(line).collect()
}

#[tokio::test]
async fn a_source_is_opened_heard_and_closed_in_order() {
    let (gate, queue) = gate(1 << 20);
    let first = gate.open("a", SourceKind::Http, None);
    let second = gate.open("b", SourceKind::Host, Some(Duration::ZERO));
    second.listening(true);
    first.send(batch(2, 10)).await.expect("open");
    drop(first);
    assert_eq!(
        told(&queue),
        [
            "0 opened: a, http, None",
            "1 opened: b, host, Some(Duration(0))",
            "1 listening: true",
            "0 batch of 2",
            "0 closed",
        ]
    );
    // The same name again is the same source, with its counters; another one is a new source.
    let again = gate.open("a", SourceKind::Http, None);
    assert_eq!((again.source(), again.status().tally.samples), (SourceId(0), 2));
    assert_eq!(gate.open("c", SourceKind::Http, None).source(), SourceId(2));
}

#[test]
#[should_panic(expected = "source `a` is opened twice")]
fn a_name_in_use_cannot_be_opened() {
    let (gate, _queue) = gate(1024);
    let _inlet = gate.open("a", SourceKind::Http, None);
    gate.open("a", SourceKind::Http, None);
}

#[test]
fn the_budget_is_charged_in_kibibytes_and_given_back() {
    let (gate, _queue) = gate(4 * 1024);
    let inlet = gate.open("a", SourceKind::Http, None);
    for (bytes, charged) in
        [(0, 1024), (1, 1024), (1024, 1024), (1025, 2048), (4096, 4096), (1 << 30, 4096)]
    {
        let permit = inlet.admit(bytes).expect("nothing else is in flight");
        assert_eq!((gate.in_flight_bytes(), permit.bytes()), (charged, bytes), "{bytes} bytes");
        drop(permit);
        assert_eq!(gate.in_flight_bytes(), 0, "{bytes} bytes");
    }
}

#[test]
fn a_permit_travels_with_its_batch_and_ends_with_it() {
    let (gate, queue) = gate(2 * 1024);
    let inlet = gate.open("a", SourceKind::Http, None);
    let permit = inlet.admit(2048).expect("empty");
    inlet.deliver(batch(1, 2048), permit).expect("open");
    assert_eq!(inlet.admit(1).err(), Some(Full));
    drop(queue.try_iter().last());
    assert!(inlet.admit(2048).is_ok());
}

#[test]
fn those_who_wait_are_served_in_order() {
    let (gate, _queue) = gate(2 * 1024);
    let inlet = gate.open("a", SourceKind::Http, None);
    let held = inlet.admit(1024).expect("empty");
    let mut large = pin!(inlet.reserve(2048));
    let mut small = pin!(inlet.reserve(1));
    assert!(poll(large.as_mut()).is_pending());
    // There is room for the small one, but it came later: else large ones would wait for ever.
    assert!(poll(small.as_mut()).is_pending());
    drop(held);
    let Poll::Ready(Ok(permit)) = poll(large.as_mut()) else { panic!("room for the large one") };
    assert!(poll(small.as_mut()).is_pending());
    drop(permit);
    assert!(poll(small.as_mut()).is_ready());
}

#[test]
fn closing_turns_away_those_who_wait_and_those_who_come() {
    let (gate, queue) = gate(1024);
    let inlet = gate.open("a", SourceKind::Http, None);
    let held = inlet.admit(1).expect("empty");
    let mut waiting = pin!(inlet.reserve(1));
    assert!(poll(waiting.as_mut()).is_pending());
    gate.close();
    assert!(matches!(poll(waiting.as_mut()), Poll::Ready(Err(Stopped))));
    assert_eq!(inlet.admit(1).err(), Some(Full));
    // What was let in before still goes on, as long as there is a sequencer.
    inlet.deliver(batch(1, 1), held).expect("the queue is open");
    drop(queue);
    assert_eq!(inlet.push(Inbound::Closed { source: SourceId(0) }), Err(Stopped));
}

#[test]
fn everything_is_counted() {
    let (gate, queue) = gate(1 << 20);
    let inlet = gate.open("a", SourceKind::StatsdUdp, None);
    let deliver = |batch: Batch| {
        let permit = inlet.admit(batch.bytes).expect("room");
        inlet.deliver(batch, permit).expect("open");
    };
    let mut bad = batch(3, 100);
    bad.refused.add(Refusal::NotFinite, 2);
    (0..20).for_each(|line| bad.defect(Defect::new(line, "no value", b"x")));
    deliver(bad);
    deliver(batch(4, 50));
    // Nothing but comments: taken in, with nothing to say to the sequencer.
    deliver(batch(0, 30));
    inlet.shed(2, 5);
    inlet.defect(Now::from_nanos(8), Defect::new(0, "too long", b"y"));
    let tally = inlet.status().tally;
    assert_eq!((tally.batches, tally.samples, tally.bytes), (3, 7, 180));
    assert_eq!((tally.refused.get(Refusal::NotFinite), tally.refused.get(Refusal::Shed)), (2, 5));
    assert_eq!((tally.shed_datagrams, tally.defects), (2, 21));
    assert_eq!(tally.last_batch, Some(Now::from_nanos(7)));
    assert_eq!(tally.last_defects.len(), Batch::DEFECTS_MAX);
    assert_eq!(tally.last_defects.back().map(|defect| &*defect.what), Some("too long"));
    assert_eq!(told(&queue)[1..], ["0 batch of 3", "0 batch of 4"]);
    assert_eq!(gate.sources(), [inlet.status()]);
}
