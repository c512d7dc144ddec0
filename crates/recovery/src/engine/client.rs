//! Handles messages from the client: keeps hellos and opens for the replay, and removes what a close ends.

use bytes::Bytes;

use super::{
    Closed, Engine, Hello, Number, Pending,
    entry::{Entry, EntryState, MAX_TOKEN, RECENT},
    patch,
};
use crate::{
    class::Classified,
    kind::{Context, FromClient, Id, Located, Open, Slot, Unit},
    outcome::{ClientStep, Failure, Message, Output, Reason},
    preset::Grammar,
};

impl Engine {
    pub(crate) fn client(&mut self, event: u64, message: Message) -> ClientStep {
        if !self.is_ready() {
            return ClientStep::Wait(message);
        }
        let grammar = self.grammar.clone();
        let binary = message.binary;
        self.is_full = false;
        let message = match self.assembled(message) {
            Ok(Some(message)) => message,
            Ok(None) => return ClientStep::Hide,
            Err(malformed) => {
                let reason = Reason::Malformed(malformed);
                return ClientStep::Refuse(Failure { event, reason, reply: None });
            }
        };
        let mut refused = None;
        let left = patch::rewrite(message, grammar.units(), |unit| {
            self.is_over |= (grammar.dialect().is_end)(&unit);
            let kind = grammar.client(&unit);
            let message = Message { payload: unit.clone(), binary };
            self.client_or_refuse(event, &message, kind, &mut refused)
        });
        self.client_step(left, refused)
    }

    pub(super) fn client_or_refuse(
        &mut self,
        event: u64,
        message: &Message,
        kind: FromClient<'_>,
        refused: &mut Option<Failure>,
    ) -> Unit {
        self.client_unit(event, message, kind).unwrap_or_else(|(reason, context)| {
            let reply = (self.dialect().failed)(&context, &reason.to_string()).map(Message::text);
            // One event has one outcome. In a batch, the first refusal is it, and others are replies only.
            match refused {
                None => *refused = Some(Failure { event, reason, reply }),
                Some(_) => self.deliver_reply(reply),
            }
            Unit::Drop
        })
    }

    pub(super) fn client_step(&mut self, left: Option<Message>, refused: Option<Failure>) -> ClientStep {
        match (left, refused) {
            (Some(message), None) => ClientStep::Send(message),
            (Some(message), Some(failure)) => {
                // The rest of the batch counts as the event; the refused request has its own reply.
                self.deliver_reply(failure.reply);
                ClientStep::Send(message)
            }
            (None, Some(failure)) => ClientStep::Refuse(failure),
            (None, None) => ClientStep::Hide,
        }
    }

    fn client_unit(
        &mut self,
        event: u64,
        message: &Message,
        kind: FromClient<'_>,
    ) -> Result<Unit, (Reason, Context)> {
        match kind {
            FromClient::Plain => Ok(Unit::Keep),
            FromClient::Hello { slot } => {
                self.hello(event, slot, message).map_err(|reason| (reason, Context::default()))
            }
            FromClient::Open(open) => {
                self.open(event, message, &open).map_err(|reason| (reason, open.context.clone()))
            }
            FromClient::Close { id, request, context } => {
                let failed = context.clone();
                self.close(event, message, &id, request, context).map_err(|reason| (reason, failed))
            }
            FromClient::Call { request, context } => {
                self.call(event, request, context.clone()).map_err(|reason| (reason, context))
            }
            FromClient::Reference(reference) => Ok(self.reference(message, &reference)),
        }
    }

    /// Keeps a login. Whether a second one on a connection is allowed, the upstream decides.
    fn hello(&mut self, event: u64, slot: Slot, message: &Message) -> Result<Unit, Reason> {
        let covers = self.dialect().covers;
        let is_covered =
            |hello: &Hello| hello.slot == slot && covers(&hello.message.payload, &message.payload);
        let covered: Vec<_> =
            self.hellos.iter().filter(|hello| is_covered(hello)).map(Hello::bytes).collect();
        let limit = self.settings.limits.max_entries;
        if self.hellos.len() - covered.len() >= limit {
            return Err(Reason::TooManyLogins(limit));
        }
        let freed: usize = covered.iter().sum();
        let bytes = slot.bytes() + message.payload.len();
        self.make_bytes(bytes, freed)?;
        self.hellos.retain(|hello| !is_covered(hello));
        self.awaited_logins += 1;
        self.bytes = self.bytes - freed + bytes;
        let payload = Bytes::copy_from_slice(&message.payload);
        let message = Message { payload, binary: message.binary };
        self.hellos.push(Hello { slot, event, connection: self.connections, message, is_answered: false });
        Ok(Unit::Keep)
    }

    fn open(&mut self, event: u64, message: &Message, open: &Open<'_>) -> Result<Unit, Reason> {
        let old = open.id.as_deref().and_then(|id| self.by_client.get(id)).copied();
        if old.is_some_and(|number| self.is_repeated(number, message)) {
            return Ok(Unit::Keep);
        }
        if let Some(request) = &open.request {
            self.check_request(&request.id, old)?;
        }
        let mut entry = Entry::new(event, self.connections, message.clone(), open);
        if matches!(*self.grammar, Grammar::Program) {
            entry.classified = Some(Box::new(Classified::new(open)));
        }
        let request = open.request.as_ref().map_or(0, |request| request.id.len());
        self.make_room(entry.bytes() + request, old)?;
        if let Some(old) = old {
            self.remove(old);
        }
        let number = self.next;
        self.next += 1;
        self.bytes += entry.bytes();
        if let Some(id) = &entry.id {
            self.by_client.insert(id.clone(), number);
            self.by_upstream.insert(id.clone(), number);
        }
        if let Some(request) = &open.request {
            self.put_pending(patch::owned(request.id.clone()), Pending::Open(number));
        }
        self.entries.insert(number, entry);
        Ok(Unit::Keep)
    }

    /// Whether the client repeats an `open` that has no answer yet, as Action Cable's library does.
    fn is_repeated(&self, number: Number, message: &Message) -> bool {
        let entry = self.entries.get(&number);
        entry.is_some_and(|entry| entry.state == EntryState::Opening && entry.open == *message)
    }

    fn close(
        &mut self,
        event: u64,
        message: &Message,
        id: &Located<'_>,
        request: Option<Id<'_>>,
        context: Context,
    ) -> Result<Unit, Reason> {
        if let Some(request) = &request {
            self.check_request(request, None)?;
        }
        if self.dialect().closes_requests && matches!(self.pending.get(&*id.id), Some(Pending::Call { .. })) {
            self.take_pending(&id.id);
        }
        let entry = self.by_client.get(&*id.id).copied().and_then(|number| self.remove(number));
        let upstream_id = match &entry {
            Some(entry) if entry.state != EntryState::Failed => entry.upstream_id.clone(),
            // At a later connection, an id that the client has closed may be another subscription's.
            None if self.connections == 1 || !self.dialect().assigns => Some(patch::owned(id.id.clone())),
            _ => None,
        };
        let Some(upstream_id) = upstream_id else {
            let reply = (self.dialect().closed)(&context).map(Message::text);
            if reply.is_none() && request.is_some() {
                return Err(Reason::NotOpen);
            }
            self.deliver_reply(reply);
            return Ok(Unit::Drop);
        };
        let is_current = entry.as_ref().is_none_or(Entry::is_current);
        self.note_closed(&id.id, &upstream_id, is_current);
        match request {
            Some(request) => {
                let id = patch::owned(id.id.clone());
                let upstream_id = upstream_id.clone();
                self.put_pending(patch::owned(request), Pending::Close { event, id, upstream_id, context });
            }
            None => self.note_close(event),
        }
        if *upstream_id == *id.id {
            return Ok(Unit::Keep);
        }
        Ok(Unit::Replace(patch::patched(&message.payload, &mut [(id.span.clone(), &upstream_id)])))
    }

    /// Records an id that the upstream may use until it receives the `close`.
    fn note_closed(&mut self, id: &[u8], upstream_id: &Bytes, is_current: bool) {
        if !self.dialect().assigns || id.len() > MAX_TOKEN || upstream_id.len() > MAX_TOKEN {
            return;
        }
        let (id, upstream_id) = (Bytes::copy_from_slice(id), upstream_id.clone());
        let closed = Closed { id, upstream_id, is_current };
        let (bytes, limit) = (closed.bytes(), self.settings.limits.max_bytes);
        while self.closed.len() == RECENT || self.bytes + bytes > limit {
            let Some(oldest) = self.closed.pop_front() else { return };
            self.bytes -= oldest.bytes();
        }
        self.bytes += bytes;
        self.closed.push_back(closed);
    }

    /// Records a `close` that gets no answer, in case the connection is lost before it is written.
    fn note_close(&mut self, event: u64) {
        if self.closes.len() >= self.settings.limits.max_requests {
            self.closes.pop_front();
        }
        self.closes.push_back(event);
    }

    fn call(&mut self, event: u64, request: Id<'_>, context: Context) -> Result<Unit, Reason> {
        self.check_request(&request, None)?;
        let pending = Pending::Call { event, context };
        let limit = self.settings.limits.max_requests;
        if self.pending.len() >= limit {
            if !self.dialect().answers_optional {
                return Err(Reason::TooManyRequests(limit));
            }
            self.forget_older_calls();
        }
        self.make_bytes(pending.bytes(&request), 0)?;
        self.put_pending(patch::owned(request), pending);
        Ok(Unit::Keep)
    }

    /// Refuses a request whose id the replay has used in a request that has no answer yet: the next answer could
    /// belong to either. If the replay's request was for the same subscription, `old`, either match is right.
    fn check_request(&self, request: &[u8], old: Option<Number>) -> Result<(), Reason> {
        match self.pending.get(request) {
            Some(Pending::Abandoned(number)) if old != Some(*number) => Err(Reason::RequestInUse),
            _ => Ok(()),
        }
    }

    /// Forgets the older half of the requests, so that the cost per request stays small.
    pub(super) fn forget_older_calls(&mut self) {
        let calls = self.pending.iter().filter_map(|(request, pending)| match pending {
            Pending::Call { event, .. } => Some((*event, request.clone())),
            _ => None,
        });
        let mut calls: Vec<_> = calls.collect();
        calls.sort_unstable();
        let older = calls.len().div_ceil(2);
        for (_, request) in calls.into_iter().take(older) {
            self.take_pending(&request);
        }
    }

    /// Removes the mark from the id of a reference, and drops a reference to an earlier connection.
    fn reference(&self, message: &Message, reference: &Located<'_>) -> Unit {
        patch::unmarked(self.generation, &reference.id).map_or(Unit::Drop, |id| {
            Unit::Replace(patch::patched(&message.payload, &mut [(reference.span.clone(), id)]))
        })
    }

    /// Makes room for one more entry, which replaces `old`, by removing failed entries. Entries whose id the upstream
    /// assigned stay, because it may assign the same id again, and so do entries that it may still restore.
    fn make_room(&mut self, bytes: usize, old: Option<Number>) -> Result<(), Reason> {
        while let Err(reason) = self.check_room(bytes, old) {
            if self.is_full {
                return Err(reason);
            }
            if matches!(reason, Reason::TooManyBytes(_)) && self.forget_recent() {
                continue;
            }
            let is_failed = |(number, entry): &(&Number, &Entry)| {
                let is_silent = entry.late_on != Some(self.connections);
                entry.state == EntryState::Failed && !entry.is_assigned && is_silent && Some(**number) != old
            };
            let failed = self.entries.iter().find(is_failed).map(|(number, _)| *number);
            self.is_full = failed.is_none();
            self.remove(failed.ok_or(reason)?);
        }
        Ok(())
    }

    fn check_room(&self, bytes: usize, old: Option<Number>) -> Result<(), Reason> {
        let limits = self.settings.limits;
        let old = old.and_then(|number| self.entries.get(&number));
        if self.entries.len() - usize::from(old.is_some()) >= limits.max_entries {
            return Err(Reason::TooManyEntries(limits.max_entries));
        }
        // Requests of subscriptions that the client closed before an answer.
        if self.pending.len() >= limits.max_entries + limits.max_requests {
            return Err(Reason::TooManyRequests(limits.max_requests));
        }
        self.check_bytes(bytes, old.map_or(0, Entry::bytes))
    }

    fn make_bytes(&mut self, more: usize, freed: usize) -> Result<(), Reason> {
        loop {
            match self.check_bytes(more, freed) {
                Err(_) if self.forget_recent() => {}
                checked => return checked,
            }
        }
    }

    fn check_bytes(&self, more: usize, freed: usize) -> Result<(), Reason> {
        let limit = self.settings.limits.max_bytes;
        if self.bytes - freed + more > limit { Err(Reason::TooManyBytes(limit)) } else { Ok(()) }
    }

    fn deliver_reply(&mut self, reply: Option<Message>) {
        if let Some(message) = reply {
            self.outputs.push_back(Output::Deliver { message, answers: Vec::new() });
        }
    }
}
