//! The program as a process: its log, signals, and its exit code.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use command_fds::{CommandFdExt, FdMapping};

use super::{PATIENCE, matches, wait_for};

/// Options of `unshare`: a mount namespace, and a user namespace so that no root is needed.
const NAMESPACE: &str = "-rm";

/// A running `towline`, killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: Arc<Lines>,
    reader: Option<JoinHandle<()>>,
}

/// The lines of the log so far, and a condition variable that announces new lines.
#[derive(Debug, Default)]
struct Lines {
    lines: Mutex<(Vec<String>, bool)>,
    bell: Condvar,
}

/// The result of a command that has ended.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// Starts the program in `folder`, without settings from the test's environment.
    pub fn start(args: &[&str], env: &[(&str, &str)], folder: &Path) -> Self {
        Self::spawn(command(args, env, folder))
    }

    /// The same as [`start`](Self::start), with a limit on open files.
    pub fn start_limited(open_files: usize, args: &[&str], folder: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {open_files} && exec \"$0\" \"$@\"")]);
        Self::start_by(shell, args, folder)
    }

    /// The same as [`start`](Self::start), with these listening sockets, as systemd passes them.
    pub fn start_inheriting(sockets: Vec<TcpListener>, args: &[&str], folder: &Path) -> Self {
        let mut command = command(args, &[("LISTEN_FDS", &sockets.len().to_string())], folder);
        let mappings = sockets.into_iter().zip(3..);
        let mappings = mappings.map(|(socket, child_fd)| FdMapping { parent_fd: socket.into(), child_fd });
        command.fd_mappings(mappings.collect()).unwrap();
        Self::spawn(command)
    }

    /// The same as [`start`](Self::start), under another name. The program starts the file of that name when another
    /// process is to take over.
    pub fn start_as(name: &Path, args: &[&str], folder: &Path) -> Self {
        let mut command = command(args, &[], folder);
        command.arg0(name);
        Self::spawn(command)
    }

    /// The same as [`start`](Self::start), with standard output in a file of `folder`.
    pub fn start_writing(file: &str, args: &[&str], folder: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" > {file}")]);
        Self::start_by(shell, args, folder)
    }

    /// The same as [`start`](Self::start), in a mount namespace where the files `hosts`, `resolv.conf` and
    /// `nsswitch.conf` in `folder` replace those in `/etc`.
    pub fn start_with_names(args: &[&str], folder: &Path) -> Self {
        let mount = |name| format!("mount --bind {name} /etc/{name} && ");
        let mounts = ["hosts", "resolv.conf", "nsswitch.conf"].map(mount).concat();
        let mut shell = Command::new("unshare");
        shell.args([NAMESPACE, "sh", "-c", &format!("{mounts}exec \"$0\" \"$@\"")]);
        Self::start_by(shell, args, folder)
    }

    /// Whether the system permits [`start_with_names`](Self::start_with_names).
    pub fn has_namespaces() -> bool {
        let mount = "mount --bind /etc/hosts /etc/hosts && test -e /etc/resolv.conf -a -e /etc/nsswitch.conf";
        let allowed = Command::new("unshare").args([NAMESPACE, "sh", "-c", mount]).output();
        allowed.is_ok_and(|output| output.status.success())
    }

    /// Starts the program through another command, whose last arguments are the program and its arguments.
    fn start_by(mut other: Command, args: &[&str], folder: &Path) -> Self {
        let program = command(args, &[], folder);
        other.arg(program.get_program()).args(program.get_args()).current_dir(folder);
        for (key, value) in program.get_envs() {
            match value {
                Some(value) => other.env(key, value),
                None => other.env_remove(key),
            };
        }
        Self::spawn(other)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Lines::default());
        let shared = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                shared.lines.lock().unwrap().0.push(line);
                shared.bell.notify_all();
            }
            shared.lines.lock().unwrap().1 = true;
            shared.bell.notify_all();
        });
        Self { child, log, reader: Some(reader) }
    }

    /// Runs a command until it ends, with empty standard input.
    pub fn finish(args: &[&str], env: &[(&str, &str)], folder: &Path) -> Finished {
        run_to_end(command(args, env, folder), "")
    }

    /// Runs a command until it ends, with `stdin` as its standard input.
    pub fn finish_with(args: &[&str], folder: &Path, stdin: &str) -> Finished {
        run_to_end(command(args, &[], folder), stdin)
    }

    /// The log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().0.clone()
    }

    /// Waits for a line that matches `pattern`, in which `*` stands for any text.
    #[track_caller]
    pub fn wait_log(&self, pattern: &str) -> String {
        match self.find_log(pattern, PATIENCE) {
            Some(line) => line,
            None => panic!("no line {pattern:?} in the log:\n{}", self.log().join("\n")),
        }
    }

    /// Waits for a line that matches `pattern`; `None` at the deadline or when the program ends.
    pub fn find_log(&self, pattern: &str, patience: Duration) -> Option<String> {
        let end = Instant::now() + patience;
        let mut guard = self.log.lines.lock().unwrap();
        loop {
            if let Some(line) = guard.0.iter().find(|line| matches(line, pattern)) {
                return Some(line.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if guard.1 || left.is_zero() {
                return None;
            }
            guard = self.log.bell.wait_timeout(guard, left).unwrap().0;
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for the end of the process; returns its exit code, or `None` when a signal ended it.
    #[track_caller]
    pub fn exit_code(&mut self) -> Option<i32> {
        let status = wait_end(&mut self.child, PATIENCE);
        self.join();
        status.code()
    }

    /// Kills the process with SIGKILL, and reads the rest of the log.
    pub fn kill(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join();
    }

    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn command(args: &[&str], env: &[(&str, &str)], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
    for (key, _) in std::env::vars() {
        if key.starts_with("TOWLINE_") || key == "RUST_LOG" {
            command.env_remove(key);
        }
    }
    command.args(args).envs(env.iter().copied()).current_dir(folder);
    command
}

/// Runs a command until it ends.
#[track_caller]
pub(super) fn run_to_end(mut command: Command, stdin: &str) -> Finished {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The command may not read its input.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let status = wait_end(&mut child, PATIENCE);
    Finished { code: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for the end of a child process. Kills it at the deadline, so that it does not outlive the test.
#[track_caller]
fn wait_end(child: &mut Child, patience: Duration) -> ExitStatus {
    let end = Instant::now() + patience;
    let mut status = None;
    wait_for("the program's end", patience + Duration::from_secs(1), || {
        if Instant::now() > end {
            let _ = child.kill();
        }
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert!(Instant::now() <= end, "the program did not end within {patience:?}");
    status.expect("just seen")
}
