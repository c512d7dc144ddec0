//! The proxy's budgets and ack tracker with loom's locks and atomics, for the models in `wake_ups.rs`.
//!
//! Both source files are part of the proxy, and are compiled a second time here. They import locks and
//! atomics from `super::sync`, which re-exports the types of the standard library in the proxy, and the types
//! of loom here. `Arc` is that of the standard library in both, because loom's cannot be the receiver of a
//! method.
//!
//! # Errors found
//! A permit returned on another thread, between a reader's check for free bytes and the registration of its
//! waker, did not wake the reader. `Budget::room_or_wake` now checks again after it has registered the waker.
//! The models found nothing in the tracker, whose acks and waker are under one lock.

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
    /// A stand-in for the proxy's failures, which the tracker only passes on.
    #[derive(Debug, PartialEq, Eq)]
    pub struct Failure;
}

pub use failure::Failure;
