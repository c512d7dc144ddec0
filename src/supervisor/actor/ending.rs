//! The end of a connection: the failures of its events, and what it means for the session.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Context;

use super::{Lost, Supervisor, recovering::Recovered};
use crate::{
    connector::{Ended, Generation, Replaced},
    failure::{Failure, FailureKind, Written},
    flow::{Cause, DataMessage, Failed, Run, UpstreamEnd},
    log::Quoted,
    reply,
    settings::ExchangeMode,
    supervisor::{
        Verdict,
        child::{Child, Redial},
        children::Next,
        loss::{self, Fate, SessionEnd, fail_unsettled},
    },
    upstream::Lease,
    wire::CloseFrame,
};

impl Supervisor {
    /// Handles the end of a connection. Its steps depend on each other in this order:
    ///
    /// 1. The upstream hears of the loss, and the gap notice of the next connection gets its begin, while the child still
    ///    has the facts about the connection.
    /// 2. The journal determines the outcomes of its events. They are no failures of the connection then.
    /// 3. `children` determines whether the client stays, and counts the loss for the backoff.
    /// 4. Events of which nothing was written are kept, behind those that have returned before. Only then the span of the
    ///    output is settled.
    /// 5. The outcomes go to the client: the last event written, the events that were written, the others.
    /// 6. The output is switched to the supervisor, so that later events find no connection.
    /// 7. A move takes its other connection. Otherwise events that only the move has kept fail, before later ones can,
    ///    and the redial begins.
    pub(super) fn ended(&mut self, generation: Generation, mut ended: Ended, ctx: &mut Context<Self>) {
        if self.children.own().is_some_and(|own| own.generation() == generation) {
            self.movable = None;
        }
        let is_moved = ended.is_yielded && ended.verdict.is_none() && self.moving.is_yielding();
        if is_moved && !self.children.is_stopped() {
            return self.yielded(generation, ended, ctx);
        }
        let server = self.server(generation);
        let (reason, unsettled) = (reply::reason(&ended.failure), ended.left());
        let elsewhere = self.report_loss(generation, &ended.failure);
        self.note_loss(generation, &ended);
        let recovered = self.recover(&mut ended, &server);
        let (settings, keeps_client) = (self.plan.settings(), self.links.keeps_client);
        let (now, chance) = (Instant::now(), rand::random());
        let next = self.children.ended(generation, &ended.failure, now, chance, |connection| {
            match (&ended.verdict, recovered.as_ref().and_then(|recovered| recovered.pass_on)) {
                (Some(frame), _) => Fate::End(SessionEnd::Pass(Some(frame.clone()))),
                (None, Some(code)) => {
                    let frame = CloseFrame::new(code, ended.failure.detail.as_str());
                    Fate::End(SessionEnd::Pass(Some(frame)))
                }
                (None, None) => loss::fate(&ended.failure, connection, settings, keeps_client),
            }
        });
        self.held.ended(generation);
        match next {
            Next::Nothing => {
                let mut outcomes = self.outcomes(ended, recovered, &server);
                outcomes.extend(self.give_up_if_stopped());
                self.send_back(outcomes);
            }
            Next::EndSession(end) => self.end_session(end, ended, recovered, &server),
            Next::Redial(redial, verdict) => {
                self.keep_left(generation, &mut ended, ctx);
                self.held.settled(generation);
                let is_outage = recovered.is_some();
                let outcomes = self.outcomes(ended, recovered, &server);
                self.send_back(outcomes);
                if redial == Redial::Automatic {
                    self.attach(None);
                }
                if is_outage {
                    self.beat(ctx);
                }
                let lost = Lost { generation, redial, verdict, reason: &reason, unsettled };
                self.replace_or_redial(lost, elsewhere, ctx);
            }
        }
    }

    /// Has the lost connection replaced: by that of a move, or by the next one. `elsewhere` is a place at another endpoint
    /// for the latter, if the server has ended the connection because it stops.
    fn replace_or_redial(&mut self, mut lost: Lost<'_>, elsewhere: Option<Lease>, ctx: &mut Context<Self>) {
        let is_own = lost.redial == Redial::Automatic;
        if is_own && self.replace_lost(&lost, ctx) {
            return;
        }
        if is_own {
            self.fail_moving();
        }
        let Verdict { attempt, gives_up, .. } = lost.verdict;
        if let Some(elsewhere) = elsewhere.filter(|_| is_own && attempt == 1 && !gives_up && self.may_hurry())
        {
            (self.lease, lost.verdict.delay) = (Some(elsewhere), Duration::ZERO);
        }
        self.redial_later(&lost, ctx);
    }

    /// Whether a reconnect may be made without delay; records that it is. It is once within `restart.max`: servers that
    /// greet each client and stop at once would be dialed without backoff.
    fn may_hurry(&mut self) -> bool {
        let (now, pause) = (Instant::now(), self.plan.settings().restart.max);
        let may = self.undelayed.is_none_or(|last| now.saturating_duration_since(last) >= pause);
        if may {
            self.undelayed = Some(now);
        }
        may
    }

    /// Reports the loss of an established connection to the upstream. A failed dial has been reported
    /// already. If the server has ended it because it stops or restarts, returns another one.
    fn report_loss(&self, generation: Generation, failure: &Failure) -> Option<Lease> {
        let child = self.children.get(generation).filter(|child| child.connection().was_up)?;
        let (upstream, endpoint) = (self.plan.upstream(), &child.destination().endpoint);
        upstream.report_end(endpoint, failure);
        let leaves = child.is_own() && matches!(failure.kind, FailureKind::Closed(Some(1001 | 1012)));
        leaves.then(|| upstream.report_leaving(endpoint, self.plan.key.get())).flatten()
    }

    /// Records the loss of a connection to the route's own upstream, for the notice at the next one. A journal makes
    /// the notices of its session itself.
    pub(super) fn note_loss(&mut self, generation: Generation, ended: &Ended) {
        if self.has_journal() {
            return;
        }
        let connection = self.children.get(generation).map(Child::connection);
        if connection.is_some_and(|connection| connection.is_main && connection.was_up) {
            self.last_event = ended.last_written.or(self.last_event);
            let since = self.replaced.map_or_else(Instant::now, |replaced| replaced.since);
            self.replaced = Some(Replaced { since, last_event: self.last_event });
        }
    }

    /// The outcomes of a connection's events: first, in stream mode, the failure that names the last event written, then
    /// those of the events themselves, oldest first. With a journal, the outcomes of written events take the place of
    /// the first one.
    pub(super) fn outcomes(&mut self, ended: Ended, recovered: Option<Recovered>, server: &Arc<str>) -> Run {
        let Ended { failure, is_yielded, unsettled, unwritten, waiting, last_written, .. } = ended;
        let streaming = self.plan.settings().exchange == ExchangeMode::Stream && recovered.is_none();
        let mut outcomes = Run::default();
        // A connection that we closed needs no notice.
        if let Some(event) = last_written
            && streaming
            && !is_yielded
            && failure.kind != FailureKind::Draining
        {
            let failure = failure.for_event(server, Written::Whole);
            outcomes.fail(Failed { ticket: None, event, failure, correlation: None });
        }
        outcomes.extend(recovered.map(|recovered| recovered.outcomes).unwrap_or_default());
        unsettled.into_iter().for_each(|lost| outcomes.fail(fail_unsettled(lost, server, &failure)));
        for unsent in [unwritten, waiting] {
            self.shape(unsent, server, &failure, &mut outcomes);
        }
        if outcomes.failures().next().is_none() && failure.kind.loses_message() {
            outcomes.fail(self.lost_push(failure.for_event(server, Written::Whole)));
        }
        outcomes
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
        self.send_end(UpstreamEnd { frame, loss: None }, outcomes);
    }

    /// Ends the session because of this connection. No further connection is made.
    fn end_session(
        &mut self,
        end: SessionEnd,
        ended: Ended,
        recovered: Option<Recovered>,
        server: &Arc<str>,
    ) {
        let (reason, last_written) = (reply::reason(&ended.failure), ended.last_written);
        let unsettled = ended.left();
        let mut outcomes = self.fail_kept();
        outcomes.extend(self.outcomes(ended, recovered, server));
        outcomes.extend(self.give_up());
        let streaming = self.plan.settings().exchange == ExchangeMode::Stream;
        let (frame, loss) = match end {
            SessionEnd::Pass(frame) => (frame, None),
            SessionEnd::Close(frame) => {
                let loss = loss::gap(outcomes.failures(), last_written.filter(|_| streaming));
                (Some(frame), Some(loss))
            }
        };
        // A close that is passed on is the application's decision, not a fault.
        let level = if loss.is_some() { log::Level::Warn } else { log::Level::Info };
        log::log!(
            level,
            "upstream ended session={} upstream={} close={} reason={} unsettled={unsettled}",
            self.links.tracker,
            self.plan.settings().name,
            frame.as_ref().map_or(1005, |frame| frame.code),
            Quoted(&reason),
        );
        self.send_end(UpstreamEnd { frame: frame.clone(), loss }, outcomes);
        self.stop_upstream(frame.as_ref());
    }

    /// Has the session drain, and sends it the outcomes of the events that end with the upstream.
    fn send_end(&self, end: UpstreamEnd, outcomes: Run) {
        let mut run = Run::default();
        run.push(DataMessage::Ended(Box::new(end)));
        run.extend(outcomes);
        self.send_back(run);
    }
}
