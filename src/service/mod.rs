//! The process as a service: what the service manager is notified of, and the process that takes over from it.

pub mod notify;
mod successor;
mod watchdog;

pub use self::{
    successor::{Successor, program, report_ready},
    watchdog::Watchdog,
};
