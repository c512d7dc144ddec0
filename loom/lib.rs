//! The proxy's budgets and trackers with loom's locks and atomics, for the models in `wake_ups.rs`.
//!
//! The two files are the proxy's own, compiled once more. They name their locks and atomics by
//! `super::sync`, which is the standard library's in the proxy and loom's here. `Arc` is the standard
//! library's in both, because loom's cannot be the receiver of a method.
//!
//! # Found
//! A permit given back on another thread, between a reader's look for room and its registration, woke nobody:
//! `Budget::room_or_wake` now looks again after it has registered. Nothing was found in the tracker, whose
//! acks and waker are under one lock.

#[path = "../src/flow/budget.rs"]
pub mod budget;
#[path = "../src/flow/ticket.rs"]
pub mod ticket;

mod sync {
    pub use std::sync::PoisonError;

    pub use loom::sync::{Mutex, MutexGuard, atomic};
}

use towline_event as event;

mod failure {
    /// Stands for the proxy's failures: the tracker only passes them on.
    #[derive(Debug, PartialEq, Eq)]
    pub struct Failure;
}

pub use failure::Failure;
