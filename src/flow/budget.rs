//! Bytes that one direction of a session may hold.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Waker,
};

/// What an event costs besides its payload: its own size in queues, tickets and ledger, rounded up.
/// It bounds the number of tiny events that fit a budget.
pub const EVENT_COST: usize = 256;

/// Bytes in use of one side's `buffer`.
///
/// Reading from that side goes on while there is room at all, so the bytes in use exceed the limit by
/// one message at most.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// The reader that waits for room.
    waiting: Mutex<Option<Waker>>,
}

/// Bytes of a budget, given back on drop.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), waiting: Mutex::new(None) })
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Whether another message may be read.
    pub fn has_room(&self) -> bool {
        self.used() < self.limit
    }

    /// As [`Budget::has_room`]; when there is none, `waker` is woken once there is.
    pub fn room_or_wake(&self, waker: &Waker) -> bool {
        if self.has_room() {
            return true;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *waiting {
            Some(known) => known.clone_from(waker),
            None => *waiting = Some(waker.clone()),
        }
        false
    }

    /// Takes what an event with `payload` bytes costs. Ask for room before.
    pub fn take(self: &Arc<Self>, payload: usize) -> Permit {
        let bytes = payload + EVENT_COST;
        self.used.fetch_add(bytes, Relaxed);
        Permit { budget: Arc::clone(self), bytes }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.budget.used.fetch_sub(self.bytes, Relaxed);
        if before >= self.budget.limit && self.budget.has_room() {
            let waker = self.budget.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering::SeqCst},
        task::Wake,
    };

    use super::*;

    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
        }
    }

    #[test]
    fn the_reader_is_woken_when_there_is_room_again() {
        let budget = Budget::new(1000);
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let first = budget.take(700);
        assert!(budget.room_or_wake(&waker));
        let second = budget.take(700);
        assert!(!budget.room_or_wake(&waker));
        drop(first);
        assert!(flag.0.load(SeqCst));
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
