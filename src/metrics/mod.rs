//! The metrics of the process, in the formats that Prometheus reads.
//!
//! The figures are counted by the worker threads, each in its own cells ([`figures`](crate::figures)). A scrape adds them
//! up on the thread of the admin server. docs/metrics.md lists all metrics.

mod collector;
mod endpoints;
mod families;
mod in_force;
mod output;
mod page;
mod process;
mod routes;

pub use self::{
    families::{ALL, Family, FamilyKind},
    page::{Scrape, scrape},
};
