//! A shell in which commands run one after the other.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

/// How long a command may take.
const LONGEST: Duration = Duration::from_secs(60);

/// The last line that a command prints here.
const END: &str = "-- the command has ended --";

/// A running `bash`. Its drop kills every process that works in its folder.
pub(super) struct Shell {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    folder: PathBuf,
}

// === impl Shell ===

impl Shell {
    /// Starts the shell in a folder, with the programs of this repository on its path.
    pub(super) fn start(folder: &Path) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_towline")).parent().unwrap();
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin");
        let path = format!("{}:{}:{}", program.display(), tools.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        for (key, _) in std::env::vars() {
            if key.starts_with("TOWLINE_") || key == "RUST_LOG" {
                command.env_remove(key);
            }
        }
        command.env("PATH", path).current_dir(folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The receiver is gone when the test is over.
                let _ = sender.send(line);
            }
        });
        // Standard error is shown too, as in a terminal. `set -m` as in a terminal: each job is a group.
        let mut shell = Self { child, stdin, lines, folder: folder.canonicalize().unwrap() };
        shell.type_line("exec 2>&1; set -m");
        shell
    }

    /// Runs a command, and returns what it prints.
    #[track_caller]
    pub(super) fn run(&mut self, command: &str) -> String {
        self.type_line(command);
        self.type_line(&format!("echo; echo '{END}'"));
        let mut printed = Vec::new();
        loop {
            let line = self.lines.recv_timeout(LONGEST);
            let line = line.unwrap_or_else(|_| panic!("no end of: {command}\n{}", printed.join("\n")));
            if line == END {
                break;
            }
            printed.push(line);
        }
        printed.join("\n")
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        for process in processes {
            let works_here =
                std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == self.folder);
            if let (true, Some(pid)) = (works_here, process.file_name().to_str()) {
                // The process may have ended already.
                let _ = Command::new("kill").args(["-s", "KILL", pid]).stderr(Stdio::null()).status();
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
