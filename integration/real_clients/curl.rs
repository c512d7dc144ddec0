//! The command-line client `curl`.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use crate::harness::*;

/// Requests to one address.
pub(super) struct Curl {
    addr: SocketAddr,
    ca: Option<String>,
}

/// A running process, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Curl {
    pub(super) fn new(addr: SocketAddr) -> Self {
        Self { addr, ca: None }
    }

    /// Requests over TLS, to a server with a certificate of this authority.
    pub(super) fn secure(addr: SocketAddr, authority: &Authority) -> Self {
        Self { addr, ca: Some(authority.file().to_str().unwrap().to_owned()) }
    }

    fn command(&self, host: &str, path: &str, args: &[&str]) -> Command {
        let port = self.addr.port();
        let mut command = Command::new("curl");
        command.args(["--noproxy", "*", "--http1.1", "--max-time", "20"]);
        let scheme = match &self.ca {
            Some(ca) => {
                command.args(["--cacert", ca, "--resolve", &format!("{host}:{port}:127.0.0.1")]);
                "https"
            }
            None => "http",
        };
        command.arg(format!("{scheme}://{host}:{port}{path}")).args(args).stdin(Stdio::null());
        command
    }

    /// The status and the body of the response to a plain request.
    #[track_caller]
    pub(super) fn page(&self, path: &str, args: &[&str]) -> (u16, String) {
        self.page_at("127.0.0.1", path, args)
    }

    /// The same at a host.
    #[track_caller]
    pub(super) fn page_at(&self, host: &str, path: &str, args: &[&str]) -> (u16, String) {
        let mut command = self.command(host, path, args);
        let output = command.args(["--silent", "--show-error", "--write-out", "\n%{http_code}"]).output();
        let output = output.unwrap_or_else(|error| panic!("curl: {error}; install it with apt-get"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{path} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// What curl prints about a request without a response.
    #[track_caller]
    pub(super) fn fails(&self, path: &str, args: &[&str]) -> String {
        let output =
            self.command("127.0.0.1", path, args).args(["--silent", "--show-error"]).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The head of the response to a WebSocket handshake.
    #[track_caller]
    pub(super) fn shake(&self, path: &str, args: &[&str]) -> Head {
        let mut command = self.command("127.0.0.1", path, args);
        for header in ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"] {
            command.args(["--header", header]);
        }
        command.args(["--header", &format!("Sec-WebSocket-Key: {KEY}"), "--verbose", "--no-progress-meter"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let _running = Running(child);
        // Curl waits for the end of the connection after 101, so the lines about the response are read.
        let mut head = String::new();
        for line in lines {
            let Some(line) = line.strip_prefix("< ") else { continue };
            let line = line.trim_end();
            head += &format!("{line}\r\n");
            if line.is_empty() {
                break;
            }
        }
        Head::read(&mut head.as_bytes()).unwrap().unwrap_or_else(|| panic!("no response: {head}"))
    }
}

/// The key of the handshake: the example in RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
