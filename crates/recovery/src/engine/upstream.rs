//! Messages from the upstream.

use std::{ops::Range, time::Instant};

use bytes::Bytes;

use super::{
    EarlyMessage, Engine, Number, Pending, Phase, Step,
    entry::{Continuity, Entry, EntryState, MAX_TOKEN},
    patch,
};
use crate::{
    class::UpstreamClass,
    kind::{Cursor, FromUpstream, Id, Located, Unit, Units, Verdict},
    outcome::{Broken, Message, Missing, Output, Reason, Since, UpstreamStep},
};

/// The processing of one message: the message's class, and what happens before and after its delivery.
pub(super) struct Processing {
    now: Instant,
    binary: bool,
    /// The class that a program gave the message.
    pub(super) class: Option<UpstreamClass>,
    /// Output that precedes the message.
    before: Vec<Output>,
    /// The events that it answers.
    answers: Vec<u64>,
    /// Ids whose early data follows the message.
    known: Vec<Bytes>,
    /// Set if the connection must be closed after the message.
    broken: Option<Broken>,
}

impl Processing {
    pub(super) fn new(binary: bool, now: Instant) -> Self {
        Self {
            now,
            binary,
            class: None,
            before: Vec::new(),
            answers: Vec::new(),
            known: Vec::new(),
            broken: None,
        }
    }
}

/// Bytes to write in place of others.
type Patch = (Range<usize>, Vec<u8>);

impl Engine {
    pub(crate) fn upstream(&mut self, generation: u64, message: Message, now: Instant) -> UpstreamStep {
        if generation != self.generation || self.phase == Phase::Down {
            return UpstreamStep::Hide;
        }
        let (grammar, mut processing) = (self.grammar.clone(), Processing::new(message.binary, now));
        let message = match grammar.units() {
            Units::Frames => {
                let payload = self.from_upstream.push(&message.payload, self.settings.limits.max_packet);
                payload.map(|payload| payload.map(|payload| Message { payload, ..message }))
            }
            Units::One | Units::Batch => Ok(Some(message)),
        };
        let message = match message {
            Ok(Some(message)) => message,
            Ok(None) => return UpstreamStep::Hide,
            Err(malformed) => {
                (self.phase, self.accepts_client) = (Phase::Down, false);
                self.outputs.push_back(Output::Broken(Broken::Malformed(malformed)));
                return UpstreamStep::Hide;
            }
        };
        let left = patch::rewrite(message, grammar.units(), |unit| {
            let kind = grammar.upstream(&unit);
            self.upstream_unit(&unit, kind, &mut processing)
        });
        self.finish(left, processing)
    }

    /// Queues everything in order: output that the caller has not fetched yet, `before`, the message, and what
    /// follows it.
    pub(super) fn finish(&mut self, message: Option<Message>, processing: Processing) -> UpstreamStep {
        let is_next = self.outputs.is_empty() && processing.before.is_empty();
        self.outputs.extend(processing.before);
        let step = match message {
            Some(message) if is_next => UpstreamStep::Deliver { message, answers: processing.answers },
            Some(message) => {
                self.outputs.push_back(Output::Deliver { message, answers: processing.answers });
                UpstreamStep::Hide
            }
            None => UpstreamStep::Hide,
        };
        for id in processing.known {
            self.release(&id, processing.now);
        }
        if !self.early.messages.is_empty() && self.phase == Phase::Ready && !self.awaits_id() {
            self.release_rest();
        }
        self.outputs.extend(processing.broken.map(Output::Broken));
        step
    }

    pub(super) fn upstream_unit(
        &mut self,
        unit: &Bytes,
        kind: FromUpstream<'_>,
        processing: &mut Processing,
    ) -> Unit {
        match kind {
            FromUpstream::Plain => {
                self.is_proved |= self.phase == Phase::Ready && !self.dialect().has_data;
                Unit::Keep
            }
            FromUpstream::Greeting => self.greeting(),
            FromUpstream::Accepted => self.accepted(unit),
            FromUpstream::Rejected => self.rejected(processing),
            FromUpstream::Leaving => Unit::Drop,
            FromUpstream::Answer { request, verdict } => self.answer(unit, &request, verdict, processing),
            FromUpstream::Ended { id, instance } => self.ended(unit, &id, instance.as_deref(), processing),
            FromUpstream::Data { id, cursor, reference } => {
                let mark = reference.map(|span| (span.clone(), patch::marked(self.generation, &unit[span])));
                self.data(unit, &id, cursor, mark, processing)
            }
        }
    }

    fn greeting(&mut self) -> Unit {
        if let Phase::Replay { step: step @ Step::Greeting, .. } = &mut self.phase {
            *step = Step::Hello(0);
        }
        let is_first = !std::mem::replace(&mut self.is_greeted, true);
        if is_first { Unit::Keep } else { Unit::Drop }
    }

    /// Handles the acceptance of a login. The client receives one answer per login, whichever connection it comes
    /// from.
    fn accepted(&mut self, unit: &Bytes) -> Unit {
        let is_owed = self.awaited_logins > 0;
        let position = match &mut self.phase {
            Phase::Replay { step: Step::Accepting(position), .. } => Some(*position),
            _ => {
                self.awaited_logins = self.awaited_logins.saturating_sub(1);
                self.hellos.iter().position(|hello| !hello.is_answered)
            }
        };
        if let Phase::Replay { step: step @ Step::Accepting(_), .. } = &mut self.phase
            && let Some(position) = position
        {
            *step = Step::Hello(position + 1);
        }
        let Some(hello) = position.and_then(|position| self.hellos.get_mut(position)) else {
            // The upstream has answered a login of the journal before.
            return if self.has_replayed_login && !is_owed { Unit::Drop } else { Unit::Keep };
        };
        if std::mem::replace(&mut hello.is_answered, true) {
            return Unit::Drop;
        }
        // The client's library follows the first answer.
        self.heartbeat = self.grammar.heartbeat(&hello.message.payload, unit);
        Unit::Keep
    }

    fn rejected(&mut self, processing: &mut Processing) -> Unit {
        if matches!(self.phase, Phase::Replay { .. }) {
            self.phase = Phase::Down;
            processing.broken = Some(Broken::Refused);
        }
        Unit::Keep
    }

    fn answer(
        &mut self,
        unit: &Bytes,
        request: &Id<'_>,
        verdict: Verdict<'_>,
        processing: &mut Processing,
    ) -> Unit {
        match self.take_pending(request) {
            // A second answer to the replay.
            None if self.grammar.is_own_request(self.generation, request) => Unit::Drop,
            None => Unit::Keep,
            Some(Pending::Abandoned(_)) => Unit::Drop,
            Some(Pending::Call { event, .. }) => {
                self.is_proved = true;
                processing.answers.push(event);
                Unit::Keep
            }
            Some(Pending::Close { event, id, upstream_id, .. }) => {
                self.is_proved = true;
                processing.answers.push(event);
                // A later connection may assign the id to another subscription.
                if self.connections > 1 {
                    self.forget_closed(|closed| closed.upstream_id == upstream_id);
                }
                let named = verdict.assigned.filter(|named| *named.id == *upstream_id);
                named.map_or(Unit::Keep, |named| self.mapped(unit, &named, Some(&id), None))
            }
            Some(Pending::Open(number)) => self.opened(unit, number, verdict, processing),
            Some(Pending::Replay(number)) => {
                self.reopened(number, verdict, processing);
                Unit::Drop
            }
        }
    }

    /// Handles the answer to the client's `open`.
    fn opened(
        &mut self,
        unit: &Bytes,
        number: Number,
        verdict: Verdict<'_>,
        processing: &mut Processing,
    ) -> Unit {
        let Some(entry) = self.entries.get_mut(&number) else { return Unit::Keep };
        processing.answers.push(entry.event);
        if !is_usable(entry, &verdict) {
            self.remove(number);
            return Unit::Keep;
        }
        entry.state = EntryState::Open;
        let is_assigned = entry.is_assigned;
        self.is_proved = true;
        let Some(Located { id, span }) = verdict.assigned.filter(|_| is_assigned) else { return Unit::Keep };
        let upstream_id = patch::owned(id);
        self.assign(number, upstream_id.clone());
        let id = self.name(number, &upstream_id);
        if self.early.has_lost {
            self.notice_lost_data(number, processing);
        }
        let step = match id == upstream_id {
            true => Unit::Keep,
            false => Unit::Replace(patch::patched(unit, &mut [(span, &id)])),
        };
        processing.known.push(upstream_id);
        step
    }

    /// The id that the client was given for the entry: the upstream's, unless the client uses it for another entry.
    fn name(&mut self, number: Number, upstream_id: &Bytes) -> Bytes {
        let is_used = |id: &[u8]| self.by_client.contains_key(id) || self.is_closing(id);
        let is_taken = |id: &[u8]| is_used(id) || self.by_upstream.contains_key(id);
        let id = match is_used(upstream_id) {
            true => patch::other_id(upstream_id, is_taken),
            false => upstream_id.clone(),
        };
        self.by_client.insert(id.clone(), number);
        self.change(number, |entry| entry.id = Some(id.clone()));
        self.keep_bound(number);
        id
    }

    /// Reports that data which arrived before the answer exceeded the limit.
    fn notice_lost_data(&mut self, number: Number, processing: &mut Processing) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        entry.gap.get_or_insert(Since { at: processing.now, last_event: Some(entry.event) });
        let gap = entry.end_gap(processing.now, self.generation, Missing::Unknown);
        processing.before.extend(gap.map(Output::Notice));
    }

    /// Handles the answer to the replay's `open`.
    fn reopened(&mut self, number: Number, verdict: Verdict<'_>, processing: &mut Processing) {
        if let Phase::Replay { awaited, .. } = &mut self.phase {
            *awaited = awaited.saturating_sub(1);
        }
        let Some(entry) = self.entries.get(&number) else { return };
        if !is_usable(entry, &verdict) {
            return self.fail(number, Reason::Refused);
        }
        if let Some(assigned) = verdict.assigned.filter(|_| entry.is_assigned) {
            self.assign(number, patch::owned(assigned.id));
            self.keep_bound(number);
        }
        self.confirm(number, verdict.resumed, processing.now);
        let id = self.entries.get(&number).and_then(|entry| entry.upstream_id.clone());
        processing.known.extend(id);
    }

    fn assign(&mut self, number: Number, upstream_id: Bytes) {
        let id = Some(upstream_id.clone());
        if self.change(number, |entry| entry.upstream_id = id).is_some() {
            self.by_upstream.insert(upstream_id, number);
        }
    }

    /// The subscription is open at the upstream again.
    pub(super) fn confirm(&mut self, number: Number, resumed: bool, now: Instant) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        entry.state = EntryState::Open;
        self.lost = None;
        let missing = if resumed { Missing::None } else { Missing::Unknown };
        if entry.last_cursor().is_some() && !resumed {
            // The first message shows what is missing.
            entry.restored(now);
            self.deferred.push_back((now + self.settings.timeout, number));
        } else {
            self.outputs.extend(entry.end_gap(now, self.generation, missing).map(Output::Notice));
        }
    }

    fn ended(
        &mut self,
        unit: &Bytes,
        id: &Located<'_>,
        instance: Option<&[u8]>,
        processing: &mut Processing,
    ) -> Unit {
        if let Some(Pending::Call { event, .. }) = self.pending.get(&*id.id) {
            processing.answers.push(*event);
            self.take_pending(&id.id);
            return Unit::Keep;
        }
        let Some(number) = self.by_upstream.get(&*id.id).copied() else {
            if let Some(step) = self.of_closed(unit, id, false) {
                self.forget_closed(|closed| closed.upstream_id == *id.id);
                return step;
            }
            // An id of which the client knows that it has failed stays silent.
            return if self.by_client.contains_key(&*id.id) { Unit::Drop } else { Unit::Keep };
        };
        let Some(entry) = self.entries.get(&number) else { return Unit::Keep };
        if entry.state == EntryState::Failed {
            return Unit::Drop;
        }
        if instance.is_some() && entry.instance.is_some() && instance != entry.instance.as_deref() {
            return Unit::Keep;
        }
        let client_id = entry.id.clone();
        self.forget_replay(number);
        self.remove(number);
        self.mapped(unit, id, client_id.as_deref(), None)
    }

    /// The entry no longer needs an answer.
    fn forget_replay(&mut self, number: Number) {
        for pending in self.pending.values_mut() {
            if matches!(pending, Pending::Replay(other) if *other == number) {
                *pending = Pending::Abandoned(number);
                if let Phase::Replay { awaited, .. } = &mut self.phase {
                    *awaited = awaited.saturating_sub(1);
                }
            }
        }
    }

    fn data(
        &mut self,
        unit: &Bytes,
        id: &Located<'_>,
        cursor: Option<Cursor<'_>>,
        mark: Option<Patch>,
        processing: &mut Processing,
    ) -> Unit {
        let Some(number) = self.by_upstream.get(&*id.id).copied() else {
            return self.unknown_data(unit, id, processing);
        };
        let Some(entry) = self.entries.get(&number) else { return Unit::Keep };
        match entry.state {
            EntryState::Failed => return Unit::Drop,
            EntryState::Reopening => return self.wait(unit, &id.id, processing),
            EntryState::Opening | EntryState::Open => {}
        }
        self.is_proved = true;
        let has_room = self.bytes + size_of::<u64>() <= self.settings.limits.max_bytes;
        let continuity = cursor.and_then(|cursor| {
            self.change(number, |entry| entry.advance(cursor.token, cursor.numbered, has_room))
        });
        self.keep_bound(number);
        let Some(entry) = self.entries.get_mut(&number) else { return Unit::Keep };
        let missing = match continuity {
            Some(Continuity::Repeated) => {
                processing.before.extend(
                    entry.end_gap(processing.now, self.generation, Missing::None).map(Output::Notice),
                );
                return Unit::Drop;
            }
            Some(Continuity::New(missing)) => missing,
            None => Missing::Unknown,
        };
        processing.before.extend(entry.end_gap(processing.now, self.generation, missing).map(Output::Notice));
        let client_id = entry.id.clone();
        self.mapped(unit, id, client_id.as_deref(), mark)
    }

    fn mapped(&self, unit: &Bytes, id: &Located<'_>, client_id: Option<&[u8]>, mark: Option<Patch>) -> Unit {
        let client_id = client_id.filter(|client_id| **client_id != *id.id);
        let id = client_id.map(|client_id| (id.span.clone(), client_id));
        let mark = mark.as_ref().map(|(span, mark)| (span.clone(), mark.as_slice()));
        let mut changes: Vec<_> = id.into_iter().chain(mark).collect();
        if changes.is_empty() { Unit::Keep } else { Unit::Replace(patch::patched(unit, &mut changes)) }
    }

    /// Handles a message of a subscription that the client has closed, with the client's id. The message is dropped
    /// if the client uses the id for another subscription by now, or if it is data after a gap.
    fn of_closed(&self, unit: &Bytes, id: &Located<'_>, is_data: bool) -> Option<Unit> {
        let closed = self.closed.iter().rev().find(|closed| closed.upstream_id == *id.id)?;
        let is_unwanted = self.by_client.contains_key(&closed.id) || is_data && !closed.is_current;
        Some(if is_unwanted { Unit::Drop } else { self.mapped(unit, id, Some(&closed.id), None) })
    }

    /// Data of no subscription: one whose answer is still to come, or one that has ended.
    fn unknown_data(&mut self, unit: &Bytes, id: &Located<'_>, processing: &Processing) -> Unit {
        // It comes before the upstream's answer to the `close`, and must not wait until after it.
        // A later connection may assign the id anew.
        if (self.connections == 1 || !self.awaits_id())
            && let Some(step) = self.of_closed(unit, id, true)
        {
            return step;
        }
        let id = &*id.id;
        if self.awaits_id() {
            return self.wait(unit, id, processing);
        }
        // Ids of a later connection mean nothing to the client.
        let is_known = self.by_client.contains_key(id);
        if is_known || self.dialect().assigns && self.connections > 1 { Unit::Drop } else { Unit::Keep }
    }

    fn wait(&mut self, unit: &Bytes, id: &[u8], processing: &Processing) -> Unit {
        let class = processing.class.clone();
        // A slice would keep the whole read buffer in memory.
        let early = EarlyMessage {
            id: Bytes::copy_from_slice(id),
            unit: Bytes::copy_from_slice(unit),
            binary: processing.binary,
            class,
        };
        if self.early.bytes + early.bytes() > self.settings.limits.max_bytes {
            self.early.has_lost = true;
            return Unit::Drop;
        }
        self.early.bytes += early.bytes();
        self.early.messages.push_back(early);
        Unit::Drop
    }

    /// Delivers the data that came before its subscription was known.
    fn release(&mut self, id: &Bytes, now: Instant) {
        let (known, rest): (Vec<_>, _) = self.early.messages.drain(..).partition(|early| early.id == id);
        self.early.messages = rest.into();
        for early in known {
            self.early.bytes -= early.bytes();
            self.redeliver(early, now);
        }
    }

    /// Releases the early data that is left, because each subscription is confirmed or has failed.
    fn release_rest(&mut self) {
        let rest = std::mem::take(&mut self.early);
        if self.connections > 1 {
            return;
        }
        // On the first connection, ids are the client's own.
        for EarlyMessage { unit: payload, binary, .. } in rest.messages {
            let message = Message { payload, binary };
            self.outputs.push_back(Output::Deliver { message, answers: Vec::new() });
        }
    }

    fn redeliver(&mut self, early: EarlyMessage, now: Instant) {
        let EarlyMessage { unit, binary, class, .. } = early;
        let (grammar, mut processing) = (self.grammar.clone(), Processing::new(binary, now));
        let kind = match &class {
            // It had its id when it came.
            Some(class) => class.kind(&unit).unwrap_or(FromUpstream::Plain),
            None => grammar.upstream(&unit),
        };
        let payload = match self.upstream_unit(&unit, kind, &mut processing) {
            Unit::Keep => Some(unit.clone()),
            Unit::Replace(unit) => Some(unit),
            Unit::Drop => None,
        };
        self.outputs.extend(processing.before);
        if let Some(payload) = payload {
            let message = Message { payload, binary };
            self.outputs.push_back(Output::Deliver { message, answers: processing.answers });
        }
    }
}

/// Whether the answer means that the entry is open.
fn is_usable(entry: &Entry, verdict: &Verdict<'_>) -> bool {
    let has_id = verdict.assigned.as_ref().is_some_and(|assigned| assigned.id.len() <= MAX_TOKEN);
    verdict.ok && (has_id || !entry.is_assigned)
}
