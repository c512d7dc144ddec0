//! The locks and atomics of budgets and trackers. The models in `loom/` compile `budget.rs` and `ticket.rs`
//! with loom's types instead.

pub use std::sync::{Mutex, MutexGuard, PoisonError, atomic};
