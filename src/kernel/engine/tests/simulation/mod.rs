//! A whole machine under sources that lie, lag, fall silent and come back; one promise each.
//!
//! Some seeds are fixed, a few more come from `WATCHFIRE_SEEDS` (how many; 1 without it). A failure
//! prints the one command that repeats it.

mod reference;
mod world;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::kit::*;
use crate::kernel::model::SeriesId;
use crate::kernel::sequence::Input as Element;
use crate::kernel::sequence::sequencer::Sequencer;
use reference::{Item, Told};
pub use world::Dice;
use world::{SOURCES, Step, world};

const FIXED: [u64; 3] = [1, 0xDEAD_BEEF, 18_394_341_557_812];

/// How a world is run: none of it may show in the events.
#[derive(Clone, Copy, Debug)]
struct Manner {
    shards: u32,
    /// Rows of a batch; 0 for random numbers.
    rows: usize,
    /// Before this step everything stops, and goes on from a snapshot.
    restart: Option<usize>,
}

const PLAIN: Manner = Manner { shards: 1, rows: 1_000, restart: None };

/// What a run came to.
struct Run {
    lines: Vec<String>,
    events: Vec<Arc<Event>>,
    offered: u64,
    accepted: u64,
    refused: u64,
}

/// The rules that the reference knows.
fn known_rules() -> Vec<Arc<Rule>> {
    let levels = rule("e-levels", "cpu")
        .level(Level::Info, over(60.0), Some(under(50.0)))
        .level(Level::Warning, over(70.0), Some(under(60.0)))
        .level(Level::Critical, over(80.0), Some(under(70.0)));
    vec![
        rule("a-worst", "cpu")
            .by(&["host"])
            .when(over(90.0))
            .soak("10s")
            .cool("5s")
            .expire("2m")
            .make(),
        rule("b-mean", "cpu")
            .by(&["dc"])
            .sliding("30s", "5s")
            .when(mean_over(60.0))
            .soak("10s")
            .make(),
        rule("c-rate", "bytes")
            .by(&["host"])
            .sliding("1m", "10s")
            .when(reduced_over("rate", 57.0))
            .make(),
        rule("d-absent", "cpu").by(&["host"]).absent("40s").make(),
        levels.make(),
    ]
}

/// Rules of every kind, in three versions.
pub fn all_rules(version: usize) -> Vec<Arc<Rule>> {
    let mut rules = if version == 1 { Vec::new() } else { known_rules() };
    let limit = 60.0 + version as f64 * 5.0;
    let session = Shape::Session { gap: Duration::from_secs(20), every: Duration::from_secs(5) };
    let latest = Shape::Latest { every: Duration::from_secs(5) };
    let over_reduced = |name: &str, reduction: &str| {
        rule(name, "cpu").by(&["host"]).sliding("1m", "5s").when(reduced_over(reduction, limit))
    };
    rules.extend([
        over_reduced("f-p90", "p90").flapping(30.0, 25.0).make(),
        over_reduced("g-slope", "slope").when(reduced_over("slope", 0.01)).make(),
        over_reduced("h-max", "max").no_data_clear().cool("20s").soak("10s").repeat("30s").make(),
        over_reduced("i-low", "mean").no_data_breach().soak("12s").make(),
        rule("j-last", "cpu")
            .by(&["dc"])
            .shape(Shape::Count { count: 7 })
            .when(mean_over(limit))
            .make(),
        rule("k-session", "cpu").by(&["host"]).shape(session).when(mean_over(limit)).make(),
        rule("l-sum", "cpu").by(&["dc"]).shape(latest).across(Across::Sum).when(over(250.0)).make(),
        rule("m-max", "cpu")
            .by(&["dc"])
            .sliding("20s", "5s")
            .across(Across::Max)
            .when(mean_over(limit))
            .make(),
        rule("n-join", "cpu")
            .join("bytes")
            .by(&["host"])
            .across(Across::Mean)
            .when(first_over_half_of_second())
            .make(),
        rule("o-hot", "cpu")
            .when(over(limit + 20.0))
            .repeat("15s")
            .expire("1m")
            .no_data_clear()
            .make(),
        rule("p-record", "cpu").by(&["host"]).sliding("10s", "5s").record("host.load").make(),
        rule("q-watch", "host.load").when(over(limit)).soak("5s").make(),
        rule("r-deep", "host.load").by(&[]).sliding("30s", "10s").record("all.load").make(),
        rule("s-top", "all.load").when(over(50.0)).make(),
        rule("t-copy", "cpu").by(&["host"]).record_value("host.cpu").make(),
        rule("u-copy", "host.cpu").when(over(85.0)).make(),
    ]);
    if version == 2 {
        rules.retain(|rule| !["h-max", "k-session"].contains(&rule.name.as_ref()));
        rules.push(rule("k-renamed", "cpu").by(&["dc"]).when(over(110.0)).make());
    }
    // A rule's version is a hash of its text, and the limit is in most of these texts.
    for rule in &mut rules {
        Arc::make_mut(rule).version = Version(version as u64 + 1);
    }
    rules
}

fn start(rules: Vec<Arc<Rule>>, shards: u32, live: bool) -> Machine {
    let from = if live { base() } else { EventTime::MIN };
    let mut machine = Machine::new(Limits::default(), shards, from);
    machine.step(Arrived::Swap(ruleset(rules)));
    open_sources(&mut machine, live);
    machine
}

fn open_sources(machine: &mut Machine, live: bool) {
    for source in 0..SOURCES {
        let seconds = if live { 2 } else { 5 };
        let lateness = Some(Duration::from_secs(seconds));
        machine.step(Arrived::Opened { source: SourceId(source), lateness });
    }
}

fn run(steps: &[Step], rules: &dyn Fn(usize) -> Vec<Arc<Rule>>, manner: Manner, live: bool) -> Run {
    let mut machine = start(rules(0), manner.shards, live);
    let mut run = Run { lines: vec![], events: vec![], offered: 0, accepted: 0, refused: 0 };
    let (mut dice, mut version, mut watermark) =
        (Dice::new(manner.shards.into()), 0, EventTime::MIN);
    for (number, step) in steps.iter().enumerate() {
        if manner.restart == Some(number) {
            run.count(&machine);
            machine = restart(&mut machine, manner.shards % 3 + 1, rules(version), live);
        }
        for arrived in arrivals(step, manner.rows, &mut dice, rules) {
            if let Arrived::Batch { batch, .. } = &arrived {
                run.offered += batch.rows() as u64;
            }
            run.take(machine.step(arrived).events);
            assert!(watermark <= machine.sequencer.watermark(), "time never goes back");
            watermark = machine.sequencer.watermark();
            for engine in &machine.engines {
                engine
                    .runs
                    .iter()
                    .for_each(|run| run.check_groups(&engine.latest, &engine.listening));
            }
        }
        if let Step::Swap(to) = step {
            version = *to;
        }
    }
    run.take(machine.step(Arrived::End).events);
    run.count(&machine);
    run
}

/// A step as it is handed over: batches in pieces.
fn arrivals(
    step: &Step,
    rows: usize,
    dice: &mut Dice,
    rules: &dyn Fn(usize) -> Vec<Arc<Rule>>,
) -> Vec<Arrived> {
    match step {
        Step::Tick(now) => vec![Arrived::Tick(*now)],
        Step::Listening { source, on, now } => {
            vec![Arrived::Listening { source: SourceId(*source), on: *on, now: *now }]
        }
        Step::Swap(version) => vec![Arrived::Swap(ruleset(rules(*version)))],
        Step::Batch { source, arrival, samples } => {
            let (mut rest, mut pieces) = (&samples[..], Vec::new());
            while !rest.is_empty() {
                let size = if rows == 0 { dice.between(1, 9) as usize } else { rows };
                let (piece, after) = rest.split_at(size.min(rest.len()));
                let batch = Batch { arrival: *arrival, ..batch(piece) };
                pieces.push(Arrived::Batch { source: SourceId(*source), batch });
                rest = after;
            }
            pieces
        }
    }
}

fn restart(before: &mut Machine, shards: u32, rules: Vec<Arc<Rule>>, live: bool) -> Machine {
    let bytes = postcard::to_stdvec(&before.snapshot()).expect("a snapshot is plain data");
    let snapshot = postcard::from_bytes(&bytes).expect("it reads back");
    // As if nobody had been away: what counts listening time must come out the same.
    let from = before.engines[0].listening.from;
    let mut machine = Machine::restored(Limits::default(), shards, ruleset(rules), snapshot, from);
    for engine in &mut machine.engines {
        engine.listening = before.engines[0].listening.clone();
    }
    open_sources(&mut machine, live);
    machine
}

impl Run {
    fn take(&mut self, events: Vec<Arc<Event>>) {
        let line = |event: &Arc<Event>| serde_json::to_string(event).expect("events are plain");
        self.lines.extend(events.iter().map(line));
        self.events.extend(events);
    }

    fn count(&mut self, machine: &Machine) {
        for source in machine.sequencer.sources() {
            self.accepted += source.accepted;
            self.refused += source.refused.total();
        }
    }
}

/// The sequence as the sequencer makes it, for the reference.
fn sequence(steps: &[Step], live: bool) -> Vec<Item> {
    let ruleset = ruleset(known_rules());
    let mut sequencer = Sequencer::new(Limits::default(), 1, ruleset);
    for source in 0..SOURCES {
        let lateness = Some(Duration::from_secs(if live { 2 } else { 5 }));
        sequencer.step(Arrived::Opened { source: SourceId(source), lateness });
    }
    let (mut items, mut names) = (Vec::new(), BTreeMap::<SeriesId, Series>::new());
    let mut dice = Dice::new(0);
    let mut arrived: Vec<Arrived> = Vec::new();
    for step in steps.iter().filter(|step| !matches!(step, Step::Swap(_))) {
        arrived.extend(arrivals(step, 1_000, &mut dice, &|_| Vec::new()));
    }
    arrived.push(Arrived::End);
    for input in arrived.into_iter().flat_map(|arrived| sequencer.step(arrived)) {
        match input {
            Element::Rows(rows) => {
                let known =
                    |new: &crate::kernel::sequence::Introduction| (new.id, new.series.clone());
                names.extend(rows.introduced.iter().map(known));
                let mut cuts = rows.cuts.iter().peekable();
                for row in 0..=rows.series.len() {
                    while let Some(cut) = cuts.next_if(|cut| cut.row == row) {
                        items.push(Item::Cut(cut.watermark));
                    }
                    let Some(id) = rows.series.get(row) else { break };
                    let source = rows.source.expect("samples have a source").0;
                    let (at, series, value) = (rows.at[row], names[id].clone(), rows.value[row]);
                    items.push(Item::Sample { source, at, series, value });
                }
            }
            Element::Listening { source, on, at, .. } => {
                items.push(Item::Listening { source: source.0, on, at });
            }
            Element::Swap(_) | Element::Forget { .. } | Element::Quarantine { .. } => {}
        }
    }
    items
}

/// One id for each event; fired (changed | reminded | flapping)* resolved, numbers that rise by
/// one, ids that are unique.
fn check_order(run: &Run) {
    let mut alerts: BTreeMap<(Arc<str>, Labels), (u64, bool)> = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for event in &run.events {
        let twin = ids.insert(event.id, event.clone());
        assert!(twin.is_none(), "one id for two events: {twin:#?} and {event:#?}");
        let alert = alerts.entry((event.rule.clone(), event.key.clone())).or_insert((0, false));
        let own = event.rule.starts_with("watchfire_");
        if event.seq == 1 && !own {
            // A group that was forgotten, or whose rule went and came back, counts anew.
            *alert = (0, false);
        }
        assert_eq!(event.seq, alert.0 + 1, "{}", line(event));
        alert.0 = event.seq;
        let told = match event.kind {
            Kind::Fired => !std::mem::replace(&mut alert.1, true),
            Kind::Resolved => std::mem::replace(&mut alert.1, false),
            Kind::Changed | Kind::Reminded | Kind::Flapping => alert.1,
            Kind::Pending | Kind::Cooling | Kind::Cleared => true,
        };
        assert!(told, "out of order: {}", line(event));
    }
}

fn seeds() -> Vec<u64> {
    let more: u64 =
        std::env::var("WATCHFIRE_SEEDS").ok().map_or(1, |n| n.parse().expect("a number"));
    let one = std::env::var("WATCHFIRE_SEED").ok().map(|seed| seed.parse().expect("a number"));
    if let Some(seed) = one {
        return vec![seed];
    }
    let fresh = std::process::id().into();
    let mut dice = Dice::new(fresh);
    FIXED.into_iter().chain((0..more).map(|_| dice.next() >> 16)).collect()
}

/// Runs a check for every seed, live and as a replay; says how to repeat the one that fails.
fn for_each_seed(test: &str, check: impl Fn(u64, bool, &[Step])) {
    for seed in seeds() {
        for live in [true, false] {
            eprintln!("repeat with: WATCHFIRE_SEED={seed} cargo test --lib {test} (live: {live})");
            check(seed, live, &world(seed, live));
        }
    }
}

#[track_caller]
fn assert_same(run: &Run, plain: &Run, manner: Manner) {
    let differs = run.lines.iter().zip(&plain.lines).find(|(mine, theirs)| mine != theirs);
    assert_eq!(differs.map(|(mine, _)| mine), differs.map(|(_, theirs)| theirs), "{manner:?}");
    assert_eq!(run.lines.len(), plain.lines.len(), "{manner:?}");
}

#[test]
fn no_alert_is_false_and_none_is_lost() {
    let seen = RefCell::new(BTreeSet::new());
    for_each_seed("no_alert_is_false_and_none_is_lost", |_, live, steps| {
        let steps: Vec<Step> =
            steps.iter().filter(|step| !matches!(step, Step::Swap(_))).cloned().collect();
        let run = run(&steps, &|_| known_rules(), PLAIN, live);
        let told = |event: &Arc<Event>| {
            let text = (event.rule.to_string(), event.key.to_string());
            event.kind.is_told().then_some((text.0, text.1, event.kind, event.at))
        };
        let mut got: Vec<Told> = run
            .events
            .iter()
            .filter(|event| !event.rule.starts_with("watch"))
            .filter_map(told)
            .collect();
        let mut expected = reference::judge(&sequence(&steps, live), live.then(base));
        got.sort_by_key(|told| (told.0.clone(), told.1.clone(), told.3));
        expected.sort_by_key(|told| (told.0.clone(), told.1.clone(), told.3));
        let first = got.iter().zip(&expected).find(|(got, expected)| got != expected);
        assert_eq!(first.map(|(got, _)| got), first.map(|(_, expected)| expected));
        assert_eq!(got.len(), expected.len());
        seen.borrow_mut().extend(got.into_iter().map(|told| told.0));
    });
    for rule in known_rules() {
        assert!(seen.borrow().contains(rule.name.as_ref()), "{} never fires", rule.name);
    }
}

#[test]
fn shards_and_batches_do_not_show() {
    for_each_seed("shards_and_batches_do_not_show", |_, live, steps| {
        let plain = run(steps, &all_rules, PLAIN, live);
        assert!(plain.lines.len() > 100, "a world in which things happen");
        check_order(&plain);
        assert_eq!(plain.accepted + plain.refused, plain.offered, "no sample goes uncounted");
        for (shards, rows) in [(1, 1), (2, 7), (4, 0), (4, 1_000)] {
            let manner = Manner { shards, rows, restart: None };
            assert_same(&run(steps, &all_rules, manner, live), &plain, manner);
        }
    });
}

#[test]
fn a_restart_does_not_show() {
    for_each_seed("a_restart_does_not_show", |seed, live, steps| {
        // Watchfire's own alerts count anew after a restart.
        let theirs = |mut run: Run| {
            run.lines.retain(|line| !line.contains("watchfire_"));
            run
        };
        let plain = theirs(run(steps, &all_rules, PLAIN, live));
        let mut dice = Dice::new(seed);
        for shards in [1, 2, 4] {
            let restart = Some(dice.between(1, steps.len() as i64) as usize);
            let manner = Manner { shards, rows: 1_000, restart };
            assert_same(&theirs(run(steps, &all_rules, manner, live)), &plain, manner);
        }
    });
}
