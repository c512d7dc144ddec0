//! Starts and connects the actors of one session.
//!
//! ```text
//! session ─► incoming pipelines ─► connector ═► upstream
//!  ▲ ▲ ▲ ◄──── reply, err ──┘         │ report
//!  │ │ └─► errors pipelines ─┐        ▼
//!  │ └───────────────────────┘    supervisor
//!  └─── outgoing pipelines ◄────────┴─ failures; replies and pushes from the connector
//! ```

use std::{rc::Rc, sync::Arc};

use actix::Addr;

use crate::{
    figures::SessionFigures,
    flow::{AckTracker, Budget, Edge, GlobalBudget},
    pipeline::{IsOwnUrl, LazyChain, Output, PipelineChain, Place, UpstreamEdge, errors_room},
    session::{self, FirstData, Parts, Session, SupervisorEdge},
    settings::Route,
    supervisor::{self, Supervisor},
    tap::SessionTap,
    upstream::{Announced, DialPlan, First},
};

/// The upstream side of a new session, before its actors start.
pub struct UpstreamStart {
    /// How to reach the upstream.
    pub plan: DialPlan,
    /// The result of the dial for which the client's handshake waited.
    pub first: First,
}

/// Starts a session and all actors that belong to it.
pub fn start(parts: Parts, route: &Arc<Route>, upstream_start: Option<UpstreamStart>) -> Addr<Session> {
    let (tracker, figures) = (Arc::clone(&parts.tracker), Arc::clone(&parts.figures));
    let tap = parts.tap.clone();
    let global_budget = Arc::clone(&parts.global_budget);
    let room = parts.listener.limits.buffer;
    Session::start(parts, |session| {
        link_actors(session, (&tracker, &figures, tap), &global_budget, room, route, upstream_start)
    })
}

fn link_actors(
    session: &Addr<Session>,
    (tracker, figures, tap): (&Arc<AckTracker>, &Arc<SessionFigures>, Option<Arc<SessionTap>>),
    global_budget: &Arc<GlobalBudget>,
    room: usize,
    route: &Arc<Route>,
    upstream_start: Option<UpstreamStart>,
) -> session::SessionLinks {
    let (to_session, replies_errors) = (Edge::rare(session), route.replies_errors());
    let errors = LazyChain::new(route, &to_session, errors_room(room, route));
    let chain = PipelineChain { tracker, to_session: &to_session, room, announced: None };
    let Some(UpstreamStart { plan, first }) = upstream_start else {
        return without_upstream(&chain, route, errors);
    };
    // A session that cannot move may do so after a reload.
    let announced = (!route.routed_by_url).then(Announced::default);
    let room_of_both = room + plan.settings().limits.buffer;
    let chain = PipelineChain { room: room_of_both, announced: announced.as_ref(), ..chain };
    let outgoing = chain.start(Place::Outgoing, &route.outgoing, Output::Next(Edge::to(session))).head;
    let first_data = first_data(&plan);
    let (is_own, budget) = (is_own(&plan), Budget::new(plan.settings().limits.buffer, global_budget));
    let mut incoming = Output::End;
    let (supervisor, attached) = Supervisor::start(
        plan,
        first,
        |supervisor| {
            let upstream = |supervisor| to_upstream(&is_own, supervisor);
            let started = chain.start(Place::Incoming, &route.incoming, upstream(supervisor));
            incoming = started.head.map_or_else(|| upstream(supervisor), Output::Next);
            supervisor::SupervisorLinks {
                has_incoming: started.last.is_some(),
                output: started.last.unwrap_or_else(|| Edge::rare(session)),
                has_outgoing: outgoing.is_some(),
                back: outgoing.unwrap_or_else(|| Edge::rare(session)),
                tracker: Arc::clone(tracker),
                figures: Arc::clone(figures),
                tap,
                budget: Arc::clone(&budget),
                room,
                keeps_client: route.keeps_client(),
                replies_errors,
                reads_origin: route.reads_origin(),
                classifier: route.classifier().cloned(),
                announced: announced.clone(),
            }
        },
        room,
    );
    incoming.attach_first(attached);
    session::SessionLinks {
        incoming,
        last_incoming: None,
        announced,
        errors,
        supervisor: Some(SupervisorEdge::to(&supervisor)),
        upstream_budget: Some(budget),
        replies_errors,
        first_data,
    }
}

/// The links of a session whose pipelines answer all events.
fn without_upstream(
    chain: &PipelineChain<'_>,
    route: &Arc<Route>,
    errors: LazyChain,
) -> session::SessionLinks {
    let incoming = chain.start(Place::Incoming, &route.incoming, Output::End);
    session::SessionLinks {
        incoming: incoming.head.map_or(Output::End, Output::Next),
        last_incoming: None,
        announced: None,
        errors,
        supervisor: None,
        upstream_budget: None,
        replies_errors: route.replies_errors(),
        first_data: None,
    }
}

/// What takes the client's first message, if it selects the endpoint.
fn first_data(plan: &DialPlan) -> Option<FirstData> {
    let key = plan.key.clone();
    key.is_awaited().then(|| -> FirstData { Box::new(move |data| key.take(data)) })
}

/// The output to the upstream side, without a connector.
fn to_upstream(is_own: &IsOwnUrl, supervisor: &Addr<Supervisor>) -> Output {
    Output::Upstream(UpstreamEdge::new(Rc::clone(is_own), Edge::rare(supervisor)))
}

/// Whether a URL is that of the route's own upstream.
fn is_own(plan: &DialPlan) -> IsOwnUrl {
    Rc::new(plan.upstream().owns(plan.path.clone()))
}

#[cfg(test)]
mod figures_tests;
#[cfg(test)]
mod size_tests;
#[cfg(test)]
mod switching_tests;
#[cfg(test)]
mod tests;
