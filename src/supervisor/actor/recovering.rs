//! The session's journal while no connector has it: the loss of a connection, and the outage after it.

use std::{mem, sync::Arc, time::Instant};

use actix::{ActorFutureExt, AsyncContext, Context, SpawnHandle, fut::wrap_future};
use tokio::time::sleep;

use super::Supervisor;
use crate::{
    connector::{Classifier, Ended, Lend, Loan, SessionJournal, exchange::Unsettled},
    event::EventNumber,
    failure::{Failure, FailureKind, Written},
    flow::{AckStatus, AckTracker, Cause, DataMessage, Edge, Envelope, Failed, Notice, Permit, Run, Ticket},
    recovery::{self, Heartbeat, Loss, Lost, Message, Offline, Output, Reason, Recovery},
    reply,
    supervisor::{
        child::{Child, Redial},
        loss::{fail_unsent, fail_unsettled},
        shaper::Shaper,
    },
};

/// The journal of a session whose upstream has `recovery`.
pub(super) struct Recovering {
    /// `None` while a connector has it.
    journal: Option<Box<SessionJournal>>,
    shaper: Shaper,
    /// The heartbeat that the client gets during an outage.
    beat: Option<Heartbeat>,
    /// Sends the next one.
    heartbeat: Option<SpawnHandle>,
    /// Whether the journal's events have failed, because the session ends.
    has_given_up: bool,
    /// The events that have failed while a connector that does not serve has the journal, or while the journal is on its
    /// way: to a connector that has ended meanwhile, and back. They get their outcomes when it is back.
    unworded: Vec<Unworded>,
}

/// An event that was not sent.
struct Unworded {
    envelope: Envelope,
    server: Arc<str>,
    failure: Failure,
}

/// The outcomes of a connection's events that the journal determines.
#[derive(Default)]
pub(super) struct Recovered {
    /// Notices that were due before the loss, messages for the client, and failures without a message in the client's
    /// protocol, in order.
    pub(super) outcomes: Run,
    /// The upstream's close code, if the client gets it.
    pub(super) pass_on: Option<u16>,
}

impl Recovering {
    pub(super) fn new(recovery: &Recovery, classifier: Option<Classifier>, shaper: Shaper) -> Self {
        Self {
            journal: Some(Box::new(SessionJournal::new(recovery, classifier))),
            shaper,
            beat: None,
            heartbeat: None,
            has_given_up: false,
            unworded: Vec::new(),
        }
    }
}

impl Supervisor {
    // --- Lending

    /// Whether the connectors of the route's own upstream get the journal.
    pub(super) fn has_journal(&self) -> bool {
        self.recovering.is_some()
    }

    /// Lends the journal to the connector of the route's own upstream, once it has been released. An event that fails
    /// before the journal is back waits for it: see [`Self::word`].
    pub(super) fn lend(&mut self, ctx: &mut Context<Self>) {
        let Some(recovering) = self.recovering.as_deref_mut() else { return };
        let Some(own) = self.children.own().filter(|own| own.redial() == Redial::Automatic) else { return };
        let Some(connector) = own.connector().filter(|_| self.held.serves(own.generation())) else {
            return;
        };
        let Some(journal) = recovering.journal.take() else { return };
        let loan = Loan::new(journal, own.generation(), Edge::to(&ctx.address()));
        Edge::to(connector).notify(Lend(loan));
    }

    /// Takes the journal back from a connector that did not use it.
    pub(super) fn take_back(&mut self, journal: Box<SessionJournal>, ctx: &mut Context<Self>) {
        if let Some(recovering) = self.recovering.as_deref_mut() {
            recovering.journal = Some(journal);
        }
        let mut outcomes = self.word();
        outcomes.extend(self.give_up_if_over());
        self.send_back(outcomes);
        self.beat(ctx);
        self.lend(ctx);
    }

    // --- A loss

    /// Takes the journal back from a connection that has ended, and determines the outcomes of its events. They leave
    /// `ended`. `None` if the connector did not have the journal.
    pub(super) fn recover(&mut self, ended: &mut Ended, server: &Arc<str>) -> Option<Recovered> {
        let has_notices = self.has_notices();
        let (Some(recovering), Some(mut held)) = (self.recovering.as_deref_mut(), ended.journal.take())
        else {
            return None;
        };
        let close = match ended.failure.kind {
            FailureKind::Closed(code) => code,
            _ => None,
        };
        let now = Instant::now();
        let lost = held.journal.lost(Loss {
            now,
            last_event: ended.last_written.map(|event| event.0),
            close,
            text: &reply::text(&ended.failure.for_event(server, Written::Whole)),
        });
        let tracker = has_notices.then_some(&self.links.tracker);
        let mut sorting = Sorting { shaper: &mut recovering.shaper, held: &mut held, ended, server, tracker };
        let recovered = sorting.sort(lost, now);
        recovering.journal = Some(held);
        Some(recovered)
    }

    /// Whether the client gets gap notices. On a route without error replies it gets no message that its protocol does
    /// not have.
    pub(super) fn has_notices(&self) -> bool {
        self.plan.settings().recovery.notice && self.links.replies_errors
    }

    // --- An outage

    /// The message that the upstream would get for an event, which the journal reads; `None` if the supervisor does not
    /// have the journal, or the codec cannot encode the event.
    pub(super) fn message(&mut self, envelope: &Envelope) -> Option<Message> {
        let Some(Recovering { journal: Some(_), shaper, .. }) = self.recovering.as_deref_mut() else {
            return None;
        };
        shaper.message(&envelope.event)
    }

    /// Answers an event for the route's own upstream that only checks whether the peer is alive, and accepts one that
    /// need not arrive. Returns any other event. `message` is that of the event.
    pub(super) fn keep_alive(
        &mut self,
        envelope: Envelope,
        message: Option<&Message>,
        outcomes: &mut Run,
    ) -> Option<Envelope> {
        let (Some(Recovering { journal: Some(held), shaper, .. }), Some(message)) =
            (self.recovering.as_deref_mut(), message)
        else {
            return Some(envelope);
        };
        // A held event may be the beginning of the packet.
        if !held.journal.has_whole_messages() && !self.held.is_empty() {
            return Some(envelope);
        }
        if held.journal.is_dispensable(message) {
            envelope.ticket.settle(AckStatus::Delivered);
            return None;
        }
        let Some(reply) = held.journal.keepalive(message) else { return Some(envelope) };
        match shaper.answer(reply, (envelope.ticket, envelope.permit)) {
            Ok(answer) => outcomes.answer(answer),
            Err((ticket, _)) => ticket.settle(AckStatus::failed(Failure::not_connected())),
        }
        None
    }

    /// Makes events fail that were not sent to the route's own upstream, in the client's protocol where it can.
    pub(super) fn shape(
        &mut self,
        envelopes: Vec<Envelope>,
        server: &Arc<str>,
        failure: &Failure,
        outcomes: &mut Run,
    ) {
        for envelope in envelopes {
            let message = self.message(&envelope);
            self.shape_one(envelope, message.as_ref(), (server, failure), outcomes);
        }
    }

    /// Makes one such event fail, when the supervisor has the journal. `message` is that of the event. While the connector
    /// that has the journal serves, only events for other servers fail, and they do not wait for its end.
    pub(super) fn shape_one(
        &mut self,
        envelope: Envelope,
        message: Option<&Message>,
        (server, failure): (&Arc<str>, &Failure),
        outcomes: &mut Run,
    ) {
        let is_serving = self.children.own().is_some_and(|own| self.held.serves(own.generation()));
        if let Some(Recovering { journal: None, unworded, .. }) = self.recovering.as_deref_mut()
            && !is_serving
        {
            let (server, failure) = (Arc::clone(server), failure.clone());
            return unworded.push(Unworded { envelope, server, failure });
        }
        let unshaped = match message {
            Some(message) => {
                let failure = failure.for_event(server, Written::Nothing);
                self.shaped(envelope, message, failure, outcomes)
            }
            None => Some(envelope),
        };
        if let Some(envelope) = unshaped {
            outcomes.fail(fail_unsent(envelope, server, failure));
        }
    }

    /// The outcomes of the events that have failed without the journal, if it is back.
    pub(super) fn word(&mut self) -> Run {
        let mut outcomes = Run::default();
        let Some(Recovering { journal: Some(_), unworded, .. }) = self.recovering.as_deref_mut() else {
            return outcomes;
        };
        for Unworded { envelope, server, failure } in mem::take(unworded) {
            self.shape(vec![envelope], &server, &failure, &mut outcomes);
        }
        outcomes
    }

    /// The outcomes of these events when a connector serves. If it has the journal, because it could not yield, the journal
    /// may not be back for long.
    pub(super) fn fail_unworded(&mut self) -> Run {
        let mut outcomes = Run::default();
        let unworded = self.recovering.as_mut().map(|recovering| mem::take(&mut recovering.unworded));
        for Unworded { envelope, server, failure } in unworded.unwrap_or_default() {
            outcomes.fail(fail_unsent(envelope, &server, &failure));
        }
        outcomes
    }

    /// Gives an event the outcome that the client's protocol has for it. Returns an event for which it has none.
    fn shaped(
        &mut self,
        envelope: Envelope,
        message: &Message,
        failure: Failure,
        outcomes: &mut Run,
    ) -> Option<Envelope> {
        let Some(Recovering { journal: Some(held), shaper, .. }) = self.recovering.as_deref_mut() else {
            return Some(envelope);
        };
        let outcome = match &envelope.class {
            Some(class) => held.journal.offline_as(message, class),
            None => held.journal.offline(message, &reply::text(&failure)),
        };
        held.count_unfinished([envelope.permit.as_ref().map(Permit::budget), None]);
        let (reply, failure) = match outcome {
            Offline::Done(None) => {
                envelope.ticket.settle(AckStatus::Delivered);
                return None;
            }
            Offline::Done(Some(reply)) => (reply, None),
            Offline::Failed(Some(reply)) => (reply, Some(failure)),
            Offline::Failed(None) => return Some(envelope),
        };
        let Envelope { event, kind, ticket, permit, class } = envelope;
        let (number, owed) = (ticket.event(), (ticket, permit));
        let answer = match failure {
            Some(failure) => shaper.failed(reply, (number, Some(owed)), failure),
            None => shaper.answer(reply, owed).map_err(Some),
        };
        match answer {
            Ok(answer) => {
                outcomes.answer(answer);
                None
            }
            Err(owed) => owed.map(|(ticket, permit)| Envelope { event, kind, ticket, permit, class }),
        }
    }

    /// Sends the heartbeat of the client's protocol, now and at its intervals, until the upstream has sent something
    /// after a replay.
    pub(super) fn beat(&mut self, ctx: &mut Context<Self>) {
        let is_over = self.children.is_stopped();
        let Some(Recovering { journal, shaper, beat, heartbeat, .. }) = self.recovering.as_deref_mut() else {
            return;
        };
        if let Some(held) = journal {
            *beat = held.journal.heartbeat().cloned();
        }
        let Some(beat) = beat.as_ref().filter(|_| !is_over).cloned() else { return };
        if let Some(envelope) = shaper.push(beat.message) {
            self.links.back.notify(DataMessage::Events(vec![envelope]));
        }
        let next =
            wrap_future(sleep(beat.every)).map(|(), supervisor: &mut Self, ctx: &mut Context<Self>| {
                supervisor.beat(ctx);
            });
        if let Some(earlier) = heartbeat.replace(ctx.spawn(next)) {
            ctx.cancel_future(earlier);
        }
    }

    /// Ends the heartbeats, because the upstream sends its own.
    pub(super) fn end_beat(&mut self, ctx: &mut Context<Self>) {
        let heartbeat = self.recovering.as_mut().and_then(|recovering| recovering.heartbeat.take());
        if let Some(heartbeat) = heartbeat {
            ctx.cancel_future(heartbeat);
        }
    }

    /// The outcomes of events that the journal kept for another connection, because there is none.
    pub(super) fn give_up(&mut self) -> Run {
        let own = self.children.own().map_or(&self.plan.destination, Child::destination);
        let server = Arc::clone(&own.url.shown);
        let Some(Recovering { journal: Some(held), shaper, has_given_up: false, .. }) =
            self.recovering.as_deref_mut()
        else {
            return Run::default();
        };
        let failure = Failure::draining().for_event(&server, Written::Nothing);
        let mut outcomes = Run::default();
        for recovery::Failure { event, reason, reply } in held.journal.give_up(&reply::text(&failure)) {
            let event = EventNumber(event);
            let ticket = held.take_kept(event);
            let Some(reply) = reply else {
                outcomes.fail(unrestored(event, ticket, &reason, &server));
                continue;
            };
            match shaper.failed(reply, (event, ticket.map(|ticket| (ticket, None))), failure.clone()) {
                Ok(answer) => outcomes.answer(answer),
                Err(owed) => owed.into_iter().for_each(|(ticket, _)| held.keep(ticket)),
            }
        }
        for ticket in held.take_all_kept() {
            let (event, failure) = (ticket.event(), failure.clone());
            outcomes.fail(Failed { event, ticket: Some(ticket), failure, correlation: None });
        }
        if let Some(recovering) = self.recovering.as_deref_mut() {
            recovering.has_given_up = true;
        }
        outcomes
    }

    /// Takes these outcomes if no other connection follows, because the session ends; see [`Self::give_up`].
    fn give_up_if_over(&mut self) -> Run {
        if self.children.is_stopped() || self.is_given_up { self.give_up() } else { Run::default() }
    }
}

/// Gives each event of a lost connection the outcome that the journal has determined.
struct Sorting<'a> {
    shaper: &'a mut Shaper,
    held: &'a mut SessionJournal,
    ended: &'a mut Ended,
    server: &'a Arc<str>,
    /// Issues tickets for notices; `None` if the client gets none.
    tracker: Option<&'a Arc<AckTracker>>,
}

impl Sorting<'_> {
    fn sort(&mut self, lost: Lost, now: Instant) -> Recovered {
        let mut recovered = Recovered { pass_on: lost.pass_on, outcomes: Run::default() };
        let outcomes = &mut recovered.outcomes;
        while let Some(output) = self.held.journal.poll(now) {
            match output {
                Output::Deliver { message, .. } => self.push(message, outcomes),
                Output::Failed(failure) => self.fail(failure, outcomes),
                Output::Notice(gap) => {
                    if let Some(tracker) = self.tracker {
                        let ticket = tracker.issue(Cause::Push);
                        outcomes.push(DataMessage::Notice(Box::new(Notice { ticket, gap })));
                    }
                }
                // The others are for a connection.
                Output::Send(_) | Output::Ready | Output::Broken(_) => {}
            }
        }
        for event in lost.kept {
            if let Some(lost) = self.take(EventNumber(event)) {
                self.held.keep(lost.owed);
            }
        }
        for (event, reply) in lost.done {
            self.finish(EventNumber(event), reply, outcomes);
        }
        for failure in lost.failed.into_iter().chain(lost.dropped) {
            self.fail(failure, outcomes);
        }
        recovered
    }
}

impl Sorting<'_> {
    /// Takes an event that has no outcome: one that the connection left, or one that the journal kept.
    fn take(&mut self, event: EventNumber) -> Option<Unsettled<Ticket>> {
        if let Some(at) = self.ended.unsettled.iter().position(|lost| lost.event == event) {
            return Some(self.ended.unsettled.remove(at));
        }
        let owed = self.held.take_kept(event)?;
        Some(Unsettled { event, written: Written::Nothing, correlation: None, owed })
    }

    /// Settles an event whose purpose the loss has fulfilled, such as the end of a subscription.
    fn finish(&mut self, event: EventNumber, reply: Option<Message>, outcomes: &mut Run) {
        match (reply, self.take(event)) {
            (Some(reply), Some(lost)) => self.answer(reply, lost, outcomes),
            (Some(reply), None) => self.push(reply, outcomes),
            (None, Some(lost)) => lost.owed.settle(AckStatus::Delivered),
            (None, None) => {}
        }
    }

    /// An event or its subscription has failed.
    fn fail(&mut self, failure: recovery::Failure, outcomes: &mut Run) {
        let event = EventNumber(failure.event);
        let failed = match self.take(event) {
            Some(lost) => fail_unsettled(lost, self.server, &self.ended.failure),
            // The event was delivered, and is not answered.
            None if failure.reason == Reason::Lost && failure.reply.is_some() => {
                let failure = self.ended.failure.for_event(self.server, Written::Whole);
                Failed { event, ticket: None, failure, correlation: None }
            }
            None => unrestored(event, None, &failure.reason, self.server),
        };
        let Some(reply) = failure.reply else { return outcomes.fail(failed) };
        let Failed { ticket, failure, correlation, .. } = failed;
        match self.shaper.failed(reply, (event, ticket.map(|ticket| (ticket, None))), failure.clone()) {
            Ok(answer) => outcomes.answer(answer),
            Err(None) => {}
            Err(Some((ticket, _))) => {
                outcomes.fail(Failed { event, ticket: Some(ticket), failure, correlation });
            }
        }
    }

    /// A message that answers no event without outcome.
    fn push(&mut self, message: Message, outcomes: &mut Run) {
        if let Some(push) = self.shaper.push(message) {
            outcomes.answer(push);
        }
    }

    fn answer(&mut self, reply: Message, lost: Unsettled<Ticket>, outcomes: &mut Run) {
        let Unsettled { event, written, correlation, owed } = lost;
        match self.shaper.answer(reply, (owed, None)) {
            Ok(answer) => outcomes.answer(answer),
            Err((owed, _)) => {
                let lost = Unsettled { event, written, correlation, owed };
                outcomes.fail(fail_unsettled(lost, self.server, &self.ended.failure));
            }
        }
    }
}

/// The failure of an event whose subscription is lost, although the event may count as delivered.
fn unrestored(event: EventNumber, ticket: Option<Ticket>, reason: &Reason, server: &Arc<str>) -> Failed {
    let failure = Failure::connection(FailureKind::Recovery, reason.to_string());
    Failed { event, ticket, failure: failure.for_event(server, Written::Whole), correlation: None }
}
