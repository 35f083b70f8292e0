//! Speaks to a running Watchfire over its API.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::Value;

use super::exit::{Exit, Failure};

/// Which running Watchfire is meant.
#[derive(Clone, Debug, clap::Args)]
pub struct Remote {
    /// Where it listens
    #[arg(
        long,
        env = "WATCHFIRE_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:9820"
    )]
    pub url: Url,
    /// File that holds its token
    #[arg(long, env = "WATCHFIRE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// A sink's test may take its full time; the API itself gives up before this.
const ANSWER_MAX: Duration = Duration::from_secs(90);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// An answer is a list of rules or sinks, not a recording.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Remote {
    /// The JSON at a path, given in segments that may hold any text.
    pub fn get(&self, path: &[&str]) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None)
    }

    pub fn post(&self, path: &[&str], body: Option<Value>) -> Result<Value, Failure> {
        self.ask(Method::POST, path, body)
    }

    fn ask(&self, method: Method, path: &[&str], body: Option<Value>) -> Result<Value, Failure> {
        let internal = |what: String| Failure { exit: Exit::Internal, what, help: None };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| internal(format!("cannot start a runtime: {error}")))?;
        runtime.block_on(self.ask_async(method, path, body))
    }

    async fn ask_async(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let mut request = self.client()?.request(method, self.address(path)?);
        if let Some(token) = self.token()? {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let mut answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unreachable(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(self.odd("it answers without end"));
            }
        }
        let json: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        match (status.is_success(), json) {
            (true, Value::Null) => Err(self.odd("its answer is not JSON")),
            (true, json) => Ok(json),
            (false, json) => Err(self.refused(status.as_u16(), &json)),
        }
    }

    fn client(&self) -> Result<reqwest::Client, Failure> {
        // It is an error when one is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client =
            reqwest::Client::builder().connect_timeout(CONNECT_MAX).timeout(ANSWER_MAX);
        // A proxy's own loopback is not ours.
        let is_loopback =
            |host: &str| host == "localhost" || host.starts_with("127.") || host == "[::1]";
        if self.url.host_str().is_some_and(is_loopback) {
            client = client.no_proxy();
        }
        client.build().map_err(|error| Failure {
            exit: Exit::Internal,
            what: format!("cannot make an HTTP client: {error}"),
            help: None,
        })
    }

    fn address(&self, path: &[&str]) -> Result<Url, Failure> {
        let mut url = self.url.clone();
        let is_web = matches!(url.scheme(), "http" | "https");
        match url.path_segments_mut() {
            Ok(mut segments) if is_web => {
                segments.pop_if_empty().extend(["api", "v1"]).extend(path);
            }
            Ok(_) | Err(()) => {
                let what = format!("`{}` is not a web address", self.url);
                return Err(Failure::new(Exit::Usage, what, "write --url http://127.0.0.1:9820"));
            }
        }
        Ok(url)
    }

    fn token(&self) -> Result<Option<String>, Failure> {
        let Some(file) = &self.token_file else { return Ok(None) };
        match std::fs::read_to_string(file) {
            Ok(token) => Ok(Some(token.trim().to_owned())),
            Err(error) => {
                let what = format!("cannot read the token in {}: {error}", file.display());
                Err(Failure::new(Exit::Usage, what, "see --token-file"))
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if error.is_connect() {
            let what = format!("no Watchfire answers at {}", self.url);
            let help = "is `watchfire run` up? --url names another address";
            return Failure::new(Exit::NotStarted, what, help);
        }
        let what = format!("{} broke off: {}", self.url, chain(error));
        Failure::new(Exit::NotStarted, what, "its own log tells more")
    }

    fn odd(&self, what: &str) -> Failure {
        let what = format!("{} does not speak as Watchfire does: {what}", self.url);
        Failure::new(Exit::NotStarted, what, "is another program listening there?")
    }

    /// An answer that is a problem (RFC 9457) says what was wrong and what to try.
    fn refused(&self, status: u16, problem: &Value) -> Failure {
        let text = |key: &str| problem[key].as_str().map(str::to_owned);
        let Some(what) = text("detail").or_else(|| text("title")) else {
            return self.odd(&format!("it answers {status}"));
        };
        let exit = if matches!(status, 401 | 403) { Exit::Usage } else { Exit::Findings };
        Failure { exit, what, help: text("hint") }
    }
}

/// The error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    text
}
