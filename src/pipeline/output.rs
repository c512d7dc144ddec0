//! Where a pipeline's port leads.

use bytestring::ByteString;

use super::Attach;
use crate::{
    event::Value,
    flow::{AckStatus, DataMessage, Edge, Envelope, Pushed},
};

/// Where events go from here.
#[derive(Debug)]
pub enum Output {
    /// To the next pipeline, or to the session.
    Next(Edge<DataMessage>),
    /// To the upstream side.
    Upstream(UpstreamEdge),
    /// Nowhere: the route has no upstream, and the program had its say on port `reply`.
    End,
}

/// The edge to the upstream side: the connector while one is attached, else the supervisor, who answers
/// for it. Events that name another server in `$url` are always the supervisor's.
#[derive(Debug)]
pub struct UpstreamEdge {
    /// The route's own URL: an event that names it goes straight.
    url: ByteString,
    supervisor: Edge<DataMessage>,
    connector: Option<Edge<DataMessage>>,
}

impl Output {
    /// Hands a batch on. What nobody takes is lost, and its tickets say so.
    pub fn push(&mut self, flow: DataMessage) {
        match self {
            Self::Next(edge) => edge.notify(flow),
            Self::Upstream(edge) => edge.push(flow),
            Self::End => end(flow),
        }
    }

    /// Changes the connector of an output to the upstream side.
    pub fn attach(&mut self, Attach(connector): Attach) {
        if let Self::Upstream(edge) = self {
            edge.connector = connector;
        }
    }
}

impl UpstreamEdge {
    /// An edge with no connector attached.
    pub fn new(url: &str, supervisor: Edge<DataMessage>) -> Self {
        Self { url: url.into(), supervisor, connector: None }
    }

    fn push(&mut self, flow: DataMessage) {
        match flow {
            DataMessage::Events(envelopes)
                if envelopes.iter().any(|envelope| self.goes_elsewhere(envelope)) =>
            {
                self.push_apart(envelopes);
            }
            flow => self.push_straight(flow),
        }
    }

    fn push_straight(&mut self, flow: DataMessage) {
        let refused = match &self.connector {
            Some(connector) => match connector.push(flow) {
                Pushed::Taken => return,
                Pushed::Refused(flow) => flow,
            },
            None => flow,
        };
        self.connector = None;
        self.supervisor.notify(refused);
    }

    /// Splits a batch where its server changes; each server gets its events in their order.
    fn push_apart(&mut self, envelopes: Vec<Envelope>) {
        let (apart, straight): (Vec<_>, Vec<_>) =
            envelopes.into_iter().partition(|envelope| self.goes_elsewhere(envelope));
        if !straight.is_empty() {
            self.push_straight(DataMessage::Events(straight));
        }
        self.supervisor.notify(DataMessage::Events(apart));
    }

    fn goes_elsewhere(&self, envelope: &Envelope) -> bool {
        let meta = &envelope.event.meta;
        !meta.is_plain()
            && match meta.get("url") {
                None => false,
                Some(Value::String(url)) => url != self.url,
                Some(_) => true,
            }
    }
}

fn end(flow: DataMessage) {
    if let DataMessage::Events(envelopes) = flow {
        for envelope in envelopes {
            envelope.ticket.settle(AckStatus::Dropped);
        }
    }
}
