//! The session's interface: how to start one, and the messages it handles.
//!
//! | message | from | plane |
//! |---|---|---|
//! | [`DataMessage`](crate::flow::DataMessage) | outgoing, errors and incoming pipelines; without them, connector and supervisor | data |
//! | [`Attach`](crate::pipeline::Attach) | supervisor, on a route without incoming pipelines | control |
//! | [`Control`] | the process, through its registry of sessions | control |
//! | [`Ack`](crate::flow::Ack) | every ticket, through the session's `AckTracker` | back |
//!
//! It sends `DataMessage` to the first incoming and the first errors pipeline, and `StopUpstream` and `SessionOver`
//! to its supervisor.

use std::{convert::Infallible, sync::Arc, time::Duration};

use actix::{Addr, Handler, Message, WeakAddr};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{known::KnownClient, lifetime::Lifetime, renewal::Renewal};
use crate::{
    access::Entry as AccessEntry,
    auth::Identity,
    event::{Data, Origin, Record},
    figures::{SessionFigures, Snapshot},
    flow::{AckTracker, Budget, Edge, GlobalBudget},
    net::Stream,
    pipeline::{Attach, LazyChain, Output},
    rate::SharedLimit,
    settings::{Listener, Route, Upstream},
    supervisor::{Describe, SessionOver, StopUpstream, Supervisor},
    tap::SessionTap,
    traces::SessionTrace,
    upstream::Announced,
    wire::CloseFrame,
};

/// Everything that a session starts with.
pub struct Parts {
    /// The tracker that assigns the event numbers and collects the outcomes.
    pub tracker: Arc<AckTracker>,
    /// The session's figures, which its registration has too.
    pub figures: Arc<SessionFigures>,
    /// The listener that accepted the client.
    pub listener: Arc<Listener>,
    /// The route's upstream, if it has one.
    pub upstream: Option<Arc<Upstream>>,
    /// The client's connection, after the handshake.
    pub socket: Stream,
    /// Bytes received after the handshake.
    pub rest: Bytes,
    /// `$request` and `$session`; `None` when no program of the route reads metadata.
    pub meta: Option<Arc<Record>>,
    /// The identity of the client; `None` on a route without authentication.
    pub known: Option<KnownClient>,
    /// How the client renews its credential; `None` if it cannot.
    pub renewal: Option<Renewal>,
    /// The `tremor::origin` of the client's events; `None` when no program of the route reads it.
    pub origin: Option<Arc<Origin>>,
    /// The bytes that all sessions together may hold.
    pub global_budget: Arc<GlobalBudget>,
    /// The rate limits that the session shares with others.
    pub rates: Vec<SharedLimit>,
    /// The session's tap; `None` if the settings forbid taps.
    pub tap: Option<Arc<SessionTap>>,
    /// The session's trace; `None` if it is not traced.
    pub trace: Option<Box<SessionTrace>>,
    /// How long the session lasts; `None` if nothing limits it.
    pub lifetime: Option<Lifetime>,
    /// The line of the access log; `None` without one.
    pub access: Option<Box<AccessEntry>>,
    /// The guard that counts the session as live.
    pub guard: Box<dyn SessionGuard>,
}

/// A guard that counts a session as live until it is dropped.
pub trait SessionGuard {
    /// Takes over the configuration in force. Returns what the session continues with; `None` if it keeps what it has:
    /// because that is the latest, or because the session cannot continue with another one.
    fn adopt(&mut self) -> Option<Adoption> {
        None
    }

    /// Records who the client is according to the credential that it has renewed.
    fn renewed(&mut self, _identity: &Arc<Identity>) {}
}

/// The settings with which a session continues.
pub struct Adoption {
    /// The settings of its listener.
    pub listener: Arc<Listener>,
    /// Its route.
    pub route: Arc<Route>,
    /// How clients renew their credentials, by the methods of the route.
    pub renewals: Vec<Renewal>,
}

/// The actors that a session sends to.
pub struct SessionLinks {
    /// The first incoming pipeline; on a route whose incoming pipelines change no event, the connector or the supervisor.
    pub incoming: Output,
    /// The last incoming pipeline, if they began to change events after the session had started.
    pub last_incoming: Option<Box<Edge<Attach>>>,
    /// Has the session move when a pipeline says that the upstream announces the end of the connection; `None` if it
    /// cannot move.
    pub announced: Option<Announced>,
    /// The errors pipelines.
    pub errors: LazyChain,
    /// The supervisor; `None` if the route has no upstream, or once the session has reported its end.
    pub supervisor: Option<SupervisorEdge>,
    /// The upstream's `buffer`, if the route has an upstream. Error replies about pushes use it until the client has read
    /// them, so that the proxy reads no faster from an upstream whose pushes fail than the client reads.
    pub upstream_budget: Option<Arc<Budget>>,
    /// Whether a failed event becomes an error reply to the client.
    pub replies_errors: bool,
    /// Gets the data of the client's first event, if that selects the endpoint.
    pub first_data: Option<FirstData>,
}

impl Drop for SessionLinks {
    /// Ends the upstream side of a session that panicked, or whose worker thread ended. The supervisor lives until it gets
    /// this message, and would connect again and again.
    fn drop(&mut self) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.over(Some(client_gone()));
        }
    }
}

/// The close frame for the upstream when the client has disappeared.
pub(super) fn client_gone() -> CloseFrame {
    CloseFrame::new(1001, "client is gone")
}

/// Takes the data of a client's first event.
pub type FirstData = Box<dyn FnOnce(&Data)>;

/// The edges to a session's supervisor, which stays alive until it gets [`SessionOver`].
pub struct SupervisorEdge(WeakAddr<Supervisor>);

impl SupervisorEdge {
    /// The edge to this supervisor.
    pub fn to(supervisor: &Addr<Supervisor>) -> Self {
        Self(supervisor.downgrade())
    }

    /// Reports the end of the session.
    pub fn over(&self, frame: Option<CloseFrame>) {
        self.notify(SessionOver(frame));
    }

    /// Ends the upstream connection while the session drains.
    pub fn stop_upstream(&self, frame: Option<CloseFrame>) {
        self.notify(StopUpstream(frame));
    }

    /// Asks about the upstream connections.
    pub fn describe(&self, question: Describe) {
        self.notify(question);
    }

    /// Sends a message. There are few, so the address is made for each.
    fn notify<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        Supervisor: Handler<M>,
    {
        if let Some(supervisor) = self.0.upgrade() {
            Edge::notify_at(&supervisor, message);
        }
    }
}

/// Process → session, control plane: an order or a question from outside the session.
///
/// A session gets one order to drain. The admin server limits how many questions wait for an answer. A message that does
/// not fit in the mailbox is dropped, and the operator learns that the session does not answer.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum Control {
    /// Close the client, because the process ends. There is no reply.
    Drain(Drain),
    /// Close the client, by order of an operator. There is no reply.
    Close(CloseFrame),
    /// End the session immediately, because the drain deadline has passed. Sends no reply.
    CutOff,
    /// Report what the session is doing. The reply is the snapshot, which the session, or its supervisor after it, sends
    /// when it handles the message.
    Inspect(oneshot::Sender<Snapshot>),
    /// Let the client's credential expire later, by order of an operator. The reply is the result.
    Extend(Extension),
    /// Continue with the configuration in force. There is no reply. The next one follows when this one has been dropped.
    Adopt(Adopting),
}

/// An order to let the client's credential expire later.
#[derive(Debug)]
pub struct Extension {
    /// Who the client must be.
    pub subject: String,
    /// When the credential then expires, in seconds since 1970.
    pub expires: u64,
    /// Gets the result.
    pub reply: oneshot::Sender<Result<(), NotExtended>>,
}

/// Why a credential does not expire later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotExtended {
    /// The session has no credential that expires.
    #[error("the session has no credential that expires")]
    Endless,
    /// The client is somebody else.
    #[error("the client is another subject")]
    OtherSubject,
    /// The credential is valid for longer already.
    #[error("the credential expires later than that already")]
    Earlier,
    /// The session is ending.
    #[error("the session has ended")]
    Ended,
}

/// An order to adopt the configuration in force. While any of its copies exists, there is no other one.
#[derive(Debug, Clone)]
pub struct Adopting(
    #[expect(dead_code, reason = "the sender is dropped with it")] Option<mpsc::Sender<Infallible>>,
);

// === impl Adopting ===

impl Adopting {
    /// An order for several sessions. The receiver ends with the last copy.
    pub fn several() -> (Self, mpsc::Receiver<Infallible>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(Some(sender)), receiver)
    }

    /// An order for one session.
    pub fn one() -> Self {
        Self(None)
    }
}

/// The order to close the client after `delay`, with `frame`.
///
/// Until `delay` is over, the session continues. Then it stops reading, and its unsettled events have `grace`
/// to settle.
#[derive(Debug, Clone)]
pub struct Drain {
    /// Time until the session starts to drain.
    pub delay: Duration,
    /// Time in which unsettled events may settle, after `delay`.
    pub grace: Duration,
    /// The close frame for the client.
    pub frame: CloseFrame,
}
