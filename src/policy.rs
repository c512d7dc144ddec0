//! Decides what happens to a client when its upstream connection ends, and how failures are reported (C1,
//! C5).
//!
//! Pure: maps the settings of a route and an upstream to a decision.

mod close;
mod failure;
mod loss;

pub use close::{OnEnd, Otherwise, Range};
pub use failure::{close_for, reason_with};
pub use loss::{ErrorReplies, OnUpstreamLoss};
