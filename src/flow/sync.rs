//! The locks and atomics of budgets and trackers. The models in `loom/` compile those two files with loom's
//! types in the place of these.

pub use std::sync::{Mutex, MutexGuard, PoisonError, atomic};
