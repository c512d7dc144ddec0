//! Tickets: no event is lost without a note.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
};

use crate::{event::EventId, reply::Failure};

/// Back plane, any actor of a session → session: what has become of an event.
///
/// Never waited on. Bounded by the events under way, which permits and `max_in_flight` bound.
#[derive(Debug)]
pub enum Note {
    /// The event has been written to the upstream connection and awaits nothing.
    Delivered(u64),
    /// A pipeline let the event end.
    Dropped(u64),
    /// A pipeline made two of the event; both share its outcome.
    Copied(u64),
    /// The event failed before it reached the upstream side, or on its way back.
    Failed(u64, Failure),
    /// A push failed on its way to the client.
    PushFailed(u64, Failure),
    /// The event's ticket was dropped: something died that held it.
    Lost(u64),
    /// A pipeline of the session died.
    PipelineDied(String),
}

/// The place where the notes of one session come in, and where its event numbers come from.
#[derive(Debug)]
pub struct Tracker {
    source: u32,
    stream: u64,
    next: AtomicU64,
    back: Mutex<Back>,
}

#[derive(Debug, Default)]
struct Back {
    notes: Vec<Note>,
    /// The session.
    waker: Option<Waker>,
    /// Whether the session wants to know of good outcomes at once, not at its next turn.
    eager: bool,
}

/// The obligation to give an event an outcome.
#[derive(Debug)]
pub struct Ticket {
    tracker: Arc<Tracker>,
    event: u64,
    /// Whether it is a push: an event that no client's message caused, so that nobody awaits its outcome.
    push: bool,
    stamped: bool,
}

// === impl Tracker ===

impl Tracker {
    /// The tracker of a session: `source` and `stream` of its event ids.
    pub fn new(source: u32, stream: u64) -> Arc<Self> {
        Arc::new(Self { source, stream, next: AtomicU64::new(0), back: Mutex::default() })
    }

    /// A ticket for a new event of the client.
    pub fn issue(self: &Arc<Self>) -> Ticket {
        self.ticket(self.next.fetch_add(1, Relaxed), false)
    }

    /// A ticket for a new event that nobody asked for.
    pub fn issue_push(self: &Arc<Self>) -> Ticket {
        self.ticket(self.next.fetch_add(1, Relaxed), true)
    }

    /// A ticket for the error event of a known event.
    pub fn reissue(self: &Arc<Self>, event: u64) -> Ticket {
        self.ticket(event, false)
    }

    fn ticket(self: &Arc<Self>, event: u64, push: bool) -> Ticket {
        Ticket { tracker: Arc::clone(self), event, push, stamped: false }
    }

    /// The full name of an event of this session.
    pub fn id(&self, event: u64) -> EventId {
        EventId { source: self.source, stream: self.stream, event }
    }

    /// Takes the notes in their order, and keeps `waker` for the next one that matters. With `eager`,
    /// good outcomes matter too.
    pub fn take_notes(&self, waker: Option<&Waker>, eager: bool) -> Vec<Note> {
        let mut back = self.back();
        if let Some(waker) = waker {
            match &mut back.waker {
                Some(known) => known.clone_from(waker),
                None => back.waker = Some(waker.clone()),
            }
            back.eager = eager;
        }
        std::mem::take(&mut back.notes)
    }

    /// Tells the session that one of its pipelines died.
    pub fn pipeline_died(&self, name: &str) {
        self.note(Note::PipelineDied(name.to_owned()));
    }

    fn note(&self, note: Note) {
        let mut back = self.back();
        let good = matches!(note, Note::Delivered(_) | Note::Dropped(_) | Note::Copied(_));
        back.notes.push(note);
        if (!good || back.eager)
            && let Some(waker) = back.waker.take()
        {
            waker.wake();
        }
    }

    fn back(&self) -> MutexGuard<'_, Back> {
        self.back.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ticket ===

impl Ticket {
    /// The number of the event in its session.
    pub fn event(&self) -> u64 {
        self.event
    }

    /// The full name of the event.
    pub fn id(&self) -> EventId {
        self.tracker.id(self.event)
    }

    /// The tracker that issued it.
    pub fn tracker(&self) -> &Arc<Tracker> {
        &self.tracker
    }

    /// Stamps: written to the upstream, awaiting nothing.
    pub fn delivered(self) {
        let event = self.event;
        self.stamp(Note::Delivered(event));
    }

    /// Stamps: a pipeline let it end.
    pub fn dropped(self) {
        let event = self.event;
        self.stamp(Note::Dropped(event));
    }

    /// Stamps: it failed.
    pub fn failed(self, failure: Failure) {
        let event = self.event;
        let note = if self.push { Note::PushFailed } else { Note::Failed };
        self.stamp(note(event, failure));
    }

    /// Takes the ticket off without a note: the session itself settles the event.
    pub fn redeem(mut self) -> u64 {
        self.stamped = true;
        self.event
    }

    /// A second ticket for a copy of the event.
    pub fn split(&self) -> Self {
        self.tracker.note(Note::Copied(self.event));
        self.tracker.ticket(self.event, self.push)
    }

    fn stamp(mut self, note: Note) {
        self.stamped = true;
        self.tracker.note(note);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.stamped {
            self.tracker.note(Note::Lost(self.event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_dropped_in_a_panic_is_noted_as_lost() {
        let tracker = Tracker::new(1, 0);
        let ticket = tracker.issue();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = ticket;
            panic!("on purpose");
        }));
        assert!(result.is_err());
        assert!(matches!(tracker.take_notes(None, false)[..], [Note::Lost(0)]));
    }

    #[test]
    fn every_ticket_leaves_one_note() {
        let tracker = Tracker::new(1, 7);
        tracker.issue().delivered();
        tracker.issue().dropped();
        tracker.issue().failed(Failure::Lost);
        drop(tracker.issue());
        assert_eq!(tracker.issue().redeem(), 4);
        let notes = tracker.take_notes(None, false);
        assert!(matches!(
            notes[..],
            [Note::Delivered(0), Note::Dropped(1), Note::Failed(2, Failure::Lost), Note::Lost(3)]
        ));
        assert_eq!(tracker.id(4).to_string(), "1:7:4");
    }
}
