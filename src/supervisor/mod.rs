//! The supervisor: one per session, above its connectors.
//!
//! The supervisor starts connectors, is notified of their end in every case, and restarts the connector of
//! the route's own upstream by the restart policy, within the rate limit of the
//! [`Upstream`](crate::upstream::Upstream). It owns what outlives a connection: generation, backoff, and the
//! unsettled events of a lost connection, which it turns into failures in the queue of the replies.
//!
//! `children` and `child` contain the state machine, without actors, sockets or clocks. Their methods take
//! reports, events and timers, and return what the actor must do.

mod actor;
mod child;
mod children;
mod held;
#[cfg(test)]
mod held_model_tests;
#[cfg(test)]
mod held_tests;
mod loss;
mod messages;
mod moving;
mod policy;
mod shaper;
mod steps;

pub use actor::Supervisor;
pub use messages::{Describe, SessionOver, StopUpstream, SupervisorLinks};
pub use policy::{Policy, Verdict};
