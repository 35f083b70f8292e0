//! What can be said of a rule: one small function for each word.

use std::sync::Arc;

use rhai::{Engine, Map, Position};

use super::super::call::{Closure, frozen};
use super::super::state;
use super::super::suggest::did_you_mean;
use super::args::{Call, Problem, Said};
use super::{Draft, Papers, Word};
use crate::kernel::model::{Duration, Level};
use crate::kernel::rule::calendar::Calendar;
use crate::kernel::rule::selector::Matcher;
use crate::kernel::rule::{Across, Distinct, Flapping, OnNoData, State};

/// Inputs of one join.
const INPUTS_MAX: usize = 16;
/// Samples of a `last(n)` window.
const LAST_MAX: i64 = 10_000;

/// A rule as its author has told it so far.
#[derive(Debug)]
pub struct RuleDraft {
    pub name: Arc<str>,
    pub at: Position,
    /// A word had a bad value, so the whole is not worth checking yet.
    pub broken: bool,
    pub on: Option<Said<String>>,
    /// In the order of the names.
    pub join: Option<Said<Vec<JoinInput>>>,
    pub matchers: Vec<Matcher>,
    pub filter: Option<Said<Arc<Closure>>>,
    pub by: Option<Said<Vec<Arc<str>>>>,
    pub across: Option<Said<Across>>,
    pub tolerance: Option<Said<Duration>>,
    pub windows: Vec<Said<Window>>,
    pub every: Option<Said<Duration>>,
    pub lateness: Option<Said<Duration>>,
    pub baseline: Option<Said<Duration>>,
    pub share: Option<Said<Arc<Closure>>>,
    pub ewma: Option<Said<Duration>>,
    pub distinct: Option<Said<Distinct>>,
    pub during: Option<Said<Calendar>>,
    pub forget: Option<Said<Duration>>,
    pub when: Option<Said<Arc<Closure>>>,
    pub clear: Option<Said<Arc<Closure>>>,
    pub levels: [Option<Said<LevelDraft>>; 3],
    pub soak: Option<Said<Duration>>,
    pub cool: Option<Said<Duration>>,
    pub repeat: Option<Said<Duration>>,
    pub absent: Option<Said<Duration>>,
    pub expire: Option<Said<Duration>>,
    pub on_no_data: Option<Said<OnNoData>>,
    pub flapping: Option<Said<Flapping>>,
    pub severity: Option<Said<Level>>,
    pub labels: Vec<(Arc<str>, String)>,
    pub annotations: Vec<Said<(Arc<str>, Words)>>,
    pub notify: Vec<Arc<str>>,
    pub state: Option<Said<State>>,
    pub record: Option<Said<(Arc<str>, Arc<Closure>)>>,
    pub shadow: bool,
}

#[derive(Clone, Debug)]
pub struct JoinInput {
    pub name: Arc<str>,
    pub metric: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Window {
    Sliding(Duration),
    Tumbling(Duration),
    Session(Duration),
    Last(usize),
}

#[derive(Clone, Debug)]
pub struct LevelDraft {
    pub when: Arc<Closure>,
    pub reset: Option<Arc<Closure>>,
}

/// An annotation's value.
#[derive(Clone, Debug)]
pub enum Words {
    Fixed(String),
    Written(Arc<Closure>),
}

/// The whole vocabulary.
const WORDS: &[(&str, Word<RuleDraft>)] = &[
    ("on", on),
    ("only", only),
    ("by", by),
    ("across", across),
    ("join", join),
    ("tolerance", tolerance),
    ("window", window),
    ("tumbling", tumbling),
    ("session", session),
    ("last", last),
    ("every", every),
    ("lateness", lateness),
    ("baseline", baseline),
    ("share", share),
    ("ewma", ewma),
    ("distinct", distinct),
    ("during", during),
    ("forget", forget),
    ("when", when),
    ("clear", clear),
    ("info", info),
    ("warning", warning),
    ("critical", critical),
    ("soak", soak),
    ("cool", cool),
    ("repeat", repeat),
    ("absent", absent),
    ("expire", expire),
    ("on_no_data", on_no_data),
    ("flapping", flapping),
    ("severity", severity),
    ("label", label),
    ("annotation", annotation),
    ("text", text),
    ("runbook", runbook),
    ("notify", notify),
    ("state", state_map),
    ("record", record),
    ("shadow", shadow),
];

impl Draft for RuleDraft {
    const KIND: &'static str = "rule";
    const WORDS: &'static [(&'static str, Word<RuleDraft>)] = WORDS;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn spoil(&mut self) {
        self.broken = true;
    }

    fn on(papers: &mut Papers) -> &mut Vec<RuleDraft> {
        &mut papers.rules
    }

    fn engine(papers: &Papers) -> &Arc<Engine> {
        &papers.judge
    }

    fn new(name: &str, at: Position) -> RuleDraft {
        RuleDraft {
            name: name.into(),
            at,
            broken: false,
            on: None,
            join: None,
            matchers: Vec::new(),
            filter: None,
            by: None,
            across: None,
            tolerance: None,
            windows: Vec::new(),
            every: None,
            lateness: None,
            baseline: None,
            share: None,
            ewma: None,
            distinct: None,
            during: None,
            forget: None,
            when: None,
            clear: None,
            levels: [None, None, None],
            soak: None,
            cool: None,
            repeat: None,
            absent: None,
            expire: None,
            on_no_data: None,
            flapping: None,
            severity: None,
            labels: Vec::new(),
            annotations: Vec::new(),
            notify: Vec::new(),
            state: None,
            record: None,
            shadow: false,
        }
    }
}

fn on(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(1..=1, ".on(\"cpu.usage\")")?;
    let metric = call.name(0)?.to_string();
    call.once(&mut draft.on, metric)
}

fn only(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    let form = ".only(\"env=prod, tier!=test\") or .only(|labels| labels.env == \"prod\")";
    call.takes(1..=1, form)?;
    if call.is_closure(0) {
        let filter = call.closure_of_one(0, form)?;
        return call.once(&mut draft.filter, filter);
    }
    let matchers = Matcher::parse_list(&call.text(0)?).map_err(Problem::of)?;
    draft.matchers.extend(matchers);
    Ok(())
}

fn by(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    let labels = call.names(0)?;
    call.once(&mut draft.by, labels)
}

fn across(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    let form = "one of \"sum\", \"mean\", \"min\", \"max\", \"count\", \"quantile(0.95)\"";
    call.takes(1..=1, form)?;
    let text = call.text(0)?;
    let across = match text.as_str() {
        "sum" => Some(Across::Sum),
        "mean" => Some(Across::Mean),
        "min" => Some(Across::Min),
        "max" => Some(Across::Max),
        "count" => Some(Across::Count),
        other => quantile(other),
    };
    let across = across.ok_or_else(|| {
        Problem::new(format!("`{text}` is no fold across series")).help(format!("write {form}"))
    })?;
    call.once(&mut draft.across, across)
}

fn quantile(text: &str) -> Option<Across> {
    let inside = text.strip_prefix("quantile(")?.strip_suffix(')')?;
    let rank: f64 = inside.trim().parse().ok()?;
    (0.0..=1.0).contains(&rank).then_some(Across::Quantile(rank))
}

fn join(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    let form = ".join(#{ bad: \"http.errors\", all: \"http.requests\" }, \"service\")";
    call.takes(1..=usize::MAX, form)?;
    let wrong = || Problem::new("`join` takes a map of inputs").help(format!("write {form}"));
    let inputs: Map = call.args[0].clone().try_cast().ok_or_else(wrong)?;
    if inputs.len() < 2 || inputs.len() > INPUTS_MAX {
        let what = format!("`join` takes 2 to {INPUTS_MAX} inputs, not {}", inputs.len());
        return Err(Problem::new(what));
    }
    let mut named = Vec::new();
    for (name, metric) in inputs {
        let metric = metric.into_string().map_err(|_| wrong())?;
        if name.is_empty() || metric.trim().is_empty() {
            return Err(wrong());
        }
        named.push(JoinInput { name: name.as_str().into(), metric });
    }
    let labels = call.names(1)?;
    call.once(&mut draft.join, named)?;
    // Labels here are the group's, so that `.by` need not say them again.
    if call.args.len() > 1 { call.once(&mut draft.by, labels) } else { Ok(()) }
}

/// Words that take one duration: with or without zero.
macro_rules! durations {
    ($($word:ident $read:ident $form:literal;)*) => {$(
        fn $word(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
            call.takes(1..=1, $form)?;
            let length = call.$read(0)?;
            call.once(&mut draft.$word, length)
        }
    )*};
}

durations! {
    tolerance positive_duration ".tolerance(\"30s\")";
    every positive_duration ".every(\"10s\")";
    lateness duration ".lateness(\"5s\")";
    baseline positive_duration ".baseline(\"1d\")";
    ewma positive_duration ".ewma(\"5m\"), the half-life";
    forget positive_duration ".forget(\"1h\")";
    soak duration ".soak(\"2m\")";
    cool duration ".cool(\"5m\")";
    repeat positive_duration ".repeat(\"4h\")";
    absent positive_duration ".absent(\"90s\")";
    expire positive_duration ".expire(\"5m\")";
}

fn window(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(1..=1, ".window(\"5m\")")?;
    let window = call.said(Window::Sliding(call.positive_duration(0)?));
    draft.windows.push(window);
    Ok(())
}

fn tumbling(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(1..=1, ".tumbling(\"1m\")")?;
    let window = call.said(Window::Tumbling(call.positive_duration(0)?));
    draft.windows.push(window);
    Ok(())
}

fn session(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(1..=1, ".session(\"30s\"), the gap that ends it")?;
    let window = call.said(Window::Session(call.positive_duration(0)?));
    draft.windows.push(window);
    Ok(())
}

fn last(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(1..=1, ".last(20)")?;
    let count = call.whole(0)?;
    if !(1..=LAST_MAX).contains(&count) {
        let what = format!("`last` keeps 1 to {LAST_MAX} samples, not {count}");
        return Err(Problem::new(what).help("for more, use .window with a length of time"));
    }
    let window = call.said(Window::Last(count as usize));
    draft.windows.push(window);
    Ok(())
}

fn share(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    let form = ".share(|v| v > 0.5)";
    call.takes(1..=1, form)?;
    let closure = call.closure_of_one(0, form)?;
    call.once(&mut draft.share, closure)
}

fn distinct(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(0..=1, ".distinct(\"user\"), or .distinct() for the values themselves")?;
    let distinct = match call.args.len() {
        0 => Distinct::Value,
        _ => Distinct::Label(call.name(0)?),
    };
    call.once(&mut draft.distinct, distinct)
}

fn during(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(1..=1, ".during(\"Mon-Fri 08:00-18:00 Europe/Berlin\")")?;
    let calendar = Calendar::parse(&call.text(0)?).map_err(Problem::of)?;
    call.once(&mut draft.during, calendar)
}

fn when(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    let form = ".when(|v| v > 90.0)";
    call.takes(1..=1, form)?;
    let closure = call.closure(0, form)?;
    call.once(&mut draft.when, closure)
}

fn clear(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    let form = ".clear(|v| v < 70.0)";
    call.takes(1..=1, form)?;
    let closure = call.closure(0, form)?;
    call.once(&mut draft.clear, closure)
}

fn info(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    level(draft, call, Level::Info)
}

fn warning(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    level(draft, call, Level::Warning)
}

fn critical(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    level(draft, call, Level::Critical)
}

fn level(draft: &mut RuleDraft, call: &mut Call<'_>, level: Level) -> Result<(), Problem> {
    let form = format!(".{0}(|v| v > 90.0) or .{0}(|v| v > 90.0, |v| v < 80.0)", call.name);
    call.takes(1..=2, &form)?;
    let when = call.closure(0, &form)?;
    let reset = if call.args.len() > 1 { Some(call.closure(1, &form)?) } else { None };
    call.once(&mut draft.levels[level.index()], LevelDraft { when, reset })
}

fn on_no_data(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    let form = ".on_no_data(\"hold\"), (\"clear\") or (\"breach\")";
    call.takes(1..=1, form)?;
    let text = call.text(0)?;
    let choice = match text.as_str() {
        "hold" => OnNoData::Hold,
        "clear" => OnNoData::Clear,
        "breach" => OnNoData::Breach,
        _ => {
            let what = format!("`{text}` is nothing to do without data");
            return Err(Problem::new(what).help(format!("write {form}")));
        }
    };
    call.once(&mut draft.on_no_data, choice)
}

fn flapping(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    if call.args.is_empty() {
        return call.once(&mut draft.flapping, Flapping { high: 30.0, low: 25.0 });
    }
    call.takes(2..=2, ".flapping(), or .flapping(30, 25) in percent")?;
    let (high, low) = (call.number(0)?, call.number(1)?);
    if !(0.0 < low && low <= high && high <= 100.0) {
        let what = format!("flapping starts above {high} % and ends at {low} %");
        return Err(Problem::new(what).help("give the higher one first, both within 0 to 100"));
    }
    call.once(&mut draft.flapping, Flapping { high, low })
}

fn severity(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(1..=1, ".severity(\"critical\")")?;
    let text = call.text(0)?;
    let level = Level::parse(&text).ok_or_else(|| {
        let near = did_you_mean(&text, Level::ALL.map(Level::name));
        Problem::new(format!("`{text}` is no severity"))
            .help(near.unwrap_or_else(|| "it is info, warning or critical".into()))
    })?;
    call.once(&mut draft.severity, level)
}

fn label(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(2..=2, ".label(\"team\", \"db\")")?;
    let (name, value) = (call.name(0)?, call.text(1)?);
    if draft.labels.iter().any(|(known, _)| *known == name) {
        return Err(Problem::new(format!("the label `{name}` is there twice")));
    }
    draft.labels.push((name, value));
    Ok(())
}

fn annotation(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(2..=2, ".annotation(\"summary\", |a| `${a.value}`)")?;
    let name = call.name(0)?;
    annotate(draft, call, name, 1)
}

fn text(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(1..=1, ".text(|a| `${a.value} on ${a.labels.host}`)")?;
    annotate(draft, call, "text".into(), 0)
}

fn runbook(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(1..=1, ".runbook(\"https://wiki.example.net/disk\")")?;
    annotate(draft, call, "runbook".into(), 0)
}

fn annotate(
    draft: &mut RuleDraft,
    call: &mut Call<'_>,
    name: Arc<str>,
    index: usize,
) -> Result<(), Problem> {
    if draft.annotations.iter().any(|known| known.value.0 == name) {
        return Err(Problem::new(format!("the annotation `{name}` is there twice")));
    }
    let words = match call.is_closure(index) {
        true => Words::Written(call.closure_of_one(index, "|a| `${a.value}`")?),
        false => Words::Fixed(call.text(index)?),
    };
    draft.annotations.push(call.said((name, words)));
    Ok(())
}

fn notify(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(1..=usize::MAX, ".notify(\"ops-chat\")")?;
    for name in call.names(0)? {
        if !draft.notify.contains(&name) {
            draft.notify.push(name);
        }
    }
    Ok(())
}

fn state_map(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    let form = ".state(#{ last: 0.0, strikes: 0 })";
    call.takes(1..=1, form)?;
    if !call.args[0].is_map() {
        return Err(Problem::new("`state` takes a map").help(format!("write {form}")));
    }
    let first = state::from_dynamic(&frozen(&call.args[0])).map_err(Problem::new)?;
    call.once(&mut draft.state, first)
}

fn record(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    let form = ".record(\"svc.load\", |w| w.mean)";
    call.takes(2..=2, form)?;
    let (name, value) = (call.name(0)?, call.closure(1, form)?);
    call.once(&mut draft.record, (name, value))
}

fn shadow(draft: &mut RuleDraft, call: &mut Call<'_>) -> Result<(), Problem> {
    call.takes(0..=0, ".shadow()")?;
    draft.shadow = true;
    Ok(())
}
