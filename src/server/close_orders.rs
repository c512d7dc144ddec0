//! The order of an operator to close many sessions, at a limited rate.
//!
//! The main thread carries it out, so that the order continues when another process has taken over the sockets and this
//! one has stopped its admin server.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::registry::{Registry, SessionId, SessionState};
use crate::{session::Control, wire::CloseFrame};

/// The delay of the thread for which the order catches up. After a longer one, the remaining sessions wait for their
/// turn instead of closing at once.
const SLACK: Duration = Duration::from_millis(10);

/// The time until sessions whose handshakes are being answered are checked again.
const STARTING_TIME: Duration = Duration::from_millis(20);

/// The order to close sessions: one at a time.
pub struct CloseOrders {
    registry: Arc<Registry>,
    order: Mutex<Option<CloseOrder>>,
    /// Notified when an order is given.
    given: Notify,
}

/// How the sessions are closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseManner {
    /// The close frame for the clients.
    pub frame: CloseFrame,
    /// Maximum number of sessions that are closed per second.
    pub rate: u32,
}

/// The progress of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseProgress {
    /// How the sessions are closed.
    pub manner: CloseManner,
    /// When it was given.
    pub since: SystemTime,
    /// Number of sessions that it concerns.
    pub matched: usize,
    /// Number of sessions that it has closed.
    pub closed: usize,
    /// Number of sessions that have ended for other reasons.
    pub ended: usize,
    /// Number of sessions that it has yet to close.
    pub left: usize,
}

/// There is an order already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another order to close sessions is in progress: see /api/sessions/closing")]
pub struct OrderInProgress;

/// An order in progress.
#[derive(Debug)]
struct CloseOrder {
    manner: CloseManner,
    since: SystemTime,
    matched: usize,
    closed: usize,
    ended: usize,
    left: VecDeque<SessionId>,
    /// Sessions whose handshakes are being answered. They are closed when their actors run.
    starting: VecDeque<SessionId>,
    /// When the next session is closed.
    due: Instant,
}

/// What an order does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It looks at this session.
    Look(SessionId),
    /// It waits.
    Wait(Instant),
    /// It is done.
    Done,
}

/// The result for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It has been closed.
    Closed,
    /// Its handshake is being answered.
    Starting,
    /// It has ended.
    Ended,
}

// === impl CloseOrders ===

impl CloseOrders {
    /// No order, for the sessions of this registry.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry, order: Mutex::default(), given: Notify::new() }
    }

    /// Gives the order to close these sessions.
    ///
    /// # Errors
    /// When another order is in progress.
    pub fn give(&self, sessions: Vec<SessionId>, manner: CloseManner) -> Result<(), OrderInProgress> {
        let mut order = self.order();
        if order.is_some() {
            return Err(OrderInProgress);
        }
        *order = Some(CloseOrder::new(sessions, manner, Instant::now()));
        self.given.notify_one();
        Ok(())
    }

    /// The progress of the order, if there is one.
    pub fn progress(&self) -> Option<CloseProgress> {
        self.order().as_ref().map(CloseOrder::progress)
    }

    /// Ends the order in progress. Sessions that it has not closed stay open. `reason` is for the log.
    pub fn end(&self, reason: &str) -> Option<CloseProgress> {
        let mut order = self.order().take()?;
        order.note_ended(|id| self.registry.session(id).is_none());
        let progress = order.progress();
        log_ended(&progress, reason);
        Some(progress)
    }

    /// Carries out the orders.
    pub async fn run(&self) {
        loop {
            match self.step(Instant::now()) {
                // Another order may begin meanwhile.
                Some(next) => tokio::select! {
                    () = sleep_until(next) => {}
                    () = self.given.notified() => {}
                },
                None => self.given.notified().await,
            }
        }
    }

    /// Closes the sessions that are due. Returns the time of the next close, or `None` without an order.
    fn step(&self, now: Instant) -> Option<Instant> {
        let mut slot = self.order();
        let order = slot.as_mut()?;
        loop {
            match order.next(now) {
                Next::Look(id) => {
                    let found = self.close(id, &order.manner.frame);
                    order.note(id, found, now);
                }
                Next::Wait(until) => return Some(until),
                Next::Done => break,
            }
        }
        log_ended(&order.progress(), "done");
        *slot = None;
        None
    }

    fn close(&self, id: SessionId, frame: &CloseFrame) -> Found {
        match self.registry.session(id) {
            Some((_, SessionState::Running(control))) => {
                control.notify(Control::Close(frame.clone()));
                Found::Closed
            }
            Some((_, SessionState::Starting)) => Found::Starting,
            None => Found::Ended,
        }
    }

    fn order(&self) -> MutexGuard<'_, Option<CloseOrder>> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl CloseOrder ===

impl CloseOrder {
    fn new(sessions: Vec<SessionId>, manner: CloseManner, now: Instant) -> Self {
        let (matched, left) = (sessions.len(), sessions.into());
        let since = SystemTime::now();
        Self { manner, since, matched, closed: 0, ended: 0, left, starting: VecDeque::new(), due: now }
    }

    fn next(&mut self, now: Instant) -> Next {
        if self.due > now {
            return Next::Wait(self.due);
        }
        if let Some(id) = self.left.pop_front() {
            return Next::Look(id);
        }
        if self.starting.is_empty() {
            return Next::Done;
        }
        std::mem::swap(&mut self.left, &mut self.starting);
        self.due = now + STARTING_TIME;
        Next::Wait(self.due)
    }

    fn note(&mut self, id: SessionId, found: Found, now: Instant) {
        match found {
            Found::Closed => {
                self.closed += 1;
                let pause = Duration::from_secs(1) / self.manner.rate;
                self.due = (self.due + pause).max(now.checked_sub(SLACK).unwrap_or(now));
            }
            Found::Starting => self.starting.push_back(id),
            Found::Ended => self.ended += 1,
        }
    }

    /// Counts the sessions that have ended for other reasons meanwhile.
    fn note_ended(&mut self, has_ended: impl Fn(SessionId) -> bool) {
        let before = self.left.len() + self.starting.len();
        self.left.retain(|id| !has_ended(*id));
        self.starting.retain(|id| !has_ended(*id));
        self.ended += before - self.left.len() - self.starting.len();
    }

    fn progress(&self) -> CloseProgress {
        CloseProgress {
            manner: self.manner.clone(),
            since: self.since,
            matched: self.matched,
            closed: self.closed,
            ended: self.ended,
            left: self.left.len() + self.starting.len(),
        }
    }
}

fn log_ended(progress: &CloseProgress, reason: &str) {
    let CloseProgress { matched, closed, ended, left, .. } = progress;
    log::info!(
        "close order ended reason={reason} matched={matched} closed={closed} ended={ended} left={left}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(sessions: u64, rate: u32, now: Instant) -> CloseOrder {
        let ids = (0..sessions).map(|number| SessionId { listener: 1, number }).collect();
        CloseOrder::new(ids, CloseManner { frame: CloseFrame::new(1001, "x"), rate }, now)
    }

    /// Closes what is due. Returns the number of sessions, and when the next one is due.
    fn close(order: &mut CloseOrder, now: Instant) -> (usize, Option<Instant>) {
        let before = order.closed;
        loop {
            match order.next(now) {
                Next::Look(id) => order.note(id, Found::Closed, now),
                Next::Wait(until) => return (order.closed - before, Some(until)),
                Next::Done => return (order.closed - before, None),
            }
        }
    }

    #[test]
    fn sessions_are_closed_one_after_the_other_at_the_rate() {
        let begun = Instant::now();
        let mut order = order(100, 200, begun);
        let (mut now, mut times) = (begun, Vec::new());
        loop {
            let (count, next) = close(&mut order, now);
            assert!(count <= 1, "{count} at once");
            times.extend((count == 1).then(|| now - begun));
            let Some(next) = next else { break };
            now = next;
        }
        let expected: Vec<_> = (0..100).map(|number| Duration::from_millis(5) * number).collect();
        assert_eq!(times, expected);
        assert_eq!((order.progress().closed, order.progress().left), (100, 0));
    }

    /// After a drain, it said that they were left open.
    #[test]
    fn sessions_that_have_ended_are_not_left() {
        let mut order = order(10, 1, Instant::now());
        order.note_ended(|id| id.number < 8);
        let CloseProgress { matched, ended, left, .. } = order.progress();
        assert_eq!((matched, ended, left), (10, 8, 2));
    }

    #[test]
    fn a_delay_is_no_reason_to_close_many_at_once() {
        let begun = Instant::now();
        let mut order = order(1000, 1000, begun);
        assert_eq!(close(&mut order, begun).0, 1);
        // The slack has 10 of the 1000 sessions that would have been due, and one is due now.
        let (count, _) = close(&mut order, begun + Duration::from_secs(1));
        assert!((10..=12).contains(&count), "{count}");
    }

    #[test]
    fn a_session_that_starts_is_closed_when_it_runs() {
        let begun = Instant::now();
        let mut order = order(2, 1000, begun);
        let Next::Look(first) = order.next(begun) else { panic!("one is due") };
        order.note(first, Found::Starting, begun);
        let Next::Look(second) = order.next(begun) else { panic!("a session that starts takes no time") };
        order.note(second, Found::Ended, begun);
        assert_eq!(order.next(begun), Next::Wait(begun + STARTING_TIME));
        assert_eq!(order.progress().left, 1);
        let later = begun + STARTING_TIME;
        assert_eq!(order.next(later), Next::Look(first));
        order.note(first, Found::Closed, later);
        assert_eq!(order.next(later + STARTING_TIME), Next::Done);
        let CloseProgress { matched, closed, ended, left, .. } = order.progress();
        assert_eq!((matched, closed, ended, left), (2, 1, 1, 0));
    }
}
