//! The supervisor: one for each session, above its connectors.
//!
//! It starts connectors, learns of their end whatever the end is, and restarts the route's own by the
//! policy, at the pacer's pace. It owns what outlives a connection: generation, backoff, and the
//! obligations of events that a connection leaves unsettled, which it turns into failures in the line of
//! the replies.

mod actor;
mod loss;
mod messages;
mod pacer;
mod policy;

pub use actor::Supervisor;
pub use messages::{SessionOver, StopUpstream, SupervisorLinks};
pub use pacer::Pacer;
pub use policy::{Policy, Verdict};
