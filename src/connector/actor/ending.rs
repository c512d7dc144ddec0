//! How a connection to an upstream ends.

use std::{mem, task};

use actix::{AsyncContext, Context};

use super::{Connector, State};
use crate::{
    connector::{
        linger::linger,
        messages::{Ended, Fact, Report},
    },
    flow::Envelope,
    reply::{Failure, Reason},
    wire::{CloseFrame, LinkError, LivenessError},
};

impl Connector {
    pub(super) fn close_received(&mut self, frame: Option<CloseFrame>) {
        let (code, reason) = match frame {
            Some(frame) => (Some(frame.code), frame.reason.to_string()),
            None => (None, String::new()),
        };
        self.end(Reason::Closed { code, reason });
    }

    pub(super) fn link_failed(&mut self, error: &LinkError) {
        let words = error.to_string();
        let LinkError::Wire(error) = error else { return self.end(Reason::Link(words)) };
        self.send_close_frame(Some(&CloseFrame::new(error.close_code(), error.to_string())));
        self.end(Reason::Protocol(words));
    }

    /// Gives up a server that gives no sign of life or does not read.
    pub(super) fn on_liveness_error(&mut self, error: LivenessError) {
        let liveness = &self.upstream.liveness;
        let words = error.text(liveness);
        let reason = match error {
            LivenessError::Silent | LivenessError::Idle | LivenessError::HeldUp | LivenessError::Dead => {
                Reason::Unwell(words.clone())
            }
            LivenessError::Blocked => Reason::Stalled(liveness.slow_consumer_timeout.unwrap_or_default()),
        };
        self.send_close_frame(Some(&CloseFrame::new(error.close_code(), words)));
        self.end(reason);
    }

    /// Sends a close frame if it can go out at once. Behind events that are still queued it cannot: they
    /// must not go out any more, because they will be reported as not sent (C6).
    pub(super) fn send_close_frame(&mut self, frame: Option<&CloseFrame>) {
        let State::Up(channel) = &mut self.state else { return };
        let link = channel.link();
        if !link.has_queued() {
            link.close(frame);
            let mut task = task::Context::from_waker(task::Waker::noop());
            // There is nobody to tell when it fails: the connection is over either way.
            let _ = link.poll_flush(&mut task, drop);
        }
    }

    /// Ends the connection; what is left goes to the supervisor. Behind our close frame the socket lingers, else
    /// it is closed.
    pub(super) fn end(&mut self, reason: Reason) {
        if let State::Up(channel) = &mut self.state
            && let Some(words) = channel.abandon()
        {
            // Part of the loss of the connection, which alone decides whether the client stays.
            self.fail_reply(Failure::NoReply { server: self.server(), reason: Reason::Link(words) });
        }
        self.flush_replies();
        let unsent = match mem::replace(&mut self.state, State::Ended) {
            State::Dialing(waiting) => waiting,
            State::Up(channel) => {
                let open = self.open.take();
                self.live = None;
                let mut link = Box::new(channel.into_link());
                if link.outbox().is_closed() {
                    linger(link, open, self.upstream.close_timeout);
                }
                Vec::new()
            }
            State::Ended => return,
        };
        self.report_end(reason, unsent);
    }

    fn report_end(&mut self, reason: Reason, unsent: Vec<Envelope>) {
        let unsettled = self.exchange.end();
        let last_written = self.exchange.last_written();
        self.report(Fact::Ended(Ended { reason, unsettled, unsent, last_written }));
    }

    pub(super) fn report(&self, fact: Fact) {
        self.supervisor.notify(Report { generation: self.generation, fact });
    }

    /// Closes at the session's end: what has no outcome is given back. The closing handshake goes on without
    /// the session.
    pub(super) fn closing(&mut self, frame: Option<&CloseFrame>, ctx: &mut Context<Self>) {
        // Ends what would keep a connector alive that is done.
        if let Some(dialing) = self.dialing.take() {
            ctx.cancel_future(dialing);
        }
        self.send_close_frame(frame);
        self.end(Reason::Closing);
    }
}
