//! Figures: numbers about a session that one thread writes and others read.
//!
//! All actors of a session run on one thread, so each figure has one writer. It reads and writes its number with two
//! plain memory accesses, without a lock and without an atomic read-modify-write. Readers on other threads, such as the
//! admin server, see each number as it was a moment ago, and wake nobody. Numbers that are read together may be of
//! slightly different moments.

mod count;
mod session;

pub use self::{
    count::{Count, Traffic, TrafficTotals},
    session::{Counts, SessionFigures, SessionTotals},
};
