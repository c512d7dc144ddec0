//! Numbers with one writer and any number of readers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one thread writes and others read.
///
/// # Correctness
/// Two writers at the same time would lose additions. So only the thread that owns the number may write it.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

/// Numbers of messages and of bytes of their payloads.
#[derive(Debug, Default)]
pub struct Traffic {
    messages: Count,
    bytes: Count,
}

/// [`Traffic`] at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrafficTotals {
    /// The number of complete data messages.
    pub messages: u64,
    /// The number of bytes of their payloads.
    pub bytes: u64,
}

// === impl TrafficTotals ===

impl TrafficTotals {
    /// Adds a message with a payload of `bytes` bytes.
    #[inline]
    pub fn message(&mut self, bytes: usize) {
        self.add(Self { messages: 1, bytes: bytes as u64 });
    }

    /// Adds more messages.
    #[inline]
    pub fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }
}

// === impl Count ===

impl Count {
    /// Adds `more`. Only the writer may call it.
    #[inline]
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// Replaces the number. Only the writer may call it.
    #[inline]
    pub fn set(&self, number: u64) {
        self.0.store(number, Relaxed);
    }

    /// The number as the reader's thread sees it.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

// === impl Traffic ===

impl Traffic {
    /// Counts a message with a payload of `bytes` bytes.
    #[inline]
    pub fn message(&self, bytes: usize) {
        self.add(TrafficTotals { messages: 1, bytes: bytes as u64 });
    }

    /// Counts messages.
    #[inline]
    pub fn add(&self, more: TrafficTotals) {
        self.messages.add(more.messages);
        self.bytes.add(more.bytes);
    }

    /// The numbers at this moment.
    pub fn totals(&self) -> TrafficTotals {
        TrafficTotals { messages: self.messages.get(), bytes: self.bytes.get() }
    }
}
