//! The state of the process that all listeners share: live sessions, the configuration, the order to close sessions, and
//! the drain (guarantee C9).
//!
//! ```text
//! listener ─► registry ◄─ drain
//!                │ Control
//!                ▼
//!             session
//! ```
//!
//! Listeners and admin pages use this module, and it uses neither; [`run`](crate::run::run()) connects them.

mod close_orders;
mod configuration;
mod drain;
mod registry;
mod status;
mod workers;

pub use self::{
    close_orders::{CloseManner, CloseOrders, CloseProgress, OrderInProgress},
    configuration::{Configuration, Configurations},
    drain::{Order, drain},
    registry::{Registration, Registry, SessionId, SessionIdError, SessionInfo, SessionState, Stage},
    status::{Live, Pending, Status, Unanswered},
    workers::{Loaded, WorkerLoad, Workers},
};
