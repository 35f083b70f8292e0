//! `cap`: the whole outside world of a sink, as far as it was granted.
//!
//! `cap.http` sends through the guest's gate, `cap.file` appends to files in the sink's own folder,
//! `cap.secret` gives values that can be sent and not seen. Whatever goes wrong is thrown as a
//! [`Failure`], which says how the attempt is to end unless the script catches it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration as StdDuration, Instant};

use rhai::{Dynamic, EvalAltResult, FuncRegistration, Map, Module};

use super::SharedModule;
use super::json;
use crate::guest::grant::{Granted, Request};
use crate::guest::http::{HttpError, HttpGate, HttpRequest, HttpResponse, Part};
use crate::kernel::model::Duration;

/// Bytes of one file; an archive that grows past it should name its files by day.
const FILE_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// Files that one attempt may write.
const FILES_MAX: usize = 64;
/// Connect to last byte of one request.
const REQUEST_MAX: StdDuration = StdDuration::from_secs(10);

/// What one attempt can reach.
#[derive(Clone)]
pub struct Cap(Arc<Reach>);

struct Reach {
    gate: HttpGate,
    granted: Granted,
    folder: PathBuf,
    runtime: tokio::runtime::Handle,
    deadline: Instant,
    files: Mutex<BTreeMap<String, File>>,
}

#[derive(Clone)]
struct Http(Arc<Reach>);

#[derive(Clone)]
struct Files(Arc<Reach>);

/// Text with secrets in it. Prints the secrets as `***`.
#[derive(Clone)]
pub struct Secretive(pub Vec<Part>);

/// What came back.
#[derive(Clone)]
struct Response(Arc<HttpResponse>);

/// Why an attempt cannot go on, as scripts may catch it.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub what: String,
    pub ends: Ends,
    /// 0 when there was no response.
    pub status: u16,
}

/// How an attempt ends whose failure nobody catches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ends {
    Retried { after: Option<Duration> },
    Rejected,
}

type Thrown<T> = Result<T, Box<EvalAltResult>>;

impl Failure {
    fn rejected(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), ends: Ends::Rejected, status: 0 }
    }

    fn retried(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), ends: Ends::Retried { after: None }, status: 0 }
    }

    fn throw<T>(self) -> Thrown<T> {
        Err(EvalAltResult::ErrorRuntime(Dynamic::from(self), rhai::Position::NONE).into())
    }

    /// A request that brought no response.
    fn of_request(error: HttpError) -> Failure {
        match error {
            HttpError::Denied(what) => Failure::rejected(format!("denied: {what}")),
            HttpError::TimedOut => Failure::retried("the request timed out"),
            HttpError::Unreachable(what) => Failure::retried(format!("not reachable: {what}")),
            HttpError::TooLarge(cap) => {
                Failure::rejected(format!("the response is longer than {cap} bytes"))
            }
            HttpError::Invalid(what) => Failure::rejected(format!("not a request: {what}")),
            HttpError::Other(what) => Failure::retried(what),
        }
    }

    /// A response that is no success: too many requests, timeouts and server errors may pass.
    fn of_response(response: &HttpResponse) -> Failure {
        let status = response.status;
        let body: String = String::from_utf8_lossy(&response.body).chars().take(200).collect();
        let what = format!("status {status}: {}", body.trim());
        let what = what.trim_end_matches([':', ' ']).to_owned();
        let ends = match status {
            408 | 425 | 429 | 500..=599 => Ends::Retried { after: retry_after(response) },
            _ => Ends::Rejected,
        };
        Failure { what, ends, status }
    }
}

/// `Retry-After` in seconds; as a date it is left to the backoff.
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let header = response.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
    let seconds = header?.1.trim().parse::<u32>().ok()?;
    Some(Duration::from_secs(i64::from(seconds)))
}

impl Cap {
    pub fn new(
        gate: HttpGate,
        granted: Granted,
        folder: &Path,
        runtime: tokio::runtime::Handle,
        deadline: Instant,
    ) -> Cap {
        let (folder, files) = (folder.to_owned(), Mutex::default());
        Cap(Arc::new(Reach { gate, granted, folder, runtime, deadline, files }))
    }

    /// Makes what was appended safe from a crash.
    pub fn sync(&self) -> std::io::Result<()> {
        let files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.values().try_for_each(File::sync_data)
    }

    fn secret(&self, name: &str) -> Thrown<Secretive> {
        if self.0.granted.secrets.contains_key(name) {
            return Ok(Secretive(vec![Part::Secret(name.to_owned())]));
        }
        Failure::rejected(self.0.granted.refusal(&Request::Secret(name.into()))).throw()
    }
}

impl Http {
    fn request(
        &self,
        method: &str,
        url: Dynamic,
        body: Option<Dynamic>,
        headers: Map,
    ) -> Thrown<Response> {
        let request = built(method, url, body, headers).or_else(Failure::throw)?;
        let left = self.0.deadline.saturating_duration_since(Instant::now());
        let request = HttpRequest { timeout: Some(left.min(REQUEST_MAX)), ..request };
        // This thread is the sink's own, so waiting here holds nobody up.
        let result = self.0.runtime.block_on(self.0.gate.send(request));
        match result {
            Ok(response) if (200..300).contains(&response.status) => {
                Ok(Response(Arc::new(response)))
            }
            Ok(response) => Failure::of_response(&response).throw(),
            Err(error) => Failure::of_request(error).throw(),
        }
    }
}

/// A request as a script says it: a map or an array goes as JSON, anything else as text.
fn built(
    method: &str,
    url: Dynamic,
    body: Option<Dynamic>,
    headers: Map,
) -> Result<HttpRequest, Failure> {
    let url = parts(url)?;
    let mut named = Vec::new();
    for (name, value) in headers {
        named.push((name.to_string(), parts(value)?));
    }
    let (body, kind) = match body {
        Some(body) if body.is_map() || body.is_array() => {
            (json::parts(&body).map_err(Failure::rejected)?, Some("application/json"))
        }
        Some(body) => (parts(body)?, Some("text/plain; charset=utf-8")),
        None => (Vec::new(), None),
    };
    let has_kind = named.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if let (Some(kind), false) = (kind, has_kind) {
        named.push(("content-type".to_owned(), vec![Part::Text(kind.to_owned())]));
    }
    let method = method.to_ascii_uppercase();
    Ok(HttpRequest { method, url, headers: named, body, timeout: None })
}

/// A value as text for the wire.
fn parts(value: Dynamic) -> Result<Vec<Part>, Failure> {
    if let Some(secretive) = value.read_lock::<Secretive>() {
        return Ok(secretive.0.clone());
    }
    if value.is_string() || value.is_int() || value.is_float() || value.is_bool() {
        return Ok(vec![Part::Text(value.to_string())]);
    }
    Err(Failure::rejected(format!("a value of type {} cannot be sent", value.type_name())))
}

impl Files {
    fn append(&self, name: &str, text: &str) -> Thrown<()> {
        self.granted(name).or_else(Failure::throw)?;
        let mut files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.contains_key(name) {
            if files.len() >= FILES_MAX {
                let what = format!("one attempt writes at most {FILES_MAX} files");
                return Failure::rejected(what).throw();
            }
            let file = self.open(name).or_else(Failure::throw)?;
            files.insert(name.to_owned(), file);
        }
        let file = files.get_mut(name).expect("it was just put there");
        append_line(file, name, text).or_else(Failure::throw)
    }

    /// A name below the folder that a granted pattern takes.
    fn granted(&self, name: &str) -> Result<(), Failure> {
        let hidden = |part: &str| part.is_empty() || part.starts_with('.');
        if name.split('/').any(hidden) || name.contains(|c: char| c.is_control() || c == '\\') {
            return Err(Failure::rejected(format!("{name:?} is no file name that can be granted")));
        }
        let taken = |pattern: &Arc<str>| takes(pattern, name);
        if self.0.granted.files.iter().any(taken) {
            return Ok(());
        }
        Err(Failure::rejected(self.0.granted.refusal(&Request::File(name.into()))))
    }

    fn open(&self, name: &str) -> Result<File, Failure> {
        let path = self.0.folder.join(name);
        let io = |error: std::io::Error| Failure::retried(format!("{name}: {error}"));
        if let Some(parent) = path.parent().filter(|_| name.contains('/')) {
            no_links(&self.0.folder, parent)?;
            std::fs::create_dir_all(parent).map_err(io)?;
        }
        no_links(&self.0.folder, &path)?;
        OpenOptions::new().create(true).append(true).open(&path).map_err(io)
    }
}

/// `*` takes any run of characters but `/`, and nothing else is special.
fn takes(pattern: &str, name: &str) -> bool {
    let (mut patterns, mut names) = (pattern.split('/'), name.split('/'));
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(name)) if takes_part(pattern, name) => {}
            _ => return false,
        }
    }
}

fn takes_part(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(head) else { return false };
    let mut ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
    ends.any(|at| takes_part(rest, &name[at..]))
}

/// No part of the path below `folder` may be a link out of it.
fn no_links(folder: &Path, path: &Path) -> Result<(), Failure> {
    for part in path.ancestors().take_while(|part| *part != folder) {
        if part.is_symlink() {
            let what = format!("{} is a link, and links are not followed", part.display());
            return Err(Failure::rejected(what));
        }
    }
    Ok(())
}

fn append_line(file: &mut File, name: &str, text: &str) -> Result<(), Failure> {
    let io = |error: std::io::Error| Failure::retried(format!("{name}: {error}"));
    let mut line = text.to_owned();
    if !line.ends_with('\n') {
        line.push('\n');
    }
    let size = file.metadata().map_err(io)?.len();
    if size + line.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::rejected(format!("{name} is full: {FILE_BYTES_MAX} bytes")));
    }
    // One write, so that a crash leaves at most one torn line.
    file.write_all(line.as_bytes()).map_err(io)
}

impl Secretive {
    fn joined(mut self, other: Vec<Part>) -> Secretive {
        self.0.extend(other);
        self
    }

    fn shown(&self) -> String {
        let shown = self.0.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Secret(_) => "***",
        });
        shown.collect()
    }
}

pub fn module() -> SharedModule {
    MODULE.clone()
}

static MODULE: LazyLock<SharedModule> = LazyLock::new(|| {
    let mut module = Module::new();
    world(&mut module);
    http(&mut module);
    values(&mut module);
    module.into()
});

fn function(name: &str) -> FuncRegistration {
    FuncRegistration::new(name).in_global_namespace()
}

fn world(to: &mut Module) {
    to.set_custom_type::<Cap>("cap");
    to.set_custom_type::<Files>("cap.file");
    FuncRegistration::new_getter("http").set_into_module(to, |cap: &mut Cap| Http(cap.0.clone()));
    FuncRegistration::new_getter("file").set_into_module(to, |cap: &mut Cap| Files(cap.0.clone()));
    function("secret").set_into_module(to, |cap: &mut Cap, name: &str| cap.secret(name));
    function("append")
        .set_into_module(to, |files: &mut Files, name: &str, text: &str| files.append(name, text));
}

fn http(to: &mut Module) {
    to.set_custom_type::<Http>("cap.http");
    function("get").set_into_module(to, |http: &mut Http, url: Dynamic| {
        http.request("GET", url, None, Map::new())
    });
    function("get").set_into_module(to, |http: &mut Http, url: Dynamic, headers: Map| {
        http.request("GET", url, None, headers)
    });
    for method in ["post", "put", "patch", "delete"] {
        let send = move |http: &mut Http, url: Dynamic, body: Dynamic| {
            http.request(method, url, Some(body), Map::new())
        };
        function(method).set_into_module(to, send);
        let send = move |http: &mut Http, url: Dynamic, body: Dynamic, headers: Map| {
            http.request(method, url, Some(body), headers)
        };
        function(method).set_into_module(to, send);
    }
    function("request").set_into_module(
        to,
        |http: &mut Http, method: &str, url: Dynamic, body: Dynamic, headers: Map| {
            let body = Some(body).filter(|body| !body.is_unit());
            http.request(method, url, body, headers)
        },
    );
}

fn values(to: &mut Module) {
    to.set_custom_type::<Secretive>("secret");
    to.set_custom_type::<Response>("response");
    to.set_custom_type::<Failure>("failure");
    let text = |text: &str| vec![Part::Text(text.to_owned())];
    function("+").set_into_module(to, move |a: Secretive, b: &str| a.joined(text(b)));
    function("+").set_into_module(to, move |a: &str, b: Secretive| Secretive(text(a)).joined(b.0));
    function("+").set_into_module(to, |a: Secretive, b: Secretive| a.joined(b.0));
    function("to_string").set_into_module(to, |secretive: &mut Secretive| secretive.shown());
    function("to_debug").set_into_module(to, |secretive: &mut Secretive| secretive.shown());
    FuncRegistration::new_getter("status")
        .set_into_module(to, |response: &mut Response| i64::from(response.0.status));
    FuncRegistration::new_getter("body").set_into_module(to, |response: &mut Response| {
        String::from_utf8_lossy(&response.0.body).into_owned()
    });
    function("json").set_into_module(to, |response: &mut Response| -> Thrown<Dynamic> {
        json::parse(&response.0.body).map_err(Failure::rejected).or_else(Failure::throw)
    });
    FuncRegistration::new_getter("status")
        .set_into_module(to, |failure: &mut Failure| i64::from(failure.status));
    FuncRegistration::new_getter("message")
        .set_into_module(to, |failure: &mut Failure| failure.what.clone());
    function("to_string").set_into_module(to, |failure: &mut Failure| failure.what.clone());
    function("to_json").set_into_module(to, |map: &mut Map| json::text(map));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)], body: &str) -> HttpResponse {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        HttpResponse { status, headers: headers.collect(), body: body.into() }
    }

    #[test]
    fn statuses_that_may_pass_are_retried_and_others_are_rejected() {
        let retried = |secs: Option<i64>| Ends::Retried { after: secs.map(Duration::from_secs) };
        for (status, headers, ends) in [
            (429, &[("Retry-After", "7")][..], retried(Some(7))),
            (503, &[("retry-after", " 120 ")], retried(Some(120))),
            (503, &[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")], retried(None)),
            (500, &[], retried(None)),
            (408, &[], retried(None)),
            (400, &[], Ends::Rejected),
            (404, &[("retry-after", "7")], Ends::Rejected),
            (302, &[], Ends::Rejected),
        ] {
            let failure = Failure::of_response(&response(status, headers, "gone "));
            assert_eq!((failure.ends, failure.status), (ends, status));
            assert_eq!(failure.what, format!("status {status}: gone"));
        }
        assert_eq!(Failure::of_response(&response(500, &[], "")).what, "status 500");
    }

    #[test]
    fn requests_that_got_no_answer_are_retried_unless_they_never_will() {
        let retried = Ends::Retried { after: None };
        for (error, ends) in [
            (HttpError::TimedOut, retried),
            (HttpError::Unreachable("refused".into()), retried),
            (HttpError::Other("reset".into()), retried),
            (HttpError::Denied("grant http:x".into()), Ends::Rejected),
            (HttpError::Invalid("no scheme".into()), Ends::Rejected),
            (HttpError::TooLarge(5), Ends::Rejected),
        ] {
            assert_eq!(Failure::of_request(error.clone()).ends, ends, "{error:?}");
        }
    }

    #[test]
    fn requests_are_built_as_the_script_says() {
        let text = |text: &str| vec![Part::Text(text.to_owned())];
        let map: Map = [("a".into(), Dynamic::from(1_i64))].into_iter().collect();
        let secret = Secretive(vec![Part::Secret("URL".into())]);
        let request = built("post", Dynamic::from(secret), Some(map.into()), Map::new());
        let request = request.expect("it is a request");
        assert_eq!(request.method, "POST");
        assert_eq!(request.url, [Part::Secret("URL".into())]);
        assert_eq!(request.body, text(r#"{"a":1}"#));
        assert_eq!(request.headers, [("content-type".to_owned(), text("application/json"))]);
        let own: Map = [("Content-Type".into(), "text/x".into())].into_iter().collect();
        let request = built("PUT", "http://x/".into(), Some("body".into()), own);
        let request = request.expect("it is a request");
        assert_eq!(request.headers, [("Content-Type".to_owned(), text("text/x"))]);
        assert_eq!((request.url, request.body), (text("http://x/"), text("body")));
        let request = built("get", "http://x/".into(), None, Map::new()).expect("it is a request");
        assert_eq!((request.headers, request.body), (Vec::new(), Vec::new()));
        let nothing = built("get", Dynamic::UNIT, None, Map::new());
        assert_eq!(nothing.map_err(|failure| failure.ends), Err(Ends::Rejected));
    }

    #[test]
    fn a_star_stays_within_its_part_of_a_name() {
        for (pattern, name, taken) in [
            ("alerts-*.jsonl", "alerts-2026-11-21.jsonl", true),
            ("alerts-*.jsonl", "alerts-.jsonl", true),
            ("alerts-*.jsonl", "alerts-a.jsonl.bak", false),
            ("*", "anything", true),
            ("*", "a/b", false),
            ("*/x", "a/x", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("a?", "ab", false),
            ("x", "x", true),
        ] {
            assert_eq!(takes(pattern, name), taken, "{pattern} {name}");
        }
    }
}
