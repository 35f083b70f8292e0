//! Random inputs against a sink that believes nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A sink that believes nothing: every row names a series that it was told of and not told to
/// forget, and rows come in their order.
#[derive(Default)]
struct Witness {
    named: BTreeMap<u32, Series>,
    newest: f64,
    rows: u64,
}

impl Witness {
    /// `value`s count up; those of series `a` are even, of `b` odd.
    fn see(&mut self, action: &SampleAction) -> bool {
        match action {
            SampleAction::Open { .. } => self.named.clear(),
            SampleAction::Attempt { batch, added, removed } => {
                for own in removed {
                    assert!(self.named.remove(own).is_some(), "{own} was announced");
                }
                for (own, series) in added {
                    assert!(self.named.insert(*own, series.clone()).is_none(), "{own} twice");
                }
                for (own, value) in batch.series.iter().zip(&batch.value) {
                    let name = self.named.get(own).expect("announced").name();
                    assert_eq!(name, if value % 2.0 == 0.0 { "a" } else { "b" });
                }
                return true;
            }
            SampleAction::Close | SampleAction::Flushed => {}
        }
        false
    }

    fn delivered(&mut self, batch: &SampleBatch) {
        for value in &batch.value {
            assert!(self.newest < *value, "in order and once");
            self.newest = *value;
        }
        self.rows += batch.rows() as u64;
    }
}

proptest! {
    /// Whatever happens, each row is delivered once and in order, refused or dead.
    #[test]
    fn every_row_ends_once(steps in proptest::collection::vec(0u8..12, 0..200)) {
        let retry = Retry { attempts: 3, base: Duration::from_millis(1) };
        let policy = SamplePolicy { retry, ..policy() };
        let (mut outbox, mut witness) = (outbox(policy), Witness::default());
        let (mut now, mut value, mut offered) = (START, 0u32, 0u64);
        // What must be answered, and the batch in flight.
        let (mut opening, mut flying) = (false, None);
        let mut first = true;
        for step in steps {
            now = now + Duration::from_millis(400);
            let mut text = String::new();
            let input = match (step, opening, &flying) {
                (0..=3, _, _) => {
                    if std::mem::take(&mut first) {
                        text.push_str("1=a 2=b ");
                    }
                    for _ in 0..=step {
                        value += 1;
                        text.push_str(&format!("{}:{value} ", if value % 2 == 0 { 1 } else { 2 }));
                        offered += 1;
                    }
                    format!("offer {text}")
                }
                (4, _, _) => { first = true; "offer -1 -2".to_owned() }
                (5, _, _) => "flush".to_owned(),
                (6, _, _) => "swap ?".to_owned(),
                (7, true, _) => "unopened".to_owned(),
                (_, true, _) => "opened".to_owned(),
                (7, _, Some(_)) => "faulted".to_owned(),
                (8, _, Some(_)) => "retry".to_owned(),
                (9, _, Some(_)) => "rejected".to_owned(),
                (_, _, Some(_)) => "delivered".to_owned(),
                (_, _, None) => "tick".to_owned(),
            };
            if input == "delivered" && let Some(batch) = &flying {
                let batch: &Arc<SampleBatch> = batch;
                witness.delivered(batch);
            }
            if matches!(input.as_str(), "opened" | "unopened") { opening = false; }
            if matches!(input.as_str(), "delivered" | "faulted" | "retry" | "rejected") {
                flying = None;
            }
            for action in give(&mut outbox, now, &input, policy) {
                opening |= matches!(action, SampleAction::Open { .. });
                if witness.see(&action) && let SampleAction::Attempt { batch, .. } = action {
                    flying = Some(batch);
                }
            }
            let counts = outbox.counts();
            prop_assert_eq!(counts.taken, offered);
            let ended = counts.delivered + counts.dead + counts.refused;
            prop_assert_eq!(ended + outbox.waiting() as u64, offered);
            prop_assert_eq!(counts.delivered, witness.rows);
            prop_assert!(outbox.waiting() <= policy.rows_max);
        }
    }
}
