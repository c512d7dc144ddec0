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
    flow::{DataMessage, Edge, Envelope, Failed},
    supervisor::{
        child::{Child, Target, Wanted},
        loss::{fail, fail_unsent},
    },
};

impl Supervisor {
    pub(super) fn take(&mut self, envelopes: Vec<Envelope>, ctx: &mut Context<Self>) {
        let mut failures = Vec::new();
        for envelope in envelopes {
            if let Err(failure) = self.dispatch(envelope, ctx) {
                failures.push(*failure);
            }
        }
        self.fail(failures);
    }

    fn dispatch(&mut self, envelope: Envelope, ctx: &mut Context<Self>) -> Result<(), Box<Failed>> {
        let target = match envelope.event.meta.get("url") {
            None => own_target(&self.plan, self.own_redial),
            Some(Value::String(url)) if self.plan.upstream().is_own(&url, &self.plan.path) => {
                own_target(&self.plan, self.own_redial)
            }
            Some(Value::String(url)) => match self.plan.settings().allows(&url) {
                Ok(url) => Target::Named(url),
                Err(error) => {
                    let failure = Failure::connection(FailureKind::NotAllowed, error.to_string());
                    return Err(fail_unsent(envelope, &mask(&url).into(), &failure).into());
                }
            },
            Some(other) => {
                let text = format!("$url takes a string, not {}", other.type_name());
                return Err(fail(envelope, Failure::program(text, true)).into());
            }
        };
        self.send(&target, envelope, ctx)
    }

    /// Sends an event to a server, and starts a connector if there is none.
    fn send(
        &mut self,
        target: &Target,
        envelope: Envelope,
        ctx: &mut Context<Self>,
    ) -> Result<(), Box<Failed>> {
        let connector = match self.children.wanted(target, Instant::now()) {
            Wanted::Send(connector) => connector,
            Wanted::Dial(generation) => self.dial(generation, ctx),
            Wanted::Fail(failure) => {
                let child = self.children.find(target);
                let server = Arc::clone(&child.map_or(target.url(), |child| &child.destination().url).shown);
                return match target {
                    Target::Own { .. } => self.miss(envelope, &server, &failure, ctx),
                    Target::Named(_) => Err(fail_unsent(envelope, &server, &failure).into()),
                };
            }
        };
        Edge::to(&connector).notify(DataMessage::Events(vec![envelope]));
        Ok(())
    }

    /// Handles an event for the route's own upstream while it has no connection: answers it, keeps it, or makes it fail.
    fn miss(
        &mut self,
        envelope: Envelope,
        server: &Arc<str>,
        failure: &Failure,
        ctx: &mut Context<Self>,
    ) -> Result<(), Box<Failed>> {
        self.plan.upstream().want_probe();
        let missed = self.keep_alive(envelope).and_then(|envelope| self.keep(envelope, ctx));
        let failed = missed.and_then(|envelope| self.shape(vec![envelope], server, failure).pop());
        failed.map_or(Ok(()), |failed| Err(failed.into()))
    }

    /// Makes events fail that reached a connection after its end.
    pub(super) fn unsent(&mut self, generation: Generation, envelopes: Vec<Envelope>) {
        let server = self.server(generation);
        let failure = match self.children.get(generation) {
            _ if self.children.is_stopped() => Failure::draining(),
            Some(child) => child.down(),
            None => Failure::not_connected(),
        };
        let failures = match self.children.get(generation).is_none_or(Child::is_own) {
            true => self.shape(envelopes, &server, &failure),
            false => envelopes.into_iter().map(|late| fail_unsent(late, &server, &failure)).collect(),
        };
        self.fail(failures);
    }

    pub(super) fn fail(&self, failed: Vec<Failed>) {
        if !failed.is_empty() {
            self.links.back.notify(DataMessage::Failed(failed));
        }
    }
}
