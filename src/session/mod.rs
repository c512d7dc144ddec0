//! A session: the actor that owns one client's connection, from the end of its handshake to its close.
//!
//! A session turns the client's messages into events and sends the client replies, pushes and errors. The
//! ledger records which events have no outcome yet; the sequencer keeps the order. The states of a session:
//!
//! * *Open*: the session reads from the client.
//! * *Draining*: the session reads no more, and waits for the outcomes of events in flight until a deadline.
//! * *Closing*: the session has sent its close frame and waits for the client's.
//! * *Over*: the connection is closed, and the actor stops.

mod actor;
mod backlog;
#[cfg(test)]
mod backlog_tests;
mod barrier;
mod delivery;
#[cfg(test)]
mod delivery_tests;
mod downstream;
mod end_cause;
mod known;
mod ledger;
mod lifetime;
#[cfg(test)]
mod lifetime_tests;
mod messages;
mod renewal;
#[cfg(test)]
mod renewal_tests;
mod sequencer;
#[cfg(test)]
mod sequencer_tests;

pub use actor::Session;
pub use known::{KnownClient, LoggedClaims};
pub use lifetime::{Due, Lifetime, LifetimeEnd, Moment};
pub use messages::{
    Adopting, Adoption, Control, Drain, Extension, FirstData, NotExtended, Parts, SessionGuard, SessionLinks,
    SupervisorEdge,
};
pub use renewal::{Announce, Check, Renewal};
