//! A sink that counts the alerts it is given and sends them nowhere, for the host's own tests. It
//! ships with nothing. The receipt of an attempt is the count.

use watchfire_plugin::{Alert, DeliveryError, Failure, Receipt, Sink, Snapshot, export_sink};

struct Tally {
    count: u64,
}

impl Sink for Tally {
    fn configure(_settings: &str) -> Result<Tally, Failure> {
        Ok(Tally { count: 0 })
    }

    fn deliver(&mut self, _key: &str, alerts: &[Alert]) -> Result<Vec<Receipt>, DeliveryError> {
        self.count += alerts.len() as u64;
        let newest = alerts.last().map(|alert| alert.id.clone()).unwrap_or_default();
        Ok(vec![Receipt { alert: newest, reference: self.count.to_string() }])
    }

    fn save(&mut self) -> Option<Snapshot> {
        Some(Snapshot { version: 1, data: self.count.to_le_bytes().to_vec() })
    }

    fn restore(&mut self, state: Snapshot) -> Result<(), Failure> {
        let data = state.data.as_slice();
        let count = data.try_into().map_err(|_| Failure::new("state", "not eight bytes"))?;
        self.count = u64::from_le_bytes(count);
        Ok(())
    }
}

export_sink!(Tally);
