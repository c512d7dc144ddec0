//! Tests that a blocked log reader or a full disk costs log lines and nothing else (guarantee C3).

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use crate::harness::*;

/// Number of sessions opened while nothing reads the log. The pipe is full after about 140.
const SESSIONS: usize = 1100;

/// Number of log lines, of more than 100 bytes each, that exceeds what pipe, queue and writer hold.
const FAILING_MESSAGES: usize = 30_000;

/// A proxy whose standard error and standard output the test controls. Its drop kills it.
struct Muted {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Muted {
    /// Runs `towline run` through `sh -c SCRIPT`, in which `"$@"` is the command.
    fn start(settings: &Settings, script: &str, stderr: Stdio, env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("towline.toml");
        std::fs::write(&file, settings.text()).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_towline"), "run", "--config"]).arg(&file);
        command.env_remove("TOWLINE_CONFIG").env_remove("RUST_LOG").envs(env.iter().copied());
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let child = command.spawn().unwrap();
        Self { child, _folder: folder }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    #[track_caller]
    fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        wait_for("the end of the proxy", PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Muted {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Settings with fixed addresses, because the test cannot read them in the log. Every message except `hello`
/// causes a debug log line, because the program fails on it.
fn settings(upstream: &TestUpstream, listener: &Port, admin: &Port) -> Settings {
    Settings::request(&upstream.url())
        .with(&format!("listener.ws.bind = \"{}\"", listener.addr()))
        .with(&format!("admin.bind = \"{}\"", admin.addr()))
        .incoming("select event.missing from in where event != \"hello\" into out;\nselect event from in where event == \"hello\" into out;")
}

fn wait_ready(admin: &Port) {
    wait_for("the proxy to listen", PATIENCE, || std::net::TcpStream::connect(admin.addr()).is_ok());
    wait_for("the proxy to be ready", PATIENCE, || get(admin.addr(), "/readyz").0 == 200);
}

/// Opens and closes sessions and causes many log lines, while an older session still gets replies. Returns
/// the client of that session.
fn live(listener: &Port) -> Client {
    let mut old = Client::connect(listener.addr());
    for _ in 0..SESSIONS {
        let mut client = Client::connect(listener.addr());
        assert_eq!(client.ask("hello"), "hello");
        client.close(1000, "");
    }
    assert_eq!(old.ask("hello"), "hello");
    let mut noisy = Client::connect(listener.addr());
    for _ in 0..FAILING_MESSAGES / 100 {
        for _ in 0..100 {
            noisy.text("x");
        }
        for _ in 0..100 {
            noisy.recv_error();
        }
    }
    assert_eq!(old.ask("hello"), "hello");
    old
}

/// Reads a pipe to its end on another thread.
fn lines_of(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The maximum size of the files that the process writes, in bytes.
fn file_limit(pid: u32) -> usize {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max file size")).expect("the limit");
    line.split_whitespace().next().expect("a number").parse().unwrap()
}

/// The number in a line that reports dropped lines; `None` for other lines.
fn dropped(line: &str) -> Option<u64> {
    let (_, count) = line.split_once("log lines dropped count=")?;
    Some(count.parse().unwrap_or_else(|_| panic!("no count: {line}")))
}

#[test]
fn a_blocked_log_pipe_stops_nothing_and_dropped_lines_are_counted() {
    let (upstream, listener, admin) = (TestUpstream::echo(), Port::take(), Port::take());
    let settings = settings(&upstream, &listener, &admin);
    let mut proxy = Muted::start(&settings, "exec \"$@\"", Stdio::piped(), &[("RUST_LOG", "debug")]);
    wait_ready(&admin);
    let mut old = live(&listener);

    let lines = lines_of(proxy.child.stderr.take().unwrap());
    let mut all = 0;
    let missing = loop {
        let line = lines.recv_timeout(PATIENCE).expect("a line with the number of dropped lines");
        match dropped(&line) {
            Some(count) => break count,
            None => all += 1,
        }
    };
    let least = (SESSIONS + FAILING_MESSAGES) as u64;
    assert!(missing > 1000 && missing + all > least, "{all} lines and {missing} dropped");
    assert_eq!(old.ask("hello"), "hello");
    proxy.signal("TERM");
    old.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
    let rest: Vec<_> = lines.iter().collect();
    assert!(rest.last().is_some_and(|line| line.ends_with("stopped")), "{rest:?}");
}

/// Lines of the access log are counted apart from those of the log.
#[test]
fn a_blocked_access_log_stops_nothing_and_dropped_lines_are_counted() {
    let (upstream, listener, admin) = (TestUpstream::echo(), Port::take(), Port::take());
    // The pipe, the queue and the writer hold about 140 lines of this length.
    let format = format!("log.access_format = \"${{session}} {}\"", "x".repeat(16 << 10));
    let settings = settings(&upstream, &listener, &admin).with(r#"log.access = "text""#).with(&format);
    let mut proxy = Muted::start(&settings, "exec \"$@\"", Stdio::null(), &[("RUST_LOG", "info")]);
    wait_ready(&admin);
    const COUNT: usize = 400;
    for _ in 0..COUNT {
        let mut client = Client::connect(listener.addr());
        assert_eq!(client.ask("hello"), "hello");
        client.close(1000, "");
    }
    let number = |name: &str| Scraped::of(admin.addr()).sum(name, &[]);
    wait_for("the end of all sessions", PATIENCE, || number("towline_sessions_active") == 0.0);
    let dropped = number("towline_access_lines_dropped_total");
    assert!(dropped > 100.0 && dropped < COUNT as f64, "{dropped}");
    assert_eq!(number("towline_log_lines_dropped_total"), 0.0);
    let lines = lines_of(proxy.child.stdout.take().unwrap());
    for _ in 0..COUNT - dropped as usize {
        let line = lines.recv_timeout(PATIENCE).expect("each line that is not dropped");
        assert!(line.starts_with("1:") && line.len() > 16 << 10, "{line}");
    }
    proxy.signal("TERM");
    assert_eq!(proxy.exit_code(), Some(0));
    assert_eq!(lines.iter().count(), 0, "no more lines than were not dropped");
}

#[test]
fn a_drain_ends_in_time_with_a_blocked_log_pipe() {
    let (upstream, listener, admin) = (TestUpstream::echo(), Port::take(), Port::take());
    let settings = settings(&upstream, &listener, &admin);
    let mut proxy = Muted::start(&settings, "exec \"$@\"", Stdio::piped(), &[("RUST_LOG", "debug")]);
    wait_ready(&admin);
    let mut old = live(&listener);
    proxy.signal("TERM");
    old.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn a_full_device_stops_nothing() {
    let (upstream, listener, admin) = (TestUpstream::echo(), Port::take(), Port::take());
    let settings = settings(&upstream, &listener, &admin);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut proxy = Muted::start(&settings, "exec \"$@\"", full.into(), &[("RUST_LOG", "a=b,debug")]);
    wait_ready(&admin);
    let mut old = live(&listener);
    proxy.signal("TERM");
    old.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}

/// A file of maximum size refuses writes, as a full disk does.
#[test]
fn a_disk_with_space_again_gets_the_number_of_dropped_lines() {
    let (upstream, listener, admin) = (TestUpstream::echo(), Port::take(), Port::take());
    let settings = settings(&upstream, &listener, &admin);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let file = std::fs::OpenOptions::new().append(true).create(true).open(&log).unwrap();
    // `ulimit -f` counts blocks of 512 bytes, or of 1024 if sh is bash.
    let script = "trap '' XFSZ; ulimit -f 512; exec \"$@\"";
    let mut proxy = Muted::start(&settings, script, file.into(), &[("RUST_LOG", "debug")]);
    wait_ready(&admin);
    let limit = file_limit(proxy.child.id());
    let mut old = live(&listener);
    let truncate = || std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
    wait_for("a line with the number of dropped lines", PATIENCE, || {
        let text = std::fs::read_to_string(&log).unwrap();
        let found = text.lines().find_map(dropped).is_some_and(|count| count > 0);
        // A full file does not change, so the test misses no line.
        if !found && text.len() == limit {
            truncate();
        }
        found
    });
    assert_eq!(old.ask("hello"), "hello");
    truncate();
    proxy.signal("TERM");
    old.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn an_error_at_the_start_is_printed_and_ends_the_program() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = TestUpstream::echo();
    let addr = taken.local_addr().unwrap();
    let settings = Settings::request(&upstream.url()).with(&format!("listener.ws.bind = \"{addr}\""));
    let mut proxy = Muted::start(&settings, "exec \"$@\"", Stdio::piped(), &[]);
    let lines = lines_of(proxy.child.stderr.take().unwrap());
    assert_eq!(proxy.exit_code(), Some(1));
    let last = lines.iter().last().expect("an error");
    assert!(last.contains("listener.ws.bind") && last.contains(&addr.to_string()), "{last}");
}

#[test]
fn a_wrong_filter_in_the_environment_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("RUST_LOG", "towline=loud")];
    let mut echo = Program::start(&["echo", "--bind", "127.0.0.1:0"], &env, folder.path());
    echo.wait_log("WARN *RUST_LOG is not a filter, log.level applies value=\"towline=loud\"");
    echo.wait_log("listening echo");
    echo.signal("TERM");
    assert_eq!(echo.exit_code(), Some(0));
}

/// The echo server ends when its terminal closes.
#[test]
fn sighup_ends_the_echo_server_in_order() {
    let mut echo = Program::start(&["echo", "--bind", "127.0.0.1:0"], &[], Path::new("/"));
    echo.wait_log("listening echo");
    echo.signal("HUP");
    assert_eq!(echo.exit_code(), Some(0));
}
