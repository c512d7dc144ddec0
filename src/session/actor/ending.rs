//! The end of a session, and its states.

use std::{
    mem,
    task::{self, Poll},
    time::{Duration, SystemTime},
};

use actix::{ActorContext, Context};

use super::Session;
use crate::{
    access::{self, Closing},
    failure::Failure,
    figures::{SessionPhase, SessionTotals},
    flow::Cause,
    log::Quoted,
    session::{
        end_cause::EndCause,
        known::LoggedClaims,
        messages::{Drain, client_gone},
    },
    wire::{CloseFrame, ticker::TICK},
};

/// The state of a session; the module [`session`](crate::session) describes them.
#[derive(Debug)]
pub(super) enum SessionState {
    Open,
    Draining {
        /// Boxed, because an open session has none.
        intent: Box<CloseIntent>,
        /// Whether `StopUpstream` has been sent to the supervisor.
        upstream_stopped: bool,
    },
    Closing(Box<CloseIntent>),
    Over,
}

/// How to close the client's connection.
#[derive(Debug, Clone)]
pub(super) enum CloseIntent {
    /// The connection is gone. Send no close frame.
    Gone(EndCause),
    /// The client has sent its close frame. Send the proxy's, then end the connection.
    Answer(Option<CloseFrame>),
    /// Send a close frame, with or without a code, and wait for the client's.
    Close(Option<CloseFrame>, EndCause),
    /// The client broke the protocol. Send a close frame, and discard what the client sends until it disconnects.
    Reject(CloseFrame),
}

impl Session {
    /// Closes the client, by order of an operator. Events in flight get the same time as after a close of the
    /// client.
    pub(super) fn close_by_operator(&mut self, frame: CloseFrame) {
        if !self.links.replies_errors && matches!(self.state, SessionState::Open) {
            // As in `start_drain`.
            self.loss = Some(Box::default());
        }
        self.start_draining(CloseIntent::Close(Some(frame), EndCause::Operator), self.listener.close_timeout);
    }

    /// Stops reading. The session closes as `intent` says when all events are settled. After `wait` the
    /// upstream is stopped, which makes the unsettled events fail.
    pub(super) fn start_draining(&mut self, intent: CloseIntent, wait: Duration) {
        if !matches!(self.state, SessionState::Open) {
            return;
        }
        self.state = SessionState::Draining { intent: Box::new(intent), upstream_stopped: false };
        self.trace_ending();
        self.abandon_input();
        match wait {
            Duration::ZERO => self.stop_upstream(),
            wait => self.deadline.set(wait),
        }
    }

    /// Handles the deadline of the current state.
    pub(super) fn due(&mut self, ctx: &mut Context<Self>) {
        match self.state {
            SessionState::Open => self.start_drain(),
            SessionState::Draining { upstream_stopped: false, .. } => self.stop_upstream(),
            SessionState::Draining { upstream_stopped: true, .. } => self.drain_deadline(ctx),
            SessionState::Closing(_) => self.closed(ctx),
            SessionState::Over => {}
        }
    }

    /// Stores the order to drain. An open session follows it after its delay.
    pub(super) fn schedule_drain(&mut self, drain: Drain) {
        if matches!(self.state, SessionState::Open) {
            // Deadlines pass one and a half ticks late on average. Subtracting that keeps the closes in the window.
            self.deadline.set(drain.delay.saturating_sub(TICK * 3 / 2));
            self.drain = Some(Box::new(drain));
        }
    }

    fn start_drain(&mut self) {
        if let Some(drain) = self.drain.take() {
            let Drain { grace, frame, .. } = *drain;
            if !self.links.replies_errors {
                // Without error replies, only the close reason can name an event that is lost while draining.
                self.loss = Some(Box::default());
            }
            self.start_draining(CloseIntent::Close(Some(frame), EndCause::Drain), grace);
        }
    }

    /// Ends the upstream connections, because the time for outcomes is over. The supervisor then reports the
    /// events that are unsettled.
    fn stop_upstream(&mut self) {
        let SessionState::Draining { intent, upstream_stopped } = &mut self.state else { return };
        if !mem::replace(upstream_stopped, true) {
            let frame = intent.to_upstream();
            if let Some(supervisor) = &self.links.supervisor {
                supervisor.stop_upstream(frame);
            }
            self.deadline.set(self.listener.close_timeout);
        }
    }

    /// Makes the events fail that have no outcome even after the upstream was stopped, for example because
    /// they are stuck in a pipeline. Their error replies bypass the errors pipelines.
    fn drain_deadline(&mut self, ctx: &mut Context<Self>) {
        for event in self.delivery.open() {
            self.delivery.fail(event);
            self.fail(event, Cause::Error, Failure::lost(), None);
        }
        self.drained(ctx);
    }

    /// Closes the connection at the end of the drain.
    fn drained(&mut self, ctx: &mut Context<Self>) {
        let SessionState::Draining { intent, .. } = mem::replace(&mut self.state, SessionState::Over) else {
            return;
        };
        match *intent {
            CloseIntent::Gone(_) => self.over(&intent, ctx),
            intent => self.close(intent.map_frame(|frame| self.with_loss(frame))),
        }
    }

    /// Sends the proxy's close frame, and sets the deadline for the rest of the closing handshake.
    pub(super) fn close(&mut self, intent: CloseIntent) {
        self.trace_ending();
        self.down.release();
        self.down.channel.link().close(intent.frame());
        self.state = SessionState::Closing(Box::new(intent));
        self.deadline.set(self.listener.close_timeout);
    }

    fn closed(&mut self, ctx: &mut Context<Self>) {
        if let SessionState::Closing(intent) = mem::replace(&mut self.state, SessionState::Over) {
            self.over(&intent, ctx);
        }
    }

    /// Ends the session without a closing handshake, because the process ends.
    pub(super) fn cut_off(&mut self, ctx: &mut Context<Self>) {
        if !matches!(self.state, SessionState::Over) {
            self.over(&CloseIntent::Gone(EndCause::Drain), ctx);
        }
    }

    fn over(&mut self, intent: &CloseIntent, ctx: &mut Context<Self>) {
        self.account_end(intent);
        self.state = SessionState::Over;
        if let Some(supervisor) = self.links.supervisor.take() {
            supervisor.over(intent.to_upstream());
        }
        ctx.stop();
    }

    /// Counts the end of the session, and reports it to the log and to traces.
    pub(super) fn account_end(&mut self, intent: &CloseIntent) {
        self.figures.enter(SessionPhase::Over);
        self.figures.closed(intent.cause().side(), intent.to_log().0);
        self.log_end(intent);
        self.trace_end(intent);
    }

    fn log_end(&self, intent: &CloseIntent) {
        let (code, reason) = intent.to_log();
        let (cause, side) = (intent.cause(), intent.cause().side());
        let (totals, seconds) = (self.figures.totals(), self.opened.elapsed().as_secs_f64());
        let SessionTotals { received, sent, counts, pushed, discarded, restarts, gaps, moves, .. } = totals;
        let unsettled = self.delivery.unsettled();
        log::info!(
            "session closed session={self} code={code} side={side} reason={} cause={cause} received={} \
             received_bytes={} sent={} sent_bytes={} accepted={} answered={} delivered={} errored={} dropped={} \
             unsettled={unsettled} pushed={pushed} discarded={discarded} restarts={restarts} gaps={gaps} \
             moves={moves} seconds={seconds:.3}{}",
            Quoted(reason),
            received.messages,
            received.bytes,
            sent.messages,
            sent.bytes,
            counts.accepted,
            counts.answered,
            counts.delivered,
            counts.errored,
            counts.dropped,
            LoggedClaims(self.known.as_deref()),
        );
        let Some(entry) = &self.access else { return };
        let (side, cause) = (side.label(), cause.label());
        let identity = self.known.as_ref().map(|known| &*known.identity);
        let closing = Closing {
            session: self,
            code,
            reason,
            side,
            cause,
            seconds,
            unsettled,
            totals: &totals,
            identity,
        };
        access::write(entry.line(&closing, SystemTime::now()));
    }

    /// Writes queued frames, and enters the next state when its condition is met: all events are settled, or
    /// the closing handshake is done. Ready when the session is over.
    pub(super) fn progress(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) -> Poll<()> {
        if let Some(ending) = self.ending.take() {
            let (frame, cause) = *ending;
            let intent = CloseIntent::Close(Some(frame), cause);
            self.start_draining(intent, self.listener.close_timeout);
        }
        if let SessionState::Draining { .. } = self.state {
            // Asks to be woken by the next ack of any kind.
            self.take_acks(Some(task));
            if self.delivery.is_idle() {
                self.drained(ctx);
            }
        }
        self.flush(ctx, task);
        if let SessionState::Closing(intent) = &self.state {
            let link = self.down.channel.link();
            let done = match &**intent {
                CloseIntent::Gone(_) => true,
                CloseIntent::Answer(_) => link.outbox().is_empty() && link.poll_announce_end(task).is_ready(),
                CloseIntent::Close(..) => link.poll_peer_close(task).is_ready(),
                CloseIntent::Reject(_) => link.poll_rejected(task).is_ready(),
            };
            if done {
                // An answer has been announced above.
                if matches!(**intent, CloseIntent::Close(..) | CloseIntent::Reject(_)) {
                    let _ = link.poll_announce_end(task);
                }
                self.closed(ctx);
            }
        }
        if matches!(self.state, SessionState::Over) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Writes queued frames. When the client reads again after messages were dropped, reports the gap to it.
    fn flush(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) {
        loop {
            if let Poll::Ready(Err(_)) = self.down.poll_flush(task) {
                self.unwritable(ctx);
            }
            let Some(count) = self.down.take_gap() else { return };
            self.report_gap(count);
        }
    }

    /// Handles a failed write. The client gets nothing more, but the events that it sent still get time to
    /// settle.
    fn unwritable(&mut self, ctx: &mut Context<Self>) {
        match &mut self.state {
            SessionState::Open => self.client_ended(CloseIntent::Gone(EndCause::ClientGone)),
            SessionState::Draining { intent, .. } => **intent = CloseIntent::Gone(intent.cause()),
            SessionState::Closing(_) => self.closed(ctx),
            SessionState::Over => {}
        }
    }
}

impl SessionState {
    /// The state as others see it.
    pub(super) fn phase(&self) -> SessionPhase {
        match self {
            Self::Open => SessionPhase::Open,
            Self::Draining { .. } => SessionPhase::Draining,
            Self::Closing(_) => SessionPhase::Closing,
            Self::Over => SessionPhase::Over,
        }
    }
}

impl CloseIntent {
    /// The close frame for the upstream: the client's, or 1001 when the client has disappeared.
    pub(super) fn to_upstream(&self) -> Option<CloseFrame> {
        match self {
            Self::Gone(_) => Some(client_gone()),
            _ => self.frame().cloned(),
        }
    }

    /// The close frame for the client; `None` when it has no code, or when the connection is gone.
    fn frame(&self) -> Option<&CloseFrame> {
        match self {
            Self::Gone(_) => None,
            Self::Answer(frame) | Self::Close(frame, _) => frame.as_ref(),
            Self::Reject(frame) => Some(frame),
        }
    }

    fn map_frame(self, change: impl FnOnce(CloseFrame) -> CloseFrame) -> Self {
        match self {
            Self::Gone(cause) => Self::Gone(cause),
            Self::Answer(frame) => Self::Answer(frame.map(change)),
            Self::Close(frame, cause) => Self::Close(frame.map(change), cause),
            Self::Reject(frame) => Self::Reject(change(frame)),
        }
    }

    pub(super) fn cause(&self) -> EndCause {
        match self {
            Self::Gone(cause) | Self::Close(_, cause) => *cause,
            Self::Answer(_) => EndCause::ClientClose,
            Self::Reject(_) => EndCause::ProtocolError,
        }
    }

    /// Code and reason for the log. The codes 1005 and 1006 are never sent (RFC 6455 section 7.4.1).
    pub(super) fn to_log(&self) -> (u16, &str) {
        match (self, self.frame()) {
            (Self::Gone(_), _) => (1006, ""),
            (_, Some(frame)) => (frame.code, &frame.reason),
            (_, None) => (1005, ""),
        }
    }
}
