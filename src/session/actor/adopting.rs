//! Continues with other settings between two messages, after a reload.

use std::{sync::Arc, time::Instant};

use super::{MAX_IN_FLIGHT, Session, SessionState, admitting::Limiters, expiring::Expiry};
use crate::{
    flow::{Adopt, DataMessage},
    pipeline::errors_room,
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
        self.links.replies_errors = route.replies_errors();
        self.adopt_lifetime(&route);
        if let Some(current) = &mut self.renewals {
            // Without a method of the same name, the client goes on with the one that accepted it.
            if let Some(renewal) = renewals.into_iter().find(|other| other.method == *current.method()) {
                current.adopt(renewal);
            }
        }
        self.listener = listener;
        let errors_room = errors_room(self.listener.limits.buffer, &route);
        let adopt = Arc::new(Adopt { route, errors_room });
        self.links.errors.adopt(&adopt);
        self.flush_batch();
        self.links.incoming.push(DataMessage::Adopt(adopt));
        log::debug!("session adopted the configuration session={self}");
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
