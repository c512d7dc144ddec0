//! The state of the process that all listeners share: live sessions, the configuration, and the drain
//! (guarantee C9).
//!
//! ```text
//! listener ─► registry ◄─ drain
//!                │ Control
//!                ▼
//!             session
//! ```
//!
//! Listeners and admin pages use this module, and it uses neither; [`run`](crate::run::run()) connects them.

mod configuration;
mod drain;
mod registry;
mod status;
mod workers;

pub use self::{
    configuration::{Configuration, Configurations},
    drain::{Order, drain},
    registry::{Registration, Registry, SessionId, SessionIdError, SessionInfo, SessionState, Stage},
    status::{Live, Pending, Status, Unanswered},
    workers::Workers,
};
