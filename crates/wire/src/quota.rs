//! Limits on what a link does in one turn (C3).
//!
//! A limit on messages alone would not bound a turn: fragments, empty frames and control frames complete no
//! message. tokio's own budget (128 reads and writes of a task) ends such a turn late, and then delays
//! everything else in the task, writes and timers included.

/// Frames decoded in one turn, empty ones included. At 30 ns per frame they take less time than the messages
/// of one turn.
pub(super) const TURN_FRAMES: usize = 4096;

/// Reads from the socket in one turn. Far below tokio's budget, so that writes, timers and the reads of a TLS
/// layer fit in the rest of it.
pub(super) const TURN_READS: usize = 16;

/// Bytes read in one turn, exceeded by one read buffer at most.
pub(super) const TURN_BYTES: usize = 256 * 1024;

/// Writes to the socket in one turn.
pub(super) const TURN_WRITES: usize = 32;

/// What remains of a turn's quota.
#[derive(Debug)]
pub(super) struct Quota {
    pub(super) frames: usize,
    reads: usize,
    bytes: usize,
    writes: usize,
}

impl Quota {
    /// The quota of a whole turn.
    pub(super) const fn new() -> Self {
        Self { frames: TURN_FRAMES, reads: TURN_READS, bytes: TURN_BYTES, writes: TURN_WRITES }
    }

    /// Whether the turn's reading and decoding are over.
    pub(super) fn is_spent(&self) -> bool {
        self.frames == 0 || self.reads == 0 || self.bytes == 0
    }

    /// Bytes that may still be read.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Accounts for a read of `count` bytes.
    pub(super) fn read(&mut self, count: usize) {
        self.reads = self.reads.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(count);
    }

    /// Accounts for a write; returns false when the quota of writes is used up.
    pub(super) fn write(&mut self) -> bool {
        let may = self.writes > 0;
        self.writes = self.writes.saturating_sub(1);
        may
    }
}
