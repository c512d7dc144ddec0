//! A deadline of an actor that drives a socket.

use std::{task::Waker, time::Duration};

use crate::wire::ticker::{self, Alarm, Tick, Ticks};

/// A time at which an actor must act, whatever its socket does (guarantee C8).
///
/// The thread's ticker wakes the actor. A timer in the actor's own task would be delayed while the socket
/// uses up the task's tokio budget. The deadline fires at most 0.2 s late, and never early.
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

    /// Sets the deadline to `wait` from now. Replaces an earlier setting. It takes effect with
    /// [`Deadline::arm`].
    pub fn set(&mut self, wait: Duration) {
        self.at = ticker::catch_up() + Ticks::covering(wait);
    }

    /// Clears the deadline.
    pub fn clear(&mut self) {
        self.at = Tick::NEVER;
    }

    /// Whether the deadline is set and has not been reported as passed.
    pub fn is_set(&self) -> bool {
        self.at != Tick::NEVER
    }

    /// Whether the deadline has passed. Returns true once for each setting.
    pub fn has_passed(&mut self) -> bool {
        let passed = self.is_set() && ticker::now() >= self.at;
        if passed {
            self.clear();
        }
        passed
    }

    /// Registers `waker`, which is woken when the deadline passes. Call it at the end of each turn.
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

    /// Waits like an actor that nothing else wakes.
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
    async fn setting_or_clearing_a_deadline_replaces_the_earlier_one() {
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
