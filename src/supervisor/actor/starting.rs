//! Starts connectors: with the session's first dial, and with later ones.

use std::{rc::Rc, sync::Arc, time::Instant};

use actix::{Addr, AsyncContext, Context};
use tokio::sync::Semaphore;

use super::{Lost, Supervisor};
use crate::{
    connector::{self, Connector, Generation, Start},
    flow::{DataMessage, Edge},
    supervisor::{
        child::{Child, Redial},
        children::Next,
        held::Held,
    },
    upstream::{Dialed, First, IdleFlag},
};

impl Supervisor {
    /// Continues the first dial. Returns the connector to which the output sends from the start; `None` if it sends to the
    /// supervisor.
    pub(super) fn begin(&mut self, first: First, ctx: &mut Context<Self>) -> Option<Edge<DataMessage>> {
        match first {
            First::NotNeeded => {}
            First::Up(dialed) if self.can_attach() => return self.begin_attached(dialed, ctx),
            First::Up(dialed) => {
                let generation = self.children.begin_own();
                self.start_connector(generation, Start::With(dialed), ctx);
            }
            First::Pending(dialing) => {
                let generation = self.children.begin_own();
                self.start_connector(generation, Start::Dialing(dialing), ctx);
                // The client's first events wait for its first connection: at the connector, or here for at most
                // `hold`.
                if self.hold().is_none() {
                    self.attach(Some(generation));
                }
            }
            First::Failed(error) => {
                let (generation, now, failure) = (Generation::default(), Instant::now(), error.failure());
                self.outage().lost_since = Some(now);
                let next = self.children.lost(generation, &failure, now, rand::random());
                if let Next::Redial(redial, verdict) = next {
                    let (kind, reason) = (failure.kind, &error.to_string());
                    self.redial_later(&Lost { generation, redial, verdict, kind, reason, unsettled: 0 }, ctx);
                }
            }
        }
        None
    }

    /// Whether the output can send to the first connection from the start. With a journal or `hold`, the connector waits
    /// for its release.
    fn can_attach(&self) -> bool {
        !self.links.has_incoming && !self.has_journal() && self.hold().is_none()
    }

    /// Starts with a connection that is up. It precedes all events, so the connector waits for no mark.
    fn begin_attached(&mut self, dialed: Box<Dialed>, ctx: &mut Context<Self>) -> Option<Edge<DataMessage>> {
        let (generation, destination) = (self.children.begin_own(), dialed.destination.clone());
        self.held = Held::serving(generation);
        let connector = self.start_connector(generation, Start::Attached(dialed), ctx);
        self.up(generation, destination, ctx);
        Some(Edge::to(&connector))
    }

    /// Starts a connector with this generation, which `children` has assigned to a server.
    pub(super) fn dial(&mut self, generation: Generation, ctx: &mut Context<Self>) -> Addr<Connector> {
        let is_own = self.children.get(generation).is_some_and(Child::is_own);
        let is_paced = self.children.is_paced(generation);
        let dialing = match is_own {
            true => match self.take_lease() {
                None if is_paced => self.plan.dial_again(),
                lease => self.plan.dial(lease),
            },
            false => {
                let one = || Rc::new(Semaphore::new(1));
                let pacing = is_paced.then(|| Rc::clone(self.outage().pacing.get_or_insert_with(one)));
                self.plan.dial_at(&self.destination(generation).url, pacing)
            }
        };
        self.start_connector(generation, Start::Dialing(dialing), ctx)
    }

    pub(super) fn start_connector(
        &mut self,
        generation: Generation,
        start: Start,
        ctx: &mut Context<Self>,
    ) -> Addr<Connector> {
        let redial = self.children.get(generation).map(Child::redial);
        let is_own = self.children.get(generation).is_some_and(Child::is_own);
        let links = connector::ConnectorLinks {
            supervisor: Edge::rare(&ctx.address()),
            back: self.links.back.held(),
            has_outgoing: self.links.has_outgoing,
            tracker: Arc::clone(&self.links.tracker),
            figures: Arc::clone(&self.links.figures),
            counts_endpoint: is_own,
            tap: self.links.tap.clone(),
            budget: Arc::clone(&self.links.budget),
            room: self.links.room,
            reads_origin: self.links.reads_origin,
            has_notices: self.has_notices(),
            is_gated: redial == Some(Redial::Automatic),
            has_journal: redial == Some(Redial::Automatic) && self.has_journal(),
            announced: self.links.announced.clone().filter(|_| redial == Some(Redial::Automatic)),
            idle: if is_own { self.idle.clone() } else { IdleFlag::new() },
        };
        let connector = Connector::start(Arc::clone(self.plan.settings()), generation, links, start);
        self.children.started(generation, connector.clone());
        connector
    }
}
