//! How sinks and sources look to the API.

use std::collections::BTreeMap;

use crate::kernel::sequence::progress::Standing;

use super::api::{SinkState, SinkStatus, SourceState, SourceStatus};
use super::inlet::SourceStatus as Tallied;
use super::judge::Overview;
use super::sink::SinkStatus as Status;
use super::sink::status::SinkState as State;

/// A sink, with what blocks it in place of its last error.
pub fn sink_status(sink: &Status) -> SinkStatus {
    let (state, last_error) = match &sink.state {
        State::Disconnected => (SinkState::Disconnected, sink.last_error.clone()),
        State::Connecting => (SinkState::Connecting, sink.last_error.clone()),
        State::Streaming => (SinkState::Streaming, sink.last_error.clone()),
        State::Throttled => (SinkState::Throttled, sink.last_error.clone()),
        State::Blocked { why, cure } => (SinkState::Blocked, Some(format!("{why}; {cure}"))),
        State::Removed => (SinkState::Removed, sink.last_error.clone()),
    };
    SinkStatus {
        name: sink.name.clone(),
        kind: sink.kind,
        version: sink.version,
        state,
        pending: sink.queued + sink.in_flight,
        delivered: sink.delivered,
        attempts: sink.attempts,
        failed_attempts: sink.retries + sink.faults,
        dead: sink.dead,
        last_error,
        last_delivery: sink.last_delivered_at,
        next_attempt: sink.next_attempt_at,
    }
}

/// A source: what it read, with what the sequencer made of it.
pub fn source_status(source: &Tallied, overview: &Overview) -> SourceStatus {
    let report = overview.sources.iter().find(|report| report.source == source.id);
    let state = match report.map(|report| report.standing) {
        _ if !source.tally.open => SourceState::Disconnected,
        _ if source.tally.blocked.is_some() => SourceState::Blocked,
        Some(Standing::Holding) => SourceState::Live,
        Some(Standing::CatchingUp) => SourceState::CatchingUp,
        Some(Standing::Silent | Standing::Idle) | None => SourceState::Idle,
    };
    let mut refused = BTreeMap::new();
    let decided = report.map(|report| report.refused.clone()).unwrap_or_default();
    for (reason, count) in decided.iter() {
        // The sequencer's count holds the decoder's; what was shed never reached it.
        let count = count.max(source.tally.refused.get(reason));
        if count > 0 {
            refused.insert(reason.name(), count);
        }
    }
    let late = overview.look.rules.iter().flat_map(|rule| &rule.late);
    SourceStatus {
        name: source.name.clone(),
        kind: source.kind.name(),
        state,
        samples: report.map_or(0, |report| report.accepted),
        bytes: source.tally.bytes,
        refused,
        defects: source.tally.defects,
        late: late.filter(|(of, _)| *of == source.id).map(|(_, count)| count).sum(),
        watermark: report.map(|report| report.mark).filter(|mark| mark.nanos() > i64::MIN / 2),
        last_batch: source.tally.last_batch,
        last_error: source.tally.blocked.clone().or_else(|| {
            let defect = source.tally.last_defects.back()?;
            Some(format!("line {}: {} in `{}`", defect.line, defect.what, defect.excerpt))
        }),
    }
}
