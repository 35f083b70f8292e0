//! What rules should say, worked out slowly from all samples: nothing is folded, cached or skipped.
//!
//! It takes the sequence as the sequencer made it (which sample came after which watermark) and
//! knows five kinds of rules with fixed settings, written from the documented semantics.

use std::collections::BTreeMap;

use super::super::kit::*;

/// One thing of the sequence.
#[derive(Clone, Debug)]
pub enum Item {
    Cut(EventTime),
    Sample { source: u16, at: EventTime, series: Series, value: f64 },
    Listening { source: u16, on: bool, at: EventTime },
}

/// (rule, key, kind, time), in no order.
pub type Told = (String, String, Kind, EventTime);

/// In a live run sources are listened to since `from`, in a replay since the first watermark.
pub fn judge(items: &[Item], from: Option<EventTime>) -> Vec<Told> {
    let mut told = Vec::new();
    told.extend(Worst::default().run(items, from));
    told.extend(Windowed::mean().run(items));
    told.extend(Windowed::rate().run(items));
    told.extend(Absent::default().run(items, from));
    told.extend(levels(items));
    told
}

fn secs(count: i64) -> Duration {
    Duration::from_secs(count)
}

/// A plain alert with soak and cool.
#[derive(Default)]
struct Life {
    pending: Option<EventTime>,
    firing: bool,
    below: Option<EventTime>,
    judged: Option<EventTime>,
    quiet: Option<EventTime>,
    out: Vec<(Kind, EventTime)>,
}

impl Life {
    fn judge(&mut self, at: EventTime, breach: bool, soak: Duration, cool: Duration) {
        let at = self.judged.map_or(at, |judged| judged.max(at));
        self.judged = Some(at);
        match (self.firing, breach) {
            (false, false) => self.pending = None,
            (false, true) => {
                let since = *self.pending.get_or_insert(at);
                if at.since(since) >= soak {
                    (self.firing, self.pending) = (true, None);
                    self.out.push((Kind::Fired, at));
                }
            }
            (true, true) => self.below = None,
            (true, false) => {
                let since = *self.below.get_or_insert(at);
                if at.since(since) >= cool {
                    (self.firing, self.below) = (false, None);
                    self.out.push((Kind::Resolved, at));
                }
            }
        }
    }

    /// Data ended at `at`, and is to be held.
    fn hold(&mut self, at: EventTime) {
        if self.quiet.is_none() {
            self.quiet = Some(at);
            self.pending = None;
        }
    }

    fn revive(&mut self, at: EventTime) {
        if let Some(quiet) = self.quiet.take() {
            self.below = self.below.map(|below| below + at.since(quiet));
        }
    }

    fn told(self, rule: &str, key: &str) -> impl Iterator<Item = Told> + use<> {
        let (rule, key) = (rule.to_owned(), key.to_owned());
        self.out.into_iter().map(move |(kind, at)| (rule.clone(), key.clone(), kind, at))
    }
}

/// Since when each source is listened to.
struct Listening {
    from: Option<EventTime>,
    sources: BTreeMap<u16, Option<EventTime>>,
}

impl Listening {
    fn take(&mut self, item: &Item) {
        match item {
            Item::Cut(watermark) => {
                self.from.get_or_insert(*watermark);
            }
            Item::Listening { source, on, at } => {
                self.sources.insert(*source, on.then_some(*at));
            }
            Item::Sample { .. } => {}
        }
    }

    /// When something silent since `heard` is due; never while its source is lost.
    fn deadline(&self, source: u16, heard: EventTime, after: Duration) -> Option<EventTime> {
        let back = match self.sources.get(&source) {
            None => self.from,
            Some(None) => return None,
            Some(Some(back)) => Some(*back).max(self.from),
        };
        Some(back.map_or(heard, |back| back.max(heard)) + after)
    }
}

fn by(series: &Series, label: &str) -> String {
    Labels::new([(label, series.label(label).unwrap_or(""))]).to_string()
}

/// `cpu` by host over 90, as bad as the worst series; soak 10 s, cool 5 s, expire 2 m, hold.
#[derive(Default)]
struct Worst {
    groups: BTreeMap<String, WorstGroup>,
}

#[derive(Default)]
struct WorstGroup {
    source: u16,
    series: BTreeMap<Series, Heard>,
    life: Life,
    verdict: bool,
}

struct Heard {
    last: EventTime,
    heard: EventTime,
    breach: bool,
    live: bool,
}

impl Worst {
    fn run(mut self, items: &[Item], from: Option<EventTime>) -> Vec<Told> {
        let mut watermark = EventTime::MIN;
        let mut listening = Listening { from, sources: BTreeMap::new() };
        for item in items {
            listening.take(item);
            match item {
                Item::Cut(to) => {
                    watermark = *to;
                    self.groups.values_mut().for_each(|group| group.expire(watermark, &listening));
                }
                Item::Sample { source, at, series, value } if series.name() == "cpu" => {
                    let group = self.groups.entry(by(series, "host")).or_default();
                    group.sample(*source, (*at, series, *value), watermark);
                }
                Item::Sample { .. } | Item::Listening { .. } => {}
            }
        }
        self.groups.into_iter().flat_map(|(key, group)| group.life.told("a-worst", &key)).collect()
    }
}

impl WorstGroup {
    fn sample(
        &mut self,
        source: u16,
        (at, series, value): (EventTime, &Series, f64),
        watermark: EventTime,
    ) {
        if self.series.get(series).is_some_and(|known| at < known.last) {
            return;
        }
        self.source = source;
        let mut heard = at.max(watermark);
        if let Some(known) = self.series.get(series) {
            heard = heard.max(known.heard);
        }
        let known = Heard { last: at, heard, breach: value > 90.0, live: true };
        self.series.insert(series.clone(), known);
        self.life.revive(at);
        self.verdict = self.series.values().any(|series| series.live && series.breach);
        self.life.judge(at, self.verdict, secs(10), secs(5));
    }

    fn expire(&mut self, watermark: EventTime, listening: &Listening) {
        loop {
            let live = self.series.values().filter(|series| series.live);
            let due = live
                .filter_map(|series| listening.deadline(self.source, series.heard, secs(120)))
                .min()
                .filter(|due| *due < watermark);
            let Some(due) = due else { return };
            for series in self.series.values_mut() {
                let own = listening.deadline(self.source, series.heard, secs(120));
                series.live &= own.is_none_or(|own| own > due);
                series.breach &= series.live;
            }
            if !self.series.values().any(|series| series.live) {
                self.life.hold(due);
                continue;
            }
            let verdict = self.series.values().any(|series| series.breach);
            if verdict != self.verdict {
                self.verdict = verdict;
                self.life.judge(due, verdict, secs(10), secs(5));
            }
        }
    }
}

/// A window over a group, recounted at the end of every pane.
struct Windowed {
    rule: &'static str,
    metric: &'static str,
    by: &'static str,
    length: i64,
    every: i64,
    limit: f64,
    soak: Duration,
    is_rate: bool,
    groups: BTreeMap<String, WindowGroup>,
}

#[derive(Default)]
struct WindowGroup {
    samples: Vec<Kept>,
    newest: BTreeMap<Series, (EventTime, f64)>,
    life: Life,
}

struct Kept {
    at: EventTime,
    value: f64,
    /// Against the series' sample before, when it came on time.
    increase: Option<f64>,
}

impl Windowed {
    /// `cpu` by dc: mean over 30 s, every 5 s, above 60; soak 10 s.
    fn mean() -> Windowed {
        Windowed {
            rule: "b-mean",
            metric: "cpu",
            by: "dc",
            length: 30,
            every: 5,
            limit: 60.0,
            soak: secs(10),
            is_rate: false,
            groups: BTreeMap::new(),
        }
    }

    /// `bytes` by host: rate over 1 m, every 10 s, above 57 a second.
    fn rate() -> Windowed {
        Windowed {
            rule: "c-rate",
            metric: "bytes",
            by: "host",
            length: 60,
            every: 10,
            limit: 57.0,
            soak: Duration::ZERO,
            is_rate: true,
            groups: BTreeMap::new(),
        }
    }

    fn run(mut self, items: &[Item]) -> Vec<Told> {
        let every = secs(self.every);
        let mut closed = EventTime::MIN;
        for item in items {
            match item {
                Item::Cut(watermark) => {
                    let last = EventTime::from_nanos(watermark.nanos() - 1).floor(every);
                    if closed != EventTime::MIN {
                        while closed < last {
                            closed = closed + every;
                            self.close(closed);
                        }
                    }
                    closed = last;
                }
                Item::Sample { at, series, value, .. } if series.name() == self.metric => {
                    let group = self.groups.entry(by(series, self.by)).or_default();
                    group.sample((*at, series, *value), closed);
                }
                Item::Sample { .. } | Item::Listening { .. } => {}
            }
        }
        let rule = self.rule;
        self.groups.into_iter().flat_map(|(key, group)| group.life.told(rule, &key)).collect()
    }

    fn close(&mut self, end: EventTime) {
        let (start, seconds) = (end - secs(self.length), self.length as f64);
        for group in self.groups.values_mut() {
            let held = |kept: &&Kept| start < kept.at && kept.at <= end;
            let held: Vec<&Kept> = group.samples.iter().filter(held).collect();
            let increases: Vec<f64> = held.iter().filter_map(|kept| kept.increase).collect();
            let value = match (self.is_rate, held.is_empty(), increases.is_empty()) {
                (false, false, _) => {
                    let sum: f64 = held.iter().map(|kept| kept.value).sum();
                    Some(sum / held.len() as f64)
                }
                (true, _, false) => Some(increases.iter().sum::<f64>() / seconds),
                _ => None,
            };
            match value {
                Some(value) => {
                    group.life.revive(end);
                    group.life.judge(end, value > self.limit, self.soak, Duration::ZERO);
                }
                None => group.life.hold(end),
            }
        }
    }
}

impl WindowGroup {
    fn sample(&mut self, (at, series, value): (EventTime, &Series, f64), closed: EventTime) {
        let newest = self.newest.get(series).copied();
        if newest.is_none_or(|(newest, _)| newest <= at) {
            self.newest.insert(series.clone(), (at, value));
        }
        let previous = newest.filter(|(newest, _)| *newest < at).map(|(_, value)| value);
        let rose = |previous: f64| if value < previous { value } else { value - previous };
        let increase = previous.filter(|_| closed < at).map(rose);
        self.samples.push(Kept { at, value, increase });
    }
}

/// `cpu` by host without a sample for 40 s.
#[derive(Default)]
struct Absent {
    groups: BTreeMap<String, AbsentGroup>,
}

#[derive(Default)]
struct AbsentGroup {
    source: u16,
    heard: Option<EventTime>,
    newest: BTreeMap<Series, EventTime>,
    life: Life,
}

impl Absent {
    fn run(mut self, items: &[Item], from: Option<EventTime>) -> Vec<Told> {
        let mut watermark = EventTime::MIN;
        let mut listening = Listening { from, sources: BTreeMap::new() };
        for item in items {
            listening.take(item);
            match item {
                Item::Cut(to) => {
                    watermark = *to;
                    for group in self.groups.values_mut().filter(|group| !group.life.firing) {
                        let heard = group.heard.expect("a group begins with a sample");
                        let due = listening.deadline(group.source, heard, secs(40));
                        if let Some(due) = due.filter(|due| *due < watermark) {
                            group.life.judge(due, true, Duration::ZERO, Duration::ZERO);
                        }
                    }
                }
                Item::Sample { source, at, series, .. } if series.name() == "cpu" => {
                    let group = self.groups.entry(by(series, "host")).or_default();
                    if group.newest.get(series).is_some_and(|newest| at < newest) {
                        continue;
                    }
                    group.newest.insert(series.clone(), *at);
                    group.source = *source;
                    group.heard = group.heard.max(Some(watermark.max(*at)));
                    group.life.judge(*at, false, Duration::ZERO, Duration::ZERO);
                }
                Item::Sample { .. } | Item::Listening { .. } => {}
            }
        }
        self.groups.into_iter().flat_map(|(key, group)| group.life.told("d-absent", &key)).collect()
    }
}

/// `cpu` of each series: info > 60 / < 50, warning > 70 / < 60, critical > 80 / < 70, at once.
fn levels(items: &[Item]) -> Vec<Told> {
    const WHEN: [f64; 3] = [60.0, 70.0, 80.0];
    const RESET: [f64; 3] = [50.0, 60.0, 70.0];
    let mut series_known: BTreeMap<Series, (EventTime, usize)> = BTreeMap::new();
    let mut told = Vec::new();
    for item in items {
        let Item::Sample { at, series, value, .. } = item else { continue };
        if series.name() != "cpu" {
            continue;
        }
        let (newest, level) = series_known.get(series).copied().unwrap_or((EventTime::MIN, 0));
        if *at < newest {
            continue;
        }
        let holds = WHEN.iter().filter(|limit| value > *limit).count();
        let stays = level > holds && *value >= RESET[level - 1];
        let next = if stays { level } else { holds };
        let kind = match (level, next) {
            (0, 1..) => Some(Kind::Fired),
            (1.., 0) => Some(Kind::Resolved),
            (before, after) => (before != after).then_some(Kind::Changed),
        };
        let key = series.labels().to_string();
        told.extend(kind.map(|kind| ("e-levels".to_owned(), key, kind, *at)));
        series_known.insert(series.clone(), (*at, next));
    }
    told
}
