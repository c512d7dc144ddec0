//! Answers the questions of operators about a session.

use tokio::sync::oneshot;

use super::Session;
use crate::{figures::Snapshot, supervisor::Describe};

impl Session {
    /// Reports what the session is doing. The supervisor adds the connections, and sends the reply.
    pub(super) fn inspect(&mut self, reply: oneshot::Sender<Snapshot>) {
        let budget = self.down.channel.budget();
        let claims = self.known.iter().flat_map(|known| known.shown());
        let snapshot = Snapshot {
            phase: self.state.phase(),
            unsettled: self.delivery.unsettled(),
            oldest: self.delivery.oldest().map(|event| self.tracker.id(event)),
            from_client: (budget.used(), self.listener.limits.buffer),
            from_upstream: self.links.upstream_budget.as_ref().map(|budget| budget.used()),
            held: 0,
            claims: claims.map(|(name, value)| (name.to_owned(), value)).collect(),
            expires: self.known.as_ref().and_then(|known| known.identity.expires),
            servers: Vec::new(),
        };
        match &self.links.supervisor {
            Some(supervisor) => supervisor.describe(Describe { snapshot, reply }),
            // The process may have stopped waiting for the answer.
            None => _ = reply.send(snapshot),
        }
    }
}
