//! The trace of a session, from its request on.

use super::{context::RequestContext, forward::SessionNames};
use crate::{
    listener::state::ServerState,
    settings::Route,
    traces::{SessionTrace, StartDetail, TracedSession},
};

/// Begins the trace of a session, if the session is traced.
pub(super) fn begin(server: &ServerState, context: &mut RequestContext) {
    context.trace = server.tracer.as_ref().and_then(|tracer| tracer.start(&context.head.headers));
}

/// The trace of a session that starts now; `None` if it is not traced.
pub(super) fn open(
    context: &RequestContext,
    names: &SessionNames<'_>,
    route: &Route,
    subprotocol: Option<&str>,
) -> Option<Box<SessionTrace>> {
    let start = context.trace.clone()?;
    let session = TracedSession {
        id: format!("{}:{}", names.id.source, names.id.stream),
        listener: names.listener.to_owned(),
        route: names.route.to_owned(),
        upstream: route.upstream.as_ref().map(|upstream| upstream.name.clone()),
    };
    let detail = StartDetail {
        parent: None,
        client: context.peer.ip(),
        path: context.path().into(),
        subprotocol: subprotocol.map(Into::into),
    };
    Some(Box::new(start.open(session, detail)))
}
