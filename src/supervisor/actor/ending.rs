//! The end of a connection: the failures of its events, and what it means for the session.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Context;

use super::{Lost, Supervisor, recovering::Recovered};
use crate::{
    connector::{Ended, Generation, Replaced},
    failure::{Failure, FailureKind, Written},
    flow::{Cause, DataMessage, Failed, Run, UpstreamEnd, UpstreamEndCause},
    log::Quoted,
    reply,
    settings::{ExchangeMode, OnGiveUp},
    supervisor::{
        Verdict,
        child::Redial,
        children::Next,
        loss::{self, Connection, Fate, SessionEnd, fail_unsettled},
        steps::{End, EndStep, steps},
    },
    upstream::{Lease, LossSequel},
    wire::CloseFrame,
};

/// The end of a connection, while its steps are taken.
struct Ending {
    generation: Generation,
    ended: Ended,
    /// The server's name in error replies.
    server: Arc<str>,
    /// The connection before its end.
    connection: Connection,
    /// The outcomes that the journal has determined.
    recovered: Option<Recovered>,
    /// Whether the connection had the journal.
    had_journal: bool,
    next: Next,
    /// What went wrong.
    kind: FailureKind,
    /// The reason, for the log.
    reason: String,
    /// The number of events that the connection left without outcome.
    unsettled: usize,
    /// A place at another endpoint, if the server has ended the connection because it stops.
    elsewhere: Option<Lease>,
    /// The outcomes that have not been sent to the client yet.
    outcomes: Run,
}

impl Ending {
    /// The loss after which the client stays.
    fn lost(&self) -> Option<Lost<'_>> {
        let Next::Redial(redial, verdict) = self.next else { return None };
        let (generation, kind, unsettled) = (self.generation, self.kind, self.unsettled);
        Some(Lost { generation, redial, verdict, kind, reason: &self.reason, unsettled })
    }
}

impl Supervisor {
    /// Handles the end of a connection, in the order of [`steps`].
    pub(super) fn ended(&mut self, generation: Generation, ended: Ended, ctx: &mut Context<Self>) {
        if self.children.own().is_some_and(|own| own.generation() == generation) {
            self.movable = None;
        }
        let (end, mut ending) = self.assess(generation, ended);
        for step in steps(end) {
            self.take_end_step(*step, &mut ending, ctx);
        }
    }

    /// Determines what the end of a connection means. The journal determines the outcomes of its events, which are no
    /// failures of the connection then.
    fn assess(&mut self, generation: Generation, mut ended: Ended) -> (End, Ending) {
        let (server, connection) = (self.server(generation), self.children.connection(generation));
        let (kind, reason, unsettled) = (ended.failure.kind, reply::reason(&ended.failure), ended.left());
        let recovered = self.recover(&mut ended, &server);
        let had_journal = recovered.is_some();
        let is_moved = ended.is_yielded && ended.verdict.is_none() && self.moving.is_yielding();
        let (end, next) = if is_moved && !self.children.is_stopped() {
            (End::Moved, Next::Nothing)
        } else {
            let next = self.decide(generation, &ended, recovered.as_ref());
            (End::new(&next, self.children.is_stopped(), self.has_other(&next)), next)
        };
        let (elsewhere, outcomes) = (None, Run::default());
        let ending = Ending {
            generation,
            ended,
            server,
            connection,
            recovered,
            had_journal,
            next,
            kind,
            reason,
            unsettled,
            elsewhere,
            outcomes,
        };
        (end, ending)
    }

    /// Determines whether the client stays, and counts the loss for the backoff.
    fn decide(&mut self, generation: Generation, ended: &Ended, recovered: Option<&Recovered>) -> Next {
        let (settings, keeps_client) = (self.plan.settings(), self.links.keeps_client);
        let (now, chance) = (Instant::now(), rand::random());
        self.children.ended(generation, &ended.failure, now, chance, |connection| {
            match (&ended.verdict, recovered.and_then(|recovered| recovered.pass_on)) {
                (Some(frame), _) => Fate::End(SessionEnd::Pass(Some(frame.clone()))),
                (None, Some(code)) => {
                    let frame = CloseFrame::new(code, ended.failure.detail.as_str());
                    Fate::End(SessionEnd::Pass(Some(frame)))
                }
                (None, None) => loss::fate(&ended.failure, connection, settings, keeps_client),
            }
        })
    }

    /// Whether a move has another connection that may take the place of a lost one. A session that is closed because
    /// the upstream is given up uses none.
    fn has_other(&self, next: &Next) -> bool {
        let Next::Redial(_, verdict) = next else { return false };
        let is_over = verdict.gives_up && self.plan.settings().on_give_up == OnGiveUp::Close;
        self.moving.has_other() && !is_over
    }

    fn take_end_step(&mut self, step: EndStep, ending: &mut Ending, ctx: &mut Context<Self>) {
        let generation = ending.generation;
        match step {
            EndStep::ReportLoss => ending.elsewhere = self.report_loss(ending),
            EndStep::NoteLoss => self.note_loss(ending),
            EndStep::EndSpan => self.held.ended(generation),
            EndStep::Keep => self.keep_left(generation, &mut ending.ended, ctx),
            EndStep::SettleSpan => self.held.settled(generation),
            EndStep::FailKept => ending.outcomes.extend(self.fail_kept()),
            EndStep::Settle => self.settle(ending),
            EndStep::GiveUp => ending.outcomes.extend(self.give_up()),
            EndStep::Send => self.send_back(mem::take(&mut ending.outcomes)),
            EndStep::Detach => _ = self.attach(None),
            EndStep::Beat if ending.had_journal => self.beat(ctx),
            EndStep::Beat => {}
            EndStep::TakeOther => {
                let step = self.moving.ended();
                self.take_step(step, ctx);
            }
            EndStep::Log => self.report_replaced(ending),
            EndStep::EndMove => {
                self.stop_moving();
                self.fail_moving();
            }
            EndStep::Redial => self.redial_lost(ending, ctx),
            EndStep::EndSession => self.end_session(ending),
        }
    }

    /// Has the server dialed again, without delay at a place that was reserved at another endpoint.
    fn redial_lost(&mut self, ending: &mut Ending, ctx: &mut Context<Self>) {
        let elsewhere = ending.elsewhere.take();
        let Some(mut lost) = ending.lost() else { return };
        let Verdict { attempt, gives_up, .. } = lost.verdict;
        let is_first = lost.redial == Redial::Automatic && attempt == 1 && !gives_up;
        if let Some(elsewhere) = elsewhere.filter(|_| is_first && self.may_hurry()) {
            (self.outage().lease, lost.verdict.delay) = (Some(elsewhere), Duration::ZERO);
        }
        self.redial_later(&lost, ctx);
    }

    /// Reports a lost connection that the other one of a move replaces at once.
    fn report_replaced(&self, ending: &Ending) {
        if let Some(lost) = ending.lost() {
            self.count_restart(lost.kind);
            let verdict = Verdict { delay: Duration::ZERO, gives_up: false, ..lost.verdict };
            self.log_restart(&Lost { verdict, ..lost }, LossSequel::Restart);
        }
    }

    /// Whether a reconnect may be made without delay; records that it is. It is once within `restart.max`: servers that
    /// greet each client and stop at once would be dialed without backoff.
    fn may_hurry(&mut self) -> bool {
        let (now, pause) = (Instant::now(), self.plan.settings().restart.max);
        let may = self.outage().undelayed.is_none_or(|last| now.saturating_duration_since(last) >= pause);
        if may {
            self.outage().undelayed = Some(now);
        }
        may
    }

    /// Reports the loss of an established connection to the upstream. A failed dial has been reported
    /// already. If the server has ended it because it stops or restarts, returns another one.
    fn report_loss(&self, ending: &Ending) -> Option<Lease> {
        let (generation, failure) = (ending.generation, &ending.ended.failure);
        let child = self.children.get(generation).filter(|_| ending.connection.was_up)?;
        let (upstream, endpoint) = (self.plan.upstream(), &child.destination().endpoint);
        upstream.report_end(endpoint, failure);
        let leaves = child.is_own() && matches!(failure.kind, FailureKind::Closed(Some(1001 | 1012)));
        leaves.then(|| upstream.report_leaving(endpoint, self.plan.key.get())).flatten()
    }

    /// Records the loss of a connection to the route's own upstream, for the notice at the next one. A journal makes
    /// the notices of its session itself.
    fn note_loss(&mut self, ending: &Ending) {
        let Connection { is_main, was_up, .. } = ending.connection;
        if is_main && was_up && !ending.ended.is_yielded {
            self.outage().lost_since.get_or_insert_with(Instant::now);
        }
        if is_main && was_up && !self.has_journal() {
            let outage = self.outage();
            outage.last_event = ending.ended.last_written.or(outage.last_event);
            let since = outage.replaced.map_or_else(Instant::now, |replaced| replaced.since);
            outage.replaced = Some(Replaced { since, last_event: outage.last_event });
        }
    }

    /// Gives a connection's events their outcomes: first, in stream mode, the failure that names the last event
    /// written, then those of the events themselves, oldest first. With a journal, the outcomes of the written events
    /// replace the failure that names the last one.
    fn settle(&mut self, ending: &mut Ending) {
        let (recovered, server) = (ending.recovered.take(), &ending.server);
        let Ended { failure, is_yielded, last_written, .. } = &ending.ended;
        let streaming = self.plan.settings().exchange == ExchangeMode::Stream && !ending.had_journal;
        let mut outcomes = Run::default();
        // A connection that we closed needs no notice.
        if let Some(event) = *last_written
            && streaming
            && !is_yielded
            && failure.kind != FailureKind::Draining
        {
            let failure = failure.for_event(server, Written::Whole);
            outcomes.fail(Failed { ticket: None, event, failure, correlation: None });
        }
        outcomes.extend(recovered.map(|recovered| recovered.outcomes).unwrap_or_default());
        let failure = failure.clone();
        for lost in mem::take(&mut ending.ended.unsettled) {
            outcomes.fail(fail_unsettled(lost, server, &failure));
        }
        for unsent in [mem::take(&mut ending.ended.unwritten), mem::take(&mut ending.ended.waiting)] {
            self.shape(unsent, server, &failure, &mut outcomes);
        }
        if outcomes.failures().next().is_none() && failure.kind.loses_message() {
            outcomes.fail(self.lost_push(failure.for_event(server, Written::Whole)));
        }
        // Those failed while the connection had the journal, and are later than its own.
        outcomes.extend(self.word());
        ending.outcomes.extend(outcomes);
    }

    /// The error reply for a server's message that could not be decoded and that answers no event.
    fn lost_push(&self, failure: Failure) -> Failed {
        let ticket = self.links.tracker.issue(Cause::Push);
        Failed { event: ticket.event(), ticket: Some(ticket), failure, correlation: None }
    }

    /// Ends the session because the upstream is given up. Servers chosen by `$url` reply until the session
    /// ends.
    pub(super) fn close_given_up(&mut self) {
        self.is_given_up = true;
        self.stop_moving();
        let frame = Some(CloseFrame::new(1013, "upstream is not available"));
        let mut outcomes = self.fail_kept();
        outcomes.extend(self.give_up());
        self.send_end(UpstreamEnd { frame, cause: UpstreamEndCause::GivenUp }, outcomes);
    }

    /// Ends the session because of this connection. No further connection is made.
    fn end_session(&mut self, ending: &mut Ending) {
        let Next::EndSession(end) = mem::replace(&mut ending.next, Next::Nothing) else { return };
        let streaming = self.plan.settings().exchange == ExchangeMode::Stream;
        let last_written = ending.ended.last_written.filter(|_| streaming);
        let outcomes = mem::take(&mut ending.outcomes);
        let (frame, cause) = match end {
            SessionEnd::Pass(frame) => (frame, UpstreamEndCause::Closed),
            SessionEnd::Close(frame) => {
                (Some(frame), UpstreamEndCause::Lost(loss::gap(outcomes.failures(), last_written)))
            }
        };
        // A close that is passed on is the application's decision, not a fault.
        let level = match cause {
            UpstreamEndCause::Closed => log::Level::Info,
            _ => log::Level::Warn,
        };
        self.log_upstream_ended(level, frame.as_ref(), ending);
        self.send_end(UpstreamEnd { frame: frame.clone(), cause }, outcomes);
        self.stop_upstream(frame.as_ref());
    }

    fn log_upstream_ended(&self, level: log::Level, frame: Option<&CloseFrame>, ending: &Ending) {
        // The line `session closed` of each session has the same code.
        let Some(suppressed) = self.plan.upstream().line(level) else { return };
        log::log!(
            level,
            "upstream ended session={} upstream={} close={} reason={} unsettled={}{suppressed}",
            self.links.tracker,
            self.plan.settings().name,
            frame.map_or(1005, |frame| frame.code),
            Quoted(&ending.reason),
            ending.unsettled,
        );
    }

    /// Has the session drain, and sends it the outcomes of the events that end with the upstream.
    fn send_end(&self, end: UpstreamEnd, outcomes: Run) {
        let mut run = Run::default();
        run.push(DataMessage::Ended(Box::new(end)));
        run.extend(outcomes);
        self.send_back(run);
    }
}
