//! What happens to a client when its upstream connection ends (guarantees C1, C5), how long its session may last and
//! what it may send, and how the endpoints of an upstream are used.
//!
//! No actors, sockets or clocks are used here: the result depends on the settings of a route and an upstream
//! only.

mod close;
mod lifetime;
mod limits;
mod loss;
mod moves;
mod pool;

pub use close::{OnEnd, Otherwise, Range};
pub use lifetime::LifetimePolicy;
pub use limits::{KeyLimit, LimitKey};
pub use loss::{ErrorReplies, OnUpstreamLoss};
pub use moves::{MovePolicy, Rebalance};
pub use pool::{
    Balance, BreakerLimits, CheckKind, Ejection, HashKey, HealthChecks, PoolPolicy, ProbeCheck, ProbeTimes,
};
