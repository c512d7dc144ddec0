//! Handing the listening sockets to a new process, on SIGUSR2.

use std::{io, net::TcpListener, path::PathBuf, pin::Pin, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use super::listeners::Listeners;
use crate::{
    listener::OpenSocket,
    log::Quoted,
    server::Status,
    service::{self, Successor, Watchdog},
};

/// How long handshakes that this process has begun may take before it drains.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Starts a new process on SIGUSR2, one at a time.
pub(super) struct HandOver {
    requests: Signal,
    /// The program that is started.
    program: PathBuf,
    starting: Option<Pin<Box<dyn Future<Output = io::Result<u32>>>>>,
    /// Whether a new process starts when the reload in progress has ended.
    is_waiting: bool,
    /// Reports to the service manager until the new process is the service: reports of this process would hide that the
    /// new one no longer works.
    pub(super) watchdog: Option<Watchdog>,
}

/// What has happened.
pub(super) enum Step {
    /// SIGUSR2 was received.
    Requested,
    /// The new process serves clients, or has failed.
    Started(io::Result<u32>),
}

// === impl HandOver ===

impl HandOver {
    /// # Errors
    /// When the signal cannot be handled.
    pub(super) fn new() -> io::Result<Self> {
        let requests = signal(SignalKind::user_defined2())?;
        let program = service::program();
        Ok(Self { requests, program, starting: None, is_waiting: false, watchdog: None })
    }

    /// Whether a new process starts. Its settings and sockets are fixed, so the settings are not reloaded meanwhile.
    pub(super) fn is_starting(&self) -> bool {
        self.starting.is_some()
    }

    /// Ends a new process that does not serve clients yet.
    pub(super) fn abandon(&mut self) {
        if self.starting.take().is_some() {
            log::warn!("hand-over abandoned");
        }
    }

    /// Waits for the next step. A call that is dropped loses nothing.
    pub(super) async fn next(&mut self) -> Step {
        if let Some(starting) = &mut self.starting {
            let started = starting.await;
            self.starting = None;
            return Step::Started(started);
        }
        if self.requests.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        Step::Requested
    }

    /// Has a new process start after the reload in progress, which may change the sockets that it gets.
    pub(super) fn wait_for_reload(&mut self) {
        self.is_waiting = true;
        log::info!("hand-over waits for the reload in progress");
    }

    /// A reload has ended: starts the new process that has waited for it.
    pub(super) fn reloaded(&mut self, listeners: &Listeners, admin: &[TcpListener]) {
        if std::mem::take(&mut self.is_waiting) {
            self.begin(listeners, admin);
        }
    }

    /// Acts on a step. Returns the id of the new process once that serves clients.
    pub(super) fn take(&mut self, step: Step, listeners: &Listeners, admin: &[TcpListener]) -> Option<u32> {
        match step {
            Step::Requested => self.begin(listeners, admin),
            Step::Started(Ok(process)) => {
                self.watchdog = None;
                return Some(process);
            }
            Step::Started(Err(error)) => log_failed(&error),
        }
        None
    }

    fn begin(&mut self, listeners: &Listeners, admin: &[TcpListener]) {
        match shared(listeners, admin).and_then(|sockets| Successor::start(&self.program, sockets)) {
            Ok(successor) => {
                log::info!("hand-over begins process={}", successor.id());
                self.starting = Some(Box::pin(successor.ready()));
            }
            Err(error) => log_failed(&error),
        }
    }
}

fn log_failed(error: &io::Error) {
    log::error!("hand-over failed reason={}", Quoted(&error.to_string()));
}

/// The sockets of the listeners and of the admin server, for another process.
fn shared(listeners: &Listeners, admin: &[TcpListener]) -> io::Result<Vec<TcpListener>> {
    let sockets = listeners.open.iter().flat_map(|listener| listener.sockets()).map(OpenSocket::duplicate);
    sockets.chain(admin.iter().map(TcpListener::try_clone)).collect()
}

/// Leaves new connections to the other process, and waits for the handshakes that this one has begun.
pub(super) async fn leave_to(process: u32, listeners: &mut Listeners, status: &Status) {
    for listener in &mut listeners.open {
        listener.leave().await;
    }
    let _cut_off = timeout(HANDSHAKE_TIME, status.nothing_pending()).await;
    log::info!("handed over process={process} sessions={}", status.live());
}
