//! How many spans were exported, and how many were lost.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a span is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// The queue was full.
    QueueFull,
    /// The collector could not be reached, did not answer in time, or refused the request.
    NotExported,
    /// The collector took the request, and refused some of its spans.
    Rejected,
}

/// The spans of the process since its start.
#[derive(Debug, Default)]
pub struct SpanCounts {
    exported: AtomicU64,
    lost: [AtomicU64; LossReason::ALL.len()],
}

/// [`SpanCounts`] at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanTotals {
    /// The spans that the collector has taken.
    pub exported: u64,
    /// The lost spans, in the order of [`LossReason::ALL`].
    pub lost: [u64; LossReason::ALL.len()],
}

// === impl LossReason ===

impl LossReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::NotExported, Self::Rejected];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::NotExported => "not_exported",
            Self::Rejected => "rejected",
        }
    }
}

// === impl SpanCounts ===

impl SpanCounts {
    /// Counts spans that the collector has taken.
    pub fn exported(&self, spans: u64) {
        self.exported.fetch_add(spans, Relaxed);
    }

    /// Counts lost spans.
    pub fn lost(&self, reason: LossReason, spans: u64) {
        self.lost[reason as usize].fetch_add(spans, Relaxed);
    }

    /// The counts at this moment.
    pub fn totals(&self) -> SpanTotals {
        let lost = LossReason::ALL.map(|reason| self.lost[reason as usize].load(Relaxed));
        SpanTotals { exported: self.exported.load(Relaxed), lost }
    }
}
