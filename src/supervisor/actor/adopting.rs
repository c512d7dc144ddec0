//! Continues with other settings, after a reload.

use std::sync::Arc;

use actix::Context;

use super::Supervisor;
use crate::{
    flow::{Adopt, DataMessage, Edge},
    pipeline::{Output, PipelineChain, Place},
    settings::Route,
    supervisor::{SupervisorLinks, child::Child},
};

impl Supervisor {
    /// Uses the settings of the upstream that the session adopts, and passes the message on.
    pub(super) fn adopt(&mut self, adopt: Arc<Adopt>, ctx: &Context<Self>) {
        let route = &adopt.route;
        let is_known = route.upstream.as_ref().is_some_and(|upstream| self.plan.adopt(upstream));
        if is_known {
            self.adopt_policies(route, ctx);
            self.children.set_restart(&self.plan.settings().restart);
        }
        self.start_outgoing(&adopt);
        if is_known || adopt.outgoing.get().is_some() {
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

    /// Starts the outgoing pipelines if they change events from now on. What is on its way to the session already
    /// precedes what they pass on.
    fn start_outgoing(&mut self, adopt: &Adopt) {
        if self.links.has_outgoing {
            return;
        }
        let SupervisorLinks { back, tracker, room, announced, .. } = &self.links;
        let room = room + self.plan.settings().limits.buffer;
        let chain = PipelineChain { tracker, to_session: back, room, announced: announced.as_ref() };
        let out = Output::Next(back.held());
        let Some(head) = chain.start(Place::Outgoing, &adopt.route.outgoing, out).head else { return };
        self.links.back = head.clone();
        self.links.has_outgoing = true;
        // No other supervisor has this message.
        let _ = adopt.outgoing.set(head);
    }
}
