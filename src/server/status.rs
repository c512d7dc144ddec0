//! Process-wide status: the number of live sessions, and whether the process is draining.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::{Notify, watch};

use super::workers::{Loaded, WorkerLoad};
use crate::session::SessionGuard;

/// The status of the process, shared by listeners, admin server and drain.
#[derive(Debug, Default)]
pub struct Status {
    draining: watch::Sender<bool>,
    live: AtomicUsize,
    /// Number of handshakes that were read before the drain and are not answered yet.
    unanswered: AtomicUsize,
    /// Number of accepted connections that have no session yet and have not been refused.
    pending: AtomicUsize,
    /// Notified when one of the counts of this status becomes zero.
    empty: Notify,
}

/// A guard that counts one live session.
#[derive(Debug)]
pub struct Live(Arc<Status>);

/// A guard that counts one unanswered handshake.
#[derive(Debug)]
pub struct Unanswered(Arc<Status>);

/// A guard that counts one accepted connection until its session has started or it has been refused.
#[derive(Debug)]
pub struct Pending {
    status: Arc<Status>,
    /// Counts it for the worker thread that serves it.
    worker: Option<Loaded>,
}

impl Status {
    /// Counts a connection that has been accepted, until the guard is dropped.
    pub fn accept(self: &Arc<Self>) -> Pending {
        self.pending.fetch_add(1, SeqCst);
        Pending { status: Arc::clone(self), worker: None }
    }

    /// Counts a session until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> Live {
        self.live.fetch_add(1, SeqCst);
        Live(Arc::clone(self))
    }

    /// Counts a handshake until the guard is dropped. Returns `None` while the process is draining, so that
    /// new clients cannot delay its end.
    pub fn answer(self: &Arc<Self>) -> Option<Unanswered> {
        self.unanswered.fetch_add(1, SeqCst);
        // Counted before the flag is read, so that either the drain sees the count or this sees the flag.
        let guard = Unanswered(Arc::clone(self));
        (!self.is_draining()).then_some(guard)
    }

    /// The number of live sessions.
    pub fn live(&self) -> usize {
        self.live.load(SeqCst)
    }

    /// Starts the drain. No client is accepted after this call.
    pub fn start_draining(&self) {
        self.draining.send_replace(true);
    }

    /// Whether the process is draining.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Waits until the drain starts.
    pub async fn draining(&self) {
        // The sender is a field of `self`, so the wait cannot fail.
        let _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// Waits until there is no live session, and no unanswered handshake from before the drain.
    pub async fn empty(&self) {
        self.wait_for(|| self.live() == 0 && self.unanswered() == 0).await;
    }

    /// The number of unanswered handshakes from before the drain.
    pub fn unanswered(&self) -> usize {
        self.unanswered.load(SeqCst)
    }

    /// Waits until each connection that has been accepted has a session or has been refused.
    pub async fn nothing_pending(&self) {
        self.wait_for(|| self.pending.load(SeqCst) == 0).await;
    }

    async fn wait_for(&self, is_done: impl Fn() -> bool) {
        loop {
            // Registered before the counts are read, so that a change in between is not missed.
            let changed = self.empty.notified();
            if is_done() {
                return;
            }
            changed.await;
        }
    }
}

impl SessionGuard for Live {}

impl Drop for Live {
    fn drop(&mut self) {
        if self.0.live.fetch_sub(1, SeqCst) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.0.unanswered.fetch_sub(1, SeqCst) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

impl Pending {
    /// Counts the connection for this worker thread, and for no other one.
    pub fn assign(&mut self, worker: &WorkerLoad) {
        self.worker = Some(worker.add());
    }

    /// Counts it for no worker thread: a session counts for itself.
    pub fn unassign(&mut self) {
        self.worker = None;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.status.pending.fetch_sub(1, SeqCst) == 1 {
            self.status.empty.notify_waiters();
        }
    }
}
