//! Tests of taps, records and replays against the real program.

mod access;
mod docs;
mod follow;
mod limits;
mod record;
mod redaction;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::harness::*;

/// Settings that allow taps.
fn tapped(settings: Settings) -> Settings {
    settings.operated().with("admin.tap = true")
}

/// A running `towline tap`, which prints JSON lines. Its drop ends it.
struct Tap {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Tap {
    /// Starts the command, and waits until the tap is open.
    #[track_caller]
    fn open(proxy: &Proxy, options: &[&str]) -> Self {
        let before = proxy.count_log("admin action=tap");
        let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
        let admin = format!("http://{}", proxy.admin());
        command.args(["tap", "--json", "--admin", &admin, "--token-file"]).arg(token_file()).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        wait_for("the tap to be open", PATIENCE, || proxy.count_log("admin action=tap") > before);
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next line.
    #[track_caller]
    fn line(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "the tap has ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The lines up to the outcome of the event with this number, and that outcome.
    #[track_caller]
    fn until_outcome(&mut self, event: &str) -> Vec<Value> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let is_last = line["direction"] == "outcome" && line["event"] == event;
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }

    /// Ends the command as a terminal does. Returns the rest of the output, standard error and the exit code.
    fn end(mut self) -> (String, String, Option<i32>) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
        self.rest()
    }

    /// Waits for the end of the command.
    fn rest(&mut self) -> (String, String, Option<i32>) {
        let (mut rest, mut errors) = (String::new(), String::new());
        std::io::Read::read_to_string(&mut self.output, &mut rest).unwrap();
        let mut stderr = self.child.stderr.take().unwrap();
        std::io::Read::read_to_string(&mut stderr, &mut errors).unwrap();
        (rest, errors, self.child.wait().unwrap().code())
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The fields of lines that tell where a message was, such as `from_client request`.
fn places(lines: &[Value]) -> Vec<String> {
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let place = |line: &Value| {
        let what = if line["direction"] == "outcome" { "outcome" } else { "role" };
        format!("{} {}", text(line, "direction"), text(line, what))
    };
    lines.iter().map(place).collect()
}

/// Runs `towline replay` on a record.
fn replay(record: &Path, proxy: &Proxy, options: &[&str]) -> Finished {
    let url = format!("ws://{}", proxy.addr());
    let record = record.to_str().unwrap();
    let args: Vec<_> = ["replay", record, "--url", &url].into_iter().chain(options.iter().copied()).collect();
    Program::finish(&args, &[], Path::new("."))
}

/// A file for a record in a folder that is removed at the end.
fn record_file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    (folder, file)
}

/// The lines of a record.
fn lines_of(record: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(record).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The outcomes of events by id, in lines of a tap.
fn outcomes(lines: &[Value]) -> BTreeMap<String, String> {
    let outcomes = lines.iter().filter(|line| line["direction"] == "outcome");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    outcomes.map(|line| (text(&line["event"]), text(&line["outcome"]))).collect()
}
