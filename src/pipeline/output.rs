//! The destinations of a pipeline's ports.

use std::rc::Rc;

use super::Attach;
use crate::{
    event::Value,
    flow::{AckStatus, DataMessage, Edge, Envelope, Pushed},
};

/// Whether a URL is that of the route's own upstream, at any of its endpoints.
pub type IsOwnUrl = Rc<dyn Fn(&str) -> bool>;

/// The next destination of events that a session or a pipeline passes on.
pub enum Output {
    /// The next pipeline, or the session.
    Next(Edge<DataMessage>),
    /// The connector or supervisor.
    Upstream(UpstreamEdge),
    /// No actor: the route has no upstream, and the program answers on port `reply`.
    End,
}

/// The edge to the upstream side: the connector while one is attached, else the supervisor. Events that name
/// another server in `$url` always go to the supervisor.
pub struct UpstreamEdge {
    /// Events that name the route's own upstream go to the connector.
    is_own: IsOwnUrl,
    supervisor: Edge<DataMessage>,
    connector: Option<Edge<DataMessage>>,
}

impl Output {
    /// Sends a batch to the next actor. A batch that cannot be sent is dropped, and its tickets report the
    /// events as lost.
    pub fn push(&mut self, message: DataMessage) {
        match self {
            Self::Next(edge) => edge.notify(message),
            Self::Upstream(edge) => edge.push(message),
            Self::End => end(message),
        }
    }

    /// Attaches the first connector, if there is one, before any event.
    pub fn attach_first(&mut self, connector: Option<Edge<DataMessage>>) {
        if let Self::Upstream(edge) = self {
            edge.connector = connector;
        }
    }

    /// Changes the attached connector, if the output leads to the upstream side.
    pub fn attach(&mut self, attach: Attach) {
        if let Self::Upstream(edge) = self {
            edge.attach(attach);
        }
    }
}

impl UpstreamEdge {
    /// Creates an edge without an attached connector.
    pub fn new(is_own: IsOwnUrl, supervisor: Edge<DataMessage>) -> Self {
        Self { is_own, supervisor, connector: None }
    }

    /// Sends the mark to the old target, behind the events that it got, and switches to the new one.
    fn attach(&mut self, Attach { connector, mark }: Attach) {
        self.push_straight(DataMessage::Mark(mark));
        self.connector = connector;
    }

    fn push(&mut self, message: DataMessage) {
        match message {
            DataMessage::Events(envelopes)
                if envelopes.iter().any(|envelope| self.goes_elsewhere(envelope)) =>
            {
                self.push_apart(envelopes);
            }
            DataMessage::Several(messages) => messages.into_iter().for_each(|message| self.push(message)),
            // It goes on from there.
            DataMessage::Adopt(adopt) => self.supervisor.notify(DataMessage::Adopt(adopt)),
            message => self.push_straight(message),
        }
    }

    fn push_straight(&mut self, message: DataMessage) {
        let refused = match &self.connector {
            Some(connector) => match connector.push(message) {
                Pushed::Taken => return,
                Pushed::Refused(message) => message,
            },
            None => message,
        };
        self.connector = None;
        self.supervisor.notify(refused);
    }

    /// Splits a batch by server. Each server gets its events in their order.
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
                Some(Value::String(url)) => !(self.is_own)(&url),
                Some(_) => true,
            }
    }
}

fn end(message: DataMessage) {
    match message {
        DataMessage::Events(envelopes) => {
            envelopes.into_iter().for_each(|envelope| envelope.ticket.settle(AckStatus::Dropped));
        }
        DataMessage::Burst(burst) => end(DataMessage::Events(burst.into_envelopes())),
        DataMessage::Several(messages) => messages.into_iter().for_each(end),
        DataMessage::Failed(_)
        | DataMessage::Ended(_)
        | DataMessage::Notice(_)
        | DataMessage::Mark(_)
        | DataMessage::Adopt(_) => {}
    }
}
