//! Stories of the hub with sinks that only remember, in tokio's paused time: a wait costs nothing
//! and takes exactly as long as it says.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::guest::sink::{Batching, Deliver, Delivery, Opener, Rate, Retry};
use crate::kernel::event::{EventId, Kind};
use crate::kernel::model::{EventTime, Labels, Level, Version};
use crate::kernel::rule::Origin;
use crate::kernel::rule::program::Fault;
use crate::shell::sink::status::SinkState;

/// How the attempts of a fake sink go, in order; after the last one all go well.
#[derive(Clone, Debug)]
enum Turn {
    Good,
    Slow(Duration),
    Busy,
    Bad,
    Trap,
    Panic,
    Never,
}

/// What all versions of a fake sink share: the plan, and what arrived.
#[derive(Debug, Default)]
struct World {
    plan: Mutex<VecDeque<Turn>>,
    /// Version, key and events of each delivery that began, in order.
    began: Mutex<Vec<(u64, String, Vec<EventId>)>>,
    /// Each event that arrived, with its host and its place in its alert.
    arrived: Mutex<Vec<(EventId, String, u64)>>,
    open: Mutex<u32>,
}

#[derive(Clone, Debug)]
struct Fake {
    version: u64,
    world: Arc<World>,
}

impl Opener for Fake {
    fn open(&self, _env: &SinkEnv) -> Result<Box<dyn Deliver>, Fault> {
        *self.world.open.lock().unwrap() += 1;
        Ok(Box::new(Open(self.clone())))
    }
}

struct Open(Fake);

impl Drop for Open {
    fn drop(&mut self) {
        *self.0.world.open.lock().unwrap() -= 1;
    }
}

impl Deliver for Open {
    fn deliver<'a>(&'a mut self, key: &'a str, events: &'a [Arc<Event>]) -> Delivery<'a> {
        Box::pin(async move {
            let Fake { version, world } = &self.0;
            let ids = events.iter().map(|event| event.id).collect();
            world.began.lock().unwrap().push((*version, key.to_owned(), ids));
            let turn = world.plan.lock().unwrap().pop_front().unwrap_or(Turn::Good);
            match turn {
                Turn::Good => {}
                Turn::Slow(time) => tokio::time::sleep(time).await,
                Turn::Busy => return Outcome::Retry { after: None, why: "busy".to_owned() },
                Turn::Bad => return Outcome::Rejected { why: "bad".to_owned() },
                Turn::Trap => return Outcome::Faulted(Fault::new("trapped")),
                Turn::Panic => panic!("a fake sink that panics on purpose"),
                Turn::Never => std::future::pending().await,
            }
            world.arrived.lock().unwrap().extend(events.iter().map(|event| {
                (event.id, event.key.get("host").unwrap_or("").to_owned(), event.seq)
            }));
            Outcome::Delivered { note: Some(format!("took {}", events.len())) }
        })
    }
}

impl World {
    fn new(plan: &[Turn]) -> Arc<World> {
        Arc::new(World { plan: Mutex::new(plan.iter().cloned().collect()), ..World::default() })
    }

    fn hosts(&self) -> Vec<String> {
        self.arrived.lock().unwrap().iter().map(|(_, host, _)| host.clone()).collect()
    }

    fn began(&self) -> Vec<(u64, String, Vec<EventId>)> {
        self.began.lock().unwrap().clone()
    }
}

fn sink(name: &str, version: u64, world: &Arc<World>) -> Sink {
    Sink {
        name: name.into(),
        version: Version(version),
        origin: Origin { file: "sinks.rhai".into(), line: 1 },
        kind: "rhai",
        batching: Batching { max: 10, age: kernel_ms(100) },
        retry: Retry { attempts: 3, base: kernel_ms(1_000) },
        rate: None,
        needs: Vec::new(),
        opener: Arc::new(Fake { version, world: world.clone() }),
    }
}

fn kernel_ms(millis: i64) -> crate::kernel::model::Duration {
    crate::kernel::model::Duration::from_millis(millis)
}

fn granted(sink: Sink) -> Declared {
    let (granted, settings) = (Granted::default(), serde_json::Value::Null);
    Declared { sink, standing: Standing::Granted { granted, settings } }
}

fn blocked(sink: Sink) -> Declared {
    let (why, cure) = ("needs http:x".to_owned(), "grant it".to_owned());
    Declared { sink, standing: Standing::Blocked { why, cure } }
}

fn hub(data: &tempfile::TempDir) -> SinkHub {
    SinkHub::new(HubEnv {
        data: data.path().to_owned(),
        started: Now::from_nanos(1_700_000_000_000_000_000),
        seed: 1,
        defaults: vec!["terminal".into()],
    })
}

/// Event number `seq` of the alert on `host`.
fn event(host: &str, seq: u64, notify: &[&str]) -> Arc<Event> {
    let at = EventTime::from_nanos(seq as i64);
    let key = Labels::new([("host", host)]);
    let event = Event::own("cpu", key, Kind::Fired, Level::Warning, at, String::new());
    let notify = notify.iter().map(|name| Arc::from(*name)).collect();
    Arc::new(Event { seq, notify, ..event })
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn dead(data: &tempfile::TempDir, sink: &str) -> Vec<String> {
    let path = data.path().join("dead-letters").join(format!("{sink}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let letter = |line: &str| {
        let letter: serde_json::Value = serde_json::from_str(line).unwrap();
        let host = letter["event"]["key"]["host"].as_str().unwrap_or("").to_owned();
        format!("{host}: {}", letter["why"].as_str().unwrap())
    };
    text.lines().map(letter).collect()
}

fn status(hub: &SinkHub, name: &str) -> SinkStatus {
    hub.status().into_iter().find(|status| *status.name == *name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_event_goes_where_it_says_and_else_to_the_default_sinks() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub(&data);
    let [terminal, chat, closed] = [(); 3].map(|()| World::new(&[]));
    hub.apply(vec![
        granted(sink("terminal", 1, &terminal)),
        granted(sink("chat", 1, &chat)),
        blocked(sink("closed", 1, &closed)),
    ]);
    for (host, notify) in [
        ("named", &["chat"][..]),
        ("unnamed", &[]),
        ("twice", &["chat", "chat"]),
        ("unknown", &["nobody"]),
        ("blocked", &["closed", "chat"]),
        ("both", &["terminal", "chat", "nobody"]),
    ] {
        hub.publish(&event(host, 1, notify));
    }
    let shadow = Event { shadow: true, ..(*event("shadow", 1, &[])).clone() };
    hub.publish(&Arc::new(shadow));
    let pending = Event { kind: Kind::Pending, ..(*event("pending", 1, &[])).clone() };
    hub.publish(&Arc::new(pending));
    hub.flush().await;
    assert_eq!(chat.hosts(), ["named", "twice", "blocked", "both"]);
    assert_eq!(terminal.hosts(), ["unnamed", "unknown", "blocked", "both"]);
    assert_eq!(closed.hosts(), [""; 0]);
    assert_eq!(hub.routed(), Routed { unrouted: 3, nowhere: 0 });
}

#[tokio::test(start_paused = true)]
async fn an_event_for_which_there_is_no_sink_at_all_is_counted() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub(&data);
    hub.publish(&event("a", 1, &["chat"]));
    hub.publish(&event("a", 2, &[]));
    assert_eq!(hub.routed(), Routed { unrouted: 1, nowhere: 2 });
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_its_age_and_a_failure_for_its_backoff() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub(&data);
    let world = World::new(&[Turn::Busy, Turn::Trap, Turn::Good]);
    hub.apply(vec![granted(sink("terminal", 1, &world))]);
    seconds(1).await;
    let start = tokio::time::Instant::now();
    hub.publish(&event("a", 1, &[]));
    hub.publish(&event("b", 1, &[]));
    while world.arrived.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // 100 ms of batching, then waits below 1 s and 2 s.
    let passed = start.elapsed();
    assert!(passed >= Duration::from_millis(100), "{passed:?}");
    assert!(passed < Duration::from_millis(3_200), "{passed:?}");
    let began = world.began();
    assert_eq!(began.len(), 3);
    assert!(began.windows(2).all(|pair| pair[0] == pair[1]), "the same batch under the same key");
    let status = status(&hub, "terminal");
    assert_eq!((status.delivered, status.attempts, status.retries, status.faults), (2, 3, 2, 1));
    assert_eq!(status.last_error.as_deref(), Some("trapped"));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_is_opened_again() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub(&data);
    let world = World::new(&[Turn::Panic]);
    hub.apply(vec![granted(sink("terminal", 1, &world))]);
    hub.publish(&event("a", 1, &[]));
    hub.flush().await;
    assert_eq!(world.hosts(), ["a"]);
    assert_eq!(*world.open.lock().unwrap(), 1, "one instance is left");
    let error = status(&hub, "terminal").last_error.unwrap();
    assert!(error.contains("panicked"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_sink_finishes_its_delivery_and_the_queue_moves_on() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub(&data);
    let world = World::new(&[Turn::Slow(Duration::from_secs(5))]);
    hub.apply(vec![granted(sink("terminal", 1, &world))]);
    hub.publish(&event("a", 1, &[]));
    seconds(1).await;
    hub.publish(&event("b", 1, &[]));
    let changes = hub.apply(vec![granted(sink("terminal", 2, &world))]);
    assert_eq!(changes, [("terminal".into(), Change::Replaced)]);
    assert_eq!(hub.apply(vec![granted(sink("terminal", 2, &world))])[0].1, Change::Kept);
    seconds(1).await;
    assert_eq!(world.began().len(), 1, "one delivery at a time");
    hub.flush().await;
    let versions: Vec<u64> = world.began().iter().map(|(version, ..)| *version).collect();
    assert_eq!((world.hosts(), versions), (vec!["a".into(), "b".into()], vec![1, 2]));
    assert_eq!(*world.open.lock().unwrap(), 1, "the old instance is gone");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_swaps_during_delivery_lose_and_double_nothing() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub(&data);
    let plan: Vec<Turn> = (0..200)
        .map(|turn| match turn % 5 {
            0 => Turn::Slow(Duration::from_millis(70)),
            1 => Turn::Busy,
            2 => Turn::Slow(Duration::from_millis(250)),
            3 => Turn::Trap,
            _ => Turn::Good,
        })
        .collect();
    let world = World::new(&plan);
    let patient = |version| {
        let retry = Retry { attempts: 1_000, base: kernel_ms(50) };
        granted(Sink { retry, ..sink("terminal", version, &world) })
    };
    let mut sent = Vec::new();
    for version in 0..100 {
        hub.apply(vec![patient(version)]);
        for host in ["a", "b", "c"] {
            let event = event(host, version + 1, &[]);
            sent.push(event.id);
            hub.publish(&event);
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    hub.flush().await;
    let arrived = world.arrived.lock().unwrap().clone();
    let ids: Vec<EventId> = arrived.iter().map(|(id, ..)| *id).collect();
    // This sink reports honestly, so at least once is here exactly once, in the order sent.
    assert_eq!(ids, sent);
    assert!(world.began().windows(2).all(|pair| pair[0].0 <= pair[1].0), "never an older version");
    assert_eq!(*world.open.lock().unwrap(), 1);
    assert_eq!(status(&hub, "terminal").dead, 0);
}

#[tokio::test(start_paused = true)]
async fn a_removed_sink_keeps_its_queue_until_it_returns_or_is_purged() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub(&data);
    let [terminal, chat] = [World::new(&[]), World::new(&[Turn::Busy])];
    let default = || granted(sink("terminal", 1, &terminal));
    hub.apply(vec![default(), granted(sink("chat", 1, &chat))]);
    hub.publish(&event("a", 1, &["chat"]));
    seconds(0).await;
    let changes = hub.apply(vec![default()]);
    assert_eq!(changes[1], ("chat".into(), Change::Removed { waiting: 1 }));
    assert_eq!(hub.apply(vec![default()]).len(), 1, "told once");
    seconds(1_000).await;
    let removed = status(&hub, "chat");
    assert_eq!((removed.state, removed.queued), (SinkState::Removed, 1));
    assert_eq!(*chat.open.lock().unwrap(), 0, "its instance is closed");
    hub.publish(&event("b", 1, &["chat"]));
    hub.flush().await;
    assert_eq!(terminal.hosts(), ["b"]);

    hub.apply(vec![default(), granted(sink("chat", 2, &chat))]);
    assert_eq!(hub.purge("chat").await, None, "it is back");
    hub.flush().await;
    assert_eq!(chat.hosts(), ["a"]);

    chat.plan.lock().unwrap().extend([Turn::Busy, Turn::Busy]);
    hub.publish(&event("c", 1, &["chat"]));
    hub.apply(vec![default()]);
    assert_eq!(hub.purge("chat").await, Some(1));
    assert_eq!(dead(&data, "chat"), ["c: purged"]);
    assert_eq!(hub.status().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_sink_is_listed_with_its_cure_and_works_once_granted() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub(&data);
    let [terminal, chat] = [(); 2].map(|()| World::new(&[]));
    let default = || granted(sink("terminal", 1, &terminal));
    let changes = hub.apply(vec![default(), blocked(sink("chat", 1, &chat))]);
    assert_eq!(changes[1].1, Change::Blocked);
    // Told once: the next look at the folders finds nothing new.
    let changes = hub.apply(vec![default(), blocked(sink("chat", 1, &chat))]);
    assert_eq!(changes[1].1, Change::Kept);
    let state = SinkState::Blocked { why: "needs http:x".into(), cure: "grant it".into() };
    assert_eq!(status(&hub, "chat").state, state);
    assert!(matches!(
        hub.test("chat", Duration::from_secs(5)).await,
        Err(TestError::Blocked { .. })
    ));
    assert_eq!(*chat.open.lock().unwrap(), 0, "never opened");
    hub.apply(vec![default(), granted(sink("chat", 1, &chat))]);
    hub.publish(&event("a", 1, &["chat"]));
    hub.flush().await;
    assert_eq!(chat.hosts(), ["a"]);

    hub.apply(vec![default(), blocked(sink("chat", 1, &chat))]);
    hub.publish(&event("b", 1, &["chat"]));
    hub.flush().await;
    assert_eq!((chat.hosts(), terminal.hosts()), (vec!["a".into()], vec!["b".into()]));
}

#[tokio::test(start_paused = true)]
async fn a_removed_sink_without_events_is_forgotten() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub(&data);
    let world = World::new(&[Turn::Slow(Duration::from_secs(5))]);
    hub.apply(vec![granted(sink("idle", 1, &world)), granted(sink("busy", 1, &world))]);
    hub.publish(&event("a", 1, &["busy"]));
    seconds(1).await;
    hub.apply(Vec::new());
    let names: Vec<Arc<str>> = hub.status().into_iter().map(|status| status.name).collect();
    assert_eq!(names, ["busy".into()]);
    seconds(10).await;
    assert_eq!((world.hosts(), hub.status()), (vec!["a".to_owned()], Vec::new()));
    hub.apply(Vec::new());
    assert_eq!(*world.open.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_flushes_for_its_grace_and_what_is_left_is_dead_with_a_reason() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub(&data);
    let [slow, stuck] =
        [World::new(&[Turn::Slow(Duration::from_secs(2))]), World::new(&[Turn::Never])];
    hub.apply(vec![granted(sink("slow", 1, &slow)), granted(sink("stuck", 1, &stuck))]);
    for host in ["a", "b"] {
        hub.publish(&event(host, 1, &["slow", "stuck"]));
        seconds(1).await;
    }
    let start = tokio::time::Instant::now();
    hub.stop(Duration::from_secs(10)).await;
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(slow.hosts(), ["a", "b"]);
    let mut letters = dead(&data, "stuck");
    letters.sort();
    assert_eq!(
        letters,
        [
            "a: cut off by the shutdown while in flight; it may have arrived",
            "b: not delivered before the shutdown"
        ]
    );
    hub.publish(&event("c", 1, &["slow"]));
    assert_eq!(hub.routed().nowhere, 1);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_hold_what_was_rejected_and_what_the_rate_withheld() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub(&data);
    let world = World::new(&[Turn::Bad]);
    let rate = Some(Rate { count: 2, per: kernel_ms(60_000) });
    hub.apply(vec![granted(Sink { rate, ..sink("terminal", 1, &world) })]);
    for host in ["a", "b", "c"] {
        hub.publish(&event(host, 1, &[]));
        hub.flush().await;
    }
    assert_eq!(dead(&data, "terminal"), ["a: bad", "c: withheld by the rate limit"]);
    assert_eq!(world.hosts(), ["b", ""], "the last one is the summary");
    let status = status(&hub, "terminal");
    assert_eq!((status.dead, status.withheld, status.delivered), (1, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_test_goes_the_way_of_every_event_and_tells_what_came_back() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub(&data);
    let world = World::new(&[Turn::Good, Turn::Bad, Turn::Busy, Turn::Good, Turn::Never]);
    hub.apply(vec![granted(sink("terminal", 1, &world))]);
    let patience = Duration::from_secs(30);
    let good = Outcome::Delivered { note: Some("took 1".to_owned()) };
    assert_eq!(hub.test("terminal", patience).await, Ok(good));
    let bad = Outcome::Rejected { why: "bad".to_owned() };
    assert_eq!(hub.test("terminal", patience).await, Ok(bad));
    let busy = Outcome::Retry { after: None, why: "busy".to_owned() };
    assert_eq!(hub.test("terminal", patience).await, Ok(busy), "the first attempt's end");
    seconds(30).await;
    let last_error = Some("busy".to_owned());
    assert_eq!(hub.test("terminal", patience).await, Err(TestError::NoAnswer { last_error }));
    let known = vec!["terminal".into()];
    assert_eq!(hub.test("nobody", patience).await, Err(TestError::Unknown { known }));
}

#[tokio::test(start_paused = true)]
async fn the_watchdog_fires_once_and_is_reminded_of_for_ever() {
    let data = tempfile::tempdir().unwrap();
    let hub = Arc::new(hub(&data));
    let [terminal, deadman] = [(); 2].map(|()| World::new(&[]));
    hub.apply(vec![granted(sink("terminal", 1, &terminal)), granted(sink("deadman", 1, &deadman))]);
    let watch = hub.watch(vec!["deadman".into()], Duration::from_secs(60));
    seconds(150).await;
    watch.abort();
    seconds(1_000).await;
    let seqs: Vec<u64> = deadman.arrived.lock().unwrap().iter().map(|(.., seq)| *seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(terminal.hosts(), [""; 0]);
}

/// The same on real threads: four publish as fast as they can while the sink is swapped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_on_threads_and_swaps_lose_and_double_nothing() {
    let data = tempfile::tempdir().unwrap();
    let hub = Arc::new(hub(&data));
    let world = World::new(&[]);
    let version = |version| granted(sink("terminal", version, &world));
    hub.apply(vec![version(0)]);
    let publishers: Vec<_> = ["a", "b", "c", "d"]
        .into_iter()
        .map(|host| {
            let hub = hub.clone();
            std::thread::spawn(move || {
                for seq in 1..=1_000 {
                    hub.publish(&event(host, seq, &[]));
                }
            })
        })
        .collect();
    for number in 1..50 {
        hub.apply(vec![version(number)]);
        tokio::task::yield_now().await;
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
    hub.flush().await;
    let arrived = world.arrived.lock().unwrap().clone();
    assert_eq!(arrived.len(), 4_000);
    for host in ["a", "b", "c", "d"] {
        let seqs: Vec<u64> =
            arrived.iter().filter(|(_, on, _)| on == host).map(|(.., seq)| *seq).collect();
        assert!(seqs.into_iter().eq(1..=1_000), "the alert on {host} came out of order");
    }
}
