//! A sink that is replaced while it delivers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::json;
use watchfire::guest::grant::Granted;
use watchfire::guest::sink::Sink;
use watchfire::guest::wasm::Component;
use watchfire::kernel::event::{Event, Kind};
use watchfire::kernel::model::{EventTime, Labels, Level, Now};
use watchfire::shell::sink::{Declared, HubEnv, SinkHub, Standing};

use super::{SWAPS, host, twins};
use crate::guests::guest;
use crate::loopback::{Message, Receiver};

const EVENTS_A_SWAP: u64 = 12;
const KEYS: u64 = 7;

/// The next event of one of the alerts.
fn event(number: u64) -> Event {
    let key = Labels::new([("host", (number % KEYS).to_string())]);
    let kind = if (number / KEYS).is_multiple_of(2) { Kind::Fired } else { Kind::Resolved };
    let at = EventTime::from_nanos(1_700_000_000_000_000_000 + number as i64);
    let own = Event::own("hot", key, kind, Level::Warning, at, String::new());
    Event { notify: vec!["hook".into()], ..own.numbered(number / KEYS + 1) }
}

/// An event that arrived: key, place within its alert, identity.
type Arrived = (String, u64, String);

/// Of every delivery its events.
fn delivered(hook: &Receiver) -> Vec<Vec<Arrived>> {
    let alerts = |(request, status): (Message, u16)| {
        assert!(status == 200 || status == 503, "{status}");
        let body = request.json();
        let list = body["alerts"].as_array().expect("a list").iter();
        let read = list.map(|alert| {
            let text = |field: &str| alert[field].to_string();
            (text("key"), alert["seq"].as_u64().expect("a number"), text("id"))
        });
        read.collect()
    };
    hook.got().into_iter().map(alerts).collect()
}

/// Publishes events while a sink is replaced; every `refused`th request is turned away once.
fn run(refused: usize) -> (Vec<Vec<Arrived>>, u64) {
    let turned_away = AtomicUsize::new(0);
    let hook = Receiver::start(move |_, number| {
        let again = refused > 0 && number % refused == refused - 1;
        if again {
            turned_away.fetch_add(1, Relaxed);
        }
        if again { (503, "retry-after: 0\r\n", "later") } else { (200, "", "taken") }
    });
    let settings =
        json!({ "url": format!("http://{}/hook", hook.address), "batch": 5, "age": "1ms" });
    let host = host();
    let sinks: [Sink; 2] = twins("hook", &guest("webhook"), &settings, host).map(|component| {
        let Component::Sink(sink) = component else { panic!("webhook is a sink") };
        sink
    });
    assert_ne!(sinks[0].version, sinks[1].version);
    let granted = Granted { http: vec![hook.address.to_string().into()], ..Granted::default() };
    let declared = |turn: usize| {
        let sink = sinks[turn % 2].clone();
        let (granted, settings) = (granted.clone(), settings.clone());
        vec![Declared { sink, standing: Standing::Granted { granted, settings } }]
    };
    let data = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let entered = runtime.enter();
    let env = HubEnv {
        data: data.path().to_owned(),
        started: Now::from_nanos(1_700_000_000_000_000_000),
        seed: 1,
        defaults: Vec::new(),
    };
    let hub = SinkHub::new(env);
    hub.apply(declared(0));
    let mut published = 0;
    for turn in 1..=SWAPS {
        for _ in 0..EVENTS_A_SWAP {
            hub.publish(&Arc::new(event(published)));
            published += 1;
        }
        // Until something of it has gone out, so that swaps meet every state of a delivery.
        while hook.got().len() < turn {
            std::thread::yield_now();
        }
        hub.apply(declared(turn));
    }
    runtime.block_on(hub.flush());
    drop(entered);
    (delivered(&hook), published)
}

fn in_order(deliveries: &[Vec<Arrived>]) {
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    for (key, seq, _) in deliveries.iter().flatten() {
        let before = newest.entry(key).or_default();
        assert!(*seq <= *before + 1, "{key}: {seq} after {before}");
        *before = (*before).max(*seq);
    }
}

#[test]
fn each_event_arrives_once_and_in_order() {
    let (deliveries, published) = run(0);
    in_order(&deliveries);
    let all: Vec<&str> = deliveries.iter().flatten().map(|(_, _, id)| id.as_str()).collect();
    let different: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(different.len() as u64, published, "none is lost");
    // A delivery in flight ends before the next version begins, so not even those are doubled.
    assert_eq!(all.len(), different.len(), "none is doubled");
}

#[test]
fn what_was_turned_away_comes_again_from_the_next_version_and_nothing_else_does() {
    const REFUSED: usize = 9;
    let (deliveries, published) = run(REFUSED);
    in_order(&deliveries);
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for (number, delivery) in deliveries.iter().enumerate() {
        let taken = number % REFUSED != REFUSED - 1;
        for (_, _, id) in delivery {
            *times.entry(id).or_default() += u64::from(taken);
        }
    }
    assert_eq!(times.len() as u64, published, "none is lost");
    let doubled: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    assert!(doubled.is_empty(), "taken not just once: {doubled:?}");
}
