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
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:9820"
    )]
    pub url: Url,
    /// File that holds its token
    #[arg(long, env = "WATCHFIRE_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
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
        let internal = |what: String| Failure::bare(Exit::Internal, what);
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
        client.build().map_err(|error| {
            let what = format!("cannot make an HTTP client: {}", chain(&error));
            Failure::bare(Exit::Internal, what)
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
        let mut failure = Failure::bare(exit, what);
        failure.help = text("hint");
        failure
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with `status` and `body`; gives what the client made of it, and the
    /// head of what it asked.
    fn check(status: u16, body: &str, token: Option<&str>) -> (Result<Value, Failure>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let (mut asked, mut chunk) = (Vec::new(), [0; 1024]);
            while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
                let count = stream.read(&mut chunk).expect("a request");
                asked.extend_from_slice(&chunk[..count]);
            }
            stream.write_all(answer.as_bytes()).expect("the client listens");
            String::from_utf8_lossy(&asked).into_owned()
        });
        let folder = tempfile::tempdir().expect("a folder");
        let token_file = token.map(|token| {
            let file = folder.path().join("token");
            std::fs::write(&file, token).expect("a file");
            file
        });
        let remote = Remote { url: url.parse().expect("an address"), token_file };
        let answer = remote.get(&["sinks", "a/b c"]);
        (answer, server.join().expect("the server ends"))
    }

    #[test]
    fn an_answer_is_read_and_the_token_is_shown() {
        let (answer, asked) = check(200, r#"{"sinks":[]}"#, Some(" hush\n"));
        assert_eq!(answer, Ok(serde_json::json!({ "sinks": [] })));
        assert!(asked.starts_with("GET /api/v1/sinks/a%2Fb%20c HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("authorization: Bearer hush\r\n"), "{asked}");
        let (_, asked) = check(200, "{}", None);
        assert!(!asked.contains("authorization"), "{asked}");
    }

    #[test]
    fn what_is_refused_is_told_in_the_server_s_words() {
        let problem = r#"{"title":"No","detail":"There is no sink `x`.","hint":"List them."}"#;
        for (status, body, exit, what, help) in [
            (404, problem, Exit::Findings, "There is no sink `x`.", Some("List them.")),
            (401, r#"{"title":"A token is needed"}"#, Exit::Usage, "A token is needed", None),
        ] {
            let failure = check(status, body, None).0.expect_err("refused");
            assert_eq!((failure.exit, failure.what.as_str()), (exit, what));
            assert_eq!(failure.help.as_deref(), help);
        }
    }

    #[test]
    fn another_program_at_the_port_is_noticed() {
        for (status, body) in [(200, "<html>"), (200, ""), (500, "oops")] {
            let failure = check(status, body, None).0.expect_err("not ours");
            assert_eq!(failure.exit, Exit::NotStarted);
            assert!(failure.what.contains("does not speak as Watchfire does"), "{failure}");
        }
    }

    #[test]
    fn nobody_at_the_port_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        drop(listener);
        let remote = Remote { url: url.parse().expect("an address"), token_file: None };
        let failure = remote.get(&["rules"]).expect_err("nobody is there");
        assert_eq!(failure.exit, Exit::NotStarted);
        let expected = format!(
            "error: no Watchfire answers at {url}/\n  = help: is `watchfire run` up? --url names \
             another address"
        );
        assert_eq!(failure.to_string(), expected);
    }

    #[test]
    fn an_address_of_another_kind_is_refused() {
        let remote = Remote { url: "mailto:a@b".parse().expect("an address"), token_file: None };
        assert_eq!(remote.get(&["rules"]).expect_err("no web").exit, Exit::Usage);
    }
}
