//! Continues with other settings of the upstream, after a reload.

use std::{sync::Arc, time::Instant};

use super::{Connector, ConnectorState};
use crate::flow::Adopt;

impl Connector {
    /// Continues with the upstream's settings and the outgoing pipelines of this route, from the next message on.
    pub(super) fn adopt(&mut self, adopt: &Adopt) {
        if let Some(outgoing) = adopt.outgoing.get() {
            self.back = outgoing.clone();
            self.has_outgoing = true;
        }
        let Some(upstream) = &adopt.route.upstream else { return };
        self.upstream = Arc::clone(upstream);
        self.exchange.set_timeout(upstream.reply_timeout, Instant::now());
        self.exchange.max_overdue = upstream.max_overdue;
        // The deadline that is set may be later than that of the next event.
        self.deadline.clear();
        self.await_replies();
        if let ConnectorState::Up(channel) = &mut self.state {
            channel.link().configure(upstream.limits, &upstream.liveness);
        }
    }
}
