//! The real proxy under test.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use super::{Client, PATIENCE, Program, Scraped, Settings, matches, measure_for, wait_for};

/// The file with the standard output of a proxy.
const OUTPUT: &str = "output.txt";

/// A running `towline run`. Its drop kills it, and fails the test if the log has a warning, error or panic
/// that the test does not expect.
#[derive(Debug)]
pub struct Proxy {
    program: Program,
    /// The folder with the settings file.
    folder: tempfile::TempDir,
    announced: Vec<String>,
}

impl Proxy {
    /// Starts the proxy and waits until it listens.
    #[track_caller]
    pub fn start(settings: &Settings) -> Self {
        Self::start_with(settings, &[])
    }

    /// The same as [`start`](Self::start), with environment variables.
    #[track_caller]
    pub fn start_with(settings: &Settings, env: &[(&str, &str)]) -> Self {
        Self::run(settings, |args, folder| Program::start(args, env, folder))
    }

    /// The same as [`start`](Self::start), with a limit on open files.
    #[track_caller]
    pub fn start_limited(settings: &Settings, open_files: usize) -> Self {
        Self::run(settings, |args, folder| Program::start_limited(open_files, args, folder))
    }

    /// The same as [`start`](Self::start), with these listening sockets, as systemd passes them.
    #[track_caller]
    pub fn start_inheriting(settings: &Settings, sockets: Vec<TcpListener>) -> Self {
        Self::run(settings, |args, folder| Program::start_inheriting(sockets, args, folder))
    }

    /// The same as [`start`](Self::start). On SIGUSR2 the proxy starts this shell script instead of the program.
    #[track_caller]
    pub fn start_succeeded_by(settings: &Settings, script: &str) -> Self {
        Self::run(settings, |args, folder| {
            let file = folder.join("successor");
            std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
            Program::start_as(&file, args, folder)
        })
    }

    /// The same as [`start`](Self::start), with standard output in a file that [`output`](Self::output) reads.
    #[track_caller]
    pub fn start_writing(settings: &Settings) -> Self {
        Self::run(settings, |args, folder| Program::start_writing(OUTPUT, args, folder))
    }

    /// The lines of standard output so far, of a proxy that was started by [`start_writing`](Self::start_writing).
    pub fn output(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join(OUTPUT)).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The same as [`start`](Self::start), with another hosts file and name server. `None` if the system does
    /// not permit that.
    #[track_caller]
    pub fn start_with_names(settings: &Settings, hosts: &str, server: IpAddr) -> Option<Self> {
        if !Program::has_namespaces() {
            println!("skipped: mount namespaces are not allowed here");
            return None;
        }
        Some(Self::run(settings, |args, folder| {
            std::fs::write(folder.join("hosts"), hosts).unwrap();
            let resolv = format!("nameserver {server}\noptions timeout:30 attempts:1\n");
            std::fs::write(folder.join("resolv.conf"), resolv).unwrap();
            std::fs::write(folder.join("nsswitch.conf"), "hosts: files dns\n").unwrap();
            Program::start_with_names(args, folder)
        }))
    }

    #[track_caller]
    fn run(settings: &Settings, start: impl FnOnce(&[&str], &Path) -> Program) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("towline.toml");
        std::fs::write(&file, settings.text()).unwrap();
        let program = start(&["run", "--config", file.to_str().unwrap()], folder.path());
        let proxy = Self { program, folder, announced: Vec::new() };
        proxy.wait_log("listening listener=*address=");
        proxy.wait_log("listening admin address=");
        proxy
    }

    /// Replaces the hosts file of a proxy that was started by [`start_with_names`](Self::start_with_names).
    pub fn set_hosts(&self, hosts: &str) {
        // In place, because the file is mounted elsewhere too. It is cut off at the end only, so that no look-up finds it
        // empty.
        let file = std::fs::OpenOptions::new().write(true).open(self.folder.path().join("hosts")).unwrap();
        (&file).write_all(hosts.as_bytes()).unwrap();
        file.set_len(hosts.len() as u64).unwrap();
    }

    /// The settings file.
    pub fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("towline.toml")
    }

    /// Replaces the settings file.
    pub fn rewrite(&self, settings: &Settings) {
        // The proxy never sees a part of the file.
        let (file, new) =
            (self.folder.path().join("towline.toml"), self.folder.path().join("towline.toml.new"));
        std::fs::write(&new, settings.text()).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// Has the proxy reload these settings, and waits until they are in force. Returns the changes in the log.
    #[track_caller]
    pub fn reload(&self, settings: &Settings) -> Vec<String> {
        let pattern = "INFO *settings reloaded by=signal ";
        let before = self.count_log(pattern);
        self.rewrite(settings);
        self.signal("HUP");
        wait_for("the reload", PATIENCE, || self.count_log(pattern) > before);
        let log = self.log();
        let line = log.iter().rfind(|line| matches(line, pattern)).expect("the line");
        let (_, rest) = line.split_once("generation=").expect("generation=");
        let generation = rest.split_whitespace().next().expect("a number");
        let changes = format!("setting changed generation={generation} change=");
        let count: usize = rest
            .split_once("changes=")
            .and_then(|(_, rest)| rest.split_whitespace().next())
            .expect("changes=")
            .parse()
            .unwrap();
        let listed = || self.count_log(&changes);
        wait_for("the changes", PATIENCE, || listed() == count.min(32));
        let lines = self.log();
        let lines = lines.iter().filter(|line| line.contains(&changes));
        lines.map(|line| unquoted(line.split_once("change=").expect("change=").1)).collect()
    }

    /// Has the proxy reload these settings, which have errors, and waits until it has refused them. Returns the problems in
    /// the log.
    #[track_caller]
    pub fn reload_broken(&self, settings: &Settings) -> Vec<String> {
        let pattern = "ERROR *reload failed, nothing changes by=signal ";
        let (before, at) = (self.count_log(pattern), self.log().len());
        self.rewrite(settings);
        self.signal("HUP");
        wait_for("the refusal", PATIENCE, || self.count_log(pattern) > before);
        let log = self.log();
        let line = log.iter().rfind(|line| matches(line, pattern)).expect("the line");
        let count: usize = line.rsplit_once("problems=").expect("problems=").1.parse().unwrap();
        let listed = || {
            let log = self.log();
            let lines = log[at..].iter().filter(|line| line.contains("reload problem by="));
            lines.cloned().collect::<Vec<_>>()
        };
        wait_for("the problems", PATIENCE, || listed().len() == count.min(32));
        listed().into_iter().map(|line| unquoted(line.split_once("text=").expect("text=").1)).collect()
    }

    /// Declares that the test expects log lines of level WARN or ERROR that match `pattern`.
    pub fn expect(mut self, pattern: &str) -> Self {
        self.announced.push(pattern.to_owned());
        self
    }

    /// Declares that the test expects the log lines about the loss of an upstream.
    pub fn expect_restarts(self) -> Self {
        let lines = ["connector restart", "connector lines suppressed", "upstream ended", "endpoint down"];
        lines.into_iter().fold(self, Self::expect)
    }

    /// The address of the first listener.
    pub fn addr(&self) -> SocketAddr {
        address(&self.wait_log("listening listener=*address="))
    }

    /// The address of the listener `name`.
    pub fn listener(&self, name: &str) -> SocketAddr {
        address(&self.wait_log(&format!("listening listener={name} *address=")))
    }

    /// The address of the admin server.
    pub fn admin(&self) -> SocketAddr {
        address(&self.wait_log("listening admin address="))
    }

    /// The metrics at this moment.
    #[track_caller]
    pub fn scrape(&self) -> Scraped {
        Scraped::of(self.admin())
    }

    /// Waits until the metrics are as `is_done` wants, and returns them.
    #[track_caller]
    pub fn wait_metrics(&self, what: &str, mut is_done: impl FnMut(&Scraped) -> bool) -> Scraped {
        let mut scraped = self.scrape();
        wait_for(what, PATIENCE, || {
            scraped = self.scrape();
            is_done(&scraped)
        });
        scraped
    }

    /// Connects a new client to the first listener.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.addr())
    }

    /// The log so far.
    pub fn log(&self) -> Vec<String> {
        self.program.log()
    }

    /// Number of log lines that match a pattern.
    pub fn count_log(&self, pattern: &str) -> usize {
        self.log().iter().filter(|line| matches(line, pattern)).count()
    }

    /// Waits for a line that matches `pattern`, in which `*` stands for any text.
    #[track_caller]
    pub fn wait_log(&self, pattern: &str) -> String {
        self.program.wait_log(pattern)
    }

    /// Waits until the first session has had `count` upstream connections.
    #[track_caller]
    pub fn wait_ups(&self, count: usize) {
        self.wait_ups_of("1:0", count);
    }

    /// Waits until a session has had `count` upstream connections.
    #[track_caller]
    pub fn wait_ups_of(&self, session: &str, count: usize) {
        let what = format!("connection {count} of session {session}");
        let pattern = format!("connector up session={session} upstream=echo generation=");
        let ups = || self.count_log(&pattern);
        wait_for(&what, PATIENCE, || ups() >= count);
    }

    /// Whether a line matches within `patience`.
    pub fn has_log(&self, pattern: &str, patience: Duration) -> bool {
        self.program.find_log(pattern, patience).is_some()
    }

    /// The resident memory of the process, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The resident memory without pages of files, which are code: heap and stacks, in KiB.
    pub fn anonymous_kib(&self) -> u64 {
        self.status_kib("RssAnon:")
    }

    fn status_kib(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.program.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect(key);
        line.split_whitespace().next().expect("a number").parse().unwrap()
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Number of open file descriptors of the process.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.program.pid())).unwrap().count()
    }

    /// Number of live sessions, according to the log.
    pub fn sessions(&self) -> usize {
        self.count_log("session opened session=").saturating_sub(self.count_log("session closed session="))
    }

    /// Waits for the last log line of a session, and returns its counts of events by outcome.
    #[track_caller]
    pub fn account(&self, session: &str) -> Account {
        Account::parse(&self.wait_log(&format!("session closed session={session} ")))
    }

    /// Waits until there are no sessions and no more file descriptors than `before`.
    #[track_caller]
    pub fn wait_idle(&self, before: usize) {
        wait_for("the end of all sessions", PATIENCE, || self.sessions() == 0);
        wait_for("descriptors to be closed", PATIENCE, || self.descriptors() <= before);
    }

    /// Number of file descriptors of the process after its start. Call it before the first client connects.
    #[track_caller]
    pub fn descriptors_at_rest(&self) -> usize {
        // The accepting thread of the admin server is the last thing that starts. A busy machine can make the
        // proxy look quiet before that.
        wait_for("the admin server to accept", PATIENCE, || self.threads("actix-server ac") == 1);
        wait_for("the proxy to be quiet", PATIENCE, || self.is_quiet());
        self.descriptors()
    }

    /// Number of threads whose name begins with `name`.
    pub fn threads(&self, name: &str) -> usize {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.program.pid())).unwrap();
        let names =
            threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        names.filter(|found| found.starts_with(name)).count()
    }

    /// The processor time of all threads together.
    pub fn busy(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.program.pid())).unwrap();
        let times = threads.filter_map(|thread| {
            // A thread may end meanwhile.
            let stat = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(times.sum())
    }

    /// Whether the process is idle for 100 ms, apart from its ticker.
    pub fn is_quiet(&self) -> bool {
        // The time of a thread that ends is subtracted.
        measure_for(Duration::from_millis(100), || self.busy().as_nanos() as i128) < 2_000_000
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        self.program.signal(name);
    }

    /// Waits for the end of the process; returns its exit code, or `None` when a signal ended it.
    #[track_caller]
    pub fn exit_code(&mut self) -> Option<i32> {
        self.program.exit_code()
    }

    fn unannounced(&self) -> Vec<String> {
        let announced = |line: &String| self.announced.iter().any(|pattern| matches(line, pattern));
        // Tests combine codecs as no user would.
        let is_expected = |line: &String| line.contains(" makes a JSON string of each message of ");
        let lines = self.log().into_iter().filter(|line| is_trouble(line) && !is_expected(line));
        lines.filter(|line| !announced(line)).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.program.kill();
        if std::thread::panicking() {
            println!("the proxy's log:\n{}", self.log().join("\n"));
            return;
        }
        let trouble = self.unannounced();
        assert!(
            trouble.is_empty(),
            "lines that the test did not expect:\n{}\nin the log:\n{}",
            trouble.join("\n"),
            self.log().join("\n")
        );
    }
}

/// The text of a quoted value at the end of a log line.
fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or(value.to_owned(), |inner| inner.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// The counts of events in the last log line of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub accepted: usize,
    pub answered: usize,
    pub delivered: usize,
    pub errored: usize,
    pub dropped: usize,
    pub unsettled: usize,
}

// === impl Account ===

impl Account {
    fn parse(line: &str) -> Self {
        let count = |key: &str| {
            let (_, rest) = line.split_once(&format!(" {key}=")).unwrap_or_else(|| panic!("{key} in {line}"));
            rest.split_whitespace().next().expect("a number").parse().unwrap()
        };
        Self {
            accepted: count("accepted"),
            answered: count("answered"),
            delivered: count("delivered"),
            errored: count("errored"),
            dropped: count("dropped"),
            unsettled: count("unsettled"),
        }
    }

    /// Whether the counts of all outcomes and of unsettled events add up to the accepted events (C1).
    pub fn is_balanced(&self) -> bool {
        let settled = self.answered + self.delivered + self.errored + self.dropped;
        self.accepted == settled + self.unsettled
    }
}

/// Whether a line of the log is a warning, an error or a panic. The level is one of the first words.
pub fn is_trouble(line: &str) -> bool {
    let level = |word: &str| {
        let word = word.trim_matches(|letter: char| !letter.is_ascii_alphabetic());
        word.eq_ignore_ascii_case("warn") || word.eq_ignore_ascii_case("error")
    };
    let head = line.split_whitespace().take(3).any(|word| level(word.trim_start_matches("level=")));
    head || line.contains("panicked at")
}

/// The address at the end of a log line `listening …`.
fn address(line: &str) -> SocketAddr {
    let (_, rest) = line.split_once("address=").expect("address=");
    let word = rest.split_whitespace().next().unwrap_or(rest);
    // A line of the JSON log ends with a quote and a brace.
    word.trim_end_matches(['"', '}']).parse().unwrap_or_else(|_| panic!("not an address: {line}"))
}
