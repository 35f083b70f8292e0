//! One way in for what a plugin reads: posted, or from one socket.

use std::sync::Mutex;

use crate::guest::source::Decoded;
use crate::kernel::model::{Batch, Defect, Duration, Now};
use crate::shell::inlet::{Gate, InFlight, Inlet, SourceKind, Stopped};
use crate::shell::source::Taken;
use crate::shell::source::readings::Slots;

use super::reader::Unread;

pub struct Lane {
    pub inlet: Inlet,
    /// By the settings; that of the plugin when they name none.
    lateness: Option<Duration>,
    /// Held while a batch is made and handed on, so that batches keep their order.
    state: Mutex<State>,
}

struct State {
    slots: Slots,
    /// With which it was opened.
    lateness: Option<Duration>,
}

/// A payload with what came of it.
pub type Read<'a> = (&'a [u8], Result<Decoded, Unread>);

impl Lane {
    /// `of_plugin` is the lateness that the plugin asks for, when it is there.
    pub fn open(
        gate: &Gate,
        name: &str,
        lateness: Option<Duration>,
        of_plugin: Option<Duration>,
    ) -> Lane {
        let opened = lateness.or(of_plugin);
        let inlet = gate.open(name, SourceKind::Plugin, opened);
        let state = Mutex::new(State { slots: Slots::default(), lateness: opened });
        Lane { inlet, lateness, state }
    }

    /// Another plugin reads from now on, or none does, for the reason given.
    pub fn adapt(&self, of_plugin: Option<Duration>, blocked: Option<String>) {
        let mut state = self.state.lock().expect(UNPOISONED);
        let wanted = self.lateness.or(of_plugin);
        if blocked.is_none() && wanted != state.lateness {
            *state = State { slots: Slots::default(), lateness: wanted };
            self.inlet.reopen(wanted);
        }
        if self.inlet.status().tally.listening != blocked.is_none() {
            self.inlet.listening(blocked.is_none());
        }
        self.block(blocked);
    }

    /// Says why nothing is taken in.
    pub fn block(&self, why: Option<String>) {
        self.inlet.tally(|tally| tally.blocked = why);
    }

    /// Hands on what was read of payloads that arrived together, in their order.
    pub fn hand_on<'a>(
        &self,
        arrival: Now,
        permit: InFlight,
        read: impl IntoIterator<Item = Read<'a>>,
    ) -> Result<Taken, Stopped> {
        let mut state = self.state.lock().expect(UNPOISONED);
        let mut batch = state.slots.begin();
        for (payload, outcome) in read {
            match outcome {
                Ok(decoded) => self.fill(&mut state.slots, &mut batch, decoded, payload),
                Err(unread) => batch.defect(Defect::new(0, words(unread), payload)),
            }
        }
        (batch.arrival, batch.bytes) = (Some(arrival), permit.bytes());
        let taken = Taken::of(&batch);
        self.inlet.deliver(batch, permit).map(|()| taken)
    }

    fn fill(&self, slots: &mut Slots, batch: &mut Batch, decoded: Decoded, payload: &[u8]) {
        let limits = self.inlet.limits();
        for reading in decoded.readings {
            let series = (reading.metric.as_str(), reading.labels);
            slots.push(batch, limits, series, reading.at, reading.value);
        }
        for (offset, what) in decoded.defects {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(payload.len());
            let line = payload[..from].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            batch.defect(Defect::new(line, what, &payload[from..]));
        }
    }
}

const UNPOISONED: &str = "nothing panics under this lock";

fn words(unread: Unread) -> String {
    match unread {
        Unread::NoPlugin => "the plugin that reads this is gone".to_owned(),
        Unread::Held(until) => {
            format!("the plugin died too often, and is tried again at {}", until.as_arrival())
        }
        Unread::ContentType(takes) => format!("the plugin takes {} only", takes.join(", ")),
        Unread::Failed(fault) => fault.to_string(),
    }
}
