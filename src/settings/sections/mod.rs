//! The sections of the settings, with one file each: the checked form of a section, its reading, and its
//! checks.
//!
//! `format`, `limits`, `liveness`, `tcp` and `slow_consumer` are groups of keys that listeners and upstreams
//! share. `effects` has the checks that involve several sections.

pub(crate) mod address;
pub(crate) mod admin;
pub(crate) mod admission;
pub(crate) mod auth;
mod behind;
pub(crate) mod drain;
pub(crate) mod effects;
pub(crate) mod format;
pub(crate) mod language;
mod limits;
pub(crate) mod listener;
mod liveness;
pub(crate) mod log;
pub(crate) mod modules;
mod networks;
mod on_end;
pub(crate) mod pipeline;
mod rate;
mod roots;
pub(crate) mod route;
pub(crate) mod server;
pub(crate) mod slow_consumer;
mod tap;
mod tcp;
pub(crate) mod traces;
pub(crate) mod upstream;
