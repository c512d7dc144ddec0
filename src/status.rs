//! What the whole process knows about itself: how many sessions live, and whether it is ending.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::Notify;

use crate::session::SessionGuard;

/// Shared by listeners, admin and drain.
#[derive(Debug, Default)]
pub struct Status {
    draining: AtomicBool,
    live: AtomicUsize,
    /// Handshakes that were read before the end began and are not answered.
    unanswered: AtomicUsize,
    /// Told when the last session ends, and when the last of these handshakes is answered.
    empty: Notify,
}

/// One live session.
#[derive(Debug)]
pub struct Live(Arc<Status>);

/// One handshake that awaits its answer.
#[derive(Debug)]
pub struct Unanswered(Arc<Status>);

impl Status {
    /// Counts a session until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> Live {
        self.live.fetch_add(1, SeqCst);
        Live(Arc::clone(self))
    }

    /// Counts a handshake until the guard is dropped; none once the process is ending, so that new clients
    /// cannot delay the end.
    pub fn answer(self: &Arc<Self>) -> Option<Unanswered> {
        self.unanswered.fetch_add(1, SeqCst);
        // Counted before the flag is read: the end either sees the count or is seen here.
        let guard = Unanswered(Arc::clone(self));
        (!self.is_draining()).then_some(guard)
    }

    /// How many sessions live.
    pub fn live(&self) -> usize {
        self.live.load(SeqCst)
    }

    /// From now on nobody is let in.
    pub fn start_draining(&self) {
        self.draining.store(true, SeqCst);
    }

    /// Whether the process is ending.
    pub fn is_draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    /// Waits until no session lives and no handshake of before the end awaits its answer.
    pub async fn empty(&self) {
        loop {
            // Asked for before the count is read: a session that ends in between is not missed.
            let told = self.empty.notified();
            if self.live() == 0 && self.unanswered.load(SeqCst) == 0 {
                return;
            }
            told.await;
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
