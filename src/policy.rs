//! Decides what happens to a client when its upstream connection ends (C1, C5).
//!
//! Pure: maps the settings of a route and an upstream to a decision.

mod close;
mod loss;

pub use close::{OnEnd, Otherwise, Range};
pub use loss::{ErrorReplies, OnUpstreamLoss};
