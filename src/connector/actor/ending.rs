//! The end of a connection to an upstream.

use std::{mem, task};

use actix::{AsyncContext, Context};

use super::{Connector, ConnectorState};
use crate::{
    connector::{
        exchange::Unsettled,
        linger::linger,
        messages::{Ended, Fact, Report},
    },
    failure::{Failure, FailureKind, FailureLocation, Written},
    flow::{Envelope, Kind, Mark, Ticket},
    wire::{CloseFrame, LinkError, LivenessError},
};

impl Connector {
    pub(super) fn close_received(&mut self, frame: Option<CloseFrame>) {
        let (code, reason) = match frame {
            Some(frame) => (Some(frame.code), frame.reason.to_string()),
            None => (None, String::new()),
        };
        self.end(Failure::connection(FailureKind::Closed(code), reason));
    }

    pub(super) fn link_failed(&mut self, error: &LinkError) {
        if let LinkError::Wire(error) = error {
            self.send_close_frame(Some(&CloseFrame::new(error.close_code(), error.to_string())));
        }
        self.end(error.into());
    }

    /// Ends the connection to a server that is silent, idle or does not read.
    pub(super) fn on_liveness_error(&mut self, error: LivenessError) {
        let liveness = &self.upstream.liveness;
        let text = error.text(liveness);
        let kind = FailureKind::of_liveness(error, liveness.slow_consumer_timeout.unwrap_or_default());
        self.send_close_frame(Some(&CloseFrame::new(error.close_code(), text.as_str())));
        self.end(Failure::connection(kind, text));
    }

    /// Sends a close frame, unless events are queued before it. Queued events will be reported as not sent,
    /// so they must not be sent after that, and the close frame cannot overtake them (guarantee C6).
    pub(super) fn send_close_frame(&mut self, frame: Option<&CloseFrame>) {
        let ConnectorState::Up(channel) = &mut self.state else { return };
        let link = channel.link();
        if !link.has_queued() {
            link.close(frame);
            let mut task = task::Context::from_waker(task::Waker::noop());
            // A failure makes no difference, since the connection ends in any case.
            let _ = link.poll_flush(&mut task, drop);
        }
    }

    /// Ends the connection, and reports its unsettled events to the supervisor. If the proxy has sent a close
    /// frame, the socket stays open until the upstream ends the TCP connection, for at most `close_timeout`.
    /// Otherwise it is closed at once.
    pub(super) fn end(&mut self, failure: Failure) {
        if let ConnectorState::Up(channel) = &mut self.state
            && let Some(error) = channel.abandon()
        {
            // Reported as a lost reply, not as one that cannot be decoded: `on_upstream_loss` decides about the
            // client.
            let lost = Failure::connection(FailureKind::Socket, error.detail);
            self.fail_reply(lost.for_event(&self.server, Written::Whole));
        }
        self.flush_back();
        match mem::replace(&mut self.state, ConnectorState::Ended) {
            ConnectorState::Dialing => {}
            ConnectorState::Up(channel) => {
                let open = self.open.take();
                self.lease = None;
                let mut link = Box::new(channel.into_link());
                if link.outbox().is_closed() {
                    linger(link, open, self.upstream.close_timeout);
                }
            }
            ConnectorState::Ended => return,
        }
        self.report_end(failure);
    }

    fn report_end(&mut self, mut failure: Failure) {
        let is_yielded = self.has_yielded(&failure);
        if self.is_closing() && !matches!(failure.kind, FailureKind::Closed(_)) {
            // The proxy has closed the connection, so its end is no failure of the server.
            failure.location = FailureLocation::Proxy;
        }
        let failure = if is_yielded { Failure::not_connected() } else { failure };
        let mut unsettled = self.exchange.end();
        let unwritten = self.take_unwritten(&mut unsettled);
        let (waiting, mark) = self.waiting.take();
        let last_written = self.exchange.last_written();
        let (journal, verdict) = match &mut self.recovering {
            Some(recovering) => {
                if is_yielded {
                    recovering.yielded();
                }
                recovering.end()
            }
            None => (None, None),
        };
        self.report(Fact::Ended(Ended {
            failure,
            is_yielded,
            unsettled,
            unwritten,
            waiting,
            last_written,
            journal,
            verdict,
        }));
        self.report_mark(mark);
    }

    /// Takes the queued events of which nothing was written, for another connection.
    fn take_unwritten(&mut self, unsettled: &mut Vec<Unsettled<Ticket>>) -> Vec<Envelope> {
        let Some(unwritten) = &mut self.unwritten else { return Vec::new() };
        let taken = unwritten.take(unsettled).into_iter();
        taken
            .map(|((event, permit), ticket)| Envelope {
                event,
                kind: Kind::Request,
                ticket,
                permit,
                class: None,
            })
            .collect()
    }

    /// Reports that the output's mark has arrived, behind the events before it.
    pub(super) fn report_mark(&mut self, mark: Option<Mark>) {
        if let Some(mark) = mark {
            self.report(Fact::Marked(mark));
        }
    }

    /// Reports to the supervisor, whose messages to the client follow those of the connector.
    pub(super) fn report(&mut self, fact: Fact) {
        self.flush_back();
        self.supervisor.notify(Report { generation: self.generation, fact });
    }

    /// Closes the connection because the session ends, and reports the unsettled events. The closing handshake
    /// continues after the end of the session.
    pub(super) fn closing(&mut self, frame: Option<&CloseFrame>, ctx: &mut Context<Self>) {
        // A dial in progress would keep the actor alive.
        if let Some(dialing) = self.dialing.take() {
            ctx.cancel_future(dialing);
        }
        self.send_close_frame(frame);
        self.end(Failure::draining());
    }
}
