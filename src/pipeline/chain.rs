//! Chains of pipelines. The last pipeline of a chain starts first, because each pipeline needs the next as
//! its output.

use std::sync::Arc;

use actix::Addr;

use super::{
    Attach, Output, Pipeline, Place,
    programs::{Position, Running},
};
use crate::{
    flow::{AckTracker, Adopt, DataMessage, EVENT_COST, Edge, mailbox_room},
    settings::{self, Route},
    upstream::Announced,
};

/// Starts chains of pipelines for one session.
#[derive(Clone, Copy)]
pub struct PipelineChain<'a> {
    /// The tracker that collects the session's acks.
    pub tracker: &'a Arc<AckTracker>,
    /// The session, to which events for ports `reply` and `err` go.
    pub to_session: &'a Edge<DataMessage>,
    /// Maximum number of bytes of events in the chain.
    pub room: usize,
    /// Has the session move when a pipeline says that the upstream announces the end of the connection.
    pub announced: Option<&'a Announced>,
}

/// The two ends of a started chain; `None` for a chain that has no actors.
pub struct ChainEnds {
    /// The input of the first pipeline.
    pub head: Option<Edge<DataMessage>>,
    /// The last pipeline, whose output can be attached to a connector.
    pub last: Option<Edge<Attach>>,
}

/// The errors pipelines of a session. They start at the first error event, because most sessions never have
/// one, and idle sessions should use little memory.
pub struct LazyChain {
    route: Arc<Route>,
    to_session: Edge<DataMessage>,
    room: usize,
    /// Boxed for sessions without errors.
    head: Option<Box<Edge<DataMessage>>>,
}

// === impl PipelineChain ===

impl PipelineChain<'_> {
    /// Starts the pipelines of a list of the route, if the list [changes](changes_events) events. `out` is the output of
    /// the last one.
    pub fn start(&self, place: Place, pipelines: &[Arc<settings::Pipeline>], out: Output) -> ChainEnds {
        let mut started = ChainEnds { head: None, last: None };
        if !changes_events(pipelines) {
            return started;
        }
        let mut next = out;
        for (at, pipeline) in pipelines.iter().enumerate().rev() {
            let addr = self.start_one((place, Position::of(at, pipelines.len())), pipeline, next);
            started.last.get_or_insert_with(|| Edge::rare(&addr));
            started.head = Some(Edge::to(&addr));
            next = Output::Next(Edge::to(&addr));
        }
        started
    }

    fn start_one(
        &self,
        place: (Place, Position),
        pipeline: &Arc<settings::Pipeline>,
        out: Output,
    ) -> Addr<Pipeline> {
        let (to_session, tracker) = (self.to_session.clone(), Arc::clone(self.tracker));
        let (room, announced) = (mailbox_room(self.room), self.announced.cloned());
        Pipeline::start(Running::new(pipeline), out, to_session, tracker, room, announced, place)
    }
}

// === impl LazyChain ===

impl LazyChain {
    /// Creates the errors pipelines of a route. They are not started yet.
    pub fn new(route: &Arc<Route>, to_session: &Edge<DataMessage>, room: usize) -> Self {
        Self { route: Arc::clone(route), to_session: to_session.clone(), room, head: None }
    }

    /// Continues with other settings. If the pipelines run already, they get the message.
    pub fn adopt(&mut self, adopt: &Arc<Adopt>) {
        self.route = Arc::clone(&adopt.route);
        self.room = adopt.errors_room;
        if let Some(head) = &self.head {
            head.notify(DataMessage::Adopt(Arc::clone(adopt)));
        }
    }

    /// The edge to the session.
    pub fn to_session(&self) -> &Edge<DataMessage> {
        &self.to_session
    }

    /// The input of the first errors pipeline; `None` when no errors pipeline changes events.
    pub fn head(&mut self, tracker: &Arc<AckTracker>) -> Option<&Edge<DataMessage>> {
        if self.head.is_none() {
            let (to_session, room) = (&self.to_session, self.room);
            let chain = PipelineChain { tracker, to_session, room, announced: None };
            let out = Output::Next(self.to_session.clone());
            self.head = chain.start(Place::Errors, &self.route.errors, out).head.map(Box::new);
        }
        self.head.as_deref()
    }
}

/// Whether a list of pipelines changes events. One that passes every event unchanged needs no actors: a session that has
/// just opened uses less memory, and its messages take fewer hops.
pub fn changes_events(pipelines: &[Arc<settings::Pipeline>]) -> bool {
    pipelines.iter().any(|pipeline| !pipeline.program.is_identity())
}

/// The mailbox capacity for error events, in bytes of budget. It allows all events to fail at once: those in
/// flight in both directions, and those that await a reply.
pub fn errors_room(room: usize, route: &Route) -> usize {
    route
        .upstream
        .as_ref()
        .map_or(room, |upstream| room + upstream.limits.buffer + upstream.max_in_flight * EVENT_COST)
}
