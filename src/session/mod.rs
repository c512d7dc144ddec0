//! A session: the actor that owns one client's connection, from the upgrade to its end.
//!
//! It makes events of the client's messages, owes each an outcome (the ledger), and hands the client
//! replies, pushes and errors in their order (the sequencer). Its states:
//!
//! * *Open*: the client is read.
//! * *Draining*: the client is not read any more; events under way have a while to settle.
//! * *Closing*: our close frame is out; the client's is awaited.
//! * *Over*.

mod actor;
mod backlog;
mod delivery;
mod downstream;
mod ledger;
mod messages;
#[cfg(test)]
mod model_tests;
mod sequencer;

pub use actor::Session;
pub use ledger::Counts;
pub use messages::{Control, Drain, Parts, SessionGuard, SessionLinks, Snapshot, SupervisorEdge};
