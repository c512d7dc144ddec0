//! Reloads of the settings while the process runs (guarantee C12).
//!
//! ```text
//! SIGHUP ─┐
//!         ├─► Handle ─► Requests ─► run: read and check ─► bind ─► swap ─► open and close listeners
//! admin ──┘                              └─ a problem: nothing changes
//! ```
//!
//! This module has what a reload needs besides: the [`Difference`] between two loads of the settings, when each change
//! takes effect ([`Adoption`]), the requests and the history. [`run`](crate::run::run()) carries a reload out.

mod adoption;
mod difference;
mod handle;
mod history;
mod numbers;

pub use self::{
    adoption::{Adoption, in_force, pending, shape},
    difference::{CHANGES_MAX, Change, Difference, Hidden, What},
    handle::{Handle, NotServed, Reader, Request, Requests, Totals, requests},
    history::{By, HISTORY_MAX, History, Outcome, PROBLEMS_MAX, Problems, Record},
    numbers::Numbers,
};
