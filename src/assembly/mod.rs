//! Ties the actors of one session together.
//!
//! ```text
//! session ─► incoming pipelines ─► connector ═► upstream
//!  ▲ ▲ ▲ ◄──── reply, err ──┘         │ report
//!  │ │ └─► errors pipelines ─┐        ▼
//!  │ └───────────────────────┘    supervisor
//!  └─── outgoing pipelines ◄────────┴─ failures; replies and pushes from the connector
//! ```

use std::sync::Arc;

use actix::Addr;

use crate::{
    connector::dial::{First, Plan},
    flow::{Budget, EVENT_COST, Edge, Flow, Pool, Tracker, mailbox_room},
    pipeline::{Attach, Outlet, Pipeline, Stage, UpstreamEdge},
    session::{self, Parts, Session, SupervisorEdge},
    settings::{self, Route},
    supervisor::{self, Pacer, Supervisor},
};

/// The upstream side of a new session.
pub struct Upside {
    /// How to reach the upstream.
    pub plan: Plan,
    /// What has become of the dial that the client's handshake waited for.
    pub first: First,
    /// The pace of reconnects to it.
    pub pacer: Arc<Pacer>,
}

/// Starts a session and everything it is tied to.
pub fn start(parts: Parts, route: &Arc<Route>, upside: Option<Upside>) -> Addr<Session> {
    let tracker = Arc::clone(&parts.tracker);
    let pool = Arc::clone(&parts.pool);
    let room = parts.listener.limits.buffer;
    Session::start(parts, |session| tie(session, &tracker, &pool, room, route, upside))
}

fn tie(
    session: &Addr<Session>,
    tracker: &Arc<Tracker>,
    pool: &Arc<Pool>,
    room: usize,
    route: &Arc<Route>,
    upside: Option<Upside>,
) -> session::Ties {
    let home = Edge::rare(session);
    let replies_errors = route.replies_errors();
    let errors = Errors::new(route, &home, errors_room(room, route));
    let line = Line { tracker, home: &home, room };
    let Some(Upside { plan, first, pacer }) = upside else {
        let incoming = line.start(&route.incoming, Outlet::End);
        let incoming = incoming.head.map_or(Outlet::End, Outlet::Next);
        return session::Ties { incoming, errors, supervisor: None, upstream_budget: None, replies_errors };
    };
    let line = Line { room: room + plan.upstream.limits.buffer, ..line };
    let outgoing = line.start(&route.outgoing, Outlet::Next(Edge::to(session))).head;
    let url = plan.url.text.clone();
    let budget = Budget::new(plan.upstream.limits.buffer, pool);
    let mut incoming = Outlet::End;
    let supervisor = Supervisor::start(
        plan,
        first,
        |supervisor| {
            let upstream = |supervisor| Outlet::Upstream(UpstreamEdge::new(&url, Edge::rare(supervisor)));
            let started = line.start(&route.incoming, upstream(supervisor));
            incoming = started.head.map_or_else(|| upstream(supervisor), Outlet::Next);
            supervisor::Ties {
                outlet: started.last.unwrap_or_else(|| Edge::rare(session)),
                back: outgoing.unwrap_or_else(|| Edge::to(session)),
                tracker: Arc::clone(tracker),
                budget: Arc::clone(&budget),
                pacer,
                room,
                keeps_client: route.keeps_client(),
            }
        },
        room,
    );
    let supervisor = SupervisorEdge { over: Edge::to(&supervisor), withdraw: Edge::rare(&supervisor) };
    let (supervisor, upstream_budget) = (Some(supervisor), Some(budget));
    session::Ties { incoming, errors, supervisor, upstream_budget, replies_errors }
}

/// What may fail at once: all that is under way in both directions, and all that awaits a reply.
fn errors_room(room: usize, route: &Route) -> usize {
    route
        .upstream
        .as_ref()
        .map_or(room, |upstream| room + upstream.limits.buffer + upstream.max_in_flight * EVENT_COST)
}

/// The errors pipelines of a session, started when the first error event is due: most sessions never need
/// them, and an idle one shall be small.
pub struct Errors {
    route: Arc<Route>,
    home: Edge<Flow>,
    room: usize,
    head: Option<Edge<Flow>>,
}

impl Errors {
    /// The errors pipelines of a route, none of them started, for the session at `home`.
    fn new(route: &Arc<Route>, home: &Edge<Flow>, room: usize) -> Self {
        Self { route: Arc::clone(route), home: home.clone(), room, head: None }
    }

    /// The first errors pipeline, if the route has any.
    pub fn head(&mut self, tracker: &Arc<Tracker>) -> Option<&Edge<Flow>> {
        if self.head.is_none() {
            let line = Line { tracker, home: &self.home, room: self.room };
            self.head = line.start(&self.route.errors, Outlet::Next(self.home.clone())).head;
        }
        self.head.as_ref()
    }
}

/// Pipelines one behind the other.
#[derive(Clone, Copy)]
struct Line<'a> {
    tracker: &'a Arc<Tracker>,
    /// The session: where `reply` and `err` lead.
    home: &'a Edge<Flow>,
    room: usize,
}

/// The two ends of a line.
struct Started {
    head: Option<Edge<Flow>>,
    last: Option<Edge<Attach>>,
}

impl Line<'_> {
    /// Starts the pipelines, the last one leading to `out`.
    fn start(&self, pipelines: &[Arc<settings::Pipeline>], out: Outlet) -> Started {
        let mut started = Started { head: None, last: None };
        let mut next = out;
        for pipeline in pipelines.iter().rev() {
            let addr = self.start_one(pipeline, next);
            started.last.get_or_insert_with(|| Edge::rare(&addr));
            started.head = Some(Edge::to(&addr));
            next = Outlet::Next(Edge::to(&addr));
        }
        started
    }

    fn start_one(&self, pipeline: &Arc<settings::Pipeline>, out: Outlet) -> Addr<Pipeline> {
        let program = &pipeline.program;
        let stage = (!program.is_identity()).then(|| Box::new(program.instance()) as Box<dyn Stage>);
        let home = self.home.clone();
        Pipeline::start(pipeline, stage, out, home, Arc::clone(self.tracker), mailbox_room(self.room))
    }
}

#[cfg(test)]
mod tests;
