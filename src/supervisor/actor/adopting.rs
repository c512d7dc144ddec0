//! Continues with other settings, after a reload.

use std::sync::Arc;

use actix::Context;

use super::Supervisor;
use crate::{
    flow::{Adopt, DataMessage, Edge},
    settings::Route,
    supervisor::child::Child,
};

impl Supervisor {
    /// Uses the settings of the upstream that the session adopts, and passes the message on.
    pub(super) fn adopt(&mut self, adopt: Arc<Adopt>, ctx: &Context<Self>) {
        let route = &adopt.route;
        if route.upstream.as_ref().is_some_and(|upstream| self.plan.adopt(upstream)) {
            self.adopt_policies(route, ctx);
            self.children.set_restart(&self.plan.settings().restart);
            for connector in self.children.all().filter_map(Child::connector) {
                Edge::to(connector).notify(DataMessage::Adopt(Arc::clone(&adopt)));
            }
        }
        self.links.back.notify(DataMessage::Adopt(adopt));
    }

    fn adopt_policies(&mut self, route: &Route, ctx: &Context<Self>) {
        self.links.replies_errors = route.replies_errors();
        let kept = std::mem::replace(&mut self.links.keeps_client, route.keeps_client());
        match (kept, self.links.keeps_client) {
            (false, true) => self.join_moves_again(ctx),
            (true, false) => self.leave_moves(),
            (false, false) | (true, true) => {}
        }
    }
}
