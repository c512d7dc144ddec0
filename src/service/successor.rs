//! The process that takes over the listening sockets, so that a new version of the program serves clients while this
//! process drains.
//!
//! The new process has the same command line. It gets the sockets as systemd passes them (`LISTEN_FDS`), and after them
//! the end of a pipe, whose number is in [`READY`]. When it serves clients, it writes a byte there.

use std::{
    env,
    fs::File,
    io::{self, PipeReader, Read, Write},
    net::TcpListener,
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    time::Duration,
};

use actix_rt::task::spawn_blocking;
use command_fds::{CommandFdExt, FdMapping};
use tokio::time::timeout;

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

// === impl Successor ===

impl Successor {
    /// Starts the program again, with these sockets.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(sockets: Vec<TcpListener>) -> io::Result<Self> {
        let mut arguments = env::args_os();
        let program = arguments.next().ok_or_else(|| io::Error::other("the program has no name"))?;
        let (ready, report) = io::pipe()?;
        let count = sockets.len();
        let passed = sockets.into_iter().map(OwnedFd::from).chain([OwnedFd::from(report)]);
        let mappings = passed.zip(FIRST..).map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .env("LISTEN_FDS", count.to_string())
            .env(READY, (FIRST as usize + count).to_string())
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
