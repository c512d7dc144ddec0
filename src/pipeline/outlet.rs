//! Where a pipeline's port leads.

use actix::Message;
use bytestring::ByteString;

use crate::{
    event::Value,
    flow::{Edge, Flow, Parcel, Pushed, Stamp},
};

/// Supervisor → the last room before the upstream, control plane: the connector to send to from now on,
/// or none.
///
/// Reply: none. On full: cannot be; there are three of them in a connector's life, and `CONTROL_ROOM`.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Attach(pub Option<Edge<Flow>>);

/// Where events go from here.
#[derive(Debug)]
pub enum Outlet {
    /// To the next pipeline, or to the session.
    Next(Edge<Flow>),
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
    supervisor: Edge<Flow>,
    connector: Option<Edge<Flow>>,
}

impl Outlet {
    /// Hands a batch on. What nobody takes is lost, and its tickets say so.
    pub fn push(&mut self, flow: Flow) {
        match self {
            Self::Next(edge) => edge.tell(flow),
            Self::Upstream(edge) => edge.push(flow),
            Self::End => end(flow),
        }
    }

    /// Changes the connector of an outlet to the upstream side.
    pub fn attach(&mut self, Attach(connector): Attach) {
        if let Self::Upstream(edge) = self {
            edge.connector = connector;
        }
    }
}

impl UpstreamEdge {
    /// An edge with no connector attached.
    pub fn new(url: &str, supervisor: Edge<Flow>) -> Self {
        Self { url: url.into(), supervisor, connector: None }
    }

    fn push(&mut self, flow: Flow) {
        match flow {
            Flow::Events(parcels) if parcels.iter().any(|parcel| self.goes_elsewhere(parcel)) => {
                self.push_apart(parcels);
            }
            flow => self.push_straight(flow),
        }
    }

    fn push_straight(&mut self, flow: Flow) {
        let refused = match &self.connector {
            Some(connector) => match connector.push(flow) {
                Pushed::Taken => return,
                Pushed::Refused(flow) => flow,
            },
            None => flow,
        };
        self.connector = None;
        self.supervisor.tell(refused);
    }

    /// Splits a batch where its server changes; each server gets its events in their order.
    fn push_apart(&mut self, parcels: Vec<Parcel>) {
        let (apart, straight): (Vec<_>, Vec<_>) =
            parcels.into_iter().partition(|parcel| self.goes_elsewhere(parcel));
        if !straight.is_empty() {
            self.push_straight(Flow::Events(straight));
        }
        self.supervisor.tell(Flow::Events(apart));
    }

    fn goes_elsewhere(&self, parcel: &Parcel) -> bool {
        let meta = &parcel.event.meta;
        !meta.is_plain()
            && match meta.get("url") {
                None => false,
                Some(Value::String(url)) => url != self.url,
                Some(_) => true,
            }
    }
}

fn end(flow: Flow) {
    if let Flow::Events(parcels) = flow {
        for parcel in parcels {
            parcel.ticket.stamp(Stamp::Dropped);
        }
    }
}
