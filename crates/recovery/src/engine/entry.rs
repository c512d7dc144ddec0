//! One subscription of a session.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hasher},
    time::Instant,
};

use bytes::Bytes;

use crate::{
    class::Classified,
    kind::{Context, Open},
    outcome::{Gap, GapEntry, Message, Missing, Since},
};

/// Number of recent cursors that an entry keeps to recognise repeated messages, and of closed ids that a session
/// keeps.
pub(super) const RECENT: usize = 64;

/// Maximum size in bytes of a cursor or an upstream's id that an entry keeps.
pub(super) const MAX_TOKEN: usize = 1024;

/// The state of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryState {
    /// Sent for the client, and not answered.
    Opening,
    /// Open at the upstream, and confirmed to the client.
    Open,
    /// Confirmed to the client, and not yet open at the new connection.
    Reopening,
    /// Could not be restored. Kept so that the client's `close` is answered here.
    Failed,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: u64,
    /// The number of the connection on which the client opened it.
    pub(super) connection: u64,
    pub(super) open: Message,
    pub(super) key: Bytes,
    /// The id that the client knows; `None` while the upstream has not assigned one.
    pub(super) id: Option<Bytes>,
    /// The id at the current connection.
    pub(super) upstream_id: Option<Bytes>,
    /// Whether the upstream assigns the id.
    pub(super) is_assigned: bool,
    pub(super) instance: Option<Bytes>,
    pub(super) context: Context,
    pub(super) once: bool,
    /// What the replay of a classified `open` needs; `None` if no program classified it.
    pub(super) classified: Option<Box<Classified>>,
    pub(super) state: EntryState,
    /// The gap that still needs a notice.
    pub(super) gap: Option<Since>,
    /// When the subscription was restored, while the notice of its gap waits for the next message.
    restored: Option<Instant>,
    /// The number of the connection on which a late answer and data may still arrive after the failure.
    pub(super) late_on: Option<u64>,
    cursors: Cursors,
}

/// The last positions of a subscription.
#[derive(Debug, Default)]
struct Cursors {
    last: Option<Bytes>,
    /// Whether the replay asks the upstream to continue at a cursor.
    resumes: bool,
    /// Hashes of the last cursors, oldest first; empty unless the replay continues at a cursor.
    recent: VecDeque<u64>,
    /// Whether the upstream may repeat messages since the last reconnect.
    overlap: bool,
}

/// What a cursor shows about the messages since the last one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Continuity {
    /// The message was received before.
    Repeated,
    /// The message is new.
    New(Missing),
}

impl Entry {
    pub(super) fn new(event: u64, connection: u64, message: Message, open: &Open<'_>) -> Self {
        let copy = |id: &[u8]| Bytes::copy_from_slice(id);
        let id = open.id.as_deref().map(copy);
        Self {
            event,
            connection,
            // A slice would keep the whole read buffer in memory.
            open: Message { payload: copy(&message.payload), binary: message.binary },
            key: copy(&open.key),
            upstream_id: id.clone(),
            id,
            is_assigned: open.id.is_none(),
            instance: open.instance.as_deref().map(copy),
            context: open.context.clone(),
            once: open.once,
            classified: None,
            state: if open.request.is_some() { EntryState::Opening } else { EntryState::Open },
            gap: None,
            restored: None,
            late_on: None,
            cursors: Cursors { resumes: open.resume.is_some(), ..Cursors::default() },
        }
    }

    /// Bytes that the entry keeps.
    pub(super) fn bytes(&self) -> usize {
        let context: usize = self.context.iter().map(Bytes::len).sum();
        let id = |id: &Option<Bytes>| id.as_ref().map_or(0, Bytes::len);
        // Equal ids share their bytes.
        let upstream_id = if self.upstream_id == self.id { 0 } else { id(&self.upstream_id) };
        let classified = self.classified.as_ref().map_or(0, |classified| classified.bytes());
        let kept = self.open.payload.len() + self.key.len() + context + classified;
        kept + id(&self.id) + upstream_id + id(&self.cursors.last) + self.recent_bytes()
    }

    /// Bytes of the recent cursors, which are a part of [`Self::bytes`].
    pub(super) fn recent_bytes(&self) -> usize {
        self.cursors.recent.len() * size_of::<u64>()
    }

    /// Forgets all recent cursors but the last one.
    pub(super) fn forget_recent(&mut self) {
        self.cursors.recent = VecDeque::new();
    }

    pub(super) fn last_cursor(&self) -> Option<&Bytes> {
        self.cursors.last.as_ref()
    }

    /// The connection is lost: the upstream has to open the subscription again.
    pub(super) fn lose(&mut self, since: Since) {
        self.state = EntryState::Reopening;
        self.gap.get_or_insert(since);
        self.restored = None;
        if self.is_assigned {
            self.upstream_id = None;
        }
        self.cursors.overlap = self.cursors.resumes;
    }

    /// Whether no gap notice is due before the next message, and the next message cannot be a repetition.
    pub(super) fn is_current(&self) -> bool {
        self.gap.is_none() && !self.cursors.overlap
    }

    /// The gap ends at `now`. Its notice waits for the next message.
    pub(super) fn restored(&mut self, now: Instant) {
        self.restored = Some(now);
    }

    /// Takes the cursor of a new message. `has_room`: one more recent cursor may be kept.
    pub(super) fn advance(&mut self, token: &[u8], numbered: bool, has_room: bool) -> Continuity {
        if self.once {
            return Continuity::New(Missing::Unknown);
        }
        if self.cursors.overlap && self.cursors.recent.contains(&hash(token)) {
            return Continuity::Repeated;
        }
        self.cursors.overlap = false;
        let missing = match &self.cursors.last {
            Some(last) if numbered => missing_between(last, token),
            _ => Missing::Unknown,
        };
        self.cursors.record(token, has_room);
        Continuity::New(missing)
    }

    /// Marks the entry as not restorable. It is kept for its ids only. `late_on` is the connection on which the
    /// upstream may still restore it.
    pub(super) fn fail(&mut self, late_on: Option<u64>) {
        self.state = EntryState::Failed;
        self.late_on = late_on;
        self.gap = None;
        self.open.payload = Bytes::new();
        self.cursors = Cursors::default();
    }

    /// Drops the `open` because a bound is reached. The entry then ends with its connection.
    pub(super) fn forget_open(&mut self) {
        self.open.payload = Bytes::new();
        self.cursors = Cursors::default();
        self.once = true;
    }

    /// Returns the notice of the gap, once. The gap ends when the subscription was restored, or at `until` if that
    /// time is unknown.
    pub(super) fn end_gap(&mut self, until: Instant, generation: u64, missing: Missing) -> Option<Gap> {
        let since = self.gap.take()?;
        let until = self.restored.take().unwrap_or(until);
        let id = self.id.clone().unwrap_or_default();
        let entry = Some(GapEntry { key: self.key.clone(), id, event: self.event });
        Some(since.gap(entry, until, generation, missing))
    }
}

impl Cursors {
    fn record(&mut self, token: &[u8], has_room: bool) {
        if token.len() > MAX_TOKEN {
            return;
        }
        if self.resumes {
            let is_full = self.recent.len() == RECENT || !has_room;
            let is_replaced = is_full && self.recent.pop_front().is_some();
            if has_room || is_replaced {
                self.recent.push_back(hash(token));
            }
        }
        self.last = Some(Bytes::copy_from_slice(token));
    }
}

fn hash(token: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(token);
    hasher.finish()
}

fn missing_between(last: &[u8], next: &[u8]) -> Missing {
    let number = |token: &[u8]| std::str::from_utf8(token).ok()?.trim_matches('"').parse::<u64>().ok();
    let (Some(last), Some(next)) = (number(last), number(next)) else { return Missing::Unknown };
    match next.checked_sub(last) {
        Some(1) => Missing::None,
        Some(step @ 2..) => Missing::Count(step - 1),
        _ => Missing::Unknown,
    }
}
