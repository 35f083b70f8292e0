//! Alerts over HTTPS, to a server whose certificate an authority of the house has signed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;

use serde_json::Value;

use super::instance::{PATIENCE, Place, lines};

/// Says its port, then every body that it was sent.
const SERVER: &str = r#"
import http.server, ssl

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
        print(body.decode(), flush=True)

    def log_message(self, *words):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

struct Server {
    child: Child,
    port: u16,
    said: Receiver<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn openssl(folder: &Path, subject: &str, words: &str) {
    let key = "req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2 -subj";
    let made = Command::new("openssl")
        .current_dir(folder)
        .args(key.split(' '))
        .arg(subject)
        .args(words.split(' '))
        .output()
        .expect("openssl is installed by the set-up");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A server for `localhost`, signed by the authority in `ca.pem`.
fn server(folder: &Path) -> Server {
    openssl(folder, "/CN=the house", "-keyout ca.key -out ca.pem");
    let leaf = "-CA ca.pem -CAkey ca.key -keyout server.key -out server.pem \
                -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE";
    openssl(folder, "/CN=localhost", leaf);
    let mut child = Command::new("python3")
        .current_dir(folder)
        .args(["-c", SERVER])
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let said = lines(child.stdout.take().expect("it is piped"));
    let port = said.recv_timeout(PATIENCE).expect("it says its port").parse().expect("a port");
    Server { child, port, said }
}

fn place(port: u16) -> Place {
    let place = Place::new();
    let rule =
        "rule(\"load-high\").on(\"load\").by(\"host\").when(|v| v > 90.0).notify(\"pager\");";
    place.write("rules/load.rhai", rule);
    place.set(&format!(
        "[[sinks.webhook]]\nname = \"pager\"\nurl = \"https://localhost:{port}/hook\"\n"
    ));
    place
}

#[test]
fn an_alert_goes_to_a_server_that_is_trusted_and_to_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(folder.path());

    let stranger = place(server.port).start();
    stranger.post("/ingest", r#"{"name":"load","labels":{"host":"a"},"value":95}"#);
    let error = stranger.until("/api/v1/sinks", |_, page| {
        let sinks = page["sinks"].as_array()?;
        let pager = sinks.iter().find(|sink| sink["name"] == "pager")?;
        pager["last_error"].as_str().map(str::to_owned)
    });
    let why = "invalid peer certificate: UnknownIssuer";
    assert_eq!(error, format!("https://localhost:{}: {why}", server.port));
    drop(stranger);

    let authority = folder.path().join("ca.pem");
    let authority = authority.to_str().expect("a path of ours");
    let acquainted = place(server.port).start_with(&[("SSL_CERT_FILE", authority)]);
    acquainted.load("b", 95.0);
    let body: Value =
        serde_json::from_str(&server.said.recv_timeout(PATIENCE).expect("it says what comes"))
            .expect("JSON");
    assert_eq!(body["alerts"][0]["key"]["host"], "b", "the stranger's never came: {body:#}");
}
