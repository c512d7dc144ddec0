//! The loss of a connection and the replay at the next one.

use std::{ops::Range, time::Instant};

use bytes::Bytes;

use super::{
    Early, Engine, Hello, Number, Pending, Phase, Step,
    entry::{Entry, EntryState},
    patch,
};
use crate::{
    class::Classified,
    kind::{FromClient, Id, Located},
    outcome::{Broken, Failure, Loss, Lost, Message, Missing, Output, Reason, Since},
    preset::Grammar,
    settings::InFlight,
};

/// The close code for a client that has ended its session.
const NORMAL: u16 = 1000;

impl Engine {
    pub(crate) fn lost(&mut self, loss: Loss<'_>) -> Lost {
        let mut lost = Lost { pass_on: self.passed_on(loss.close), ..Lost::default() };
        self.last_event = loss.last_event.or(self.last_event);
        let since = Since { at: loss.now, last_event: self.last_event };
        self.lost.get_or_insert(since);
        self.phase = Phase::Down;
        self.accepts_client = false;
        self.deferred.clear();
        self.early = Early::default();
        // What was meant for the old connection goes nowhere.
        self.outputs.retain(Output::is_for_client);
        self.lose_entries(&loss, since, &mut lost);
        self.lose_requests(&loss, &mut lost);
        let is_unwritten =
            |hello: &&Hello| hello.connection == self.connections && is_unwritten(hello.event, &loss);
        let unwritten = self.hellos.iter().filter(is_unwritten);
        lost.kept.extend(unwritten.map(|hello| hello.event));
        lost.merge(if self.has_whole_messages() { patch::batch } else { patch::sequence });
        lost
    }

    /// The close code to pass on to the client: a refusal during or right after the journal's login is final.
    fn passed_on(&self, close: Option<u16>) -> Option<u16> {
        if self.is_over {
            return Some(NORMAL);
        }
        let is_replay = self.connections > 1 && !self.is_proved;
        close.filter(|code| is_replay && self.dialect().refusals.contains(code))
    }

    fn lose_entries(&mut self, loss: &Loss<'_>, since: Since, lost: &mut Lost) {
        let dialect = self.dialect();
        let mut gone = Vec::new();
        for (&number, entry) in &mut self.entries {
            let is_in_flight = entry.state == EntryState::Opening
                || entry.connection == self.connections && is_unwritten(entry.event, loss);
            if entry.state == EntryState::Failed {
                continue;
            }
            if is_in_flight && self.settings.in_flight == InFlight::Retry && !entry.once && !dialect.nudges {
                entry.state = EntryState::Opening;
                lost.kept.push(entry.event);
            } else if is_in_flight {
                let reply = (dialect.failed)(&entry.context, loss.text).map(Message::text);
                lost.failed.push(Failure { event: entry.event, reason: Reason::Lost, reply });
                gone.push(number);
            } else if entry.once {
                let reply = (dialect.dropped)(&entry.context, loss.text).map(Message::text);
                lost.dropped.push(Failure { event: entry.event, reason: Reason::NotReplayable, reply });
                gone.push(number);
            } else {
                self.bytes -= entry.bytes();
                entry.lose(since);
                self.bytes += entry.bytes();
            }
        }
        for number in gone {
            self.remove(number);
        }
        self.by_upstream.clear();
    }

    fn lose_requests(&mut self, loss: &Loss<'_>, lost: &mut Lost) {
        let dialect = self.dialect();
        let mut pending: Vec<_> = std::mem::take(&mut self.pending).into_iter().collect();
        pending.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (request, pending) in pending {
            self.bytes -= pending.bytes(&request);
            match pending {
                Pending::Call { event, context } => {
                    let reply = (dialect.failed)(&context, loss.text).map(Message::text);
                    lost.failed.push(Failure { event, reason: Reason::Lost, reply });
                }
                Pending::Close { event, context, .. } => match (dialect.closed)(&context) {
                    Some(reply) => lost.done.push((event, Some(Message::text(reply)))),
                    // The subscription stays closed, but the request remains without its answer.
                    None => {
                        let reply = (dialect.failed)(&context, loss.text).map(Message::text);
                        lost.failed.push(Failure { event, reason: Reason::Lost, reply });
                    }
                },
                Pending::Open(_) | Pending::Replay(_) | Pending::Abandoned(_) => {}
            }
        }
        self.forget_closed(|_| true);
        // A `close` has become true, whether or not it was written.
        let closes = self.closes.drain(..).filter(|event| is_unwritten(*event, loss));
        lost.done.extend(closes.map(|event| (event, None)));
    }

    /// The session ends: opens that the journal kept have failed.
    pub(crate) fn give_up(&mut self, text: &str) -> Vec<Failure> {
        let failed = self.dialect().failed;
        let is_kept = |entry: &&Entry| self.phase == Phase::Down && entry.state == EntryState::Opening;
        let kept = self.entries.values().filter(is_kept).map(|entry| Failure {
            event: entry.event,
            reason: Reason::Lost,
            reply: failed(&entry.context, text).map(Message::text),
        });
        kept.collect()
    }

    pub(crate) fn connected(&mut self, generation: u64, now: Instant) {
        self.generation = generation;
        self.connections += 1;
        self.is_proved = false;
        (self.has_replayed_login, self.awaited_logins) = (false, 0);
        self.from_upstream.clear();
        if self.is_over {
            self.end();
        }
        let has_work =
            !self.hellos.is_empty() || self.entries.values().any(|entry| entry.state != EntryState::Failed);
        let step = if self.dialect().greets && has_work { Step::Greeting } else { Step::Hello(0) };
        self.phase = Phase::Replay { deadline: now + self.settings.timeout, step, awaited: 0 };
    }

    /// Forgets the session that the client has ended.
    fn end(&mut self) {
        let freed: usize = self.hellos.drain(..).map(|hello| hello.bytes()).sum();
        self.bytes -= freed;
        for number in self.entries.keys().copied().collect::<Vec<_>>() {
            self.remove(number);
        }
    }

    /// When [`Engine::poll`] has something to do without a message.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let replay = match self.phase {
            Phase::Replay { deadline, .. } => Some(deadline),
            Phase::Down | Phase::Ready => None,
        };
        let deferred = self.deferred.front().map(|(deadline, _)| *deadline);
        replay.into_iter().chain(deferred).min()
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Option<Output> {
        while self.deferred.front().is_some_and(|(deadline, _)| *deadline <= now) {
            let Some((_, number)) = self.deferred.pop_front() else { break };
            let entry = self.entries.get_mut(&number);
            let gap = entry.and_then(|entry| entry.end_gap(now, self.generation, Missing::Unknown));
            self.outputs.extend(gap.map(Output::Notice));
        }
        loop {
            if let Some(output) = self.outputs.pop_front() {
                self.accepts_client |= output == Output::Ready;
                return Some(output);
            }
            if !self.step(now) {
                return None;
            }
        }
    }

    /// Takes one step of the replay. Returns false if there is nothing to do until a message arrives or the deadline
    /// passes.
    fn step(&mut self, now: Instant) -> bool {
        let Phase::Replay { deadline, step, awaited } = self.phase else { return false };
        match step {
            Step::Greeting | Step::Accepting(_) if now >= deadline => {
                self.phase = Phase::Down;
                self.outputs.push_back(Output::Broken(Broken::TimedOut(self.settings.timeout)));
            }
            Step::Greeting | Step::Accepting(_) => return false,
            Step::Hello(position) => self.send_hello(position),
            Step::Open(first) => match self.entries.range(first..).next() {
                Some((&number, _)) => return self.send_open(number, now >= deadline, now),
                None if awaited == 0 => self.complete(now),
                None if now >= deadline => self.time_out(),
                None => return false,
            },
        }
        true
    }

    fn go_to(&mut self, next: Step) {
        if let Phase::Replay { step, .. } = &mut self.phase {
            *step = next;
        }
    }

    fn send_hello(&mut self, position: usize) {
        let Some(hello) = self.hellos.get(position) else { return self.go_to(Step::Open(0)) };
        self.outputs.push_back(Output::Send(hello.message.clone()));
        self.has_replayed_login = true;
        let accepts = self.dialect().accepts;
        self.go_to(if accepts { Step::Accepting(position) } else { Step::Hello(position + 1) });
    }

    /// Sends the `open` of an entry again. Returns false if it must wait for the answer to an earlier request with
    /// the same id, because the next answer with that id could belong to either. `is_late`: the time for the replay
    /// is over.
    fn send_open(&mut self, number: Number, is_late: bool, now: Instant) -> bool {
        let grammar = self.grammar.clone();
        let next = Step::Open(number + 1);
        let Some(entry) = self.entries.get(&number) else { return false };
        let (state, message, cursor) = (entry.state, entry.open.clone(), entry.last_cursor().cloned());
        let (classified, id) = (entry.classified.clone(), entry.id.clone().filter(|_| !entry.is_assigned));
        if state == EntryState::Failed || state == EntryState::Open {
            self.go_to(next);
            return true;
        }
        if grammar.dialect().nudges {
            self.go_to(next);
            self.nudge(number, now);
            return true;
        }
        let open = match classified {
            Some(classified) => Reopen::classified(*classified, id),
            None => Reopen::read(&grammar, &message.payload),
        };
        let own = grammar.request_id(self.generation, number);
        let mut changes = Vec::new();
        if let Some(request) = open.request {
            let is_own = state == EntryState::Reopening && grammar.dialect().own_requests;
            if is_own {
                changes.push((request.span, own.as_bytes()));
            }
            let id = if is_own { own.clone().into() } else { patch::owned(request.id) };
            let is_taken = self.pending.contains_key(&id);
            if is_taken && !is_late {
                return false;
            }
            self.go_to(next);
            if is_late && (is_taken || state == EntryState::Reopening) {
                self.fail_unsent(number, state);
                return true;
            }
            self.await_open(id, number, state);
        } else if state == EntryState::Reopening {
            self.confirm(number, false, now);
        } else if let Some(entry) = self.entries.get_mut(&number) {
            entry.state = EntryState::Open;
        }
        if let (Some(span), Some(cursor)) = (open.resume, &cursor) {
            changes.push((span, cursor));
        }
        if let Some(id) = open.id {
            self.by_upstream.insert(patch::owned(id), number);
        }
        let payload = patch::patched(&message.payload, &mut changes);
        self.outputs.push_back(Output::Send(Message { payload, ..message }));
        self.go_to(next);
        true
    }

    /// Fails an entry whose `open` could not be sent in time. If the client has no answer to its `open` yet, the
    /// failure is the answer.
    fn fail_unsent(&mut self, number: Number, state: EntryState) {
        let reason = Reason::TimedOut;
        if state != EntryState::Opening {
            return self.fail(number, reason);
        }
        let Some(entry) = self.remove(number) else { return };
        let reply = (self.dialect().failed)(&entry.context, &reason.to_string()).map(Message::text);
        self.outputs.push_back(Output::Failed(Failure { event: entry.event, reason, reply }));
    }

    fn await_open(&mut self, id: Bytes, number: Number, state: EntryState) {
        if state == EntryState::Opening {
            return self.put_pending(id, Pending::Open(number));
        }
        self.put_pending(id, Pending::Replay(number));
        if let Phase::Replay { awaited, .. } = &mut self.phase {
            *awaited += 1;
        }
    }

    /// Ends the subscription for the client's library, which then opens it again.
    fn nudge(&mut self, number: Number, now: Instant) {
        let Some(mut entry) = self.remove(number) else { return };
        self.lost = None;
        self.outputs.extend(entry.end_gap(now, self.generation, Missing::Unknown).map(Output::Notice));
        if let Some(text) = (self.dialect().dropped)(&entry.context, "") {
            self.outputs.push_back(Output::Deliver { message: Message::text(text), answers: Vec::new() });
        }
    }

    /// Handles the end of the replay's time: entries without answer fail, the others continue.
    fn time_out(&mut self) {
        let mut late = Vec::new();
        for pending in self.pending.values_mut() {
            if let Pending::Replay(number) = *pending {
                late.push(number);
                *pending = Pending::Abandoned(number);
            }
        }
        late.sort_unstable();
        for number in late {
            self.fail(number, Reason::TimedOut);
        }
        if let Phase::Replay { awaited, .. } = &mut self.phase {
            *awaited = 0;
        }
    }

    fn complete(&mut self, now: Instant) {
        self.phase = Phase::Ready;
        if !self.awaits_id() {
            self.early = Early::default();
        }
        // Where entries have notices, the session needs none.
        let gap = self.lost.take().map(|since| since.gap(None, now, self.generation, Missing::Unknown));
        self.outputs.extend(gap.map(Output::Notice));
        self.outputs.push_back(Output::Ready);
    }
}

/// The parts of an `open` that change from connection to connection.
#[derive(Default)]
struct Reopen<'a> {
    id: Option<Id<'a>>,
    request: Option<Located<'a>>,
    resume: Option<Range<usize>>,
}

impl<'a> Reopen<'a> {
    fn read(grammar: &Grammar, text: &'a [u8]) -> Self {
        match grammar.client(text) {
            FromClient::Open(open) => Self { id: open.id, request: open.request, resume: open.resume },
            _ => Self::default(),
        }
    }

    /// `id` is the client's id, if the client chooses it.
    fn classified(classified: Classified, id: Option<Bytes>) -> Self {
        let owned = |id: Bytes| Id::Owned(id.into());
        let request = classified.request.map(|id| Located { id: owned(id), span: 0..0 });
        Self { id: id.map(owned), request, resume: classified.resume }
    }
}

/// Whether the event was not written to the lost connection.
fn is_unwritten(event: u64, loss: &Loss<'_>) -> bool {
    loss.last_event.is_none_or(|last| event > last)
}
