//! The process behind all listeners: its live sessions, and its drain (C9).
//!
//! ```text
//! listener ─► registry ◄─ drain
//!                │ Control
//!                ▼
//!             session
//! ```

mod drain;
mod registry;
mod status;

pub use self::{
    drain::{Order, drain},
    registry::{Registration, Registry, SessionId, SessionInfo, SessionState},
    status::{Live, Status, Unanswered},
};
