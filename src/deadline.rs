//! A deadline of an actor that drives a socket.

use std::{task::Waker, time::Duration};

use crate::wire::ticker::{self, Alarm, Tick, Ticks};

/// A moment at which an actor has something to do, whatever its socket does (C8).
///
/// The thread's ticker wakes the actor. A timer in the actor's own task would wait while the socket uses up
/// tokio's budget of the task. The deadline passes late by 0.2 s at most, and never early.
#[derive(Debug)]
pub struct Deadline {
    at: Tick,
    alarm: Alarm,
}

impl Deadline {
    /// A deadline that is not set.
    pub const fn new() -> Self {
        Self { at: Tick::NEVER, alarm: Alarm::new() }
    }

    /// Sets it to the moment at which `wait` has passed, whatever it was set to before. Takes effect with
    /// [`Deadline::arm`].
    pub fn set(&mut self, wait: Duration) {
        self.at = ticker::catch_up() + Ticks::covering(wait);
    }

    /// Forgets the moment it was set to.
    pub fn clear(&mut self) {
        self.at = Tick::NEVER;
    }

    /// Whether it is set and has not been noticed to pass.
    pub fn is_set(&self) -> bool {
        self.at != Tick::NEVER
    }

    /// Whether it has passed; true once for each time it was set.
    pub fn has_passed(&mut self) -> bool {
        let passed = self.is_set() && ticker::now() >= self.at;
        if passed {
            self.clear();
        }
        passed
    }

    /// Has `waker` woken when it passes. Call it at the end of each turn.
    pub fn arm(&mut self, waker: &Waker) {
        if self.is_set() && self.alarm.due() != self.at {
            self.alarm.set(self.at, waker);
        }
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use tokio::time::Instant;

    use super::*;

    /// Waits as an actor does that is woken by nothing else.
    async fn passed(deadline: &mut Deadline) {
        poll_fn(|task| {
            if deadline.has_passed() {
                return Poll::Ready(());
            }
            deadline.arm(task.waker());
            Poll::Pending
        })
        .await;
    }

    #[actix::test]
    async fn a_deadline_wakes_its_owner_after_its_time() {
        let (wait, start) = (Duration::from_millis(150), Instant::now());
        let mut deadline = Deadline::new();
        assert!(!deadline.has_passed());
        deadline.set(wait);
        passed(&mut deadline).await;
        assert!(start.elapsed() >= wait, "never early");
        assert!(!deadline.is_set() && !deadline.has_passed(), "it passes once");
    }

    #[actix::test]
    async fn a_deadline_that_is_set_again_or_cleared_forgets_its_moment() {
        let mut deadline = Deadline::new();
        deadline.set(Duration::from_secs(24 * 60 * 60));
        deadline.arm(Waker::noop());
        let start = Instant::now();
        deadline.set(Duration::from_millis(10));
        passed(&mut deadline).await;
        assert!(start.elapsed() < Duration::from_secs(60), "the earlier moment counts");
        deadline.set(Duration::from_millis(10));
        deadline.clear();
        let mut other = Deadline::new();
        other.set(Duration::from_millis(300));
        passed(&mut other).await;
        assert!(!deadline.has_passed());
    }
}
