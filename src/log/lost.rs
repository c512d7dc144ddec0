//! How many lines the log does not have, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static DROPPED: AtomicU64 = AtomicU64::new(0);
static ACCESS_DROPPED: AtomicU64 = AtomicU64::new(0);
static SUPPRESSED: AtomicU64 = AtomicU64::new(0);

/// Numbers of lines since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostLines {
    /// Lines that did not fit in the queue, because the reader of the stream is too slow.
    pub dropped: u64,
    /// Lines of the access log that did not fit in its queue, for the same reason.
    pub access_dropped: u64,
    /// Lines that were left out because many others say the same.
    pub suppressed: u64,
}

/// The numbers at this moment.
pub fn lost_lines() -> LostLines {
    LostLines {
        dropped: DROPPED.load(Relaxed),
        access_dropped: ACCESS_DROPPED.load(Relaxed),
        suppressed: SUPPRESSED.load(Relaxed),
    }
}

/// Counts lines that did not fit in the queue.
pub(super) fn count_dropped(lines: u64) {
    DROPPED.fetch_add(lines, Relaxed);
}

/// Counts lines of the access log that did not fit in its queue.
pub(super) fn count_access_dropped(lines: u64) {
    ACCESS_DROPPED.fetch_add(lines, Relaxed);
}

/// Counts a line that is left out because many others say the same.
pub(crate) fn count_suppressed() {
    SUPPRESSED.fetch_add(1, Relaxed);
}
