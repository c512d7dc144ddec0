//! Continues with other settings between two messages, after a reload.

use std::{
    mem,
    sync::{Arc, OnceLock},
    time::Instant,
};

use super::{MAX_IN_FLIGHT, Session, SessionState, admitting::Limiters, expiring::Expiry};
use crate::{
    flow::{Adopt, DataMessage},
    pipeline::{ChainEnds, Output, PipelineChain, Place, changes_events, errors_room},
    session::{Adoption, lifetime::Lifetime},
    settings::Route,
};

impl Session {
    /// Takes over the configuration in force, if the session can continue with it.
    pub(super) fn adopt(&mut self) {
        if matches!(self.state, SessionState::Closing(_) | SessionState::Over) {
            return;
        }
        let Some(Adoption { listener, route, renewals }) = self.guard.adopt() else { return };
        self.down.channel.link().configure(listener.limits, &listener.liveness);
        self.down.set_policy(listener.slow_consumer);
        Limiters::adopt(&mut self.limiters, &listener.rate, Instant::now());
        self.max_in_flight = route.upstream.as_ref().map_or(MAX_IN_FLIGHT, |upstream| upstream.max_in_flight);
        self.upstream_reads_each = route.upstream.as_ref().is_none_or(|upstream| upstream.reads_each());
        self.links.replies_errors = route.replies_errors();
        self.adopt_lifetime(&route);
        if let Some(known) = &mut self.known {
            known.adopt(&route);
        }
        if let Some(current) = &mut self.renewals {
            // Without a method of the same name, the client goes on with the one that accepted it.
            if let Some(renewal) = renewals.into_iter().find(|other| other.method == *current.method()) {
                current.adopt(renewal);
            }
        }
        self.listener = listener;
        let errors_room = errors_room(self.listener.limits.buffer, &route);
        self.flush_batch();
        self.start_incoming(&route);
        let adopt = Arc::new(Adopt { route, errors_room, outgoing: OnceLock::new() });
        self.links.errors.adopt(&adopt);
        self.links.incoming.push(DataMessage::Adopt(adopt));
        log::debug!("session adopted the configuration session={self}");
    }

    /// Starts the incoming pipelines if they change events from now on.
    fn start_incoming(&mut self, route: &Route) {
        if matches!(self.links.incoming, Output::Next(_)) || !changes_events(&route.incoming) {
            return;
        }
        let upstream_buffer = route.upstream.as_ref().map_or(0, |upstream| upstream.limits.buffer);
        let chain = PipelineChain {
            tracker: &self.tracker,
            to_session: self.links.errors.to_session(),
            room: self.listener.limits.buffer + upstream_buffer,
            announced: self.links.announced.as_ref(),
        };
        let out = mem::replace(&mut self.links.incoming, Output::End);
        let ChainEnds { head, last } = chain.start(Place::Incoming, &route.incoming, out);
        self.links.incoming = head.map_or(Output::End, Output::Next);
        self.links.last_incoming = last.map(Box::new);
    }

    fn adopt_lifetime(&mut self, route: &Route) {
        match &mut self.expiry {
            Some(expiry) => expiry.adopt(&route.lifetime, self.opened, rand::random()),
            None => {
                let aged = Lifetime::of_age(&route.lifetime, self.opened, rand::random());
                self.expiry = aged.map(Expiry::new);
            }
        }
    }
}
