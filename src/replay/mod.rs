//! Replays a record: sends the clients' messages again, and compares what comes back.
//!
//! ```text
//! record ─► plan: what each client sends, and what it got ─► client: one connection for each session ─► compare
//! ```

mod client;
mod compare;
mod plan;
mod report;

pub use self::{
    client::{Progress, ReplayError, ReplayOptions, Speed, replay},
    compare::{Difference, DifferenceKind, compare},
    plan::{Exchanged, Incomplete, Plan, PlanError, Role, SessionPlan, Step},
    report::{Report, SessionReport},
};
