//! A connector: the actor that owns one connection to an upstream, from dialing to the end.
//!
//! A connector is never reused. For a new connection, its supervisor starts another one with the next [`Generation`].
//! Its states:
//!
//! * *Dialing*: the handshake is under way; events wait.
//! * *Up*: events are sent, messages come back. A *gated* connector does neither until the supervisor releases it. With
//!   a journal, events wait as well until the replay is complete.
//! * *Ended*: events that still arrive go back to the supervisor, until no edge holds the connector's
//!   address.
//!
//! After a close frame the socket outlives the actor, until the server ends the TCP connection or
//! `close_timeout` has passed.

mod actor;
pub mod exchange;
#[cfg(test)]
mod exchange_tests;
mod journal;
mod linger;
mod messages;
mod unwritten;
mod waiting;

pub use actor::Connector;
pub use journal::{Classifier, Lend, Loan, SessionJournal, recorded, sendable};
pub use linger::{all_closed, dismiss, share_lingering};
pub use messages::{
    Close, ConnectorLinks, Ended, Fact, Generation, Release, Replaced, Report, Restored, Start, Yield,
};
pub use waiting::Waiting;
