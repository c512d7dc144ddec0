//! Handles events that have no connector: events that name a server by `$url`, and events while there is no
//! connection.

use std::{sync::Arc, time::Instant};

use actix::Context;

use super::{Supervisor, own_target};
use crate::{
    authority::mask,
    connector::Generation,
    event::Value,
    failure::{Failure, FailureKind},
    flow::{DataMessage, Edge, Envelope, Run},
    supervisor::{
        child::{Child, Target, Wanted},
        loss::{fail, fail_unsent},
    },
};

impl Supervisor {
    pub(super) fn take(&mut self, envelopes: Vec<Envelope>, ctx: &mut Context<Self>) {
        let mut outcomes = Run::default();
        for envelope in envelopes {
            self.dispatch(envelope, &mut outcomes, ctx);
        }
        self.send_back(outcomes);
    }

    fn dispatch(&mut self, envelope: Envelope, outcomes: &mut Run, ctx: &mut Context<Self>) {
        let target = match envelope.event.meta.get("url") {
            None => own_target(&self.plan, self.own_redial),
            Some(Value::String(url)) if self.plan.upstream().is_own(&url, &self.plan.path) => {
                own_target(&self.plan, self.own_redial)
            }
            Some(Value::String(url)) => match self.plan.settings().allows(&url) {
                Ok(url) => Target::Named(url),
                Err(error) => {
                    let failure = Failure::connection(FailureKind::NotAllowed, error.to_string());
                    return outcomes.fail(fail_unsent(envelope, &mask(&url).into(), &failure));
                }
            },
            Some(other) => {
                let text = format!("$url takes a string, not {}", other.type_name());
                return outcomes.fail(fail(envelope, Failure::program(text, true)));
            }
        };
        self.send(&target, envelope, outcomes, ctx);
    }

    /// Sends an event to a server, and starts a connector if there is none.
    fn send(&mut self, target: &Target, envelope: Envelope, outcomes: &mut Run, ctx: &mut Context<Self>) {
        let connector = match self.children.wanted(target, Instant::now()) {
            Wanted::Send(connector) => connector,
            Wanted::Dial(generation) => self.dial(generation, ctx),
            Wanted::Fail(failure) => {
                let child = self.children.find(target);
                let server = Arc::clone(&child.map_or(target.url(), |child| &child.destination().url).shown);
                return match target {
                    Target::Own { .. } => self.miss(envelope, (&server, &failure), outcomes, ctx),
                    Target::Named(_) => outcomes.fail(fail_unsent(envelope, &server, &failure)),
                };
            }
        };
        Edge::notify_at(&connector, DataMessage::Events(vec![envelope]));
    }

    /// Handles an event for the route's own upstream while it has no connection: answers it, keeps it, or makes it
    /// fail.
    fn miss(
        &mut self,
        envelope: Envelope,
        (server, failure): (&Arc<str>, &Failure),
        outcomes: &mut Run,
        ctx: &mut Context<Self>,
    ) {
        self.plan.upstream().want_probe();
        let message = self.message(&envelope);
        let missed = self.keep_alive(envelope, message.as_ref(), outcomes);
        if let Some(envelope) = missed.and_then(|envelope| self.keep(envelope, ctx)) {
            self.shape_one(envelope, message.as_ref(), (server, failure), outcomes);
        }
    }

    /// Makes events fail that reached a connection after its end.
    pub(super) fn unsent(&mut self, generation: Generation, envelopes: Vec<Envelope>) {
        let server = self.server(generation);
        let failure = match self.children.get(generation) {
            _ if self.children.is_stopped() => Failure::draining(),
            Some(child) => child.down(),
            None => Failure::not_connected(),
        };
        let mut outcomes = Run::default();
        match self.children.get(generation).is_none_or(Child::is_own) {
            true => self.shape(envelopes, &server, &failure, &mut outcomes),
            false => {
                envelopes.into_iter().for_each(|late| outcomes.fail(fail_unsent(late, &server, &failure)));
            }
        }
        self.send_back(outcomes);
    }

    /// Sends outcomes towards the client, in order.
    pub(super) fn send_back(&self, mut outcomes: Run) {
        if let Some(message) = outcomes.take() {
            self.links.back.notify(message);
        }
    }
}
