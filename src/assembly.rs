//! Ties the actors of one session together.
//!
//! ```text
//! session ─► incoming pipelines ─► connector ═► upstream
//!    ▲  ▲         │ reply, err        │ report
//!    │  │         ▼                   ▼
//!    │  └── errors pipelines      supervisor
//!    └───── outgoing pipelines ◄──┘ (failures) and connector (replies, pushes)
//! ```

use std::sync::Arc;

use actix::Addr;

use crate::{
    connector::dial::{Dialed, Plan},
    flow::{Edge, Flow, Tracker, mailbox_room},
    pipeline::{Attach, Outlet, Pipeline, Stage, UpstreamEdge},
    session::{self, Parts, Session},
    settings::{self, Route},
    supervisor::{self, Pacer, Supervisor},
};

/// The upstream side of a new session.
pub struct Upside {
    /// How to reach the upstream.
    pub plan: Plan,
    /// The connection that the client's handshake waited for, or why there is none.
    pub first: Result<Dialed, String>,
    /// The pace of reconnects to it.
    pub pacer: Arc<Pacer>,
}

/// Starts a session and everything it is tied to.
pub fn start(parts: Parts, route: &Route, upside: Option<Upside>) -> Addr<Session> {
    let tracker = Arc::clone(&parts.tracker);
    let room = parts.listener.limits.buffer;
    Session::start(parts, |session| tie(session, &tracker, room, route, upside))
}

fn tie(
    session: &Addr<Session>,
    tracker: &Arc<Tracker>,
    room: usize,
    route: &Route,
    upside: Option<Upside>,
) -> session::Ties {
    let home = Edge::to(session);
    let line = Line { tracker, home: &home, errors: None, room };
    let errors = line.start(&route.errors, Outlet::Next(home.clone())).head;
    let line = Line { errors: errors.as_ref(), ..line };
    let Some(Upside { plan, first, pacer }) = upside else {
        let incoming = line.start(&route.incoming, Outlet::End);
        let incoming = incoming.head.map_or(Outlet::End, Outlet::Next);
        return session::Ties { incoming, errors, supervisor: None };
    };
    let line = Line { room: room + plan.upstream.limits.buffer, ..line };
    let outgoing = line.start(&route.outgoing, Outlet::Next(home.clone())).head;
    let url = plan.upstream.url.text.clone();
    let mut incoming = Outlet::End;
    let supervisor = Supervisor::start(
        plan,
        first,
        |supervisor| {
            let upstream = |supervisor| Outlet::Upstream(UpstreamEdge::new(&url, Edge::to(supervisor)));
            let started = line.start(&route.incoming, upstream(supervisor));
            incoming = started.head.map_or_else(|| upstream(supervisor), Outlet::Next);
            supervisor::Ties {
                outlet: started.last.unwrap_or_else(|| Edge::to(session)),
                back: outgoing.unwrap_or_else(|| home.clone()),
                session: Edge::to(session),
                tracker: Arc::clone(tracker),
                pacer,
                room,
            }
        },
        room,
    );
    session::Ties { incoming, errors, supervisor: Some(Edge::to(&supervisor)) }
}

/// Pipelines one behind the other.
#[derive(Clone, Copy)]
struct Line<'a> {
    tracker: &'a Arc<Tracker>,
    /// The session: where `reply` leads.
    home: &'a Edge<Flow>,
    /// Where `err` leads; the session when there are no errors pipelines, or these are they.
    errors: Option<&'a Edge<Flow>>,
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
        let mut out = Some(out);
        for pipeline in pipelines.iter().rev() {
            let next = out.take().unwrap_or(Outlet::End);
            let addr = self.start_one(pipeline, next);
            started.last.get_or_insert_with(|| Edge::to(&addr));
            started.head = Some(Edge::to(&addr));
            out = started.head.clone().map(Outlet::Next);
        }
        started
    }

    fn start_one(&self, pipeline: &settings::Pipeline, out: Outlet) -> Addr<Pipeline> {
        let program = &pipeline.program;
        let stage = (!program.is_identity()).then(|| Box::new(program.instance()) as Box<dyn Stage>);
        let errors = self.errors.unwrap_or(self.home).clone();
        let ports = (out, errors, self.home.clone());
        Pipeline::start(&pipeline.name, stage, ports, Arc::clone(self.tracker), mailbox_room(self.room))
    }
}
