//! Tickets: every event ends with an ack, even in a panic.

use std::{fmt, iter, mem, option, sync::Arc, task::Waker, vec};

use super::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use crate::{
    event::{EventId, EventNumber},
    failure::Failure,
};

/// Back plane, any actor of a session → session: the outcome of an event.
///
/// No sender waits on an ack. The number of acks is bounded by the number of events in flight, which permits
/// and `max_in_flight` bound.
#[derive(Debug)]
pub enum Ack {
    /// A ticket has its outcome.
    Settled {
        /// The event's number in the session.
        event: EventNumber,
        /// The source of the event: a client message, a push or an error event.
        cause: Cause,
        /// The outcome.
        status: AckStatus,
    },
    /// Client messages in a row have the outcome "delivered".
    Delivered {
        /// The number of the first event.
        first: EventNumber,
        /// How many events there are.
        count: u64,
    },
    /// A client's message failed, and a message in the client's protocol reports that. It follows in the queue of the
    /// replies, and is the outcome of the event if it has none yet.
    FailedInProtocol {
        /// The event's number in the session.
        event: EventNumber,
        /// Why it failed. Boxed as in [`AckStatus::Failed`].
        failure: Box<Failure>,
    },
    /// A pipeline of the session died.
    PipelineDied(String),
    /// The supervisor of the session died.
    SupervisorDied,
}

/// The source of an event. It determines how the session treats the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A client's message, which needs an outcome.
    Message,
    /// A push of the upstream. Its outcome is not reported.
    Push,
    /// The error event about a failed message or push.
    Error,
}

/// The outcome of an event, as its ticket reports it.
#[derive(Debug, PartialEq, Eq)]
pub enum AckStatus {
    /// The event was written to the upstream connection, and no reply is awaited.
    Delivered,
    /// A pipeline dropped the event.
    Dropped,
    /// A pipeline copied the event. Both copies share its outcome.
    Copied,
    /// The event failed. Boxed because failures are rare, so that acks stay small.
    Failed(Box<Failure>),
    /// The ticket was dropped without an outcome, because an actor that held it died.
    Lost,
}

/// Collects the acks of one session, and assigns its event numbers.
#[derive(Debug)]
pub struct AckTracker {
    source: u32,
    stream: u64,
    next: AtomicU64,
    back: Mutex<AckQueue>,
}

/// The acks that a session takes at once.
#[derive(Debug, Default)]
pub struct Acks {
    /// All acks but the last one.
    pub list: Vec<Ack>,
    /// The last ack, if it is [`Ack::Delivered`]: the first event, and how many there are. Usually it is the only one, and
    /// takes no allocation.
    pub delivered: Option<(EventNumber, u64)>,
}

#[derive(Debug, Default)]
struct AckQueue {
    acks: Vec<Ack>,
    /// See [`Acks::delivered`].
    delivered: Option<(EventNumber, u64)>,
    /// The waker of the session.
    waker: Option<Waker>,
    /// Whether successful outcomes wake the session at once. If false, they wait for the session's next turn.
    eager: bool,
}

/// The obligation to give an event its outcome. Dropping it without an outcome reports the event as lost.
#[derive(Debug)]
pub struct Ticket {
    tracker: Arc<AckTracker>,
    event: EventNumber,
    cause: Cause,
    is_settled: bool,
}

/// The obligations for events in a row. They are taken from the front, one by one or settled together. Those that are left
/// when it is dropped report their events as lost.
#[derive(Debug)]
pub struct Tickets {
    tracker: Arc<AckTracker>,
    /// The first event that is left.
    first: EventNumber,
    /// Number of events that are left.
    count: u64,
    cause: Cause,
}

// === impl Ack ===

impl Ack {
    fn of_delivered((first, count): (EventNumber, u64)) -> Self {
        Self::Delivered { first, count }
    }
}

impl IntoIterator for Acks {
    type Item = Ack;
    type IntoIter = iter::Chain<vec::IntoIter<Ack>, option::IntoIter<Ack>>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter().chain(self.delivered.map(Ack::of_delivered))
    }
}

// === impl AckStatus ===

impl AckStatus {
    /// The status of a failed event.
    pub fn failed(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

// === impl AckTracker ===

impl AckTracker {
    /// Creates the tracker of a session. `source` and `stream` are the first two parts of its event ids.
    pub fn new(source: u32, stream: u64) -> Arc<Self> {
        Arc::new(Self { source, stream, next: AtomicU64::new(0), back: Mutex::default() })
    }

    /// Issues a ticket for a new event.
    pub fn issue(self: &Arc<Self>, cause: Cause) -> Ticket {
        self.ticket(EventNumber(self.next.fetch_add(1, Relaxed)), cause)
    }

    /// Issues a ticket for the error event of a known event.
    pub fn issue_error(self: &Arc<Self>, event: EventNumber) -> Ticket {
        self.ticket(event, Cause::Error)
    }

    /// Issues tickets for `count` new events.
    pub fn issue_many(self: &Arc<Self>, count: u64, cause: Cause) -> Tickets {
        let first = EventNumber(self.next.fetch_add(count, Relaxed));
        Tickets { tracker: Arc::clone(self), first, count, cause }
    }

    fn ticket(self: &Arc<Self>, event: EventNumber, cause: Cause) -> Ticket {
        Ticket { tracker: Arc::clone(self), event, cause, is_settled: false }
    }

    /// The id of an event of this session.
    pub fn id(&self, event: EventNumber) -> EventId {
        EventId { source: self.source, stream: self.stream, event }
    }

    /// Takes the acks in their order, and keeps `waker` for the next urgent ack. If `eager` is true, acks of
    /// successful outcomes are urgent too.
    pub fn take_acks(&self, waker: Option<&Waker>, eager: bool) -> Acks {
        let mut back = self.back();
        if let Some(waker) = waker {
            match &mut back.waker {
                Some(known) => known.clone_from(waker),
                None => back.waker = Some(waker.clone()),
            }
            back.eager = eager;
        }
        Acks { list: mem::take(&mut back.acks), delivered: back.delivered.take() }
    }

    /// Records the outcome "delivered" for tickets of this session, in their order, under one lock.
    pub fn delivered(&self, tickets: &mut Vec<Ticket>) {
        if tickets.is_empty() {
            return;
        }
        let mut back = self.back();
        for mut ticket in tickets.drain(..) {
            ticket.is_settled = true;
            back.delivered(ticket.event, 1, ticket.cause);
        }
        back.wake_if(false);
    }

    /// Reports to the session that a client's message failed. Call it before the message in the client's protocol that
    /// reports it is sent.
    pub fn failed_in_protocol(&self, event: EventNumber, failure: Failure) {
        self.ack(Ack::FailedInProtocol { event, failure: Box::new(failure) });
    }

    /// Reports to the session that one of its pipelines died.
    pub fn pipeline_died(&self, name: &str) {
        self.ack(Ack::PipelineDied(name.to_owned()));
    }

    /// Reports to the session that its supervisor died.
    pub fn supervisor_died(&self) {
        self.ack(Ack::SupervisorDied);
    }

    fn ack(&self, ack: Ack) {
        let mut back = self.back();
        let good = match &ack {
            Ack::Settled { status: AckStatus::Delivered | AckStatus::Copied, .. } | Ack::Delivered { .. } => {
                true
            }
            // Messages to the client may wait for an error event that was dropped.
            Ack::Settled { status: AckStatus::Dropped, cause, .. } => *cause != Cause::Error,
            Ack::Settled { .. }
            | Ack::FailedInProtocol { .. }
            | Ack::PipelineDied(_)
            | Ack::SupervisorDied => false,
        };
        back.push(ack);
        back.wake_if(!good);
    }

    fn back(&self) -> MutexGuard<'_, AckQueue> {
        self.back.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for AckTracker {
    /// Writes the session's name in the log: `1:0` is the first session of the first listener.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.stream)
    }
}

impl AckQueue {
    fn push(&mut self, ack: Ack) {
        self.acks.extend(self.delivered.take().map(Ack::of_delivered));
        self.acks.push(ack);
    }

    /// Adds the outcome "delivered" of `more` events, from `event` on. Events in a row share one ack.
    fn delivered(&mut self, event: EventNumber, more: u64, cause: Cause) {
        if cause != Cause::Message {
            let settled =
                |event| Ack::Settled { event: EventNumber(event), cause, status: AckStatus::Delivered };
            return (event.0..event.0 + more).map(settled).for_each(|ack| self.push(ack));
        }
        match &mut self.delivered {
            Some((first, count)) if first.0 + *count == event.0 => *count += more,
            _ => {
                let before = self.delivered.replace((event, more));
                self.acks.extend(before.map(Ack::of_delivered));
            }
        }
    }

    /// Wakes the session if it waits for acks and `urgent` is true, or if it is eager.
    fn wake_if(&mut self, urgent: bool) {
        if (urgent || self.eager)
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }
}

// === impl Ticket ===

impl Ticket {
    /// The event's number in the session.
    pub fn event(&self) -> EventNumber {
        self.event
    }

    /// The event's id.
    pub fn id(&self) -> EventId {
        self.tracker.id(self.event)
    }

    /// The source of the event: a client message, a push or an error event.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Gives the event its outcome.
    pub fn settle(mut self, status: AckStatus) {
        self.ack(status);
    }

    /// Removes the obligation without an ack: the session itself settles the event.
    pub fn redeem(mut self) -> EventNumber {
        self.is_settled = true;
        self.event
    }

    /// A second ticket, for a copy of the event.
    pub fn split(&self) -> Self {
        let Self { event, cause, .. } = *self;
        self.tracker.ack(Ack::Settled { event, cause, status: AckStatus::Copied });
        self.tracker.ticket(event, cause)
    }

    fn ack(&mut self, status: AckStatus) {
        self.is_settled = true;
        let Self { event, cause, .. } = *self;
        self.tracker.ack(Ack::Settled { event, cause, status });
    }
}

// === impl Tickets ===

impl Tickets {
    /// The number of the first event that is left.
    pub fn first(&self) -> EventNumber {
        self.first
    }

    /// Number of events that are left.
    pub fn left(&self) -> u64 {
        self.count
    }

    /// The source of the events.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Adds the tickets for the events that follow, of the same session and cause. Returns them if they are others.
    pub fn join(&mut self, next: Self) -> Result<(), Self> {
        let follows = self.first.0 + self.count == next.first.0 && self.cause == next.cause;
        if !follows || !Arc::ptr_eq(&self.tracker, &next.tracker) {
            return Err(next);
        }
        self.count += next.redeem();
        Ok(())
    }

    /// Gives the first `count` events the outcome "delivered".
    pub fn deliver(&mut self, count: u64) {
        let (first, count) = (self.first, count.min(self.count));
        if count == 0 {
            return;
        }
        (self.first.0, self.count) = (first.0 + count, self.count - count);
        let mut back = self.tracker.back();
        back.delivered(first, count, self.cause);
        back.wake_if(false);
    }

    /// Removes the obligations without acks: the session itself settles the events. Returns their number.
    pub fn redeem(mut self) -> u64 {
        mem::take(&mut self.count)
    }
}

impl Iterator for Tickets {
    type Item = Ticket;

    fn next(&mut self) -> Option<Ticket> {
        self.count = self.count.checked_sub(1)?;
        let ticket = self.tracker.ticket(self.first, self.cause);
        self.first.0 += 1;
        Some(ticket)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        (count, Some(count))
    }
}

impl Drop for Tickets {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_settled {
            self.ack(AckStatus::Lost);
        }
    }
}

#[cfg(test)]
mod tests;
