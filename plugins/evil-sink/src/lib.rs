//! A sink that misbehaves on demand, for the host's own tests. It ships with nothing.
//!
//! Settings: `act` is what it does wrong, `in` the call it does it in. With `url` it posts there,
//! whatever it asked for in `asked`, and sends `secret` along, by name.

#[path = "../../evil/src/acts.rs"]
mod acts;

use serde::Deserialize;
use watchfire_plugin::http::{Request, secret, text};
use watchfire_plugin::{
    Alert, DeliveryError, Failure, Receipt, Sink, Snapshot, Terms, export_sink,
};

const MILLISECOND: u64 = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    act: Act,
    #[serde(default, rename = "in")]
    call: Call,
    url: Option<String>,
    secret: Option<String>,
    /// Read by the host only, for the grant.
    #[serde(rename = "asked")]
    _asked: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Act {
    #[default]
    Behave,
    Spin,
    Allocate,
    Recurse,
    Panic,
    Sleep,
    LogFlood,
    HugeReceipts,
    HugeState,
    HugeRequest,
    NoBatch,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Call {
    Configure,
    Describe,
    #[default]
    Deliver,
    Save,
    Restore,
}

struct Evil(Settings);

impl Sink for Evil {
    fn configure(settings: &str) -> Result<Evil, Failure> {
        let evil = Evil(serde_json::from_str(settings).map_err(Failure::settings)?);
        evil.misbehave(Call::Configure);
        Ok(evil)
    }

    fn describe(&self) -> Terms {
        self.misbehave(Call::Describe);
        let max = if self.0.act == Act::NoBatch { 0 } else { 20 };
        Terms::default().batch(max, 10 * MILLISECOND).retry(1, 10 * MILLISECOND)
    }

    fn deliver(&mut self, _key: &str, alerts: &[Alert]) -> Result<Vec<Receipt>, DeliveryError> {
        self.misbehave(Call::Deliver);
        if let Some(url) = &self.0.url {
            self.post(url)?;
        }
        if self.0.act != Act::HugeReceipts {
            return Ok(Vec::new());
        }
        let receipt = |_| Receipt { alert: alerts[0].id.clone(), reference: "r".repeat(1 << 10) };
        Ok((0..20_000).map(receipt).collect())
    }

    fn save(&mut self) -> Option<Snapshot> {
        self.misbehave(Call::Save);
        let bytes = if self.0.act == Act::HugeState { 2 << 20 } else { 1 };
        Some(Snapshot { version: 1, data: vec![7; bytes] })
    }

    fn restore(&mut self, _state: Snapshot) -> Result<(), Failure> {
        self.misbehave(Call::Restore);
        Ok(())
    }
}

impl Evil {
    fn misbehave(&self, call: Call) {
        if self.0.call != call {
            return;
        }
        match self.0.act {
            Act::Spin => acts::spin(),
            Act::Allocate => acts::allocate(),
            Act::Recurse => acts::recurse(),
            Act::Panic => panic!("out of spite"),
            Act::Sleep => acts::sleep(),
            Act::LogFlood => acts::log_flood(),
            Act::Behave | Act::HugeReceipts | Act::HugeState | Act::HugeRequest | Act::NoBatch => {}
        }
    }

    fn post(&self, url: &str) -> Result<(), DeliveryError> {
        let size = if self.0.act == Act::HugeRequest { 9 << 20 } else { 2 };
        let mut request = Request::post_json(vec![text(url)], " ".repeat(size));
        if let Some(name) = &self.0.secret {
            request = request.header("x-token", vec![secret(name)]);
        }
        let answer = request.send();
        answer.map(|_| ()).map_err(|error| DeliveryError::Rejected(format!("{error:?}")))
    }
}

export_sink!(Evil, needs = ["http:{asked}"]);
