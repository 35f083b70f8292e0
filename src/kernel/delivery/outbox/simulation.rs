//! An outbox against a sink that lies: it is slow, fails, refuses, traps, takes events and says it
//! did not; and meanwhile the sink is swapped, removed and put back. Time is virtual. Each checker
//! watches one promise; a failure prints the seed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::kernel::delivery::backoff;
use crate::kernel::delivery::policy::{Batching, Rate, Retry};
use crate::kernel::event::{EventId, Kind};
use crate::kernel::model::{EventTime, Labels, Level};

/// What the outbox waits for.
#[derive(Clone, Copy, PartialEq)]
enum Owed {
    Opening { at: Now },
    Answer { at: Now },
}

struct World {
    chance: u64,
    now: Now,
    outbox: Outbox,
    policy: Policy,
    owed: Option<Owed>,
    /// Once the sink is honest every opening and every delivery goes well.
    honest: bool,
    removed: bool,
    instance: bool,
    offered: u64,
    /// Every event's end.
    ended: BTreeMap<EventId, End>,
    known: BTreeSet<EventId>,
    /// What was sent under each key.
    sent: BTreeMap<Arc<str>, Vec<EventId>>,
    /// When events that count for the rate were first sent.
    departures: Vec<Now>,
    flushed: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut chance = seed;
        let mut pick = |of: u64| draw(&mut chance) % of;
        let policy = Policy {
            batching: Batching {
                max: 1 + pick(5) as usize,
                age: Duration::from_millis(pick(3) as i64 * 700),
            },
            retry: Retry { attempts: 1 + pick(4) as u32, base: Duration::from_secs(1) },
            rate: (pick(2) == 0)
                .then(|| Rate { count: pick(6) as u32, per: Duration::from_secs(10) }),
            max_pending: 5 + pick(20) as usize,
            queue_max: 10 + pick(40) as usize,
        };
        let now = Now::from_nanos(0);
        World {
            chance,
            now,
            outbox: Outbox::new("ops", policy, seed, now),
            policy,
            owed: None,
            honest: false,
            removed: false,
            instance: false,
            offered: 0,
            ended: BTreeMap::new(),
            known: BTreeSet::new(),
            sent: BTreeMap::new(),
            departures: Vec::new(),
            flushed: 0,
        }
    }

    fn pick(&mut self, of: u64) -> u64 {
        draw(&mut self.chance) % of
    }

    /// One thing happens: the next move of the outside, an answer, or a wake, whichever is first.
    fn turn(&mut self, until: Now) {
        let answer = self.owed.map(|owed| match owed {
            Owed::Opening { at } | Owed::Answer { at } => at,
        });
        let wake = self.outbox.next_wake().map(|(at, _)| at);
        let next = [answer, wake].into_iter().flatten().min().unwrap_or(until).min(until);
        self.now = next;
        if answer == Some(next) {
            self.answer();
        } else if wake == Some(next) {
            self.step(Input::Tick);
        } else {
            self.outside();
        }
    }

    fn outside(&mut self) {
        match self.pick(40) {
            0 => {
                self.removed = false;
                self.step(Input::Swap(self.policy));
            }
            1 => {
                self.removed = true;
                self.step(Input::Park);
            }
            2 => self.step(Input::Flush),
            _ => self.offer(),
        }
    }

    fn offer(&mut self) {
        self.offered += 1;
        let kind = if self.pick(2) == 0 { Kind::Resolved } else { Kind::Fired };
        let key = Labels::new([("host", ["a", "b", "c"][self.pick(3) as usize])]);
        let at = EventTime::from_nanos(self.offered as i64);
        let event = Event::own("r", key, kind, Level::Info, at, String::new());
        self.known.insert(event.id);
        self.step(Input::Offer(Arc::new(Event { seq: self.offered, ..event })));
    }

    fn answer(&mut self) {
        let luck = if self.honest { 0 } else { self.pick(10) };
        let fault = Fault::new("trapped");
        match self.owed.take() {
            Some(Owed::Opening { .. }) => {
                self.instance = luck < 8;
                self.step(Input::Opened(if luck < 8 { Ok(()) } else { Err(fault) }));
            }
            Some(Owed::Answer { .. }) => {
                let why = "busy".to_owned();
                let after = (luck == 7).then(|| Duration::from_secs(40));
                let outcome = match luck {
                    0..5 => Outcome::Delivered { note: None },
                    5..8 => Outcome::Retry { after, why },
                    8 => Outcome::Rejected { why },
                    _ => Outcome::Faulted(fault),
                };
                let failures = self.outbox.connection.failures;
                let waits = matches!(outcome, Outcome::Retry { .. } | Outcome::Faulted(_));
                self.step(Input::Attempted(outcome));
                if let Link::Disconnected { until } = self.outbox.link()
                    && waits
                {
                    let most = backoff::ceiling(self.policy.retry.base, failures);
                    let most = most.max(after.unwrap_or(Duration::ZERO));
                    assert!(until.since(self.now) <= most, "a longer wait than the backoff's");
                }
            }
            None => unreachable!("an answer that nobody waits for"),
        }
    }

    fn step(&mut self, input: Input) {
        for action in self.outbox.step(self.now, input) {
            self.act(action);
        }
        self.conservation();
        if let Some((at, reason)) = self.outbox.next_wake() {
            assert!(self.now < at, "a wake for {reason:?} that is not later");
        }
    }

    fn act(&mut self, action: Action) {
        let delay = Duration::from_millis(self.pick(4) as i64 * 900);
        let at = self.now + delay;
        match action {
            Action::Open => {
                assert!(self.owed.is_none(), "opened while something is in flight");
                assert!(!self.instance, "a second instance");
                self.owed = Some(Owed::Opening { at });
            }
            Action::Close => {
                assert!(self.owed.is_none(), "closed under an attempt in flight");
                self.instance = false;
            }
            Action::Attempt { key, events } => {
                assert!(self.owed.is_none(), "a second attempt in flight");
                assert!(self.instance, "an attempt without an instance");
                self.owed = Some(Owed::Answer { at });
                self.attempted(key, &events);
            }
            Action::Settled(settled) => self.settled(settled),
            Action::Flushed => self.flushed += 1,
        }
    }

    fn attempted(&mut self, key: Arc<str>, events: &[Arc<Event>]) {
        assert!(events.len() <= self.policy.batching.max);
        let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
        if let Some(before) = self.sent.insert(key, ids.clone()) {
            assert_eq!(before, ids, "one key for two batches");
        } else {
            let counted = events.iter().filter(|event| !own::is_exempt(event)).count();
            self.departures.extend(std::iter::repeat_n(self.now, counted));
        }
        for event in events {
            assert!(!self.ended.contains_key(&event.id), "sent after its end");
            self.known.insert(event.id);
        }
        self.order(events);
    }

    /// No event is sent while an older one of its alert has neither ended nor goes before it.
    fn order(&mut self, events: &[Arc<Event>]) {
        let alerts: Vec<u64> =
            events.iter().filter(|e| !own::is_exempt(e)).map(|e| e.seq).collect();
        assert!(alerts.is_sorted(), "{alerts:?}");
        let oldest = alerts.first().copied();
        let waiting = self.outbox.queue.iter().filter(|w| !own::is_exempt(&w.event));
        for waiting in waiting {
            assert!(oldest.is_none_or(|oldest| oldest < waiting.event.seq), "an older one waits");
        }
    }

    fn settled(&mut self, settled: Settled) {
        for event in settled.events.iter() {
            let summary = *event.rule == *own::RATE_LIMITED;
            assert!(summary || self.known.contains(&event.id), "an event that nobody offered");
            let before = self.ended.insert(event.id, settled.end.clone());
            assert_eq!(before, None, "two ends of one event");
        }
    }

    /// What came in is what ended and what waits.
    fn conservation(&self) {
        let counts = self.outbox.counts();
        let waiting = (self.outbox.queued() + self.outbox.in_flight()) as u64;
        assert_eq!(counts.offered, self.offered);
        let ended = counts.delivered + counts.dead + counts.withheld;
        assert_eq!(ended, self.ended.len() as u64);
        assert_eq!(counts.offered + counts.summaries, ended + waiting);
        assert!(self.outbox.queue.len() <= self.policy.queue_max + 1, "the queue's limit");
    }

    fn rate(&self) {
        let Some(rate) = self.policy.rate else { return };
        for (at, first) in self.departures.iter().enumerate() {
            let within =
                self.departures[at..].iter().take_while(|d| d.since(*first) < rate.per).count();
            assert!(within <= rate.count as usize, "{within} events within {}", rate.per);
        }
    }
}

/// A step of a linear congruential generator (Knuth's MMIX), of which the high bits are used.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn simulate(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..400 {
        let pause = Duration::from_millis(world.pick(4) as i64 * world.pick(400) as i64);
        let until = world.now + pause;
        world.turn(until);
    }
    world.honest = true;
    if world.removed {
        world.step(Input::Swap(world.policy));
    }
    world.step(Input::Flush);
    let end = world.now + Duration::from_secs(10_000);
    while world.outbox.queued() + world.outbox.in_flight() > 0 || world.outbox.flush.is_some() {
        assert!(world.now < end, "an honest sink is not caught up with");
        world.turn(end);
    }
    world
}

/// A seed says everything: there is no file of failures to keep.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_is_lost_invented_or_reordered(seed: u64) {
        let world = simulate(seed);
        world.rate();
        prop_assert!(world.flushed > 0);
        prop_assert!(world.known.iter().all(|id| world.ended.contains_key(id)));
        let said = world.outbox.limiter.unspoken();
        prop_assert_eq!(said, 0, "withheld without a summary");
    }
}

#[test]
fn the_lying_sink_reaches_every_end() {
    let mut seen = Counts::default();
    for seed in 0..50 {
        let counts = simulate(seed).outbox.counts();
        seen.delivered += counts.delivered;
        seen.dead += counts.dead;
        seen.shed += counts.shed;
        seen.withheld += counts.withheld;
        seen.summaries += counts.summaries;
        seen.retries += counts.retries;
        seen.faults += counts.faults;
    }
    let Counts { delivered, dead, shed, withheld, summaries, retries, faults, .. } = seen;
    for count in [delivered, dead - shed, shed, withheld, summaries, retries, faults] {
        assert!(count > 50, "{seen:?}");
    }
}
