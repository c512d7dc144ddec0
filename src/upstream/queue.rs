//! Sessions that wait for an endpoint, first come, first served.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use tokio::sync::oneshot;

/// A queue of sessions that wait. Each is woken once.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    /// The number of sessions that wait, to be read without the lock.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    sessions: BTreeMap<u64, oneshot::Sender<Wake>>,
}

/// Why a session is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// There is room for one session. If this session does not use it, the next one gets it.
    ForOne,
    /// There may be room for every session that waits.
    ForAll,
}

/// A place in a [`Queue`]. It resolves when the session is woken.
#[derive(Debug)]
pub struct Waiter {
    queue: Arc<Queue>,
    place: u64,
    woken: oneshot::Receiver<Wake>,
}

// === impl Queue ===

impl Queue {
    /// Adds a session to the end of the queue.
    pub fn wait(self: &Arc<Self>) -> Waiter {
        let (sender, woken) = oneshot::channel();
        let mut waiting = self.lock();
        let place = waiting.next;
        waiting.next += 1;
        waiting.sessions.insert(place, sender);
        self.count.store(waiting.sessions.len(), SeqCst);
        Waiter { queue: Arc::clone(self), place, woken }
    }

    /// The number of sessions that wait.
    pub fn len(&self) -> usize {
        self.count.load(SeqCst)
    }

    /// Whether no session waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wakes the first `count` sessions. Returns how many it woke.
    pub fn wake(&self, count: usize) -> usize {
        if self.is_empty() {
            return 0;
        }
        let (mut waiting, mut woken) = (self.lock(), 0);
        while woken < count
            && let Some((_, session)) = waiting.sessions.pop_first()
        {
            // A session that is leaving is no longer there to be woken.
            woken += usize::from(session.send(Wake::ForOne).is_ok());
        }
        self.count.store(waiting.sessions.len(), SeqCst);
        woken
    }

    /// Wakes all sessions.
    pub fn wake_all(&self) {
        let sessions = std::mem::take(&mut self.lock().sessions);
        self.count.store(self.lock().sessions.len(), SeqCst);
        for session in sessions.into_values() {
            // As above.
            let _ = session.send(Wake::ForAll);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Waiter ===

impl Future for Waiter {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        // The queue drops no sender before it sends.
        Pin::new(&mut self.woken).poll(task).map(|_| ())
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.sessions.remove(&self.place);
        self.queue.count.store(waiting.sessions.len(), SeqCst);
        drop(waiting);
        // Woken, and never polled since.
        if self.woken.try_recv() == Ok(Wake::ForOne) {
            self.queue.wake(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn queue(count: usize) -> (Arc<Queue>, Vec<Waiter>) {
        let queue = Arc::new(Queue::default());
        let waiters = (0..count).map(|_| queue.wait()).collect();
        (queue, waiters)
    }

    fn woken(waiters: &mut [Waiter]) -> Vec<bool> {
        let mut task = Context::from_waker(Waker::noop());
        waiters.iter_mut().map(|waiter| Pin::new(waiter).poll(&mut task).is_ready()).collect()
    }

    #[test]
    fn the_first_sessions_are_woken_and_no_others() {
        let (queue, mut waiters) = queue(4);
        assert_eq!((queue.wake(2), queue.len()), (2, 2));
        assert_eq!(woken(&mut waiters[..2]), [true, true]);
        assert_eq!(woken(&mut waiters[2..]), [false, false]);
        queue.wake_all();
        assert_eq!(woken(&mut waiters[2..]), [true, true]);
        assert_eq!((queue.wake(1), queue.is_empty()), (0, true));
    }

    #[test]
    fn a_wake_before_a_session_waits_is_not_kept_for_it() {
        let (queue, _) = queue(0);
        assert_eq!(queue.wake(3), 0);
        assert_eq!(woken(&mut [queue.wait()]), [false]);
    }

    #[test]
    fn a_session_that_leaves_passes_its_wake_on() {
        let (queue, mut waiters) = queue(3);
        drop(waiters.remove(1));
        assert_eq!(queue.len(), 2);
        queue.wake(1);
        drop(waiters.remove(0));
        assert_eq!(woken(&mut waiters), [true]);
        let (queue, mut waiters) = (Arc::clone(&queue), vec![queue.wait(), queue.wait()]);
        queue.wake(1);
        assert_eq!(woken(&mut waiters), [true, false]);
        drop(waiters.remove(0));
        assert_eq!(woken(&mut waiters), [false], "the wake was used");
    }
}
