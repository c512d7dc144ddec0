//! What happens to a client when its upstream connection ends (guarantees C1, C5).
//!
//! No actors, sockets or clocks are used here: the result depends on the settings of a route and an upstream
//! only.

mod close;
mod loss;

pub use close::{OnEnd, Otherwise, Range};
pub use loss::{ErrorReplies, OnUpstreamLoss};
