//! Replies that are awaited for too long.

use std::{sync::Arc, time::Instant};

use super::{Connector, State};
use crate::{
    flow::{DataMessage, Failed},
    reply::{Failure, Reason},
};

impl Connector {
    /// Sets the deadline of the oldest awaited reply. It is set again only when it has passed: a reply costs
    /// nothing here.
    pub(super) fn await_replies(&mut self) {
        if !self.deadline.is_set()
            && let Some(deadline) = self.exchange.next_deadline()
        {
            self.deadline.set(deadline.saturating_duration_since(Instant::now()));
        }
    }

    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        let limit = self.upstream.reply_timeout;
        let reason = Reason::Timeout(limit);
        let server = self.server();
        let failed = self.exchange.expire(now).into_iter().map(|late| Failed {
            event: late.event,
            ticket: Some(late.owed),
            failure: Failure::NoReply { server: Arc::clone(&server), reason: reason.clone() },
            correlation: late.correlation,
        });
        let failed: Vec<_> = failed.collect();
        if !failed.is_empty() {
            self.back.notify(DataMessage::Failed(failed));
            if let State::Up(channel) = &mut self.state {
                channel.link().suspect();
            }
        }
        if self.exchange.is_hopeless(now) {
            self.end(if self.exchange.is_stalled(now) { Reason::Stalled(limit) } else { reason });
        }
    }
}
