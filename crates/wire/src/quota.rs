//! What a link may do in one turn (C3).
//!
//! A turn that is bounded in messages only has no bound at all: fragments, empty frames, and bytes without
//! meaning are no messages. tokio's own budget of a task (128 reads and writes) ends such a turn late, and
//! then holds up everything else in the task: writes and timers.

/// Frames decoded in one turn, empty ones included. At 30 ns each they take less time than
/// messages that one turn takes.
pub(super) const TURN_FRAMES: usize = 4096;

/// Reads from the socket in one turn. Far below tokio's budget, so that writes, timers, and the reads of TLS
/// below one of ours have the rest of it.
pub(super) const TURN_READS: usize = 16;

/// Bytes read in one turn, and at most one read buffer more.
pub(super) const TURN_BYTES: usize = 256 * 1024;

/// Writes to the socket in one turn.
pub(super) const TURN_WRITES: usize = 32;

/// What is left of a turn.
#[derive(Debug)]
pub(super) struct Quota {
    pub(super) frames: usize,
    reads: usize,
    bytes: usize,
    writes: usize,
}

impl Quota {
    /// A whole turn.
    pub(super) const fn new() -> Self {
        Self { frames: TURN_FRAMES, reads: TURN_READS, bytes: TURN_BYTES, writes: TURN_WRITES }
    }

    /// Whether nothing more is read or decoded in this turn.
    pub(super) fn is_spent(&self) -> bool {
        self.frames == 0 || self.reads == 0 || self.bytes == 0
    }

    /// Bytes that may be read.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes a read of `count` bytes.
    pub(super) fn read(&mut self, count: usize) {
        self.reads = self.reads.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(count);
    }

    /// Notes a write; false when there were enough of them.
    pub(super) fn write(&mut self) -> bool {
        let may = self.writes > 0;
        self.writes = self.writes.saturating_sub(1);
        may
    }
}
