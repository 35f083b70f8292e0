//! The API over real connections, with an app that only pretends.

mod app;
mod connections;
mod ingest;
mod shapes;
mod stream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::shell::bus::{Bus, BusOptions};
use app::FakeApp;

/// A running API with everything behind and in front of it.
struct World {
    api: Api,
    app: Arc<FakeApp>,
    bus: Bus,
    client: reqwest::Client,
}

/// An answer, read to its end.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl World {
    async fn start() -> World {
        World::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut ApiOptions)) -> World {
        let app = Arc::new(FakeApp::default());
        let bus = Bus::new(BusOptions::default());
        let listen: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let mut options = ApiOptions::new(listen, &Limits::default());
        change(&mut options);
        let api = Api::start(options, app.clone(), app.clone(), bus.clone())
            .await
            .expect("a free port on loopback");
        // Plain HTTP alone is spoken here, but the client wants to know who would do TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        World { api, app, bus, client: reqwest::Client::new() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.api.address())
    }

    async fn get(&self, path: &str) -> Answer {
        send(self.client.get(self.url(path))).await
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        let mut request = self.client.post(self.url(path)).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request).await
    }
}

async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = |value: &axum::http::HeaderValue| value.to_str().expect("text").to_owned();
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
    Answer { status, headers, body: response.text().await.expect("a whole body") }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("JSON: {}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// A complete problem with this status; returns its detail and hint.
    fn problem(&self, status: u16, instance: &str) -> String {
        let json = self.json();
        assert_eq!((self.status, &json["status"]), (status, &Value::from(status)), "{json}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(json["instance"], instance);
        let kind = json["type"].as_str().expect("a type");
        assert!(kind.starts_with("urn:watchfire:problem:"), "{kind}");
        for member in ["title", "detail", "hint"] {
            assert!(json[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {json}");
        }
        format!("{} {}", json["detail"], json["hint"])
    }
}
