//! The command-line client `websocat`, as the README uses it.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
};

use super::{PATIENCE, program::run_to_end};

/// A running `websocat` that stays connected, with one message per line. Its drop kills it.
#[derive(Debug)]
pub struct Websocat {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Websocat {
    /// Runs `printf INPUT | websocat -n1 ws://ADDR`, and returns its output.
    ///
    /// # Panics
    /// When `websocat` fails or does not end.
    #[track_caller]
    pub fn one(addr: SocketAddr, input: &str) -> String {
        let mut command = Command::new(path());
        command.args(["-n1", &format!("ws://{addr}")]);
        let finished = run_to_end(command, input);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        finished.stdout
    }

    /// Starts `websocat ws://ADDR`.
    pub fn open(addr: SocketAddr) -> Self {
        Self::open_with(addr, &[])
    }

    /// The same as [`open`](Self::open), with headers such as `Origin: https://a.test`.
    pub fn open_with(addr: SocketAddr, headers: &[&str]) -> Self {
        let mut child = Command::new(path())
            .arg(format!("ws://{addr}"))
            .args(headers.iter().map(|header| format!("-H={header}")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The receiver is gone when the test is over.
                let _ = sender.send(line);
            }
        });
        Self { child, stdin, lines }
    }

    /// Writes a line to the standard input.
    pub fn type_line(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Waits for the next line of the output.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line from websocat")
    }
}

impl Drop for Websocat {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn path() -> PathBuf {
    let path = match std::env::var_os("WEBSOCAT") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/websocat"),
    };
    assert!(path.exists(), "websocat is missing: run make tools");
    path
}
