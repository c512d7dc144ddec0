//! Process-wide status: the number of live sessions, and whether the process is draining.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::{Notify, watch};

use crate::session::SessionGuard;

/// Shared by listeners, admin and drain.
#[derive(Debug, Default)]
pub struct Status {
    draining: watch::Sender<bool>,
    live: AtomicUsize,
    /// Handshakes that were read before the drain and are not answered yet.
    unanswered: AtomicUsize,
    /// Notified when the last session ends, and when the last of these handshakes is answered.
    empty: Notify,
}

/// Counts one live session; dropping it ends the count.
#[derive(Debug)]
pub struct Live(Arc<Status>);

/// Counts one unanswered handshake; dropping it ends the count.
#[derive(Debug)]
pub struct Unanswered(Arc<Status>);

impl Status {
    /// Counts a session until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> Live {
        self.live.fetch_add(1, SeqCst);
        Live(Arc::clone(self))
    }

    /// Counts a handshake until the guard is dropped. `None` once the process is draining, so that new
    /// clients cannot delay its end.
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

    /// Starts the drain: no client is accepted from now on.
    pub fn start_draining(&self) {
        self.draining.send_replace(true);
    }

    /// Whether the process is draining.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Waits until the process drains.
    pub async fn draining(&self) {
        // The sender is a field of `self`, so the wait cannot fail.
        let _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// Waits until there is no live session, and no unanswered handshake from before the drain.
    pub async fn empty(&self) {
        loop {
            // Registered before the count is read, so that a session that ends in between is not missed.
            let changed = self.empty.notified();
            if self.live() == 0 && self.unanswered.load(SeqCst) == 0 {
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
