//! Sets the options of the upstream's socket.

use std::time::Duration;

use super::{Connector, ConnectorState};
use crate::{
    settings::Upstream,
    wire::ticker::{Tick, Ticks, catch_up, now},
};

/// The age at which a connection gets its options.
const AGE: Duration = Duration::from_secs(1);

impl Connector {
    /// Sets the options of a new connection, or has them set later. They are for connections that last, and setting them
    /// takes five system calls. They count from the last byte that was received or acknowledged, so they find a dead
    /// server as soon when they are set later, as long as they are set in time.
    pub(super) fn plan_options(&mut self) {
        let Upstream { tcp, liveness, .. } = &*self.upstream;
        let Some(shortest) = tcp.shortest() else { return };
        // The liveness checks wake the connector after this time.
        let can_wait = liveness.ping_interval.is_some_and(|interval| interval.max(AGE) < shortest);
        self.options_due = if can_wait { catch_up() + Ticks::covering(AGE) } else { Tick::default() };
        self.set_options();
    }

    /// Sets the options if they are due.
    pub(super) fn set_options(&mut self) {
        if self.options_due == Tick::NEVER || self.options_due > now() {
            return;
        }
        self.options_due = Tick::NEVER;
        if let ConnectorState::Up(channel) = &mut self.state
            && let Err(error) = channel.link().socket().tune(&self.upstream.tcp)
        {
            // The socket has failed. The connector notices when it reads.
            log::debug!("cannot set socket options upstream={}: {error}", self.upstream.name);
        }
    }
}
