//! Makes events fail whose reply is overdue.

use std::time::Instant;

use super::{Connector, ConnectorState};
use crate::{
    connector::exchange::Overdue,
    failure::{Failure, FailureKind},
    flow::{DataMessage, Failed},
};

impl Connector {
    /// Sets the deadline to that of the oldest awaited reply, unless a deadline is set. A reply does not
    /// change the deadline, so that replies in time cost nothing here. The deadline may therefore pass too
    /// early, and is then set again.
    pub(super) fn await_replies(&mut self) {
        if !self.deadline.is_set()
            && let Some(deadline) = self.exchange.next_deadline()
        {
            self.deadline.set(deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// Makes overdue events fail, and ends the connection when it must be replaced. A connector with a journal has none,
    /// because a journal needs a stream.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        let late = |limit| Failure::connection(FailureKind::NoReply(limit), "");
        let failed = self.exchange.expire(now).into_iter().map(|Overdue { event, limit }| Failed {
            event: event.event,
            ticket: Some(event.owed),
            failure: late(limit).for_event(&self.server, event.written),
            correlation: event.correlation,
        });
        let failed: Vec<_> = failed.collect();
        if !failed.is_empty() {
            self.send_back(DataMessage::Failed(failed));
            if let ConnectorState::Up(channel) = &mut self.state {
                channel.link().suspect();
            }
        }
        if self.exchange.must_be_replaced(now) {
            self.end(match self.exchange.stalled(now) {
                Some(limit) => Failure::connection(FailureKind::NotRead(limit), ""),
                None => late(self.upstream.reply_timeout),
            });
        }
    }
}
