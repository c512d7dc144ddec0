//! What becomes of a client when its upstream connection ends, and how failures are reported (C1, C5).
//!
//! Pure: the settings of a route and an upstream go in, a decision comes out.

mod close;
mod failure;
mod loss;

pub use close::{OnEnd, Otherwise, Range};
pub use failure::{close_for, reason_with};
pub use loss::{ErrorReplies, OnUpstreamLoss};
