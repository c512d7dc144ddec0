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
    connector::dial::{DialPlan, First},
    flow::{AckTracker, Budget, DataMessage, EVENT_COST, Edge, GlobalBudget, mailbox_room},
    pipeline::{Attach, Output, Pipeline, Stage, UpstreamEdge},
    session::{self, Parts, Session, SupervisorEdge},
    settings::{self, Route},
    supervisor::{self, Pacer, Supervisor},
};

/// The upstream side of a new session.
pub struct UpstreamStart {
    /// How to reach the upstream.
    pub plan: DialPlan,
    /// What has become of the dial that the client's handshake waited for.
    pub first: First,
    /// The pace of reconnects to it.
    pub pacer: Arc<Pacer>,
}

/// Starts a session and everything it is tied to.
pub fn start(parts: Parts, route: &Arc<Route>, upstream_start: Option<UpstreamStart>) -> Addr<Session> {
    let tracker = Arc::clone(&parts.tracker);
    let global_budget = Arc::clone(&parts.global_budget);
    let room = parts.listener.limits.buffer;
    Session::start(parts, |session| {
        link_actors(session, &tracker, &global_budget, room, route, upstream_start)
    })
}

fn link_actors(
    session: &Addr<Session>,
    tracker: &Arc<AckTracker>,
    global_budget: &Arc<GlobalBudget>,
    room: usize,
    route: &Arc<Route>,
    upstream_start: Option<UpstreamStart>,
) -> session::SessionLinks {
    let to_session = Edge::rare(session);
    let replies_errors = route.replies_errors();
    let errors = LazyChain::new(route, &to_session, errors_room(room, route));
    let chain = PipelineChain { tracker, to_session: &to_session, room };
    let Some(UpstreamStart { plan, first, pacer }) = upstream_start else {
        let incoming = chain.start(&route.incoming, Output::End);
        let incoming = incoming.head.map_or(Output::End, Output::Next);
        return session::SessionLinks {
            incoming,
            errors,
            supervisor: None,
            upstream_budget: None,
            replies_errors,
        };
    };
    let chain = PipelineChain { room: room + plan.upstream.limits.buffer, ..chain };
    let outgoing = chain.start(&route.outgoing, Output::Next(Edge::to(session))).head;
    let url = plan.url.text.clone();
    let budget = Budget::new(plan.upstream.limits.buffer, global_budget);
    let mut incoming = Output::End;
    let supervisor = Supervisor::start(
        plan,
        first,
        |supervisor| {
            let upstream = |supervisor| Output::Upstream(UpstreamEdge::new(&url, Edge::rare(supervisor)));
            let started = chain.start(&route.incoming, upstream(supervisor));
            incoming = started.head.map_or_else(|| upstream(supervisor), Output::Next);
            supervisor::SupervisorLinks {
                output: started.last.unwrap_or_else(|| Edge::rare(session)),
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
    let supervisor = SupervisorEdge { over: Edge::to(&supervisor), stop_upstream: Edge::rare(&supervisor) };
    let (supervisor, upstream_budget) = (Some(supervisor), Some(budget));
    session::SessionLinks { incoming, errors, supervisor, upstream_budget, replies_errors }
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
pub struct LazyChain {
    route: Arc<Route>,
    to_session: Edge<DataMessage>,
    room: usize,
    head: Option<Edge<DataMessage>>,
}

impl LazyChain {
    /// The errors pipelines of a route, none of them started, for the session at `home`.
    fn new(route: &Arc<Route>, to_session: &Edge<DataMessage>, room: usize) -> Self {
        Self { route: Arc::clone(route), to_session: to_session.clone(), room, head: None }
    }

    /// The first errors pipeline, if the route has any.
    pub fn head(&mut self, tracker: &Arc<AckTracker>) -> Option<&Edge<DataMessage>> {
        if self.head.is_none() {
            let chain = PipelineChain { tracker, to_session: &self.to_session, room: self.room };
            self.head = chain.start(&self.route.errors, Output::Next(self.to_session.clone())).head;
        }
        self.head.as_ref()
    }
}

/// Pipelines one behind the other.
#[derive(Clone, Copy)]
struct PipelineChain<'a> {
    tracker: &'a Arc<AckTracker>,
    /// The session: where `reply` and `err` lead.
    to_session: &'a Edge<DataMessage>,
    room: usize,
}

/// The two ends of a line.
struct ChainEnds {
    head: Option<Edge<DataMessage>>,
    last: Option<Edge<Attach>>,
}

impl PipelineChain<'_> {
    /// Starts the pipelines, the last one leading to `out`.
    fn start(&self, pipelines: &[Arc<settings::Pipeline>], out: Output) -> ChainEnds {
        let mut started = ChainEnds { head: None, last: None };
        let mut next = out;
        for pipeline in pipelines.iter().rev() {
            let addr = self.start_one(pipeline, next);
            started.last.get_or_insert_with(|| Edge::rare(&addr));
            started.head = Some(Edge::to(&addr));
            next = Output::Next(Edge::to(&addr));
        }
        started
    }

    fn start_one(&self, pipeline: &Arc<settings::Pipeline>, out: Output) -> Addr<Pipeline> {
        let program = &pipeline.program;
        let stage = (!program.is_identity()).then(|| Box::new(program.instance()) as Box<dyn Stage>);
        let to_session = self.to_session.clone();
        Pipeline::start(pipeline, stage, out, to_session, Arc::clone(self.tracker), mailbox_room(self.room))
    }
}

#[cfg(test)]
mod tests;
