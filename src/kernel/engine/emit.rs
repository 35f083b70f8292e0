//! Moves a group's alert by a verdict and tells what changed: the only place where events are made.

use std::sync::Arc;

use crate::kernel::alert::lifecycle::{self, Change, State, Verdict};
use crate::kernel::event::{Cause, Event, EventId, Fingerprint, Identity, Kind};
use crate::kernel::model::{EventTime, Level};
use crate::kernel::rule::Rule;

use super::Context;
use super::figures::{Facts, Values, named};
use super::group::Group;
use super::output::{Emitted, FaultNote};

/// More reminders of one alert that are due at one watermark step are left out.
const REMINDERS_AT_ONCE_MAX: u32 = 1_000;

/// Steps the group's alert by a verdict at `at` (never before an earlier judgement's time).
pub fn judge(
    rule: &Rule,
    group: &mut Group,
    context: &mut Context<'_>,
    at: EventTime,
    (verdict, cause): (Verdict, Cause),
    facts: &Facts,
) {
    let at = at.max(group.now.recent.judged);
    group.now.recent.judged = at;
    group.verdict = verdict;
    group.now.recent.value = facts.value;
    let before = group.now.alert.state;
    let (after, change) = lifecycle::step(before, at, verdict, timing(rule));
    if before.is_inactive() && !after.is_inactive() {
        group.now.alert.since = at;
        group.now.alert.reminders = 0;
    }
    group.now.alert.state = after;
    if let Some(Change::Fired { .. }) = change {
        // What would have been due before anybody could know of the alert is not made up for.
        let known = context.watermark.since(at);
        group.now.alert.reminders = rule.timing.repeat.map_or(0, |repeat| known.whole(repeat));
    }
    if let Some(change) = change {
        let cause = match change {
            Change::Changed { .. } if cause == Cause::Breach || cause == Cause::Clear => {
                Cause::Level
            }
            _ => cause,
        };
        let withheld = group.now.alert.is_flapping() && is_told(change);
        if !withheld {
            tell(rule, group, context, at, (change, before, cause), facts);
        }
    }
    flap(rule, group, context, at, verdict, facts);
}

/// No data under `on_no_data: hold`.
pub fn hold(
    rule: &Rule,
    group: &mut Group,
    context: &mut Context<'_>,
    at: EventTime,
    cause: Cause,
) {
    let before = group.now.alert.state;
    let (after, change) = lifecycle::hold(before);
    group.now.alert.state = after;
    group.verdict = Verdict::of(after.firing_level());
    if let Some(change) = change {
        tell(rule, group, context, at, (change, before, cause), &Facts::default());
    }
}

/// Ends whatever the alert was doing, because its rule or group goes.
pub fn end(rule: &Rule, group: &mut Group, context: &mut Context<'_>, at: EventTime, cause: Cause) {
    let before = group.now.alert.state;
    let change = match before {
        State::Inactive => match group.now.alert.told {
            // It was flapping and nothing was told since.
            Some(from) => Change::Resolved { from },
            None => return,
        },
        State::Pending { .. } => Change::Withdrawn,
        State::Firing { level, .. } => Change::Resolved { from: level },
    };
    group.now.alert.state = State::Inactive;
    if let Some(flaps) = &mut group.now.alert.history {
        *flaps = Default::default();
    }
    let at = at.max(group.now.recent.judged);
    let facts = Facts { value: group.now.recent.value, ..Facts::default() };
    tell(rule, group, context, at, (change, before, cause), &facts);
}

/// Resolves the alert under its old static labels and fires it under the new ones.
pub fn relabel(
    old: &Rule,
    new: &Rule,
    group: &mut Group,
    context: &mut Context<'_>,
    at: EventTime,
) {
    let state = group.now.alert.state;
    let Some(level) = state.firing_level() else { return };
    let at = at.max(group.now.recent.judged);
    let facts = Facts { value: group.now.recent.value, ..Facts::default() };
    let gone = Change::Resolved { from: level };
    tell(old, group, context, at, (gone, state, Cause::RuleChanged), &facts);
    let back = Change::Fired { level };
    tell(new, group, context, at, (back, state, Cause::RuleChanged), &facts);
}

/// The reminder that was due at `at`.
pub fn remind(rule: &Rule, group: &mut Group, context: &mut Context<'_>, at: EventTime) {
    let Some(level) = group.now.alert.state.firing_level() else { return };
    group.now.alert.reminders = group.now.alert.reminders.saturating_add(1);
    if let Some(repeat) = rule.timing.repeat {
        // Time leapt: of a flood of reminders the newest is enough.
        let behind = context.watermark.since(at).whole(repeat);
        if behind > REMINDERS_AT_ONCE_MAX {
            group.now.alert.reminders = group.now.alert.reminders.saturating_add(behind);
        }
    }
    let facts = Facts { value: group.now.recent.value, ..Facts::default() };
    let said = Said { kind: Kind::Reminded, level, previous: None, cause: Cause::Reminder };
    emit(rule, group, context, at, (said, group.now.alert.state), &facts);
}

pub fn timing(rule: &Rule) -> lifecycle::Timing {
    lifecycle::Timing { soak: rule.timing.soak, cool: rule.timing.cool }
}

fn is_told(change: Change) -> bool {
    matches!(change, Change::Fired { .. } | Change::Changed { .. } | Change::Resolved { .. })
}

/// Keeps the history and tells where flapping starts and ends.
fn flap(
    rule: &Rule,
    group: &mut Group,
    context: &mut Context<'_>,
    at: EventTime,
    verdict: Verdict,
    facts: &Facts,
) {
    let (Some(_), Some(bounds)) = (group.now.alert.history, rule.flapping) else { return };
    let state = group.now.alert.state;
    let flaps = group.now.alert.history.as_mut().expect("it was just seen");
    flaps.history.push(verdict);
    let percent = flaps.history.percent();
    let said = |kind, level, previous| Said { kind, level, previous, cause: Cause::Flapping };
    if !flaps.flapping && percent > bounds.high {
        let Some(level) = state.firing_level() else { return };
        flaps.flapping = true;
        let said = said(Kind::Flapping, level, None);
        emit(rule, group, context, at, (said, state), facts);
    } else if flaps.flapping && percent <= bounds.low {
        flaps.flapping = false;
        let told = group.now.alert.told;
        let said = match state.firing_level() {
            Some(level) => said(Kind::Changed, level, told),
            None => said(Kind::Resolved, told.unwrap_or(Level::Info), None),
        };
        group.now.alert.told = state.firing_level();
        emit(rule, group, context, at, (said, state), facts);
    }
}

struct Said {
    kind: Kind,
    level: Level,
    previous: Option<Level>,
    cause: Cause,
}

fn tell(
    rule: &Rule,
    group: &mut Group,
    context: &mut Context<'_>,
    at: EventTime,
    (change, before, cause): (Change, State, Cause),
    facts: &Facts,
) {
    let state = group.now.alert.state;
    let current = state.firing_level().or(before.firing_level());
    let pending = || highest(&state).or(highest(&before)).unwrap_or(Level::Info);
    let (kind, level, previous) = match change {
        Change::Pending => (Kind::Pending, pending(), None),
        Change::Withdrawn => (Kind::Cleared, pending(), None),
        Change::Rekindled => (Kind::Cleared, current.unwrap_or(Level::Info), None),
        Change::Cooling => (Kind::Cooling, current.unwrap_or(Level::Info), None),
        Change::Fired { level } => (Kind::Fired, level, None),
        Change::Changed { from, to } => (Kind::Changed, to, Some(from)),
        Change::Resolved { from } => (Kind::Resolved, from, None),
    };
    match kind {
        Kind::Fired | Kind::Changed => group.now.alert.told = Some(level),
        Kind::Resolved => group.now.alert.told = None,
        Kind::Pending | Kind::Cooling | Kind::Cleared | Kind::Reminded | Kind::Flapping => {}
    }
    // A resolved event tells when the alert had fired.
    let shown = if kind == Kind::Resolved { before } else { state };
    emit(rule, group, context, at, (Said { kind, level, previous, cause }, shown), facts);
}

/// The level that a pending alert is heading for.
fn highest(state: &State) -> Option<Level> {
    let State::Pending { since } = state else { return None };
    Level::ALL.into_iter().rev().find(|level| since[level.index()].is_some())
}

fn emit(
    rule: &Rule,
    group: &mut Group,
    context: &mut Context<'_>,
    at: EventTime,
    (said, shown): (Said, State),
    facts: &Facts,
) {
    let alert = &mut group.now.alert;
    alert.seq += 1;
    let (kind, level, since) = (said.kind, said.level, alert.since);
    let repeat = alert.count_at(at, kind);
    let fired_at = match shown {
        State::Firing { fired_at, .. } => Some(fired_at),
        State::Inactive | State::Pending { .. } => None,
    };
    let mut event = Event {
        id: EventId::of(&Identity {
            rule: &rule.name,
            key: &group.key,
            since,
            kind,
            level,
            at,
            repeat,
        }),
        seq: alert.seq,
        rule: rule.name.clone(),
        version: rule.version,
        kind,
        level,
        previous_level: said.previous,
        key: group.key.clone(),
        labels: rule.labels.clone(),
        value: facts.value.filter(|value| value.is_finite()),
        values: match &facts.values {
            Values::None => Vec::new(),
            Values::Value => named(facts.value),
            Values::All(all) => all.clone(),
        },
        window: facts.window,
        at,
        since,
        fired_at,
        resolved_at: (kind == Kind::Resolved).then_some(at),
        cause: said.cause,
        text: String::new(),
        annotations: Vec::new(),
        shadow: rule.shadow,
        fingerprint: Fingerprint::of(&rule.name, &group.key, &rule.labels),
        notify: rule.notify.clone(),
    };
    event.text = match &group.now.more.message {
        Some(message) => message.to_string(),
        None => plain_text(&event),
    };
    if kind.is_told() {
        annotate(rule, &mut event, context);
    }
    let (position, phase) = (context.position, context.phase);
    // An alert's events stay in order, also where a reminder was due before the newest sample.
    let due = at.max(group.now.alert.last_event.0);
    context.out.events.push(Emitted { position, phase, due, event: Arc::new(event) });
}

/// Renders the rule's own texts. One that faults leaves the plain sentence and a note for the log.
fn annotate(rule: &Rule, event: &mut Event, context: &mut Context<'_>) {
    for (name, template) in &rule.annotations {
        match template.render(event) {
            Ok(text) if name.as_ref() == "text" => event.text = text,
            Ok(text) => event.annotations.push((name.clone(), text)),
            Err(fault) => context.out.faults.push(FaultNote {
                rule: rule.name.clone(),
                key: event.key.clone(),
                at: event.at,
                fault,
            }),
        }
    }
}

fn plain_text(event: &Event) -> String {
    let mut text = format!("{} {}", event.rule, event.kind.name());
    if !event.key.is_empty() {
        text += &format!(" for {}", event.key);
    }
    match event.value {
        Some(value) => text += &format!(", value {value}"),
        None if event.cause != Cause::Breach => text += &format!(" ({})", event.cause.words()),
        None => {}
    }
    text
}
