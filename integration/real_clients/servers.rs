//! Servers: `openssl s_server`, and one on Python's `http.server`.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::harness::*;

/// Runs openssl in a folder with this input, and returns its output.
#[track_caller]
pub(super) fn openssl(folder: &Path, args: &[&str], input: &str) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("openssl: {error}; install it with apt-get"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {args:?}");
    output.stdout
}

/// A process, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `openssl s_server`, which answers each request with a page about the connection.
pub(super) struct SecureServer {
    addr: SocketAddr,
    _process: Running,
}

impl SecureServer {
    /// Starts it with this certificate. It requires certificates of `clients` from its clients.
    pub(super) fn start(issued: &Issued, clients: Option<&Authority>) -> Self {
        let port = Port::take();
        let addr = port.addr();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-www", "-accept", &addr.to_string()]);
        command.arg("-cert").arg(&issued.cert).arg("-key").arg(&issued.key);
        if let Some(clients) = clients {
            command.args(["-Verify", "1", "-verify_return_error", "-CAfile"]).arg(clients.file());
        }
        let process = Running(
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
        );
        wait_for("s_server listens", PATIENCE, || TcpStream::connect(addr).is_ok());
        Self { addr, _process: process }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// A service on Python's `http.server`. It accepts clients with a cookie `session`, whose value is the user, and sends
/// bodies of POST back.
pub(super) struct Gate {
    url: String,
    _process: Running,
}

const GATE: &str = r#"
import http.cookies, http.server
class Gate(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        user = http.cookies.SimpleCookie(self.headers.get("Cookie", "")).get("session")
        if user:
            self.answer(200, {"X-User": user.value})
        else:
            self.answer(401, {"WWW-Authenticate": 'Session realm="gate"'})
    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, {}, body)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gate)
print(server.server_port, flush=True)
server.serve_forever()
"#;

impl Gate {
    pub(super) fn start() -> Self {
        let mut child = Command::new("python3")
            .args(["-c", GATE])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("python3: {error}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let process = Running(child);
        let port = lines.next().expect("a line with the port").unwrap();
        Self { url: format!("http://127.0.0.1:{port}"), _process: process }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}
