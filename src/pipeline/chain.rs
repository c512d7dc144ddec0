//! Chains of pipelines. The last pipeline of a chain starts first, because each pipeline needs the next as
//! its output.

use std::sync::Arc;

use actix::Addr;

use super::{Attach, Output, Pipeline, Stage};
use crate::{
    flow::{AckTracker, DataMessage, Edge, mailbox_room},
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

/// The two ends of a started chain; `None` for a chain without pipelines.
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
    head: Option<Edge<DataMessage>>,
}

// === impl PipelineChain ===

impl PipelineChain<'_> {
    /// Starts the pipelines. `out` is the output of the last one.
    pub fn start(&self, pipelines: &[Arc<settings::Pipeline>], out: Output) -> ChainEnds {
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
        let more = (mailbox_room(self.room), self.announced.cloned());
        Pipeline::start(pipeline, stage, out, to_session, Arc::clone(self.tracker), more)
    }
}

// === impl LazyChain ===

impl LazyChain {
    /// Creates the errors pipelines of a route. They are not started yet.
    pub fn new(route: &Arc<Route>, to_session: &Edge<DataMessage>, room: usize) -> Self {
        Self { route: Arc::clone(route), to_session: to_session.clone(), room, head: None }
    }

    /// The input of the first errors pipeline; `None` when the route has none.
    pub fn head(&mut self, tracker: &Arc<AckTracker>) -> Option<&Edge<DataMessage>> {
        if self.head.is_none() {
            let chain =
                PipelineChain { tracker, to_session: &self.to_session, room: self.room, announced: None };
            self.head = chain.start(&self.route.errors, Output::Next(self.to_session.clone())).head;
        }
        self.head.as_ref()
    }
}
