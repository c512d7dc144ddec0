//! What a supervisor keeps about lost connections and the next attempts.

use std::{rc::Rc, time::Instant};

use actix::SpawnHandle;
use tokio::sync::Semaphore;

use super::Supervisor;
use crate::{connector::Replaced, event::EventNumber, upstream::Lease};

/// The state that exists from the first lost connection, failed dial or waiting event of a session. Most sessions have
/// none of these, so it is boxed.
#[derive(Default)]
pub(super) struct Outage {
    /// When the route's own upstream was lost, until a connection to it is up.
    pub(super) lost_since: Option<Instant>,
    /// Makes held events fail at their deadline.
    pub(super) hold_timer: Option<(Instant, SpawnHandle)>,
    /// The lost connection that the next one replaces.
    pub(super) replaced: Option<Replaced>,
    /// The last event that was written to any connection to the route's own upstream.
    pub(super) last_event: Option<EventNumber>,
    /// The endpoint for the next connection to the route's own upstream, reserved while the reconnect waits for its
    /// slot.
    pub(super) lease: Option<Lease>,
    /// Ends the wait for that connection.
    pub(super) timer: Option<SpawnHandle>,
    /// Waits that ended early, because an endpoint came up, since a connection last proved good.
    pub(super) early: u32,
    /// Admits one dial at a time to the wait for the pace of reconnects to servers that events name; `None` before the
    /// first one.
    pub(super) pacing: Option<Rc<Semaphore>>,
    /// When a reconnect was last made without delay, because the server had closed the connection to stop.
    pub(super) undelayed: Option<Instant>,
}

impl Supervisor {
    /// The state of reconnects, which begins now if there is none.
    pub(super) fn outage(&mut self) -> &mut Outage {
        self.outage.get_or_insert_default()
    }

    /// Takes the endpoint that is reserved for the next connection.
    pub(super) fn take_lease(&mut self) -> Option<Lease> {
        self.outage.as_mut()?.lease.take()
    }

    /// A connection has proved good, or counts as good.
    pub(super) fn forget_early(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.early = 0;
        }
    }
}
