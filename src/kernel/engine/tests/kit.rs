//! Rules made of closures, feeds and events as text.

use std::sync::Arc;

use crate::kernel::engine::output::Adoption;
pub use crate::kernel::event::{Cause, Event, Kind};
pub use crate::kernel::machine::Machine;
use crate::kernel::model::Announcement;
pub use crate::kernel::model::{
    Batch, Duration, EventTime, Labels, Level, Limits, Op, Series, Slot, SourceId, Version,
};
use crate::kernel::rule::calendar::Calendar;
use crate::kernel::rule::program::{Evaluator, Fault, Program};
use crate::kernel::rule::ruleset::Ruleset;
use crate::kernel::rule::selector::{Matcher, Selector};
use crate::kernel::rule::view::{Column, Frame, Reduction};
pub use crate::kernel::rule::{Across, Shape};
pub use crate::kernel::rule::{
    Declared, Flapping, Grouping, Input, Judge, LevelRule, OnNoData, Origin, Record, Rule, State,
    Timing,
};
pub use crate::kernel::sequence::sequencer::Arrived;

type Test = Arc<dyn Fn(&[f64]) -> Result<f64, Fault> + Send + Sync>;

/// A condition of plain Rust over the columns it reads.
#[derive(Clone)]
pub struct Native {
    reads: Vec<Column>,
    test: Test,
}

impl std::fmt::Debug for Native {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "native")
    }
}

impl Program for Native {
    fn reads(&self) -> &[Column] {
        &self.reads
    }
    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(self.clone())
    }
    fn source(&self) -> &str {
        ""
    }
    fn path(&self) -> String {
        "native".into()
    }
}

impl Evaluator for Native {
    fn test(
        &mut self,
        frame: &Frame<'_>,
        _: Option<&mut State>,
        truth: &mut Vec<bool>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        let mut numbers = Vec::new();
        self.measure(frame, None, &mut numbers, faults);
        truth.extend(numbers.into_iter().map(|number| number > 0.0));
    }

    fn measure(
        &mut self,
        frame: &Frame<'_>,
        _: Option<&mut State>,
        numbers: &mut Vec<f64>,
        faults: &mut Vec<(u32, Fault)>,
    ) {
        for row in 0..frame.rows {
            let values: Vec<f64> = frame.numbers.iter().map(|column| column[row]).collect();
            match (self.test)(&values) {
                Ok(number) => numbers.push(number),
                Err(fault) => {
                    numbers.push(f64::NAN);
                    faults.push((row as u32, fault));
                }
            }
        }
    }
}

fn native(reads: Vec<Column>, test: impl Fn(&[f64]) -> f64 + Send + Sync + 'static) -> Native {
    Native { reads, test: Arc::new(move |values| Ok(test(values))) }
}

const VALUE: Column = Column::Value { input: 0 };
const MEAN: Column = Column::Reduced { input: 0, reduction: Reduction::Mean };

pub fn over(limit: f64) -> Native {
    native(vec![VALUE], move |values| f64::from(values[0] > limit))
}

pub fn under(limit: f64) -> Native {
    native(vec![VALUE], move |values| f64::from(values[0] < limit))
}

pub fn mean_over(limit: f64) -> Native {
    native(vec![MEAN], move |values| f64::from(values[0] > limit))
}

/// A window's reduction over a limit.
pub fn reduced_over(name: &str, limit: f64) -> Native {
    let reduction = Reduction::parse(name).expect(name);
    let reads = vec![Column::Reduced { input: 0, reduction }];
    native(reads, move |values| f64::from(values[0] > limit))
}

pub fn first_over_half_of_second() -> Native {
    let reads = vec![VALUE, Column::Value { input: 1 }];
    native(reads, |values| f64::from(values[0] > values[1] / 2.0))
}

pub fn over_or_fault(limit: f64) -> Native {
    let test = move |values: &[f64]| match values[0] {
        value if value < 0.0 => Err(Fault::new("negative")),
        value => Ok(f64::from(value > limit)),
    };
    Native { reads: vec![VALUE], test: Arc::new(test) }
}

pub struct Build(Rule);

pub fn rule(name: &str, metric: &str) -> Build {
    Build(Rule {
        name: name.into(),
        version: Version(1),
        origin: Origin { file: "test".into(), line: 1 },
        inputs: vec![Input { name: "".into(), selector: Selector::metric(metric) }],
        by: Grouping::EachSeries,
        shape: Shape::Each,
        across: None,
        lateness: Duration::ZERO,
        tolerance: None,
        baseline: None,
        declared: Declared::default(),
        judge: Judge::Never,
        state: None,
        timing: Timing::default(),
        flapping: None,
        during: None,
        labels: Labels::empty(),
        annotations: Vec::new(),
        notify: Vec::new(),
        record: None,
        shadow: false,
    })
}

pub fn duration(text: &str) -> Duration {
    Duration::parse(text).expect(text)
}

impl Build {
    pub fn make(self) -> Arc<Rule> {
        Arc::new(self.0)
    }
    pub fn when(self, test: Native) -> Build {
        self.level(Level::Critical, test, None)
    }
    pub fn level(mut self, level: Level, test: Native, reset: Option<Native>) -> Build {
        let mut levels = match self.0.judge {
            Judge::Levels(levels) => levels,
            _ => [None, None, None],
        };
        let reset = reset.map(|reset| Arc::new(reset) as Arc<dyn Program>);
        levels[level.index()] = Some(LevelRule { when: Arc::new(test), reset });
        self.0.judge = Judge::Levels(levels);
        self
    }
    pub fn by(mut self, labels: &[&str]) -> Build {
        self.0.by = Grouping::By(labels.iter().map(|label| Arc::from(*label)).collect());
        self
    }
    pub fn only(mut self, text: &str) -> Build {
        self.0.inputs[0].selector.matchers = Matcher::parse_list(text).expect(text);
        self
    }
    pub fn join(mut self, metric: &str) -> Build {
        self.0.inputs[0].name = "first".into();
        self.0.inputs.push(Input { name: "second".into(), selector: Selector::metric(metric) });
        self
    }
    pub fn sliding(mut self, length: &str, every: &str) -> Build {
        self.0.shape = Shape::Sliding { length: duration(length), every: duration(every) };
        self
    }
    pub fn shape(mut self, shape: Shape) -> Build {
        self.0.shape = shape;
        self
    }
    pub fn across(mut self, across: Across) -> Build {
        self.0.across = Some(across);
        self
    }
    pub fn during(mut self, text: &str) -> Build {
        self.0.during = Some(Calendar::parse(text).expect(text));
        self
    }
    pub fn forget(mut self, text: &str) -> Build {
        (self.0.timing.forget, self.0.timing.forget_firing) = (duration(text), true);
        self
    }
    /// `absent` beside conditions.
    pub fn or_absent(mut self, text: &str) -> Build {
        self.0.timing.absent = Some(duration(text));
        self
    }
    pub fn record_value(mut self, name: &str) -> Build {
        let value = Arc::new(native(vec![VALUE], |values| values[0]));
        self.0.record = Some(Record { name: name.into(), value });
        self
    }
    pub fn soak(mut self, text: &str) -> Build {
        self.0.timing.soak = duration(text);
        self
    }
    pub fn cool(mut self, text: &str) -> Build {
        self.0.timing.cool = duration(text);
        self
    }
    pub fn repeat(mut self, text: &str) -> Build {
        self.0.timing.repeat = Some(duration(text));
        self
    }
    pub fn expire(mut self, text: &str) -> Build {
        self.0.timing.expire = duration(text);
        self
    }
    pub fn absent(mut self, text: &str) -> Build {
        self.0.timing.absent = Some(duration(text));
        self.0.judge = Judge::Absent(Level::Critical);
        self
    }
    pub fn no_data_clear(mut self) -> Build {
        self.0.timing.on_no_data = OnNoData::Clear;
        self
    }
    pub fn no_data_breach(mut self) -> Build {
        self.0.timing.on_no_data = OnNoData::Breach;
        self
    }
    pub fn flapping(mut self, high: f64, low: f64) -> Build {
        self.0.flapping = Some(Flapping { high, low });
        self
    }
    pub fn record(mut self, name: &str) -> Build {
        let value = Arc::new(native(vec![MEAN], |values| values[0]));
        self.0.record = Some(Record { name: name.into(), value });
        self
    }
    pub fn version(mut self, version: u64) -> Build {
        self.0.version = Version(version);
        self
    }
}

pub fn base() -> EventTime {
    EventTime::from_nanos(1_700_000_000_000_000_000).floor(Duration::from_secs(3600))
}

pub fn ruleset(rules: Vec<Arc<Rule>>) -> Arc<Ruleset> {
    Arc::new(Ruleset::new(rules, Vec::new()).expect("the test's rules fit together"))
}

pub fn machine(shards: u32, rules: Vec<Arc<Rule>>) -> Machine {
    machine_within(Limits::default(), shards, rules)
}

pub fn machine_within(limits: Limits, shards: u32, rules: Vec<Arc<Rule>>) -> Machine {
    let mut machine = Machine::new(limits, shards, EventTime::MIN);
    machine.step(Arrived::Swap(ruleset(rules)));
    open(&mut machine, 0);
    machine
}

pub fn open(machine: &mut Machine, source: u16) {
    let lateness = Some(Duration::ZERO);
    machine.step(Arrived::Opened { source: SourceId(source), lateness });
}

pub fn restarted(before: &mut Machine, shards: u32, rules: Vec<Arc<Rule>>) -> Machine {
    let bytes = postcard::to_stdvec(&before.snapshot()).expect("a snapshot is plain data");
    let snapshot = postcard::from_bytes(&bytes).expect("it reads back");
    let mut machine =
        Machine::restored(Limits::default(), shards, ruleset(rules), snapshot, EventTime::MIN);
    open(&mut machine, 0);
    machine
}

pub fn swap(machine: &mut Machine, rules: Vec<Arc<Rule>>) -> (Vec<String>, Vec<String>) {
    let merged = machine.step(Arrived::Swap(ruleset(rules)));
    let Adoption { rules } = merged.adopted.expect("a swap is adopted");
    let carried = rules.iter().map(|(name, carried)| format!("{name} {carried:?}"));
    (merged.events.iter().map(|event| line(event)).collect(), carried.collect())
}

pub fn listening(machine: &mut Machine, source: u16, on: bool) -> Vec<String> {
    let merged = machine.step(Arrived::Listening { source: SourceId(source), on, now: None });
    merged.events.iter().map(|event| line(event)).collect()
}

/// `10s cpu{host=a} 95`, separated by `|` or line ends.
pub fn parse_feed(feed: &str) -> Vec<(EventTime, Series, f64)> {
    let samples = feed.split(['|', '\n']).map(str::trim).filter(|text| !text.is_empty());
    samples
        .map(|text| {
            let words: Vec<&str> = text.split_whitespace().collect();
            let (name, labels) = words[1].split_once('{').expect(text);
            let pairs = labels.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty());
            let pairs = pairs.map(|pair| pair.split_once('=').expect(text));
            let at = base() + duration(words[0]);
            (at, Series::new(name, pairs), words[2].parse().expect(text))
        })
        .collect()
}

/// As a decoder makes it: a series is announced with its first sample and known from then on.
pub fn batch(samples: &[(EventTime, Series, f64)]) -> Batch {
    let mut batch = Batch::default();
    for (row, (at, series, value)) in samples.iter().enumerate() {
        let known = batch.announced.iter().find(|known| known.series == *series);
        let slot = known.map_or(Slot(batch.announced.len() as u32), |known| known.slot);
        if known.is_none() {
            batch.announced.push(Announcement { row: row as u32, slot, series: series.clone() });
        }
        batch.push(slot, *at, *value, Op::Set);
    }
    batch
}

pub fn run_from(machine: &mut Machine, source: u16, feed: &str) -> Vec<String> {
    run_events(machine, source, feed, 1).iter().map(|event| line(event)).collect()
}

fn run_events(machine: &mut Machine, source: u16, feed: &str, size: usize) -> Vec<Arc<Event>> {
    let mut events = Vec::new();
    for samples in parse_feed(feed).chunks(size) {
        let (source, batch) = (SourceId(source), batch(samples));
        events.extend(machine.step(Arrived::Batch { source, batch }).events);
    }
    events
}

pub fn run_lines(machine: &mut Machine, feed: &str, size: usize, end: bool) -> Vec<String> {
    let mut events = run_events(machine, 0, feed, size);
    if end {
        events.extend(machine.step(Arrived::End).events);
    }
    events.iter().map(|event| line(event)).collect()
}

/// `30s fired critical {host=a} 95`, with the cause where it is out of the ordinary.
pub fn line(event: &Event) -> String {
    let mut text = format!("{} {} {}", event.at.since(base()), event.kind.name(), event.level);
    if let Some(previous) = event.previous_level {
        text += &format!(" from {previous}");
    }
    if !event.key.is_empty() {
        text += &format!(" {}", event.key.to_string().replace('"', ""));
    }
    if let Some(value) = event.value {
        text += &format!(" {value}");
    }
    if matches!(event.cause, Cause::RuleRemoved | Cause::RuleChanged | Cause::Forgotten) {
        text += &format!(" {}", event.cause.words());
    }
    text
}

#[track_caller]
pub fn check(rules: Vec<Arc<Rule>>, feed: &str, expected: &str) {
    compare(rules, feed, expected, |_| true);
}

/// As `check`, leaving out changes that sinks are not told of.
#[track_caller]
pub fn check_told(rules: Vec<Arc<Rule>>, feed: &str, expected: &str) {
    compare(rules, feed, expected, Kind::is_told);
}

#[track_caller]
fn compare(rules: Vec<Arc<Rule>>, feed: &str, expected: &str, shown: impl Fn(Kind) -> bool) {
    let expected: Vec<String> = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (time, rest) = line.split_once(' ').expect(line);
            format!("{} {rest}", duration(time))
        })
        .collect();
    let mut first: Option<Vec<Arc<Event>>> = None;
    for shards in [1, 2, 4] {
        for size in [1, 3, usize::MAX] {
            let mut machine = machine(shards, rules.clone());
            let mut events = run_events(&mut machine, 0, feed, size);
            events.extend(machine.step(Arrived::End).events);
            let lines: Vec<String> =
                events.iter().filter(|event| shown(event.kind)).map(|event| line(event)).collect();
            assert_eq!(lines, expected, "{shards} shards, batches of {size}");
            match &first {
                None => first = Some(events),
                Some(first) => assert_eq!(&events, first, "{shards} shards, batches of {size}"),
            }
        }
    }
}
