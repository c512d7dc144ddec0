//! The supervisor: one per session, above its connectors.
//!
//! It starts connectors, is notified of their end in every case, and restarts the route's own by the policy,
//! at the pace of the [`Upstream`](crate::upstream::Upstream). It owns what outlives a connection: generation,
//! backoff, and the unsettled events of a lost connection, which it turns into failures in the queue of the
//! replies.
//!
//! `children` and `child` decide, without actors, sockets or clocks: they take reports, events and timers, and
//! return what the actor has to do.

mod actor;
mod child;
mod children;
mod loss;
mod messages;
mod policy;

pub use actor::Supervisor;
pub use messages::{SessionOver, StopUpstream, SupervisorLinks};
pub use policy::{Policy, Verdict};
