//! How a session ends: winding up, closing, over.

use std::{
    fmt, mem,
    task::{self, Poll},
    time::Duration,
};

use actix::{ActorContext, Context};

use super::{Drain, Session};
use crate::{
    flow::Cause,
    log::Quoted,
    reply::Failure,
    supervisor::{SessionOver, StopUpstream},
    wire::CloseFrame,
};

#[derive(Debug)]
pub(super) enum State {
    Open,
    Draining {
        intent: CloseIntent,
        /// Whether the client has sent its close frame.
        peer_closed: bool,
        /// Who ended the session, for the log.
        side: Side,
        /// Whether the upstream side has been told to withdraw.
        upstream_stopped: bool,
    },
    Closing {
        frame: Option<CloseFrame>,
        /// Whether the client's close frame has come, so that nothing more is awaited.
        peer_closed: bool,
        /// Whether what the client sends can still be read as frames.
        readable: bool,
        side: Side,
    },
    Over,
}

/// What the client is told in the end.
#[derive(Debug, Clone)]
pub(super) enum CloseIntent {
    /// Nothing: it is gone.
    Nobody,
    /// A close frame, with or without a code.
    Close(Option<CloseFrame>),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Downstream,
    Upstream,
    Proxy,
}

impl Session {
    /// Reads no more; when everything is settled, sends the close frame and ends. What is not settled
    /// after `wait` fails.
    pub(super) fn start_draining(
        &mut self,
        intent: CloseIntent,
        peer_closed: bool,
        side: Side,
        wait: Duration,
    ) {
        if !matches!(self.state, State::Open) {
            return;
        }
        self.state = State::Draining { intent, peer_closed, side, upstream_stopped: false };
        self.abandon_input();
        match wait {
            Duration::ZERO => self.stop_upstream(),
            wait => self.deadline.set(wait),
        }
    }

    /// The deadline has passed.
    pub(super) fn due(&mut self, ctx: &mut Context<Self>) {
        match self.state {
            State::Open => self.start_drain(),
            State::Draining { upstream_stopped: false, .. } => self.stop_upstream(),
            State::Draining { upstream_stopped: true, .. } => self.drain_deadline(ctx),
            State::Closing { .. } => self.closed(ctx),
            State::Over => {}
        }
    }

    fn start_drain(&mut self) {
        if let Some(drain) = self.drain.take() {
            let Drain { grace, frame, .. } = *drain;
            if !self.links.replies_errors {
                // The close frame is the only message about events that are lost in the meantime.
                self.loss = Some(Box::default());
            }
            self.start_draining(CloseIntent::Close(Some(frame)), false, Side::Proxy, grace);
        }
    }

    /// The time for outcomes is over: the upstream side closes, and tells what that leaves unsettled.
    fn stop_upstream(&mut self) {
        let State::Draining { intent, upstream_stopped, .. } = &mut self.state else { return };
        if !mem::replace(upstream_stopped, true) {
            let frame = intent.to_upstream();
            if let Some(supervisor) = &self.links.supervisor {
                supervisor.stop_upstream.notify(StopUpstream(frame));
            }
            self.deadline.set(self.listener.close_timeout);
        }
    }

    /// Whatever has no outcome even now, stuck in a pipeline say, fails here and goes out as it is.
    fn drain_deadline(&mut self, ctx: &mut Context<Self>) {
        for event in self.delivery.open() {
            self.delivery.fail(event);
            self.fail(event, Cause::Error, Failure::Lost, None);
        }
        self.drained(ctx);
    }

    /// There is nothing to wait for any more.
    fn drained(&mut self, ctx: &mut Context<Self>) {
        let State::Draining { intent, peer_closed, side, .. } = mem::replace(&mut self.state, State::Over)
        else {
            return;
        };
        match intent {
            CloseIntent::Close(frame) => {
                let frame = frame.map(|frame| self.with_loss(frame));
                self.close(frame, peer_closed, true, side);
            }
            CloseIntent::Nobody => self.over(CloseIntent::Nobody, side, ctx),
        }
    }

    /// Sends our close frame; the client's is awaited for a while, so that it can read ours.
    pub(super) fn close(&mut self, frame: Option<CloseFrame>, peer_closed: bool, readable: bool, side: Side) {
        self.down.release();
        self.down.link.close(frame.as_ref());
        self.state = State::Closing { frame, peer_closed, readable, side };
        self.deadline.set(self.listener.close_timeout);
    }

    fn closed(&mut self, ctx: &mut Context<Self>) {
        if let State::Closing { frame, side, .. } = mem::replace(&mut self.state, State::Over) {
            self.over(CloseIntent::Close(frame), side, ctx);
        }
    }

    fn over(&mut self, intent: CloseIntent, side: Side, ctx: &mut Context<Self>) {
        self.log_end(&intent, side);
        self.state = State::Over;
        if let Some(supervisor) = &self.links.supervisor {
            supervisor.over.notify(SessionOver(intent.to_upstream()));
        }
        ctx.stop();
    }

    fn log_end(&self, intent: &CloseIntent, side: Side) {
        let (code, reason) = intent.to_log();
        let counts = self.delivery.counts();
        log::info!(
            "session closed session={self} code={code} side={side} reason={} accepted={} answered={} \
             delivered={} errored={} dropped={} unsettled={} pushed={} discarded={} seconds={:.3}",
            Quoted(reason),
            counts.accepted,
            counts.answered,
            counts.delivered,
            counts.errored,
            counts.dropped,
            self.delivery.unsettled(),
            self.delivery.pushed(),
            self.down.discarded(),
            self.opened.elapsed().as_secs_f64(),
        );
    }

    /// Moves on towards the end: when everything is settled, and when the closing handshake is done.
    pub(super) fn progress(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) -> Poll<()> {
        if let Some(frame) = self.ending.take() {
            let intent = CloseIntent::Close(Some(*frame));
            self.start_draining(intent, false, Side::Proxy, self.listener.close_timeout);
        }
        if let State::Draining { .. } = self.state {
            // Wakes the session at the next outcome from now on, good ones included.
            self.take_acks(Some(task));
            if self.delivery.is_idle() {
                self.drained(ctx);
            }
        }
        self.flush(ctx, task);
        if let State::Closing { peer_closed, readable, .. } = self.state {
            let done = match peer_closed {
                true => self.down.link.outbox().is_empty() && self.down.link.poll_shutdown(task).is_ready(),
                false => self.down.link.poll_peer_close(task, readable).is_ready(),
            };
            if done {
                self.closed(ctx);
            }
        }
        if matches!(self.state, State::Over) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Writes what is queued. A client that reads again after messages were dropped is told of the gap.
    fn flush(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) {
        loop {
            if let Poll::Ready(Err(_)) = self.down.poll_flush(task) {
                self.unwritable(ctx);
            }
            let Some(count) = self.down.take_gap() else { return };
            self.report_gap(count);
        }
    }

    /// The client is gone: there is nothing to tell it, but what it sent has a while to be delivered.
    fn unwritable(&mut self, ctx: &mut Context<Self>) {
        match &mut self.state {
            State::Open => self.client_ended(CloseIntent::Nobody),
            State::Draining { intent, .. } => *intent = CloseIntent::Nobody,
            State::Closing { .. } => self.closed(ctx),
            State::Over => {}
        }
    }
}

impl CloseIntent {
    /// What the upstream is told: the same, and of a client that vanished that it is gone.
    pub(super) fn to_upstream(&self) -> Option<CloseFrame> {
        match self {
            Self::Close(frame) => frame.clone(),
            Self::Nobody => Some(CloseFrame::new(1001, "client is gone")),
        }
    }

    /// Code and reason; 1005 and 1006 are for the log only (RFC 6455 section 7.4.1).
    fn to_log(&self) -> (u16, &str) {
        match self {
            Self::Close(Some(frame)) => (frame.code, &frame.reason),
            Self::Close(None) => (1005, ""),
            Self::Nobody => (1006, ""),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Proxy => "proxy",
        })
    }
}
