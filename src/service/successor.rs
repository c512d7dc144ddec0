//! The process that takes over the listening sockets, so that a new version of the program serves clients while this
//! process drains.
//!
//! The new process has the same command line. It gets the sockets as systemd passes them (`LISTEN_FDS`), and after them
//! the end of a pipe, whose number is in [`READY`]. When it serves clients, it writes a byte there.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{self, PipeReader, Read, Write},
    net::TcpListener,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use actix_rt::task::spawn_blocking;
use command_fds::{CommandFdExt, FdMapping};
use tokio::time::timeout;

use crate::log;

/// The first descriptor that is passed, as sd_listen_fds(3) defines.
const FIRST: i32 = 3;

/// The variable with the number of the descriptor on which the new process reports that it serves clients.
const READY: &str = "TOWLINE_READY_FD";

/// How long the new process may take until it serves clients.
const START_TIME: Duration = Duration::from_secs(60);

/// A process that has been started to take over. Dropping it before it serves clients kills it.
pub struct Successor {
    child: Starting,
    ready: PipeReader,
}

/// A process that is killed unless it is released.
struct Starting(Option<Child>);

/// The path at which this program is, and at which a newer one may be later. Call it at the start of the process.
pub fn program() -> PathBuf {
    let name = env::args_os().next().unwrap_or_default();
    program_at(&name, env::var_os("PATH").as_deref(), env::current_exe().ok())
}

/// The path of the program that was started under this name. A name without a slash was looked for in the folders of
/// `path`. Later they may have another program of that name, so the place is looked up now, and compared with the program
/// that runs. A link to it stays one, because it may lead to a newer program later.
fn program_at(name: &OsStr, path: Option<&OsStr>, running: Option<PathBuf>) -> PathBuf {
    let named = PathBuf::from(name);
    if name.as_bytes().contains(&b'/') {
        return named;
    }
    let Some(running) = running else { return named };
    let is_running = |file: &PathBuf| file.canonicalize().is_ok_and(|file| file == running);
    let mut found = path.into_iter().flat_map(env::split_paths).map(|folder| folder.join(&named));
    found.find(is_running).unwrap_or(running)
}

// === impl Successor ===

impl Successor {
    /// Starts the program at this path with the same arguments, and with these sockets.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(program: &Path, sockets: Vec<TcpListener>) -> io::Result<Self> {
        let (ready, report) = io::pipe()?;
        let count = sockets.len();
        let passed = sockets.into_iter().map(OwnedFd::from).chain([OwnedFd::from(report)]);
        let mappings = passed.zip(FIRST..).map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        let mut command = Command::new(program);
        command
            .args(env::args_os().skip(1))
            .stdin(Stdio::null())
            .env("LISTEN_FDS", count.to_string())
            .env(READY, (FIRST as usize + count).to_string())
            .env(log::REPORT_FORMAT, log::format().name())
            // They name this process, or what systemd has passed to it.
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDNAMES")
            .env_remove("LISTEN_FDS_FIRST_FD")
            .env_remove("WATCHDOG_PID")
            .fd_mappings(mappings.collect())
            .map_err(io::Error::other)?;
        Ok(Self { child: Starting(Some(command.spawn()?)), ready })
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.0.as_ref().map_or(0, Child::id)
    }

    /// Waits until the process serves clients. Returns its id.
    ///
    /// # Errors
    /// When it has ended instead, or takes too long. It has been killed then.
    pub async fn ready(self) -> io::Result<u32> {
        let (id, Self { mut child, mut ready }) = (self.id(), self);
        let reported = timeout(START_TIME, spawn_blocking(move || ready.read_exact(&mut [0]))).await;
        match reported {
            Ok(Ok(Ok(()))) => {
                child.0 = None;
                Ok(id)
            }
            Ok(_) => Err(io::Error::other("the new process has ended; its own lines say why")),
            Err(_) => Err(io::Error::other("the new process does not serve clients after 60s")),
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Reports to the process that this one replaces, if there is one, that this one serves clients.
///
/// # Errors
/// When the report cannot be written. The other process then kills this one.
pub fn report_ready() -> io::Result<()> {
    let Some(descriptor) = env::var_os(READY).and_then(|text| text.to_str()?.parse::<u32>().ok()) else {
        return Ok(());
    };
    File::options().write(true).open(format!("/dev/fd/{descriptor}"))?.write_all(&[1])
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_name_without_a_slash_is_looked_up_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let at = |name: &str| folder.join(name);
        for name in ["version1", "other", "links"] {
            fs::create_dir(at(name)).unwrap();
        }
        let (running, other) = (at("version1/towline"), at("other/towline"));
        fs::write(&running, "1").unwrap();
        fs::write(&other, "other").unwrap();
        symlink(&running, at("links/towline")).unwrap();
        let found = |name: &str, folders: &[&str]| {
            let path = env::join_paths(folders.iter().map(|name| at(name))).unwrap();
            program_at(OsStr::new(name), Some(&path), Some(running.clone()))
        };
        assert_eq!(found("towline", &["other", "version1"]), running);
        assert_eq!(found("towline", &["other", "links"]), at("links/towline"), "a link stays one");
        assert_eq!(found("towline", &["other"]), running);
        assert_eq!(found("-another-name", &["version1"]), running);
        assert_eq!(found("./towline", &["version1"]), Path::new("./towline"));
        assert_eq!(program_at(OsStr::new("towline"), None, None), Path::new("towline"));
    }
}
