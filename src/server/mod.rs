//! The process behind all listeners: its live sessions, its configuration, and its drain (C9).
//!
//! ```text
//! listener ─► registry ◄─ drain
//!                │ Control
//!                ▼
//!             session
//! ```
//!
//! Listeners and admin pages use this room, so it knows neither: [`run`](crate::run::run()) connects them.

mod configuration;
mod drain;
mod registry;
mod status;
mod workers;

pub use self::{
    configuration::{Configuration, Configurations},
    drain::{Order, drain},
    registry::{Registration, Registry, SessionId, SessionInfo, SessionState},
    status::{Live, Pending, Status, Unanswered},
    workers::Workers,
};
