//! A pipeline: the actor that runs one program over the events of one session.
//!
//! It stands between session and connector on the way there, between connector and session on the way
//! back, or on the way of the errors. What a program sends to a port goes to the port's outlet.

mod actor;
mod outlet;

pub use actor::{Pipeline, Stage};
pub use outlet::{Attach, Outlet, UpstreamEdge};
