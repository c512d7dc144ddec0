//! The events in flight on one connection, and the matching of replies to events (guarantees C1, C6).
//!
//! No actors, sockets or clocks are used here: `now` is passed in. Each connection has its own instance, so a reply
//! cannot match an event of an old one.

use std::{
    cmp::Ordering,
    collections::VecDeque,
    mem,
    time::{Duration, Instant},
};

use crate::{
    event::{EventNumber, Value},
    failure::Written,
    settings,
    wire::memory,
};

/// Maximum number of overdue events that are kept when replies match by key, so that no late reply is taken for that to
/// a newer event with the same key. When they match by order, all are kept: there are at most `max_overdue`.
pub const LATE_MAX: usize = 8;

/// The obligation to settle an event.
pub trait Obligation: Sized {
    /// The obligations for events in a row. The iterator takes them from the front.
    type Row: Iterator<Item = Self>;

    /// Adds the obligations for the events that follow.
    ///
    /// # Errors
    /// The obligations, if they cannot be kept together.
    fn join(row: &mut Self::Row, next: Self::Row) -> Result<(), Self::Row>;
}

/// The events in flight on one connection. `T` is the obligation to settle an event: the event's ticket.
#[derive(Debug)]
pub struct InFlight<T: Obligation> {
    mode: settings::ExchangeMode,
    /// Whether replies match by key.
    correlated: bool,
    /// The time in which the reply to an event must arrive that is sent from now on.
    timeout: Duration,
    /// The number of overdue replies in a row, without one in time, at which the connection ends. An upstream whose
    /// replies stop or lag one behind its requests does not recover.
    pub(super) max_overdue: usize,
    /// The events in the order of sending: first the written ones, then the queued ones.
    entries: VecDeque<InFlightEvent<T>>,
    /// The events after those of `entries`, if they await no reply and are in a row.
    row: Option<EventRow<T::Row>>,
    /// Number of written events at the front of `entries`.
    written: usize,
    /// Whether messages of the event after these have been written, but not its last message.
    is_partly_written: bool,
    /// Number of entries whose reply is overdue. The reply may still arrive.
    overdue: usize,
    overdue_in_row: usize,
    last_written: Option<EventNumber>,
    /// When the event was written whose reply was matched last; `None` once it was taken.
    answered_since: Option<Instant>,
}

/// An event that was sent.
#[derive(Debug)]
struct InFlightEvent<T> {
    /// The event's number in the session.
    event: EventNumber,
    /// The values that match the event with its reply. Boxed, because few events have any.
    tags: Option<Box<Tags>>,
    /// The obligation to settle the event; `None` once the event is overdue and has been reported.
    owed: Option<T>,
    awaits_reply: bool,
    /// When the event was queued, or written.
    since: Instant,
    /// The time in which a queued event must be written, or the reply to a written event must arrive. No event has an
    /// earlier deadline than the one before it; see [`InFlight::set_timeout`].
    limit: Duration,
}

/// Queued events in a row that await no reply.
#[derive(Debug)]
struct EventRow<R> {
    /// The first event.
    first: EventNumber,
    /// Number of events.
    count: u64,
    /// Number of events at the front that are written, and whose obligations are not taken yet.
    written: u64,
    /// The obligations of all events.
    owed: R,
}

/// The values by which a reply is matched with its event, and that the reply carries.
#[derive(Debug, Default)]
pub struct Tags {
    /// The event's correlation key; `None` when the upstream has no `correlation`, or the event has no such value.
    pub key: Option<Value>,
    /// The event's `$correlation`, which the reply gets as well.
    pub correlation: Option<Value>,
}

/// The result of matching an upstream message.
#[derive(Debug, PartialEq)]
pub enum ReplyMatch<T> {
    /// The message is the reply to the event with this obligation and this `$correlation`.
    Reply(T, Option<Value>),
    /// The message answers no event, or one that has already been reported as failed.
    Push,
}

/// An event that is overdue, or whose connection has ended.
#[derive(Debug, PartialEq)]
pub struct Unsettled<T> {
    /// The event's number in the session.
    pub event: EventNumber,
    /// How much of the event was written to the socket. The upstream may have acted on that part.
    pub written: Written,
    /// The event's `$correlation`.
    pub correlation: Option<Value>,
    /// The obligation to settle the event.
    pub owed: T,
}

/// A written event whose reply is overdue.
#[derive(Debug, PartialEq)]
pub struct Overdue<T> {
    /// The event.
    pub event: Unsettled<T>,
    /// The time in which the reply should have arrived: after a reload, the shorter one.
    pub limit: Duration,
}

impl<T: Obligation> InFlight<T> {
    /// Creates an instance without events in flight.
    pub fn new(
        mode: settings::ExchangeMode,
        correlated: bool,
        timeout: Duration,
        max_overdue: usize,
    ) -> Self {
        Self {
            mode,
            correlated,
            timeout,
            max_overdue,
            entries: VecDeque::new(),
            row: None,
            written: 0,
            is_partly_written: false,
            overdue: 0,
            overdue_in_row: 0,
            last_written: None,
            answered_since: None,
        }
    }

    /// Whether events await replies.
    pub fn awaits_replies(&self) -> bool {
        self.mode == settings::ExchangeMode::Request
    }

    /// Changes the time in which replies must arrive. Events in flight keep theirs, but wait no longer than the new time
    /// from now on. Otherwise the outcomes of later events would wait for them, because the client gets them in order.
    pub fn set_timeout(&mut self, timeout: Duration, now: Instant) {
        self.timeout = timeout;
        for entry in &mut self.entries {
            entry.limit = entry.limit.min(now.saturating_duration_since(entry.since) + timeout);
        }
    }

    /// Adds an event that was queued for the socket. When replies match by key, events without one await no reply.
    pub fn sent(&mut self, event: EventNumber, tags: Tags, owed: T, now: Instant) {
        self.list_row(now);
        let awaits_reply =
            self.mode == settings::ExchangeMode::Request && (!self.correlated || tags.key.is_some());
        let (owed, limit) = (Some(owed), self.timeout);
        let tagged = tags.key.is_some() || tags.correlation.is_some();
        let tags = tagged.then(|| Box::new(tags));
        self.entries.push_back(InFlightEvent { event, tags, owed, awaits_reply, since: now, limit });
    }

    /// Adds `count` events from `first` on that were queued for the socket, each as one message. They await no reply, and
    /// have no tags, and their time does not count. Call it only in stream mode.
    pub fn sent_row(
        &mut self,
        (first, count): (EventNumber, u64),
        owed: T::Row,
        now: impl FnOnce() -> Instant,
    ) {
        let owed = match &mut self.row {
            Some(row) if row.first.0 + row.count == first.0 => match T::join(&mut row.owed, owed) {
                Ok(()) => return row.count += count,
                Err(owed) => owed,
            },
            _ => owed,
        };
        if self.row.is_some() {
            self.list_row(now());
        }
        self.row = Some(EventRow { first, count, written: 0, owed });
    }

    /// Gives each event of the row an entry, because an event follows that does not belong to it.
    fn list_row(&mut self, now: Instant) {
        let Some(row) = self.row.take() else { return };
        debug_assert!(row.written == 0, "the obligations of written events have been taken");
        for (event, owed) in (row.first.0..).zip(row.owed) {
            let (event, owed, limit) = (EventNumber(event), Some(owed), self.timeout);
            let entry = InFlightEvent { event, tags: None, owed, awaits_reply: false, since: now, limit };
            self.entries.push_back(entry);
        }
    }

    /// Passes the obligations of the row to `settle`, if events of it were written since the last call, and the number of
    /// these events, which it settles. Call it after each call of [`InFlight::written`] or several of them.
    pub fn settle_row(&mut self, settle: impl FnOnce(&mut T::Row, u64)) {
        let Some(row) = self.row.as_mut().filter(|row| row.written > 0) else { return };
        let written = mem::take(&mut row.written);
        settle(&mut row.owed, written);
        (row.first.0, row.count) = (row.first.0 + written, row.count - written);
        if row.count == 0 {
            self.row = None;
        }
    }

    /// Records that a message of the oldest queued event was written to the socket, but not the event's last one.
    pub fn partly_written(&mut self) {
        self.is_partly_written = true;
    }

    /// Records that the oldest queued event was written. Returns its obligation if it awaits no reply, except for an event
    /// of the row; see [`InFlight::settle_row`]. `now` is called if it awaits a reply.
    pub fn written(&mut self, now: impl FnOnce() -> Instant) -> Option<T> {
        self.is_partly_written = false;
        if let Some(row) = self.row.as_mut().filter(|row| self.entries.is_empty() && row.written < row.count)
        {
            self.last_written = Some(EventNumber(row.first.0 + row.written));
            row.written += 1;
            return None;
        }
        let entry = self.entries.get_mut(self.written)?;
        self.last_written = Some(entry.event);
        if entry.awaits_reply {
            (entry.since, entry.limit) = (now(), self.timeout);
            self.written += 1;
            return None;
        }
        let entry = self.remove(self.written)?;
        entry.owed
    }

    /// Records that the `count` oldest queued events were written, which were sent as rows. Appends the obligations of those
    /// that are no longer in the row to `owed`; for the others, see [`InFlight::settle_row`].
    pub fn written_row(&mut self, count: u64, owed: &mut Vec<T>, mut now: impl FnMut() -> Instant) {
        match &mut self.row {
            Some(row) if self.entries.is_empty() && row.count - row.written >= count => {
                row.written += count;
                self.last_written = Some(EventNumber(row.first.0 + row.written - 1));
            }
            _ => owed.extend((0..count).filter_map(|_| self.written(&mut now))),
        }
    }

    fn remove(&mut self, at: usize) -> Option<InFlightEvent<T>> {
        let entry = if at == 0 { self.entries.pop_front() } else { self.entries.remove(at) };
        memory::shrink_if_idle(&mut self.entries);
        entry
    }

    /// Matches an upstream message with the oldest written event, or, when replies match by key, with the
    /// oldest one that has this key. The late reply to an overdue event is a push, and never counts as
    /// another event's reply.
    pub fn reply(&mut self, key: Option<&Value>) -> ReplyMatch<T> {
        let written = self.entries.range(..self.written);
        let position = match self.correlated {
            false => (self.written > 0).then_some(0),
            true => key
                .and_then(|key| written.enumerate().find(|(_, entry)| entry.key() == Some(key)))
                .map(|(at, _)| at),
        };
        let Some(entry) = position.and_then(|at| self.remove(at)) else { return ReplyMatch::Push };
        self.written -= 1;
        match entry.owed {
            Some(owed) => {
                self.overdue_in_row = 0;
                self.answered_since = Some(entry.since);
                ReplyMatch::Reply(owed, entry.tags.and_then(|tags| tags.correlation))
            }
            None => {
                self.overdue -= 1;
                ReplyMatch::Push
            }
        }
    }

    /// Takes the time at which the event was written whose reply was matched last.
    pub fn take_answered_since(&mut self) -> Option<Instant> {
        self.answered_since.take()
    }

    /// Takes the obligations of events whose reply is overdue. The entries remain, to match late replies.
    pub fn expire(&mut self, now: Instant) -> Vec<Overdue<T>> {
        let mut expired = Vec::new();
        for entry in self.entries.range_mut(..self.written) {
            if entry.deadline() > now {
                break;
            }
            if let Some(owed) = entry.owed.take() {
                self.overdue += 1;
                self.overdue_in_row += 1;
                let correlation = entry.tags.as_mut().and_then(|tags| tags.correlation.take());
                let event = Unsettled { event: entry.event, written: Written::Whole, correlation, owed };
                expired.push(Overdue { event, limit: entry.limit.min(self.timeout) });
            }
        }
        self.forget_oldest();
        expired
    }

    /// The earliest time at which a reply becomes overdue or the connection stalls; `None` if there is none.
    /// See [`InFlight::expire`] and [`InFlight::stalled`].
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.entries.is_empty() {
            return None;
        }
        let written = self.entries.range(..self.written).find(|entry| entry.owed.is_some());
        written.into_iter().chain(self.queued()).map(InFlightEvent::deadline).min()
    }

    /// Whether the connection must be replaced: `max_overdue` replies in a row are overdue, or it is stalled.
    pub fn must_be_replaced(&self, now: Instant) -> bool {
        self.overdue_in_row >= self.max_overdue || self.stalled(now).is_some()
    }

    /// The time in which the upstream should have read a request and has not; `None` if it is in time. That request
    /// alone cannot fail: part of it may have been written, and the rest would follow (guarantee C6). So the whole
    /// connection must end.
    pub fn stalled(&self, now: Instant) -> Option<Duration> {
        self.queued().filter(|entry| entry.deadline() <= now).map(|entry| entry.limit.min(self.timeout))
    }

    /// The oldest request that is not written; `None` if all are.
    fn queued(&self) -> Option<&InFlightEvent<T>> {
        self.entries.get(self.written).filter(|_| self.mode == settings::ExchangeMode::Request)
    }

    /// The last event that was written to the socket; `None` if there is none.
    pub fn last_written(&self) -> Option<EventNumber> {
        self.last_written
    }

    /// Number of unsettled events.
    pub fn len(&self) -> usize {
        let row = self.row.as_ref().map_or(0, |row| row.count - row.written);
        self.entries.len() - self.overdue + row as usize
    }

    /// Whether every event is settled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all unsettled events, oldest first, because the connection has ended.
    pub fn end(&mut self) -> Vec<Unsettled<T>> {
        let written = mem::take(&mut self.written);
        let is_partly_written = mem::take(&mut self.is_partly_written);
        self.overdue = 0;
        let entries = mem::take(&mut self.entries).into_iter();
        let entries = entries.map(|InFlightEvent { event, tags, owed, .. }| (event, tags, owed));
        let row = self.row.take().into_iter().flat_map(|row| (row.first.0..).zip(row.owed));
        let row = row.map(|(event, owed)| (EventNumber(event), None, Some(owed)));
        let unsettled = entries.chain(row).enumerate().filter_map(|(at, (event, tags, owed))| {
            let correlation = tags.and_then(|tags| tags.correlation);
            let written = match at.cmp(&written) {
                Ordering::Less => Written::Whole,
                Ordering::Equal if is_partly_written => Written::Partly,
                Ordering::Equal | Ordering::Greater => Written::Nothing,
            };
            Some(Unsettled { event, written, correlation, owed: owed? })
        });
        unsettled.collect()
    }

    /// When replies match by key, removes the oldest overdue entries beyond [`LATE_MAX`].
    fn forget_oldest(&mut self) {
        while self.correlated && self.overdue > LATE_MAX {
            let oldest = self.entries.iter().position(|entry| entry.owed.is_none());
            if oldest.and_then(|at| self.entries.remove(at)).is_none() {
                return;
            }
            self.written -= 1;
            self.overdue -= 1;
        }
    }
}

impl<T> InFlightEvent<T> {
    fn key(&self) -> Option<&Value> {
        self.tags.as_ref()?.key.as_ref()
    }

    fn deadline(&self) -> Instant {
        self.since + self.limit
    }
}

#[cfg(test)]
mod tests;
